"""The stage that trains EdgeNet to give what the fitted nets give."""

from ...detector.engines.engine import Engine
from ...edge.distil import Teachers, distil
from ...progress import Progress
from ..assemble import fitted_encoder, fitted_predictor, learned_views
from ..run import Run, RunError
from ..videos import training_videos


def train(run: Run, progress: Progress, engine: Engine) -> None:
    """Trains EdgeNet, where the recipe asks for one; ``engine`` computes what it learns from."""
    recipe = run.recipe
    if recipe.edge.width is None:
        raise RunError("the recipe has no EdgeNet, nothing is trained; --set edge.width=1 asks for one")
    encoder = fitted_encoder(run, engine)
    teachers = Teachers(
        fitted_predictor(run, engine), recipe.recovery.interval, encoder, recipe.retrieval.interval, encoder.values
    )
    videos, look = list(training_videos(run).values()), learned_views(run)
    distil(
        videos,
        recipe.edge,
        recipe.pace,
        teachers,
        look,
        run.path("edge"),
        seed=recipe.seed,
        precision=recipe.recovery.precision,
        progress=progress,
    )
