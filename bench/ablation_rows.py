"""What `ablation.py` measures, a row a dataset, variant and seed; the file of finished rows; regret."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from twostream_vad.errors import TsvadError
from twostream_vad.storage import typed, write_text

DATASETS = {"ped2": "small", "plaza": "demo"}
"""Dataset → its recipe."""


@dataclass(frozen=True)
class Variant:
    """What is changed, and the streams that the change shows in."""

    about: str
    overrides: tuple[str, ...] = ()
    streams: tuple[str, ...] = ("fused",)


CHOSEN = (
    *(f"recovery.{name}=select" for name in ("window", "score_l1", "channel_l2", "crops", "per_place")),
    *("fusion.retrieval=select", "pseudo.judge=fused", "pseudo.tie=0.005", "pseudo.videos=2"),
)
"""Leaves all that `small` and `demo` fix to pseudo-anomalies, ranked by the fused score, ties to the larger window."""
SHIPPED, NO_NET = "shipped", "no-net"
VARIANTS = {
    SHIPPED: Variant("the recipe as it is", streams=("recovery", "retrieval", "fused")),
    NO_NET: Variant(
        "the U-Net left untrained: the last frame is its prediction", ("joint.steps=null",), ("recovery", "fused")
    ),
    "two-encoders": Variant(
        "each stream has an encoder of its own", ("joint.steps=null",), ("recovery", "retrieval", "fused")
    ),
    "whole-crops": Variant(
        "retrieval's codes of whole crops, the paper's form",
        ("retrieval.by_place=false", "joint.steps=null"),
        ("retrieval", "fused"),
    ),
    **{
        f"encoder-{encoder}": Variant(
            about, (f"retrieval.encoder={encoder}", "joint.steps=null"), ("retrieval", "fused")
        )
        for encoder, about in {
            "pace": "retrieval's encoder trained on this video by the pace task",
            "recovery": "retrieval's encoder is that of the trained U-Net",
        }.items()
    },
    "edge": Variant(
        "one small net learned from both fitted ones, which every frame passes once",
        ("edge.width=1",),
        ("recovery", "retrieval", "fused"),
    ),
    "bf16-training": Variant(
        "trained in bfloat16, scored in float32",
        ("recovery.precision=bfloat16",),
        ("recovery", "retrieval", "fused"),
    ),
    "outlines": Variant(
        "window, λ, map, crops, place and weight chosen by things cut out along outlines",
        (*CHOSEN, "pseudo.kinds=[hurries,giants,tumbles,wanderers,loiterers]"),
        ("recovery", "fused"),
    ),
    "squares": Variant(
        "the same by pasted squares, rushes and strays",
        (*CHOSEN, "pseudo.kinds=[rushes,strays]"),
        ("recovery", "fused"),
    ),
}
"""Variants of a recipe; one that changes nothing in it is not measured."""


class Candidate(NamedTuple):
    """One way to score: what pseudo-anomalies choose among; the fields are those of a recipe, and the weight."""

    window: int | str  # or all together
    score_l1: float
    channel_l2: bool
    crops: str
    per_place: bool
    weight: float  # of retrieval in the fusion


ALL = "all"
"""All windows together, in place of one."""
CHOICES = Candidate._fields


class Regret(BaseModel):
    """How much better the best candidate would have been, in points of micro-AUC, and which one that is."""

    model_config = ConfigDict(frozen=True)

    points: float
    best: dict[str, Any]


class Row(BaseModel):
    """One finished row; AUC in %."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    variant: str
    seed: int
    streams: dict[str, dict[str, float]]  # stream → micro, macro, causal micro, causal macro
    where: dict[str, float]  # RBDC and so on
    minutes: float  # of all stages of the fit
    chosen: dict[str, Any]  # a `Candidate`
    fixed: tuple[str, ...]  # choices that the recipe does not leave open
    options: dict[str, dict[str, dict[str, float]]]  # choice → value → micro and macro, all else as chosen
    regret: dict[str, Regret]  # of `open`, `all`, and each choice by itself
    kinds: dict[str, float] = {}  # kind of event → AUC of the test videos that show it, where kinds are known
    settings: dict[str, Any]  # those that differ from the defaults
    data: str  # SHA-256
    versions: dict[str, str]
    machine: dict[str, Any]
    time: str

    @property
    def key(self) -> tuple[str, str, int]:
        """What there is one row of."""
        return self.dataset, self.variant, self.seed


ROWS = TypeAdapter(tuple[Row, ...])


def read_rows(path: Path) -> tuple[Row, ...]:
    """The finished rows; none where there is no such file, TsvadError for a broken one."""
    try:
        return ROWS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except ValidationError as error:
        why = error.errors()[0]
        where = ".".join(map(str, why["loc"]))
        raise TsvadError(f"{path}: not rows ({where}: {why['msg']}); `git checkout {typed(path)}` mends it") from None


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """The rows in the order of the tables, a line each."""
    order = list(VARIANTS)
    rows = sorted(rows, key=lambda row: (row.dataset, order.index(row.variant), row.seed))
    write_text(path, "[\n" + ",\n".join(row.model_dump_json() for row in rows) + "\n]\n")


def with_row(rows: Sequence[Row], row: Row) -> tuple[Row, ...]:
    """The rows with this one in the place of that of the same dataset, variant and seed."""
    return (*(other for other in rows if other.key != row.key), row)


def regret(micro: Mapping[Candidate, float], chosen: Candidate, free: Collection[str]) -> Regret:
    """Of the candidates that are as the chosen one in all but the ``free`` choices, the best one's lead over it.

    ``micro`` is each candidate's micro-AUC in %. Where the chosen one is as good as any, it is the best.
    """
    rivals = [one for one in micro if all(getattr(one, name) == getattr(chosen, name) for name in held(free))]
    best = max(rivals, key=lambda one: (micro[one], one == chosen))
    return Regret(points=round(micro[best] - micro[chosen], 2), best={name: getattr(best, name) for name in free})


def held(free: Collection[str]) -> list[str]:
    """The choices that are not free."""
    return [name for name in CHOICES if name not in free]


def said(value: Any) -> str:
    """A choice's value as the key of a JSON object: numbers as short as can be."""
    return str(value) if isinstance(value, bool | str) else f"{value:g}"
