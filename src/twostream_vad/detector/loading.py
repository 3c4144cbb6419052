"""The streams of a bundle with their nets, by torch."""

from typing import TYPE_CHECKING

import torch

from ..recovery.stream import RecoveryStream
from ..retrieval.stream import Encoding, RetrievalStream
from ..retrieval.tables import HashTables
from ..scores.stream import Stream
from ..storage import load_tensors
from .bundle import ENCODER, HASHNET, NORMAL, PREDICTOR, TABLES, Bundle
from .engines import TorchEncoder, TorchHasher, TorchPredictor

if TYPE_CHECKING:
    from torch import Tensor


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
    normal: Tensor | None = load_tensors(bundle.path(NORMAL))[0]["normal"] if part.how.per_place else None
    return RecoveryStream(predictor, bundle.snippets["recovery"], bundle.views, part.how, part.stride, normal)


def retrieval_stream(bundle: Bundle, device: torch.device | None = None) -> RetrievalStream:
    """The knowledge retrieval stream."""
    part, size = bundle.description.retrieval, bundle.description.pictures.size
    encoder = TorchEncoder.load(bundle.path(ENCODER), width=part.width, size=size, cells=part.cells, device=device)
    encoding = Encoding(encoder, bundle.snippets["retrieval"], bundle.views, part.dtype)
    hasher = TorchHasher.load(bundle.path(HASHNET), values=part.values, tables=part.tables, bits=part.bits)
    return RetrievalStream(encoding, hasher, HashTables.load(bundle.path(TABLES)))
