"""The streams of a bundle with their nets."""

from pathlib import Path

from ..recovery.places import Places
from ..recovery.stream import RecoveryStream
from ..retrieval.centres import Centres
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import Encoding, RetrievalStream
from ..retrieval.tables import HashTables
from ..scores.stream import Stream
from .bundle import CENTRES, ENCODER, HASHNET, NORMAL, PREDICTOR, TABLES, Bundle
from .engines.engine import Engine
from .engines.nets import NetEncoder, NetPredictor, TorchHasher


def load_streams(bundle: Bundle, engine: Engine | None = None) -> dict[str, Stream]:
    """Both streams, by name; CheckpointError for tensors of another net than described."""
    return {"recovery": recovery_stream(bundle, engine), "retrieval": retrieval_stream(bundle, engine)}


def beside(bundle: Bundle) -> Path:
    """Where an engine keeps what it compiled of a bundle's nets."""
    return bundle.folder.with_name(f".{bundle.folder.name}.engines")


def recovery_stream(bundle: Bundle, engine: Engine | None = None) -> RecoveryStream:
    """The context recovery stream."""
    part, size = bundle.description.recovery, bundle.description.pictures.size
    predictor = NetPredictor.load(
        bundle.path(PREDICTOR),
        width=part.width,
        size=size,
        residual=part.residual,
        engine=engine or Engine(kept=beside(bundle)),
    )
    normal = Places.load(bundle.path(NORMAL)).normal if NORMAL in bundle.hashes else None
    return RecoveryStream(predictor, bundle.snippets["recovery"], bundle.views, part.how, part.stride, normal)


def retrieval_stream(bundle: Bundle, engine: Engine | None = None) -> RetrievalStream | PlacedStream:
    """The knowledge retrieval stream, in the paper's form or by place."""
    part, size = bundle.description.retrieval, bundle.description.pictures.size
    encoder = NetEncoder.load(
        bundle.path(ENCODER),
        width=part.width,
        size=size,
        cells=part.cells,
        by_place=part.by_place,
        engine=engine or Engine(kept=beside(bundle)),
    )
    encoding = Encoding(encoder, bundle.snippets["retrieval"], bundle.views, part.dtype)
    if part.by_place:
        return PlacedStream(encoding, Centres.load(bundle.path(CENTRES)))
    hasher = TorchHasher.load(bundle.path(HASHNET), values=part.values, tables=part.tables, bits=part.bits)
    return RetrievalStream(encoding, hasher, HashTables.load(bundle.path(TABLES)))
