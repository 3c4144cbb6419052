"""The streams of a bundle with their nets."""

from pathlib import Path

from ..edge.flow import Flow, Known, foretold
from ..recovery.places import Places
from ..recovery.stream import Predictor, RecoveryStream
from ..retrieval.centres import Centres
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import ClipEncoder, Encoding, RetrievalStream
from ..retrieval.tables import HashTables
from ..scores.stream import Stream
from .bundle import CENTRES, EDGE, ENCODER, HASHNET, NORMAL, PREDICTOR, TABLES, Bundle
from .engines.engine import Engine
from .engines.nets import NetEdge, NetEncoder, NetJoint, NetPredictor, TorchHasher


def load_streams(bundle: Bundle, engine: Engine | None = None) -> tuple[dict[str, Stream], Flow | None]:
    """Both streams, by name, and what makes their clips where one net does, frame by frame.

    CheckpointError for tensors of another net than described.
    """
    if bundle.description.edge is not None:
        net: NetEdge | NetJoint = edge_net(bundle, engine)
    elif bundle.has_one_encoder:
        net = joint_net(bundle, engine)
    else:
        return {"recovery": recovery_stream(bundle, engine), "retrieval": retrieval_stream(bundle, engine)}, None
    streams: dict[str, Stream] = {
        "recovery": _recovery(bundle, foretold),
        "retrieval": _retrieval(bundle, Known(net.values, net.side)),
    }
    return streams, Flow(net, bundle.views, bundle.description.recovery.interval)


def beside(bundle: Bundle) -> Path:
    """Where an engine keeps what it compiled of a bundle's nets."""
    return bundle.folder.with_name(f".{bundle.folder.name}.engines")


def joint_net(bundle: Bundle, engine: Engine | None = None) -> NetJoint:
    """The STUNet of a bundle with one encoder."""
    part, size = bundle.description.recovery, bundle.description.pictures.size
    engine = engine or Engine(kept=beside(bundle))
    return NetJoint.load(bundle.path(PREDICTOR), width=part.width, size=size, residual=part.residual, engine=engine)


def edge_net(bundle: Bundle, engine: Engine | None = None) -> NetEdge:
    """The EdgeNet of a bundle that has one."""
    part, size = bundle.description.edge, bundle.description.pictures.size
    assert part is not None
    engine = engine or Engine(kept=beside(bundle))
    return NetEdge.load(bundle.path(EDGE), width=part.width, size=size, values=part.values, engine=engine)


def recovery_stream(bundle: Bundle, engine: Engine | None = None) -> RecoveryStream:
    """The context recovery stream, of whole clips."""
    part, size = bundle.description.recovery, bundle.description.pictures.size
    if bundle.description.edge is not None:
        return _recovery(bundle, edge_net(bundle, engine).predictor)
    predictor = NetPredictor.load(
        bundle.path(PREDICTOR),
        width=part.width,
        size=size,
        residual=part.residual,
        engine=engine or Engine(kept=beside(bundle)),
    )
    return _recovery(bundle, predictor)


def _recovery(bundle: Bundle, predictor: Predictor) -> RecoveryStream:
    part = bundle.description.recovery
    normal = Places.load(bundle.path(NORMAL)).normal if NORMAL in bundle.hashes else None
    return RecoveryStream(predictor, bundle.snippets["recovery"], bundle.views, part.how, part.stride, normal)


def retrieval_stream(bundle: Bundle, engine: Engine | None = None) -> RetrievalStream | PlacedStream:
    """The knowledge retrieval stream, of whole clips, in the paper's form or by place."""
    part, size = bundle.description.retrieval, bundle.description.pictures.size
    if bundle.description.edge is not None:
        return _retrieval(bundle, edge_net(bundle, engine).encoder())
    encoder = NetEncoder.load(
        bundle.path(ENCODER),
        width=part.width,
        size=size,
        cells=part.cells,
        by_place=part.by_place,
        engine=engine or Engine(kept=beside(bundle)),
    )
    return _retrieval(bundle, encoder)


def _retrieval(bundle: Bundle, encoder: ClipEncoder) -> RetrievalStream | PlacedStream:
    part = bundle.description.retrieval
    encoding = Encoding(encoder, bundle.snippets["retrieval"], bundle.views, part.dtype)
    if part.by_place:
        return PlacedStream(encoding, Centres.load(bundle.path(CENTRES)))
    hasher = TorchHasher.load(bundle.path(HASHNET), values=part.values, tables=part.tables, bits=part.bits)
    return RetrievalStream(encoding, hasher, HashTables.load(bundle.path(TABLES)))
