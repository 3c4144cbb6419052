"""What all stages share: begun, resumed or passed over, and marked as done."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..run import Run


@contextmanager
def stage(run: Run, name: str, redo: bool) -> Iterator[bool]:
    """Begins a stage; gives whether there is anything to do. Marked as done at the end, or as stopped half-way.

    Raises:
        RunError: an earlier stage is not done, or the outputs there come of other settings.
    """
    torch.manual_seed(run.recipe.seed)
    wanted, done = run.begin(name, redo=redo), False
    try:
        yield wanted
        done = True
    finally:
        if wanted:
            run.end(name, done=done)
