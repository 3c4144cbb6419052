"""The stages of a fit, in order: what each does, reads, writes and stands on. Commands are made from this table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..settings import Recipe

TRAINING_KEYS = frozenset(
    {"length", "interval", "width", "residual", "pretrained", "encoder_rate", "encoder_reinit", "lr", "schedule"}
    | {"decay_epochs", "warmup_steps", "epochs", "draws", "steps", "batch", "l1", "precision"}
)
ENCODING_KEYS = frozenset(
    {"length", "interval", "encoder", "pretrained", "cells", "by_place"} | {"feature_dtype", "score_batch"}
)
HASHING_KEYS = frozenset(
    {"bits", "tables", "lr", "momentum", "weight_decay", "epochs", "draws", "batch", "gap", "mutual"}
)


@dataclass(frozen=True)
class Stage:
    """One stage; with other settings than those that it reads its outputs are stale."""

    name: str
    command: str
    help: str
    work: str
    """``module:function`` in ``runs``: imported when it is called."""
    outputs: tuple[str, ...]
    after: "Callable[[Recipe], tuple[str, ...]]"
    """The stages that it stands on."""
    reads: "Callable[[Recipe], dict[str, Any]]" = lambda _: {}
    computes: bool = False
    """Its function takes the engine that computes the nets; of a training, those that it learns from."""


def _section(recipe: "Recipe", name: str, keys: frozenset[str] | None = None) -> dict[str, Any]:
    values = getattr(recipe, name).model_dump(mode="json")
    return {f"{name}.{key}": value for key, value in values.items() if keys is None or key in keys}


def _scoring(recipe: "Recipe") -> dict[str, Any]:
    """Context recovery's settings that no training reads."""
    return _section(recipe, "recovery", frozenset(type(recipe.recovery).model_fields) - TRAINING_KEYS)


def _size(weights: str | None) -> dict[str, Any]:
    """Bytes of a weight file: another file under the same name is another setting."""
    found = weights is not None and Path(weights).is_file()
    return {"pretrained bytes": Path(weights).stat().st_size if weights and found else None}


def _encoder(recipe: "Recipe") -> dict[str, Any]:
    """Width of retrieval's encoder, and the size of pretrained weights where they are what encodes."""
    given, width = recipe.given_encoder, {"recovery.width": recipe.recovery.width}
    return width | _size(given) if recipe.retrieval.encoder == "pretrained" else width


def _shared(recipe: "Recipe") -> dict[str, Any]:
    general = {"seed": recipe.seed, "threads": recipe.threads, "calibration.held_out": recipe.calibration.held_out}
    return general | _section(recipe, "view")


def _predicts(recipe: "Recipe") -> str:
    """The stage that trains what predicts."""
    if recipe.edge.width is not None:
        return "train-edge"
    return "train-joint" if recipe.is_joint else "train-recovery"


def _before_features(recipe: "Recipe") -> tuple[str, ...]:
    return ("prepare", *_encodes(recipe)) if recipe.edge.width is None else ("train-edge",)


def _encodes(recipe: "Recipe") -> tuple[str, ...]:
    """The stage that trains retrieval's own encoder, where one does."""
    return {"recovery": ("train-recovery",), "pace": ("train-encoder",)}.get(recipe.retrieval.encoder, ())


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "prepare",
            "prepare",
            "Stage 1: frames out of videos, counted by decoding.",
            "videos:prepare_frames",
            ("frames",),
            lambda _: (),
            lambda r: {"layout": r.layout, "rate": r.rate},
        ),
        Stage(
            "train-recovery",
            "train recovery",
            "Stage 2: train STUNet to predict the next frame. Goes on where it was stopped.",
            "stages.recovery:train",
            ("recovery/model.safetensors", "recovery/checkpoint.safetensors", "recovery/logs"),
            lambda _: ("prepare",),
            lambda r: _shared(r) | _section(r, "recovery", TRAINING_KEYS) | _size(r.recovery.pretrained),
        ),
        Stage(
            "train-encoder",
            "train encoder",
            "Train retrieval's encoder without labels, by telling at which pace each part of a picture plays.\n\n"
            "For recipes with retrieval.encoder: pace, which have no pretrained encoder. Goes on where it was stopped.",
            "stages.retrieval:train_encoder",
            ("retrieval/encoder",),
            lambda _: ("train-recovery",),
            lambda r: {**_section(r, "pace"), "retrieval.interval": r.retrieval.interval},
        ),
        Stage(
            "train-joint",
            "train joint",
            "Train context recovery's decoder to see by retrieval's encoder, which then serves both streams.\n\n"
            "For recipes with joint.steps. Goes on where it was stopped.",
            "stages.recovery:train_joint",
            ("joint",),
            lambda _: ("train-encoder",),
            lambda r: _section(r, "joint"),
        ),
        Stage(
            "train-edge",
            "train edge",
            "Train a small net that every frame passes once, to give what the fitted nets give.\n\n"
            "For recipes with edge.width. Goes on where it was stopped.",
            "stages.edge:train",
            ("edge",),
            lambda r: tuple(dict.fromkeys(("train-recovery", *_encodes(r)))),
            lambda r: (
                _section(r, "edge") | _section(r, "pace") | {"retrieval.interval": r.retrieval.interval} | _encoder(r)
            ),
            computes=True,
        ),
        Stage(
            "features",
            "features",
            "Stage 4: encode every snippet of both splits by I3D. Goes on where it was stopped.",
            "stages.retrieval:encode",
            ("retrieval/features",),
            _before_features,
            lambda r: _shared(r) | _section(r, "retrieval", ENCODING_KEYS) | _encoder(r),
            computes=True,
        ),
        Stage(
            "train-retrieval",
            "train retrieval",
            "Stage 5: train HashNet on pairs of neighbouring snippets.",
            "stages.retrieval:train",
            ("retrieval/model.safetensors", "retrieval/checkpoint.safetensors", "retrieval/logs"),
            lambda _: ("features",),
            lambda r: _section(r, "retrieval", HASHING_KEYS),
        ),
        Stage(
            "index",
            "index",
            "Build the hash tables of normal events from the training features.",
            "stages.retrieval:index",
            tuple(f"retrieval/{name}.safetensors" for name in ("tables", "centres", "exemplars")),
            lambda r: ("features",) if r.retrieval.by_place else ("train-retrieval",),
            lambda r: {"retrieval.centres": r.retrieval.centres} if r.retrieval.by_place else {},
        ),
        Stage(
            "select-window",
            "recovery select-window",
            "Choose the error window by pseudo-anomalies of normal video, and print what each window reaches.",
            "stages.recovery:select",
            (
                "recovery/places.sums.safetensors",
                "recovery/places.safetensors",
                "recovery/pseudo",
                "recovery/selection.json",
                "recovery/pseudo.npz",
                "retrieval/pseudo.npz",
            ),
            lambda r: (_predicts(r),) if r.pseudo.judge == "recovery" else (_predicts(r), "index"),
            lambda r: (
                _scoring(r) | _section(r, "pseudo") | (_section(r, "fusion") if r.pseudo.judge == "fused" else {})
            ),
            computes=True,
        ),
        Stage(
            "select-weight",
            "retrieval select-weight",
            "Choose the weight of knowledge retrieval in the fusion by pseudo-anomalies, if the recipe says `select`.",
            "stages.fusion:select_weight",
            ("results/weight.json", "retrieval/pseudo"),
            lambda _: ("select-window", "index"),
            lambda r: _section(r, "fusion"),
        ),
        Stage(
            "calibrate",
            "calibrate",
            "Score held-out normal video: the scale of causal scores and the alarm threshold.",
            "stages.fusion:calibrate",
            ("calibration",),
            lambda _: ("select-window", "index", "select-weight"),
            lambda r: {"calibration.quantile": r.calibration.quantile},
            computes=True,
        ),
        Stage(
            "pack",
            "pack",
            "Write the detector, RUN/detector: a folder with all that scoring needs and nothing else.",
            "stages.packing:pack",
            ("detector",),
            lambda _: ("calibrate",),
        ),
        Stage(
            "score-recovery",
            "score recovery",
            "Stage 3: score every test video by context recovery.",
            "stages.recovery:score",
            tuple(f"recovery/{name}" for name in ("scores", "maps", "maxima", "scores.npz", "fle.npz", "chosen.npz")),
            lambda _: ("pack",),
            _scoring,
            computes=True,
        ),
        Stage(
            "score-retrieval",
            "score retrieval",
            "Stage 6: score every test video by knowledge retrieval.",
            "stages.retrieval:score",
            ("retrieval/maps", "retrieval/scores.npz"),
            lambda _: ("pack",),
        ),
        Stage(
            "fuse",
            "fuse",
            "Align, smooth and fuse the two streams' scores under both protocols.",
            "stages.fusion:fuse_streams",
            ("results/fused.npz", "results/causal.npz"),
            lambda _: ("score-recovery", "score-retrieval"),
        ),
    )
}
"""All stages in the order in which `fit` runs them."""
