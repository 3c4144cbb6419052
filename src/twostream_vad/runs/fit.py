"""Runs stages: each once, resumed when it was stopped, all of them in order."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

import torch

from ..detector.engines.engine import Engine
from ..progress import Progress, silent
from .pipeline import STAGES
from .ranges import ranges_of
from .run import Run

Bar = Callable[[str], AbstractContextManager[Progress]]
"""Shows the progress of a stage, by its command."""


@contextmanager
def unshown(_: str) -> Iterator[Progress]:
    """A `Bar` that shows nothing."""
    yield silent


def run_stage(
    run: Run,
    name: str,
    *,
    redo: bool = False,
    progress: Progress = silent,
    engine: Engine | None = None,
    **options: Any,
) -> None:
    """Begins or resumes a stage, with ``options`` for its function; marks it as done, or as stopped half-way.

    One that is done already does nothing, unless ``redo`` replaces its outputs. ``engine`` computes the nets of a stage
    that has any but to train them; None: the one that it was begun with, or torch.

    Raises:
        RunError: an earlier stage is not done, or the outputs there come of other settings or of another engine.
    """
    module, _, function = STAGES[name].work.partition(":")
    work = getattr(import_module(f"{__package__}.{module}"), function)
    torch.manual_seed(run.recipe.seed)
    chosen = engine.resolved() if engine else None
    if not run.begin(name, redo=redo, engine=(chosen.name, chosen.precision) if chosen else None):
        return
    if STAGES[name].computes:
        by, precision = run.records()[name]["engine"]
        options["engine"] = Engine(by, precision, kept=run.path(".engines"), ranges=ranges_of(run))
    done = False
    try:
        work(run, progress, **options)
        done = True
    finally:
        run.end(name, done=done)


def wanted_stages(run: Run) -> list[str]:
    """The stages that `fit` runs: no scoring without test videos, no encoder or hash net where none is trained."""
    left_out = set() if run.dataset.testing else {"score-recovery", "score-retrieval", "fuse"}
    if run.recipe.retrieval.encoder != "pace":
        left_out.add("train-encoder")
    if not run.recipe.is_joint:
        left_out.add("train-joint")
    if run.recipe.edge.width is None:
        left_out.add("train-edge")
    if run.recipe.retrieval.by_place:
        left_out.add("train-retrieval")
    return [name for name in STAGES if name not in left_out]


def fit(
    run: Run,
    *,
    redo: bool = False,
    bar: Bar = unshown,
    prepared: Callable[[], object] = lambda: None,
    engine: Engine | None = None,
) -> None:
    """All stages in order, going on where a stopped fit was; ``prepared`` is called before anything is trained.

    ``engine`` computes the nets of stages that are not done yet; None: torch, or the one that a stage was begun with.

    Raises:
        RunError: outputs come of other settings and ``redo``, which replaces them, is not given.
    """
    if not redo:
        run.refuse_stale()  # before the first stage begins and takes the settings over
    _fit(run, "prepare", redo, bar, None)
    prepared()
    for name in wanted_stages(run)[1:]:
        _fit(run, name, redo, bar, engine)


def _fit(run: Run, name: str, redo: bool, bar: Bar, engine: Engine | None) -> None:
    stale = redo and run.is_stale(name)
    chosen = engine if STAGES[name].computes and (stale or name not in run.records()) else None
    with bar(STAGES[name].command) as progress:
        run_stage(run, name, redo=stale, progress=progress, engine=chosen)
