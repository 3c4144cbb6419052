"""The streams of a run that is being fitted, from its own files; once it is packed, everything takes the bundle."""

import json
from pathlib import Path

from ..detector.engines.engine import TORCH, Engine
from ..detector.engines.nets import NetEncoder, NetPredictor, TorchHasher
from ..nets.i3d import load_encoder, width_of
from ..recovery.places import Places
from ..recovery.selection import load_selection
from ..recovery.stream import Predictor, RecoveryStream
from ..recovery.windows import AllWindows
from ..retrieval.centres import Centres
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import Encoding, RetrievalStream
from ..retrieval.tables import HashTables
from ..storage import typed
from ..video.snippets import Snippet
from ..video.views import Region, Views, corridor_grid
from .run import Run, RunError


def views(run: Run) -> Views:
    """Resize and crops of the run's recipe."""
    settings = run.recipe.view
    if settings.regions == "corridor":
        return Views(settings.size, corridor_grid())
    return Views(settings.size, tuple(Region(*region) for region in settings.regions))


def all_windows(run: Run, predictor: Predictor | None = None) -> AllWindows:
    """Context recovery without a chosen score, with what is normal at each place where that was measured.

    The run's own trained net predicts, unless one that is loaded already is given.
    """
    settings, size, path = run.recipe.recovery, run.recipe.view.size, run.path("recovery/places.safetensors")
    normal = Places.load(path).normal if settings.per_place is not False and path.exists() else None
    net = run.path("recovery/model.safetensors")
    if predictor is None:
        predictor = NetPredictor.load(net, width=settings.width, size=size, residual=settings.residual)
    return AllWindows(predictor, settings, views(run), normal)


def recovery_stream(run: Run) -> RecoveryStream:
    """Context recovery with its chosen score."""
    windows, how = all_windows(run), load_selection(run.path("recovery/selection.json"))[0]
    stride = windows.settings.window_stride
    return RecoveryStream(windows.predictor, windows.snippet, windows.views, how, stride, windows.normal)


def encoder_file(run: Run) -> tuple[Path, str]:
    """The weights of retrieval's encoder, and what tells them from others; RunError where the recipe names none."""
    settings, given = run.recipe.retrieval, run.recipe.given_encoder
    if settings.encoder == "recovery":
        return run.path("recovery/model.safetensors"), run.identity("train-recovery")
    if settings.encoder == "pace":
        return run.path("retrieval/encoder/model.safetensors"), run.identity("train-encoder")
    if given is not None:
        return Path(given), given
    raise RunError(
        "the recipe wants a pretrained encoder for retrieval: give it with `--set retrieval.pretrained="
        "FILE.safetensors`, or train one without labels with `--set retrieval.encoder=pace`"
    )


def encoder_width(run: Run) -> float:
    """Width of retrieval's encoder; of pretrained weights their own."""
    if run.recipe.retrieval.encoder in ("recovery", "pace"):
        return run.recipe.recovery.width
    return width_of(load_encoder(encoder_file(run)[0]))


def encoding(run: Run, engine: Engine = TORCH) -> Encoding:
    """Retrieval's encoder, computed by ``engine``, what it sees, and what its features are rounded to."""
    settings, view, (weights, source) = run.recipe.retrieval, views(run), encoder_file(run)
    width, cells = encoder_width(run), settings.cells
    encoder = NetEncoder.load(
        weights,
        width=width,
        size=view.size,
        cells=cells,
        by_place=settings.by_place,
        source=source,
        engine=engine,
    )
    return Encoding(encoder, Snippet.centred(settings.length, settings.interval), view, settings.feature_dtype)


def hasher(run: Run, values: int) -> TorchHasher:
    """The trained HashNet, of features of so many values."""
    settings, path = run.recipe.retrieval, run.path("retrieval/model.safetensors")
    return TorchHasher.load(path, values=values, tables=settings.tables, bits=settings.bits)


def retrieval_stream(run: Run) -> RetrievalStream | PlacedStream:
    """Knowledge retrieval with its normal events."""
    encodes = encoding(run)
    if run.recipe.retrieval.by_place:
        return PlacedStream(encodes, Centres.load(run.path("retrieval/centres.safetensors")))
    tables = HashTables.load(run.path("retrieval/tables.safetensors"))
    return RetrievalStream(encodes, hasher(run, encodes.encoder.values), tables)


def fusion_weights(run: Run) -> dict[str, float]:
    """Stream → its weight."""
    return {"recovery": run.recipe.fusion.recovery, "retrieval": rated_weights(run)[0][0]}


def rated_weights(run: Run) -> list[tuple[float, float | None]]:
    """Weights of retrieval and their mean micro-AUC on pseudo-anomalies, best first; no AUC where the weight is fixed.

    Raises:
        RunError: no weight is chosen yet, or the file is broken.
    """
    path, command = run.path("results/weight.json"), f"`tsvad retrieval select-weight {typed(run.folder)}"
    try:
        return [(float(weight), auc) for weight, auc in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        raise RunError(f"{path} is not there; run {command}` first") from None
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is broken ({error}); run {command} --redo`") from None
