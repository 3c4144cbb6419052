"""Every setting of a run: frozen, typed, strict sections, which make up a recipe."""

from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Frozen; an unknown key is an error, and so are infinity and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ViewSettings(Section):
    """What the nets see of a frame."""

    size: int = Field(256, description="side of a crop in pixels; the frame's short side is resized to it")
    regions: Literal["corridor"] | tuple[tuple[int, int, int, int], ...] = Field(
        (), description="the camera's regions as [x, y, width, height]; none: the whole frame, in three crops"
    )
    training_crop: Literal["random", "fixed"] = Field(
        "random", description="training crops: anywhere along the long side, or one of the test crops"
    )

    @model_validator(mode="after")
    def size_fits_the_nets(self) -> "ViewSettings":
        """The decoder doubles the pooled features twice, the encoder halves five times."""
        if self.size % 128 or self.size < 128:
            raise ValueError(f"size {self.size} must be a multiple of 128, such as 128 or 256")
        return self


class RecoverySettings(Section):
    """Context recovery: STUNet predicts the next frame, the largest local error counts."""

    length: Count = Field(9, description="frames of a snippet, the predicted one counted")
    interval: Count = Field(2, description="frames from one to the next")
    width: Rate = Field(1.0, description="multiplies the net's channel counts; 1 is the paper's")
    residual: bool = Field(False, description="predict the change from the last frame seen (not in the paper)")
    pretrained: str | None = Field(None, description="encoder weights (.safetensors from `tsvad weights import`)")
    encoder_rate: float = Field(0.0, ge=0, description="encoder's learning rate over lr; 0 freezes it (BN moves)")
    encoder_reinit: bool = Field(False, description="train the encoder from scratch, without pretrained weights")
    lr: Rate = Field(0.01, description="Adam's learning rate")
    schedule: Literal["steps", "cosine"] = Field("steps", description="×0.1 at each decay epoch, or a half cosine")
    decay_epochs: tuple[int, ...] = Field((40,), description="epochs at which lr falls tenfold (schedule: steps)")
    warmup_steps: int = Field(0, ge=0, description="optimiser steps in which lr rises linearly from 0")
    epochs: Count = Field(60, description="passes over the draws")
    draws: Count = Field(32, description="snippets drawn a video and epoch")
    batch: Annotated[int, Field(ge=2)] = Field(32, description="snippets a step")
    l1: float = Field(1.0, ge=0, description="λ of the training loss, MSE + λ L1")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the training's forward pass")
    windows: tuple[Count, ...] = Field(
        (256, 128, 64, 32, 16), min_length=1, description="sides of the error windows tried, in crop pixels"
    )
    window: Literal["select"] | int = Field(
        "select", description="the window of the score; select: by pseudo-anomalies from training video"
    )
    window_stride: Count = Field(8, description="step of the error window in crop pixels")
    score_l1: Weight | Literal["select"] = Field(
        1.0,
        description="λ of the score: the L1 error's maximum counts λ times; select: 0 or 1, as the window is",
    )
    channel_l2: bool | Literal["select"] = Field(
        False, description="error map: norm over channels / 3 in place of their mean square"
    )
    per_place: bool | Literal["select"] = Field(
        False, description="judge errors relative to what normal video reaches at the same place (not in the paper)"
    )
    crops: Literal["max", "mean", "select"] = Field("mean", description="a frame's score over its crops")
    score_batch: Count = Field(4, description="snippets scored at once")

    @property
    def trains_encoder(self) -> bool:
        """Whether the encoder gets gradients."""
        return self.encoder_rate > 0

    @model_validator(mode="after")
    def encoder_is_clear(self) -> "RecoverySettings":
        """Weights from scratch must be trained, and are not pretrained ones."""
        if self.encoder_reinit and not self.trains_encoder:
            raise ValueError("encoder_reinit starts the encoder from scratch: give it a rate, encoder_rate=1")
        if self.encoder_reinit and self.pretrained is not None:
            raise ValueError("encoder_reinit starts from scratch and pretrained names weights: drop one of them")
        return self

    @model_validator(mode="after")
    def window_is_among_windows(self) -> "RecoverySettings":
        """A fixed window must be one of those computed."""
        if self.window != "select" and self.window not in self.windows:
            raise ValueError(f"window {self.window} is not among windows {list(self.windows)}; add it there")
        if self.length != 9:
            raise ValueError(f"length {self.length}: the decoder needs 8 frames in and 1 predicted, so length is 9")
        return self


class Resolved(Section):
    """How context recovery's errors become a score, nothing left open: what selection writes and the detector reads."""

    window: Count
    score_l1: Weight
    channel_l2: bool
    crops: Literal["max", "mean"]
    per_place: bool
    aucs: dict[str, float] = {}
    """Kind of pseudo-anomaly → micro-AUC that this way to score reaches on it."""

    @property
    def mean(self) -> float:
        """Mean of all kinds' micro-AUC: what is compared."""
        return sum(self.aucs.values()) / len(self.aucs)


class PseudoSettings(Section):
    """Pseudo-anomalies of normal video, held out where there is any, which choose the error window."""

    kinds: tuple[Literal["ghosts", "jumps", "rushes", "strays"], ...] = Field(
        ("ghosts", "jumps"),
        min_length=1,
        description="the paper's two: each frame is the mean of two; each frame comes from nearby. rushes (ours): a "
        "part of the picture plays too fast; strays (ours): something moves where nothing ever does",
    )
    videos: Count = Field(5, description="videos taken a scene (the name's part before `_`)")
    angle: tuple[int, int] = Field((2, 5), description="whole degrees, least and most, that a video is turned")
    ghosting: float = Field(0.5, gt=0, lt=1, description="share of the frames, centred, that become ghosts")
    jumps: float = Field(0.4, gt=0, lt=1, description="share of the frames, centred, that jump")
    reach: Count = Field(20, description="frames away, at most, that a jump takes its frame from")
    rushing: float = Field(0.5, gt=0, lt=1, description="share of the frames, centred, in which a part rushes")
    speed: Annotated[int, Field(ge=2)] = Field(2, description="how many times too fast the part plays")
    straying: float = Field(0.5, gt=0, lt=1, description="share of the frames, centred, in which something strays")

    @model_validator(mode="after")
    def angle_is_a_range(self) -> "PseudoSettings":
        """An angle is drawn between the two."""
        if self.angle[0] > self.angle[1]:
            raise ValueError(f"angle {list(self.angle)}: write the least first, such as [2, 5]")
        return self


class RetrievalSettings(Section):
    """Knowledge retrieval: hash codes of I3D features, looked up in tables of normal events."""

    length: Count = Field(8, description="frames of a snippet")
    interval: Count = Field(8, description="frames from one to the next")
    encoder: Literal["pretrained", "recovery", "pace"] = Field(
        "pretrained",
        description="the encoder: pretrained weights; the one in the run's trained STUNet; or that one, trained "
        "further on telling at which pace each part of a picture plays",
    )
    pretrained: str | None = Field(None, description="encoder weights; none: those of recovery.pretrained")
    cells: Count = Field(2, description="the pooled features have cells × cells positions")
    feature_dtype: Literal["float16", "float32"] = Field("float16", description="of the features on disk")
    bits: Annotated[int, Field(ge=1, le=64)] = Field(32, description="r, bits of a hash code")
    tables: Annotated[int, Field(ge=2)] = Field(8, description="b, hash layers and tables")
    lr: Rate = Field(0.003125, description="SGD's learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD's momentum")
    weight_decay: float = Field(1e-4, ge=0, description="SGD's weight decay")
    epochs: Annotated[int, Field(ge=0)] = Field(10, description="passes over the draws; more overfit")
    draws: Count = Field(32, description="pairs drawn a video and epoch")
    batch: Count = Field(256, description="pairs a step")
    gap: Annotated[int, Field(ge=0)] = Field(150, description="frames between a pair's snippets, at most")
    mutual: float = Field(0.64, ge=0, description="λm, weight of the mutual loss between hash layers")
    score_batch: Count = Field(4, description="snippets encoded at once")

    @model_validator(mode="after")
    def length_fits_the_encoder(self) -> "RetrievalSettings":
        """The head pools four time steps: eight frames."""
        if self.length != 8:
            raise ValueError(f"length {self.length}: the encoder's head needs 8 frames")
        return self


class PaceSettings(Section):
    """The encoder's own task, where retrieval's encoder is `pace`: which part of a picture plays too fast?"""

    lr: Rate = Field(0.002, description="Adam's learning rate; half a cosine to 0")
    warmup_steps: int = Field(50, ge=0, description="optimiser steps in which lr rises linearly from 0")
    epochs: Count = Field(12, description="passes over the draws")
    draws: Count = Field(32, description="clips drawn a video and epoch")
    batch: Annotated[int, Field(ge=2)] = Field(4, description="clips a step")
    boxes: Count = Field(3, description="parts pasted into a clip, at most")
    speeds: tuple[Count, ...] = Field(
        (1, 1, 2, 3, 4), description="how fast a part plays, drawn evenly; 1 is ordinary: it comes of another time only"
    )
    sides: tuple[float, float] = Field((0.15, 0.5), description="least and greatest side of a part, of the crop's")

    @model_validator(mode="after")
    def there_is_something_to_tell(self) -> "PaceSettings":
        """Both answers must occur."""
        if 1 not in self.speeds or max(self.speeds) < 2:
            raise ValueError(f"speeds {list(self.speeds)}: give 1 and something faster, such as [1, 2]")
        if not 0 < self.sides[0] <= self.sides[1] <= 1:
            raise ValueError(f"sides {list(self.sides)}: write the least first, both above 0 and at most 1")
        return self


class CalibrationSettings(Section):
    """Normal video that no training sees: it sets the scale of causal scores and the alarm threshold."""

    held_out: float = Field(
        0.2, ge=0, lt=1, description="share of the training videos held out; 0: calibrate on training video"
    )
    quantile: float = Field(
        1.0, gt=0, le=1, description="of the causal scores of normal frames: the threshold. 1: no alarm on any of them"
    )


class FusionSettings(Section):
    """How the two streams become one score."""

    recovery: float = Field(1.0, ge=0, description="weight of context recovery")
    retrieval: Weight | Literal["select"] = Field(
        1.0, description="weight of knowledge retrieval; select: 1, 1/2, 1/4 or 1/8, by pseudo-anomalies"
    )


class Recipe(Section):
    """Every setting of a run."""

    name: str = Field(description="of the recipe")
    about: str = Field("", description="what the recipe is for, and where its values come from")
    seed: int = Field(2021, ge=0, description="of every draw")
    layout: Literal["auto", "ped2", "avenue", "shanghaitech", "corridor", "folder"] = Field(
        "auto", description="how the dataset lies on the disk"
    )
    rate: Rate | None = Field(
        None, description="frames a second of videos that are folders of images, which do not say; none: 25"
    )
    threads: Count | None = Field(
        None, description="CPU threads; none: all cores. Scores repeat to the bit for one value"
    )
    view: ViewSettings = ViewSettings()
    recovery: RecoverySettings = RecoverySettings()
    pseudo: PseudoSettings = PseudoSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    pace: PaceSettings = PaceSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    fusion: FusionSettings = FusionSettings()

    @model_validator(mode="after")
    def windows_fit_the_crop(self) -> "Recipe":
        """An error window larger than the crop has no position."""
        if max(self.recovery.windows) > self.view.size:
            raise ValueError(f"recovery.windows {list(self.recovery.windows)} exceed view.size {self.view.size}")
        return self

    def to_yaml(self) -> str:
        """The recipe as a file that `load_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def explained(problem: Any) -> str:
    """One of pydantic's errors in words, after the dotted key where it has one: ``recovery.lr: Input should …``."""
    where = ".".join(map(str, problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
