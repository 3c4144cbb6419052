"""The stages of a fit: what each writes, which settings it reads, and which stages it stands on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..settings import Recipe

TRAINING_KEYS = frozenset(
    [
        "length",
        "interval",
        "width",
        "residual",
        "pretrained",
        "encoder_rate",
        "encoder_reinit",
        "lr",
        "schedule",
        "decay_epochs",
        "warmup_steps",
        "epochs",
        "draws",
        "batch",
        "l1",
        "precision",
    ]
)
ENCODING_KEYS = frozenset(["length", "interval", "encoder", "pretrained", "cells", "feature_dtype", "score_batch"])
HASHING_KEYS = frozenset(
    ["bits", "tables", "lr", "momentum", "weight_decay", "epochs", "draws", "batch", "gap", "mutual"]
)


@dataclass(frozen=True)
class Stage:
    """One stage: where its outputs lie, what it depends on, and which settings it reads."""

    name: str
    command: str
    outputs: tuple[str, ...]
    after: Callable[[Recipe], tuple[str, ...]]
    settings: Callable[[Recipe], Mapping[str, Any]]


def _recovery(recipe: Recipe, keys: frozenset[str] | None) -> dict[str, Any]:
    values = recipe.recovery.model_dump(mode="json")
    return {f"recovery.{key}": value for key, value in values.items() if (key in TRAINING_KEYS) == (keys is not None)}


def _retrieval(recipe: Recipe, keys: frozenset[str]) -> dict[str, Any]:
    values = recipe.retrieval.model_dump(mode="json")
    return {f"retrieval.{key}": value for key, value in values.items() if key in keys}


def _size(weights: str | None) -> int | None:
    """Bytes of a weight file: another file under the same name is another setting."""
    return Path(weights).stat().st_size if weights and Path(weights).is_file() else None


def _encoder_weights(recipe: Recipe) -> dict[str, Any]:
    """Size of retrieval's pretrained weights, where they are what encodes."""
    given = recipe.retrieval.pretrained or recipe.recovery.pretrained
    return {"pretrained bytes": _size(given)} if recipe.retrieval.encoder == "pretrained" else {}


def _shared(recipe: Recipe) -> dict[str, Any]:
    view = {f"view.{key}": value for key, value in recipe.view.model_dump(mode="json").items()}
    held_out = {"calibration.held_out": recipe.calibration.held_out}
    return {"seed": recipe.seed, "threads": recipe.threads, **held_out, **view}


def _before_features(recipe: Recipe) -> tuple[str, ...]:
    trained = {"pretrained": (), "recovery": ("train-recovery",), "pace": ("train-encoder",)}
    return ("prepare", *trained[recipe.retrieval.encoder])


STAGES = {
    stage.name: stage
    for stage in (
        Stage("prepare", "prepare", ("frames",), lambda _: (), lambda r: {"layout": r.layout, "rate": r.rate}),
        Stage(
            "train-recovery",
            "train recovery",
            ("recovery/model.safetensors", "recovery/checkpoint.safetensors", "recovery/logs"),
            lambda _: ("prepare",),
            lambda r: {
                **_shared(r),
                **_recovery(r, TRAINING_KEYS),
                "pretrained bytes": _size(r.recovery.pretrained),
            },
        ),
        Stage(
            "select-window",
            "recovery select-window",
            (
                "recovery/places.sums.safetensors",
                "recovery/places.safetensors",
                "recovery/pseudo",
                "recovery/selection.json",
                "recovery/pseudo.npz",
            ),
            lambda _: ("train-recovery",),
            lambda r: {
                **_recovery(r, None),
                **{f"pseudo.{k}": v for k, v in r.pseudo.model_dump(mode="json").items()},
            },
        ),
        Stage(
            "score-recovery",
            "score recovery",
            ("recovery/scores", "recovery/maps", "recovery/scores.npz", "recovery/fle.npz"),
            lambda _: ("select-window",),
            lambda r: _recovery(r, None),
        ),
        Stage(
            "train-encoder",
            "train encoder",
            ("retrieval/encoder",),
            lambda _: ("train-recovery",),
            lambda r: {
                **{f"pace.{key}": value for key, value in r.pace.model_dump(mode="json").items()},
                "retrieval.interval": r.retrieval.interval,
            },
        ),
        Stage(
            "features",
            "features",
            ("retrieval/features",),
            _before_features,
            lambda r: {
                **_shared(r),
                **_retrieval(r, ENCODING_KEYS),
                "recovery.width": r.recovery.width,
                **_encoder_weights(r),
            },
        ),
        Stage(
            "train-retrieval",
            "train retrieval",
            ("retrieval/model.safetensors", "retrieval/checkpoint.safetensors", "retrieval/logs"),
            lambda _: ("features",),
            lambda r: _retrieval(r, HASHING_KEYS),
        ),
        Stage(
            "index",
            "index",
            ("retrieval/tables.safetensors", "retrieval/exemplars.safetensors"),
            lambda _: ("train-retrieval",),
            lambda _: {},
        ),
        Stage(
            "select-weight",
            "retrieval select-weight",
            ("results/weight.json", "retrieval/pseudo"),
            lambda _: ("select-window", "index"),
            lambda r: {f"fusion.{key}": value for key, value in r.fusion.model_dump(mode="json").items()},
        ),
        Stage(
            "calibrate",
            "calibrate",
            ("calibration",),
            lambda _: ("select-window", "index", "select-weight"),
            lambda r: {"calibration.quantile": r.calibration.quantile},
        ),
        Stage("score-retrieval", "score retrieval", ("retrieval/scores.npz",), lambda _: ("index",), lambda _: {}),
        Stage(
            "fuse",
            "fuse",
            ("results/fused.npz", "results/causal.npz"),
            lambda _: ("score-recovery", "score-retrieval", "calibrate"),
            lambda _: {},
        ),
    )
}
