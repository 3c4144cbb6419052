"""The streams of a run that is being fitted, from its own files; once it is packed, everything takes the bundle."""

import json
from pathlib import Path

from ..detector.engines.engine import TORCH, Engine
from ..detector.engines.nets import NetEdge, NetEncoder, NetPredictor, TorchHasher
from ..nets.edge import values_of
from ..nets.i3d import load_encoder, width_of
from ..recovery.places import Places
from ..recovery.selection import load_selection
from ..recovery.stream import Predictor, RecoveryStream
from ..recovery.windows import AllWindows
from ..retrieval.centres import Centres
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import ClipEncoder, Encoding, RetrievalStream
from ..retrieval.tables import HashTables
from ..settings import Recipe
from ..storage import load_tensors, typed
from ..video.snippets import Snippet
from ..video.views import Region, Views, corridor_grid
from .run import Run, RunError


def views(run: Run) -> Views:
    """What the detector sees of a frame: as the nets have learned it, or where an EdgeNet scores what that one sees."""
    learned, edge = learned_views(run), run.recipe.edge
    return learned if edge.width is None else Views(edge.size or learned.size, learned.regions, fewest=True)


def learned_views(run: Run) -> Views:
    """Resize and crops of the run's recipe."""
    settings = run.recipe.view
    if settings.regions == "corridor":
        return Views(settings.size, corridor_grid())
    return Views(settings.size, tuple(Region(*region) for region in settings.regions))


def edge_net(run: Run, engine: Engine = TORCH) -> NetEdge:
    """The trained EdgeNet of a recipe that has one."""
    path, width = run.path("edge/model.safetensors"), run.recipe.edge.width
    assert width is not None
    values = values_of(load_tensors(path)[0])
    return NetEdge.load(path, width=width, size=views(run).size, values=values, engine=engine)


def all_windows(run: Run, predictor: Predictor | None = None, engine: Engine = TORCH) -> AllWindows:
    """Context recovery without a chosen score, with what is normal at each place where that was measured.

    The run's own trained net predicts, by ``engine``, unless one that is loaded already is given.
    """
    settings, path = run.recipe.recovery, run.path("recovery/places.safetensors")
    normal = Places.load(path).normal if settings.per_place is not False and path.exists() else None
    if predictor is None:
        predictor = fitted_predictor(run, engine) if run.recipe.edge.width is None else edge_net(run, engine).predictor
    return AllWindows(predictor, settings, views(run), normal)


def fitted_predictor(run: Run, engine: Engine = TORCH) -> Predictor:
    """The trained STUNet."""
    settings, net = run.recipe.recovery, predictor_file(run)
    size, residual = run.recipe.view.size, settings.residual
    return NetPredictor.load(net, width=settings.width, size=size, residual=residual, engine=engine)


def predictor_file(run: Run) -> Path:
    """The weights of the trained STUNet that scores."""
    return run.path("joint/model.safetensors" if run.recipe.is_joint else "recovery/model.safetensors")


def recovery_stream(run: Run, engine: Engine = TORCH) -> RecoveryStream:
    """Context recovery with its chosen score."""
    windows, how = all_windows(run, engine=engine), load_selection(run.path("recovery/selection.json"))[0]
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
    """What encodes for retrieval, computed by ``engine``, what it sees, and what its features are rounded to."""
    settings, recipe = run.recipe.retrieval, run.recipe
    if recipe.edge.width is None:
        encoder: ClipEncoder = fitted_encoder(run, engine)
    else:
        encoder = edge_net(run, engine).encoder(run.identity("train-edge"))
    snippet = Snippet.centred(settings.length, retrieval_interval(recipe))
    return Encoding(encoder, snippet, views(run), settings.feature_dtype)


def retrieval_interval(recipe: Recipe) -> int:
    """Frames from one of retrieval's to the next: an EdgeNet has one for both streams, recovery's."""
    return recipe.retrieval.interval if recipe.edge.width is None else recipe.recovery.interval


def fitted_encoder(run: Run, engine: Engine = TORCH) -> NetEncoder:
    """Retrieval's encoder, as it was trained or given."""
    settings, (weights, source) = run.recipe.retrieval, encoder_file(run)
    return NetEncoder.load(
        weights,
        width=encoder_width(run),
        size=run.recipe.view.size,
        cells=settings.cells,
        by_place=settings.by_place,
        source=source,
        engine=engine,
    )


def hasher(run: Run, values: int) -> TorchHasher:
    """The trained HashNet, of features of so many values."""
    settings, path = run.recipe.retrieval, run.path("retrieval/model.safetensors")
    return TorchHasher.load(path, values=values, tables=settings.tables, bits=settings.bits)


def retrieval_stream(run: Run, engine: Engine = TORCH) -> RetrievalStream | PlacedStream:
    """Knowledge retrieval with its normal events."""
    encodes = encoding(run, engine)
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
