"""The parts of a detector that run elsewhere, as graphs of one frame: what is seen, predicted, judged and encoded."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...nets.edge import FRAMES, RECENT, EdgeNet
from ...nets.graphs import EncoderGraph, PredictorGraph, folded
from ...nets.hashnet import HashNet
from ...nets.i3d import I3D, load_encoder
from ...nets.stunet import STUNet
from ...recovery.stream import RecoveryStream
from ...storage import load_tensors
from ...video.views import Views
from ..bundle import EDGE, ENCODER, HASHNET, PREDICTOR, Bundle, Edge
from ..engines.engine import TORCH
from ..engines.nets import filled
from ..loading import recovery_stream

NETS = "predict", "encode", "see", "tell"
"""The graphs that take the time, and the precision; the others are computed in float32."""


@dataclass(frozen=True)
class Part:
    """A graph, an example of each of its inputs by name, and the names of its outputs."""

    graph: nn.Module
    given: Mapping[str, Tensor]
    found: tuple[str, ...]


class ViewGraph(nn.Module):
    """A frame as the nets see it."""

    def __init__(self, views: Views, height: int, width: int) -> None:
        super().__init__()
        self.views, self.height, self.width = views, height, width

    def forward(self, frame: Tensor) -> Tensor:
        """(H, W, 3) uint8 RGB → (crops, 3, S, S) float32."""
        return self.views.looked_at(frame, self.height, self.width)


class JudgeGraph(nn.Module):
    """From what the net adds to the last frame that it saw to a score."""

    def __init__(self, stream: RecoveryStream, *, residual: bool) -> None:
        super().__init__()
        self.stream, self.residual = stream, residual

    def forward(self, change: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """(crops, 3, S, S) and the last two frames (crops, 3, 2, S, S) → score (1,) and errors (crops, P, P)."""
        predicted = change + last[:, :, 0] if self.residual else change
        score, local = self.stream.judged(predicted, last[:, :, 1], (1, len(last)))
        return score.float(), local[0]


class InBfloat16(nn.Module):
    """A net whose numbers are bfloat16, between inputs and outputs of float32."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.to(torch.bfloat16)

    def forward(self, clips: Tensor) -> Tensor:
        """As the net's."""
        found: Tensor = self.net(clips.to(torch.bfloat16))
        return found.float()


def parts_of(bundle: Bundle) -> dict[str, Part]:
    """Name → part; ``hash`` only where retrieval has whole crops. Norms are folded into the convolutions."""
    told, size = bundle.description, bundle.description.pictures.size
    crops = bundle.views.count(told.pictures.height, told.pictures.width)
    views = ViewGraph(bundle.views, told.pictures.height, told.pictures.width)
    frame = torch.zeros(told.pictures.height, told.pictures.width, 3, dtype=torch.uint8)
    judge = JudgeGraph(recovery_stream(bundle, TORCH), residual=told.recovery.residual or told.edge is not None)
    last = torch.zeros(crops, 3, 2, size, size)
    found = {
        "view": Part(views, {"frame": frame}, ("crops",)),
        "judge": Part(judge, {"change": last[:, :, 0].contiguous(), "last": last}, ("score", "errors")),
    }
    return found | (_nets(bundle, crops) if told.edge is None else _edge_nets(bundle, told.edge, crops))


def _edge_nets(bundle: Bundle, told: Edge, crops: int) -> dict[str, Part]:
    """An EdgeNet's two halves."""
    size, path = bundle.description.pictures.size, bundle.path(EDGE)
    net = filled(lambda: EdgeNet(told.width, size, told.values), load_tensors(path)[0], path)
    ring = torch.zeros(crops, FRAMES, net.encoder.values(size))
    recent = torch.zeros(crops, RECENT, 3, size, size)
    return {
        "see": Part(folded(net.encoder), {"crops": recent[:, 0].contiguous()}, ("maps",)),
        "tell": Part(folded(net.head), {"ring": ring, "recent": recent}, ("change and features",)),
    }


def _nets(bundle: Bundle, crops: int) -> dict[str, Part]:
    """Both streams' nets, of whole clips."""
    told = bundle.description
    size, recovery, retrieval = told.pictures.size, told.recovery, told.retrieval
    net = filled(
        lambda: STUNet(recovery.width, size, residual=recovery.residual),
        load_tensors(bundle.path(PREDICTOR))[0],
        bundle.path(PREDICTOR),
    )
    encoder = filled(
        lambda: I3D(retrieval.width, size, retrieval.cells, final_relu=True),
        load_encoder(bundle.path(ENCODER)),
        bundle.path(ENCODER),
    )
    clips = torch.zeros(crops, 3, 8, size, size)
    found = {
        "predict": Part(folded(PredictorGraph(net)), {"clips": clips}, ("change",)),
        "encode": Part(folded(EncoderGraph(encoder, by_place=retrieval.by_place)), {"clips": clips}, ("features",)),
    }
    if not retrieval.by_place:
        path = bundle.path(HASHNET)
        hasher = filled(
            lambda: HashNet(retrieval.values, retrieval.tables, retrieval.bits), load_tensors(path)[0], path
        )
        found["hash"] = Part(hasher.eval(), {"features": torch.zeros(crops, retrieval.values)}, ("codes",))
    return found
