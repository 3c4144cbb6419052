"""HashNet: I3D features to real-valued hash codes (Cao et al. 2024, section III-C)."""

import torch
from torch import Tensor, nn


class HashNet(nn.Module):
    """b parallel hash layers, one a table, over normalised features; each gives a code of r bits.

    Raises:
        ValueError: fewer than two tables, or bits outside 1 … 64.
    """

    def __init__(self, features: int = 8192, tables: int = 8, bits: int = 32) -> None:
        super().__init__()
        if tables < 2:
            raise ValueError(f"tables must be 2 or more for the mutual loss between hash layers, got {tables}")
        if not 1 <= bits <= 64:
            raise ValueError(f"bits must be 1 to 64 for a key to fit an integer, got {bits}")
        self.normalise = nn.LayerNorm(features, elementwise_affine=False)
        self.layers = nn.ModuleList(HashLayer(features, bits) for _ in range(tables))

    def forward(self, x: Tensor) -> Tensor:
        """(B, features) → (B, tables, bits), each value in (0, 1); above 0.5 is bit 1."""
        x = self.normalise(x)
        return torch.stack([layer(x) for layer in self.layers], dim=1)


class HashLayer(nn.Module):
    """A linear map without bias, then a norm, so that no bit is always on."""

    def __init__(self, features: int, bits: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, bits, bias=False)
        self.normalise = nn.LayerNorm(bits, elementwise_affine=False)
        nn.init.xavier_uniform_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, features) → (B, bits)."""
        return torch.sigmoid(self.normalise(self.project(x)))
