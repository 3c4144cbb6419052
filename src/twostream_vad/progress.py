"""How far a long job is: what the jobs call and the command line shows."""

from typing import Protocol


class Progress(Protocol):
    """Told how far a long job is: ``done`` of ``total`` units (0: not known yet), and what to show beside the bar."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def silent(done: int, total: int, note: str = "") -> None:
    """A Progress that shows nothing."""
