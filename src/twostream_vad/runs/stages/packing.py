"""The stage that writes the detector: all that scoring needs, in one folder that stands on its own."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ...detector import bundle as parts
from ...detector.bundle import Bundle, Calibration, Description, Pictures, write_bundle
from ...nets.i3d import load_encoder
from ...progress import Progress
from ...recovery.places import Places
from ...recovery.selection import load_selection
from ...retrieval.features import FeatureSet
from ...storage import save_tensors
from ...video.views import MEAN, STD
from ..assemble import encoder_file, encoder_width, fusion_weights, predictor_file, retrieval_interval, views
from ..run import Run
from ..videos import learned_rate, training_videos

LOOKS = 5
"""Training videos whose first frame tells whether the camera is gray."""


def pack(run: Run, progress: Progress) -> None:
    """Writes ``detector/``."""
    description = _describe(run)
    with TemporaryDirectory() as temporary:
        encoder, normal = Path(temporary) / "encoder.safetensors", Path(temporary) / "normal.safetensors"
        files = {parts.EXEMPLARS: run.path("retrieval/exemplars.safetensors")}
        if description.edge is not None:
            files[parts.EDGE] = run.path("edge/model.safetensors")
        else:
            save_tensors(encoder, load_encoder(encoder_file(run)[0]), {"kind": "i3d"})
            files |= {parts.PREDICTOR: predictor_file(run), parts.ENCODER: encoder}
        if run.recipe.retrieval.by_place:
            files[parts.CENTRES] = run.path("retrieval/centres.safetensors")
        else:
            files[parts.HASHNET] = run.path("retrieval/model.safetensors")
            files[parts.TABLES] = run.path("retrieval/tables.safetensors")
        if description.recovery.how.per_place:
            known = Places.load(run.path("recovery/places.safetensors")).normal
            Places({side: known[side] for side in description.recovery.how.sides}).save(normal)
            files[parts.NORMAL] = normal
        write_bundle(run.path("detector"), description, files)
    Bundle(run.path("detector"))  # as everybody else will open it
    progress(1, 1)


def _describe(run: Run) -> Description:
    recovery, retrieval = run.recipe.recovery, run.recipe.retrieval
    how = load_selection(run.path("recovery/selection.json"))[0]
    values = FeatureSet.load(run.path("retrieval/features/training")).values
    predicts = recovery.model_dump(include={"length", "interval", "width", "residual"})
    knows = retrieval.model_dump(include={"length", "cells", "by_place", "tables", "bits"})
    knows["interval"], width = retrieval_interval(run.recipe), run.recipe.edge.width
    return Description(
        format=parts.FORMAT,
        made_by=version("twostream-vad"),
        recipe=run.recipe.name,
        pictures=_pictures(run),
        recovery=parts.Recovery(**predicts, stride=recovery.window_stride, how=how),
        retrieval=parts.Retrieval(**knows, width=encoder_width(run), values=values, dtype=retrieval.feature_dtype),
        edge=parts.Edge(width=width, values=values) if width else None,
        calibration=Calibration.load(run.path("calibration/scale.json")),
        weights=fusion_weights(run),
    )


def _pictures(run: Run) -> Pictures:
    look, videos = views(run), list(training_videos(run).values())
    firsts = [video.read(0) for video in videos[:LOOKS]]
    height, width = firsts[0].shape[:2]
    return Pictures(
        size=look.size,
        regions=tuple((region.x, region.y, region.width, region.height) for region in look.regions),
        crops=look.count(height, width),
        fewest=look.fewest,
        mean=MEAN,
        deviation=STD,
        rate=learned_rate(run),
        height=height,
        width=width,
        gray=all(bool((image == image[:, :, :1]).all()) for image in firsts),
    )
