"""A run's normal video, on which int8 measures how large the numbers of its nets become."""

from pathlib import Path

from ..detector.engines.engine import Ranges
from ..detector.engines.quantise import normal_clips
from ..video.snippets import Snippet
from .assemble import learned_views
from .run import Run
from .videos import normal_videos


def ranges_of(run: Run) -> Ranges:
    """Clips of what was held out of training, or of all training video; they are read when they are wanted."""
    recipe, settings = run.recipe, run.recipe.recovery
    snippet = Snippet.predicting(settings.length, settings.interval)
    facts = recipe.view.model_dump_json(), recipe.calibration.held_out, snippet
    return Ranges(
        f"{run.identity('prepare')} {facts}",
        lambda: normal_clips(snippet, learned_views(run), list(normal_videos(run).values())),
    )


def ranges_beside(bundle: Path) -> Ranges | None:
    """Those of the run that a detector's folder lies in; None where it lies in none."""
    return ranges_of(Run.open(bundle.parent)) if (bundle.parent / "run.json").exists() else None
