"""The streams of a bundle with their nets, by torch."""

import torch

from ..recovery.places import Places
from ..recovery.stream import RecoveryStream
from ..retrieval.centres import Centres
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import Encoding, RetrievalStream
from ..retrieval.tables import HashTables
from ..scores.stream import Stream
from .bundle import CENTRES, ENCODER, HASHNET, NORMAL, PREDICTOR, TABLES, Bundle
from .engines import TorchEncoder, TorchHasher, TorchPredictor


def load_streams(bundle: Bundle, device: torch.device | str | None = None) -> dict[str, Stream]:
    """Both streams, by name; CheckpointError for tensors of another net than described."""
    where = None if device is None else torch.device(device)
    return {"recovery": recovery_stream(bundle, where), "retrieval": retrieval_stream(bundle, where)}


def recovery_stream(bundle: Bundle, device: torch.device | None = None) -> RecoveryStream:
    """The context recovery stream."""
    part, size = bundle.description.recovery, bundle.description.pictures.size
    predictor = TorchPredictor.load(
        bundle.path(PREDICTOR), width=part.width, size=size, residual=part.residual, device=device
    )
    normal = Places.load(bundle.path(NORMAL)).normal if NORMAL in bundle.hashes else None
    return RecoveryStream(predictor, bundle.snippets["recovery"], bundle.views, part.how, part.stride, normal)


def retrieval_stream(bundle: Bundle, device: torch.device | None = None) -> RetrievalStream | PlacedStream:
    """The knowledge retrieval stream, in the paper's form or by place."""
    part, size = bundle.description.retrieval, bundle.description.pictures.size
    encoder = TorchEncoder.load(
        bundle.path(ENCODER), width=part.width, size=size, cells=part.cells, by_place=part.by_place, device=device
    )
    encoding = Encoding(encoder, bundle.snippets["retrieval"], bundle.views, part.dtype)
    if part.by_place:
        return PlacedStream(encoding, Centres.load(bundle.path(CENTRES)))
    hasher = TorchHasher.load(bundle.path(HASHNET), values=part.values, tables=part.tables, bits=part.bits)
    return RetrievalStream(encoding, hasher, HashTables.load(bundle.path(TABLES)))
