"""Every setting of a run: frozen, typed, strict sections, which make up a recipe."""

import math
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]
Weight = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Frozen; an unknown key is an error, and so are infinity and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def key(default: Any, about: str, **limits: Any) -> Any:
    """A field with its default, what `tsvad recipe show --explain` says of it, and its limits."""
    return Field(default, description=about, **limits)


class ViewSettings(Section):
    """What the nets see of a frame."""

    # The decoder doubles the pooled features twice, the encoder halves five times: multiples of 128.
    size: int = key(256, "side of a crop in pixels; the frame's short side is resized to it", ge=128, multiple_of=128)
    regions: Literal["corridor"] | tuple[tuple[int, int, int, int], ...] = key(
        (), "the camera's regions as [x, y, width, height]; none: the whole frame, in three crops"
    )
    training_crop: Literal["random", "fixed"] = key(
        "random", "training crops: anywhere along the long side, or one of the test crops"
    )


class RecoverySettings(Section):
    """Context recovery: STUNet predicts the next frame, the largest local error counts."""

    length: Literal[9] = key(9, "frames of a snippet, the predicted one counted")  # the decoder takes 8
    interval: Count = key(2, "frames from one to the next")
    width: Rate = key(1.0, "multiplies the net's channel counts; 1 is the paper's")
    residual: bool = key(False, "predict the change from the last frame seen (not in the paper)")
    pretrained: str | None = key(None, "encoder weights (.safetensors from `tsvad weights import`)")
    encoder_rate: float = key(0.0, "encoder's learning rate over lr; 0 freezes it (BN moves)", ge=0)
    encoder_reinit: bool = key(False, "train the encoder from scratch, without pretrained weights")
    lr: Rate = key(0.01, "Adam's learning rate")
    schedule: Literal["steps", "cosine"] = key("steps", "×0.1 at each decay epoch, or a half cosine")
    decay_epochs: tuple[int, ...] = key((40,), "epochs at which lr falls tenfold (schedule: steps)")
    warmup_steps: int = key(0, "optimiser steps in which lr rises linearly from 0", ge=0)
    epochs: Count = key(60, "passes over the draws")
    draws: Count = key(32, "snippets drawn a video and epoch")
    steps: Count | None = key(None, "steps of the whole training, however many videos; none: as epochs and draws make")
    batch: Several = key(32, "snippets a step")
    l1: float = key(1.0, "λ of the training loss, MSE + λ L1", ge=0)
    precision: Literal["float32", "bfloat16", "auto"] = key(
        "float32",
        "of the forward pass of this training, and of those that begin from it; auto: bfloat16 on a CPU that computes "
        "in it, else float32",
    )
    windows: tuple[Count, ...] = key(
        (256, 128, 64, 32, 16), "sides of the error windows tried, in crop pixels", min_length=1
    )
    window: Literal["select", "all"] | int = key(
        "select",
        "the window of the score; select: by pseudo-anomalies from training video; all: the mean over all windows, "
        "each relative to what is normal at its place (not in the paper)",
    )
    window_stride: Count = key(8, "step of the error window in crop pixels")
    score_l1: Weight | Literal["select"] = key(
        1.0, "λ of the score: the L1 error's maximum counts λ times; select: 0 or 1, as the window is"
    )
    channel_l2: bool | Literal["select"] = key(False, "error map: norm over channels / 3 in place of their mean square")
    per_place: bool | Literal["select"] = key(
        False, "judge errors relative to what normal video reaches at the same place (not in the paper)"
    )
    crops: Literal["max", "mean", "select"] = key("mean", "a frame's score over its crops")
    score_batch: Count = key(4, "snippets scored at once")

    @property
    def trains_encoder(self) -> bool:
        """Whether the encoder gets gradients."""
        return self.encoder_rate > 0

    @model_validator(mode="after")
    def nothing_contradicts(self) -> "RecoverySettings":
        """Weights from scratch must be trained, and are not pretrained ones; a fixed window must be computed."""
        if self.encoder_reinit and not self.trains_encoder:
            raise ValueError("encoder_reinit starts the encoder from scratch: give it a rate, encoder_rate=1")
        if self.encoder_reinit and self.pretrained is not None:
            raise ValueError("encoder_reinit starts from scratch and pretrained names weights: drop one of them")
        if self.window == "all" and self.per_place is not True:
            raise ValueError("window: all takes the mean of errors relative to their places: it needs per_place: true")
        if self.window not in ("select", "all", *self.windows):
            raise ValueError(f"window {self.window} is not among windows {list(self.windows)}; add it there")
        return self


class Resolved(Section):
    """How context recovery's errors become a score, nothing left open: what selection writes and the detector reads.

    The score is that of ``window``, or the mean over all windows in ``together``.
    """

    window: Count
    together: tuple[Count, ...] = ()
    score_l1: Weight
    channel_l2: bool
    crops: Literal["max", "mean"]
    per_place: bool
    aucs: dict[str, float] = {}  # kind of pseudo-anomaly → micro-AUC that this way to score reaches on it

    @property
    def mean(self) -> float:
        """Mean of all kinds' micro-AUC: what is compared; NaN where there was nothing to choose."""
        return sum(self.aucs.values()) / len(self.aucs) if self.aucs else math.nan

    @property
    def sides(self) -> tuple[int, ...]:
        """The windows that count."""
        return self.together or (self.window,)

    @property
    def shown(self) -> str:
        """What tables call them."""
        return "all" if self.together else str(self.window)


class PseudoSettings(Section):
    """Pseudo-anomalies of normal video, held out where there is any, which choose the error window."""

    kinds: tuple[
        Literal["ghosts", "jumps", "rushes", "strays", "hurries", "giants", "tumbles", "wanderers", "loiterers"], ...
    ] = key(
        ("ghosts", "jumps"),
        "the paper's two: each frame is the mean of two; each frame comes from nearby. Ours, a square part: rushes "
        "plays too fast; strays moves where nothing ever does. Ours, a thing cut out along its outline: hurries goes "
        "too fast; giants is too large; tumbles lies on its side; wanderers goes where nothing goes; loiterers stays",
        min_length=1,
    )
    judge: Literal["recovery", "fused"] = key(
        "recovery", "what a choice is ranked by: context recovery alone, as in the paper, or fused with retrieval"
    )
    tie: float = key(
        0.0, "difference of AUC within which choices are equal, so that the larger window wins", ge=0, lt=1
    )
    videos: Count = key(5, "videos taken a scene (the name's part before `_`)")
    angle: tuple[int, int] = key((2, 5), "whole degrees, least and most, that a video is turned")
    ghosting: float = key(0.5, "share of the frames, centred, that become ghosts", gt=0, lt=1)
    jumps: float = key(0.4, "share of the frames, centred, that jump", gt=0, lt=1)
    reach: Count = key(20, "frames away, at most, that a jump takes its frame from")
    rushing: float = key(0.5, "share of the frames, centred, in which a part rushes", gt=0, lt=1)
    speed: Several = key(2, "how many times too fast a rush plays; of a hurry the least, and half more the most")
    straying: float = key(0.5, "share of the frames, centred, in which something strays", gt=0, lt=1)
    extras: float = key(0.5, "share of the frames, centred, for things cut out along outlines", gt=0, lt=1)

    @model_validator(mode="after")
    def angle_is_a_range(self) -> "PseudoSettings":
        """An angle is drawn between the two."""
        if self.angle[0] > self.angle[1]:
            raise ValueError(f"angle {list(self.angle)}: write the least first, such as [2, 5]")
        return self


class RetrievalSettings(Section):
    """Knowledge retrieval: hash codes of I3D features, looked up in tables of normal events."""

    length: Literal[8] = key(8, "frames of a snippet")  # the encoder's head pools four time steps
    interval: Count = key(8, "frames from one to the next")
    encoder: Literal["pretrained", "recovery", "pace"] = key(
        "pretrained",
        "the encoder: pretrained weights; the one in the run's trained STUNet; or that one, trained further on telling "
        "at which pace each part of a picture plays",
    )
    pretrained: str | None = key(None, "encoder weights; none: those of recovery.pretrained")
    cells: Count = key(2, "the pooled features have cells × cells positions")
    by_place: bool = key(
        False, "a code for every place of the encoder's map, looked up among what is normal there (not in the paper)"
    )
    centres: Several = key(1 << 16, "normal events kept (by_place); beyond, the nearest ones merge")
    feature_dtype: Literal["float16", "float32"] = key("float16", "of the features on disk")
    bits: Annotated[int, Field(ge=1, le=64)] = key(32, "r, bits of a hash code")
    tables: Several = key(8, "b, hash layers and tables")
    lr: Rate = key(0.003125, "SGD's learning rate")
    momentum: float = key(0.9, "SGD's momentum", ge=0, lt=1)
    weight_decay: float = key(1e-4, "SGD's weight decay", ge=0)
    epochs: Annotated[int, Field(ge=0)] = key(10, "passes over the draws; more overfit")
    draws: Count = key(32, "pairs drawn a video and epoch")
    batch: Count = key(256, "pairs a step")
    gap: Annotated[int, Field(ge=0)] = key(150, "frames between a pair's snippets, at most")
    mutual: float = key(0.64, "λm, weight of the mutual loss between hash layers", ge=0)
    score_batch: Count = key(4, "snippets encoded at once")


class PaceSettings(Section):
    """The encoder's own task, where retrieval's encoder is `pace`: which part of a picture plays too fast?"""

    lr: Rate = key(0.002, "Adam's learning rate; half a cosine to 0")
    warmup_steps: int = key(50, "optimiser steps in which lr rises linearly from 0", ge=0)
    epochs: Count = key(12, "passes over the draws")
    draws: Count = key(32, "clips drawn a video and epoch")
    steps: Count | None = key(None, "steps of the whole training, however many videos; none: as epochs and draws make")
    batch: Several = key(4, "clips a step")
    boxes: Count = key(3, "parts pasted into a clip, at most")
    speeds: tuple[Count, ...] = key(
        (1, 1, 2, 3, 4), "how fast a part plays, drawn evenly; 1 is ordinary: it comes of another time only"
    )
    sides: tuple[float, float] = key((0.15, 0.5), "least and greatest side of a part, of the crop's")

    @model_validator(mode="after")
    def there_is_something_to_tell(self) -> "PaceSettings":
        """Both answers must occur."""
        if 1 not in self.speeds or max(self.speeds) < 2:
            raise ValueError(f"speeds {list(self.speeds)}: give 1 and something faster, such as [1, 2]")
        if not 0 < self.sides[0] <= self.sides[1] <= 1:
            raise ValueError(f"sides {list(self.sides)}: write the least first, both above 0 and at most 1")
        return self


class JointSettings(Section):
    """One encoder for both streams, retrieval's: context recovery's decoder learns to see by it. Not in the paper."""

    steps: Count | None = key(None, "optimiser steps in which it learns that; none: each stream has its own encoder")


class EdgeSettings(Section):
    """A small net, not in the paper, which every frame passes once. It learns from the fitted ones, and scores."""

    width: Rate | None = key(None, "multiplies its channel counts; none: there is no such net, the fitted ones score")
    size: Count | None = key(
        None, "side of its crops in pixels, a multiple of 32; none: view.size", ge=32, multiple_of=32
    )
    lr: Rate = key(0.002, "Adam's learning rate; half a cosine to 0")
    warmup_steps: int = key(50, "optimiser steps in which lr rises linearly from 0", ge=0)
    steps: Count = key(1000, "steps of the training")
    batch: Several = key(4, "stretches of video a step")
    ends: Count = key(4, "snippets of a stretch that are learned from, one a frame")


class CalibrationSettings(Section):
    """Normal video that no training sees: it sets the scale of causal scores and the alarm threshold."""

    held_out: float = key(0.2, "share of the training videos held out; 0: calibrate on training video", ge=0, lt=1)
    quantile: float = key(
        1.0, "of the causal scores of normal frames: the threshold. 1: no alarm on any of them", gt=0, le=1
    )


class FusionSettings(Section):
    """How the two streams become one score."""

    recovery: float = key(1.0, "weight of context recovery", ge=0)
    retrieval: Weight | Literal["select"] = key(
        1.0, "weight of knowledge retrieval; select: 1, 1/2, 1/4 or 1/8, by pseudo-anomalies"
    )


class Recipe(Section):
    """Every setting of a run."""

    name: str = Field(description="of the recipe")
    about: str = key("", "what the recipe is for, and where its values come from")
    seed: int = key(2021, "of every draw", ge=0)
    layout: Literal["auto", "ped2", "avenue", "shanghaitech", "corridor", "nwpu", "ubnormal", "folder"] = key(
        "auto", "how the dataset lies on the disk"
    )
    rate: Rate | None = key(None, "frames a second of videos that are folders of images, which do not say; none: 25")
    threads: Count | None = key(None, "CPU threads; none: all cores. Scores repeat to the bit for one value")
    view: ViewSettings = ViewSettings()
    recovery: RecoverySettings = RecoverySettings()
    pseudo: PseudoSettings = PseudoSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    pace: PaceSettings = PaceSettings()
    joint: JointSettings = JointSettings()
    edge: EdgeSettings = EdgeSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    fusion: FusionSettings = FusionSettings()

    @model_validator(mode="after")
    def windows_fit_the_crop(self) -> "Recipe":
        """An error window larger than the crop has no position."""
        given = "view.size" if self.edge.size is None else "edge.size"
        size, windows = self.edge.size or self.view.size, list(self.recovery.windows)
        if max(windows) > size:
            raise ValueError(f"recovery.windows {windows} exceed {given} {size}")
        return self

    @model_validator(mode="after")
    def the_edge_knows_places(self) -> "Recipe":
        """An EdgeNet gives features of places."""
        if self.edge.width is not None and not self.retrieval.by_place:
            raise ValueError(
                "edge.width asks for a net that gives features of every place: set retrieval.by_place=true"
            )
        return self

    @model_validator(mode="after")
    def both_streams_see_the_same(self) -> "Recipe":
        """One encoder has one snippet, and gives features of places."""
        retrieval = self.retrieval
        if self.joint.steps is not None and not (retrieval.encoder == "pace" and retrieval.by_place):
            raise ValueError(
                "joint.steps asks for one encoder, trained by pace, for both streams: set retrieval.encoder=pace and "
                "retrieval.by_place=true, or joint.steps=null"
            )
        if self.joint.steps is not None and self.recovery.interval != retrieval.interval:
            raise ValueError(
                f"joint.steps asks for one encoder, but recovery.interval is {self.recovery.interval} and "
                f"retrieval.interval {retrieval.interval}: set both to the same, or joint.steps=null"
            )
        return self

    @property
    def is_joint(self) -> bool:
        """Whether one encoder serves both streams' fitted nets; of an EdgeNet that is so anyway."""
        return self.joint.steps is not None and self.edge.width is None

    @property
    def given_encoder(self) -> str | None:
        """The file of weights that retrieval's encoder has where the run trains none."""
        return self.retrieval.pretrained or self.recovery.pretrained

    def to_yaml(self) -> str:
        """The recipe as a file that `load_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def explained(problem: Any) -> str:
    """One of pydantic's errors in words, after the dotted key where it has one: ``recovery.lr: Input should …``."""
    where = ".".join(map(str, problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
