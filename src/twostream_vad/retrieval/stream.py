"""The knowledge retrieval stream: I3D features, hash codes, and their distance to normal events."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..nets.hashnet import HashNet
from ..nets.i3d import I3D, load_encoder
from ..settings import RetrievalSettings
from ..storage import fill, load_tensors
from ..video.snippets import Snippet
from .tables import HashTables


class Encoder:
    """An I3D encoder and its snippet geometry.

    Args:
        net: the encoder with its last ReLU; it is put into eval mode.
        snippet: frames t, t+8, …, t+56 in the paper.
        device: where it computes.
        source: says which weights these are; features of another source are refused.
    """

    def __init__(self, net: I3D, snippet: Snippet, device: torch.device, source: str = "") -> None:
        self.snippet, self.device, self.source = snippet, device, source
        self.values = net.cells**2 * net.out_channels
        self.net = net.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @classmethod
    def load(
        cls,
        weights: Path,
        settings: RetrievalSettings,
        *,
        width: float,
        size: int,
        device: torch.device,
        source: str = "",
    ) -> "Encoder":
        """The encoder in a weights file, of an I3D or of a whole STUNet.

        Raises:
            ValueError: no such file, a broken one, or tensors of another width.
        """
        net = I3D(width, size, settings.cells, final_relu=True)
        fill(net, load_encoder(weights), weights)
        snippet = Snippet(settings.length, settings.interval, offset=settings.length // 2 * settings.interval)
        return cls(net, snippet, device, source or str(weights))

    def encode(self, clips: Tensor) -> NDArray[np.float32]:
        """(B, crops, 3, 8, S, S) → features (B, crops, values)."""
        with torch.inference_mode():
            flat = clips.flatten(0, 1).to(self.device).contiguous(memory_format=torch.channels_last_3d)
            pooled: Tensor = self.net(flat)
            features: NDArray[np.float32] = pooled.float().reshape(*clips.shape[:2], self.values).cpu().numpy()
            return features


class RetrievalStream:
    """Scores clips by how far their hash codes are from the nearest bucket's centre.

    Args:
        encoder: clips to features.
        net: features to codes; it is put into eval mode.
        tables: codes of normal events.
    """

    def __init__(self, encoder: Encoder, net: HashNet, tables: HashTables) -> None:
        self.encoder, self.net, self.tables = encoder, net.eval(), tables

    @property
    def snippet(self) -> Snippet:
        """Frames t, t+8, …, t+56; the paper places the score at t+32."""
        return self.encoder.snippet

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 8, S, S) → (B,)."""
        return self.score_features(self.encoder.encode(clips))

    def score_features(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B, crops, values) → (B,): least distance over tables, mean over crops."""
        codes = encode_codes(self.net, features.reshape(-1, features.shape[-1]))
        return self.tables.scores(codes.reshape(*features.shape[:2], *codes.shape[1:])).astype(np.float64)


def encode_codes(net: HashNet, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, values) → real-valued codes (N, b, r)."""
    with torch.inference_mode():
        # Copied: torch wants memory that it may write to, and a memory map is read-only.
        codes: Tensor = net(torch.from_numpy(np.array(features, dtype=np.float32)))
        return codes.numpy()


def load_hashnet(path: Path, settings: RetrievalSettings, values: int) -> HashNet:
    """The HashNet of a model file that `train_retrieval` wrote.

    Raises:
        CheckpointError: no such file, a broken one, or tensors of another net.
    """
    net = HashNet(values, settings.tables, settings.bits)
    fill(net, load_tensors(path)[0], path)
    return net
