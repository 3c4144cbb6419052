"""What an evaluation wrote, ``results/evaluation.json``, read back and checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ..errors import TsvadError
from ..settings import explained
from ..storage import typed

FORMAT = 2
Aucs = tuple[float, float, float | None]  # micro, macro, Ano


class RecordError(TsvadError):
    """An evaluation that cannot be read; the message names the file and the command that writes it anew."""


class Part(BaseModel):
    """Frozen; keys of later versions are passed over, infinity and NaN are errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Metrics(Part):
    """One row of the table; all in [0, 1]."""

    micro_auc: float
    macro_auc: float
    ano_auc: float | None = None  # of videos with an anomalous frame; None where all frames of these are anomalous
    average_precision: float | None = None
    equal_error_rate: float | None = None
    scenes: dict[str, float | None] = {}
    interval: tuple[float, float] | None = None  # of micro-AUC, by a bootstrap over videos

    @property
    def aucs(self) -> Aucs:
        """Micro-, macro- and Ano-AUC."""
        return self.micro_auc, self.macro_auc, self.ano_auc


class Rows(Part):
    """All rows under one protocol."""

    rows: dict[str, Metrics]


class Hashes(Part):
    """SHA-256 of what went in and what was trained."""

    data: str
    weights: dict[str, str] = {}


class Record(Part):
    """One evaluation of one run."""

    format: Literal[2]
    protocols: dict[str, Rows]  # paper and causal
    localisation: dict[str, Any] | None = None
    events: dict[str, Any] | None = None
    test_videos: int | None = None
    one_class: int | None = None  # test videos that are normal or anomalous throughout
    chosen: str
    recipe: dict[str, Any]  # as written: a later version of the program may know other keys
    seed: int
    data: Path
    hashes: Hashes
    decoder: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    seconds: dict[str, Any] = {}
    time: str = ""

    @property
    def classes(self) -> str:
        """How many videos are of one class, in words; empty where an older version did not count them."""
        return "" if self.one_class is None else f"{self.one_class} of {self.test_videos} test videos are of one class"

    def rows(self, protocol: str) -> dict[str, Metrics]:
        """The protocol's rows; none where it was not evaluated."""
        return self.protocols[protocol].rows if protocol in self.protocols else {}

    @model_validator(mode="after")
    def seed_is_the_recipes(self) -> "Record":
        """Two seeds would mean that the file was edited."""
        if self.recipe.get("seed") != self.seed:
            raise ValueError(f"seed is {self.seed} and recipe.seed {self.recipe.get('seed')}")
        return self


def read_record(path: Path) -> Record:
    """The evaluation in ``path``; RecordError where there is none, a broken one, or one of another format."""
    run = typed(path.parent.parent) if path.parent.name == "results" else "RUN"
    remedy = f"`tsvad evaluate {run}` writes it"
    try:
        values = json.loads(path.read_text("utf-8"))
        if isinstance(values, dict) and values.get("format", 1) != FORMAT:
            raise RecordError(f"{path} is of format {values.get('format', 1)}, needed is {FORMAT}: {remedy} anew")
        return Record.model_validate(values)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(f"{path} is not there: {remedy}") from None
    except ValidationError as error:
        raise RecordError(f"{path} is broken ({explained(error.errors()[0])}): {remedy} anew") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is no JSON ({error}): {remedy} anew") from None


def flat(values: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Nested mappings as one, with joined keys; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{key}{separator}{inner}": leaf for inner, leaf in flat(value, separator).items()}
        else:
            found[key] = value
    return found
