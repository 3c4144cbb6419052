"""The stage that gets frames out of videos."""

from ...datasets.prepare import prepare
from ...progress import Progress
from ..run import Run


def prepare_frames(run: Run, progress: Progress, workers: int | None = None) -> None:
    """Stage 1: frames out of videos, counted by decoding."""
    prepare(run.source(), run.path("frames"), workers=workers, progress=progress)
