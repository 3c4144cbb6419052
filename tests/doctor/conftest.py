"""Small films for the doctor's tests: squares that move before one background."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray


@cache
def _film(seed: int, frames: int = 60) -> list[NDArray[np.uint8]]:
    """Squares on their ways and the sensor's noise; the background is the same whatever the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :72]
    background = 90 + 30 * np.sin(x / 7) + 20 * np.cos(y / 5)
    start, speed, level = rng.uniform(0, 40, (4, 2)), rng.uniform(-1.5, 1.5, (4, 2)), rng.uniform(-60, 90, 4)
    images = []
    for t in range(frames):
        image = background + rng.normal(0, 2, background.shape)
        for (top, left), (down, right), step in zip(start, speed, level, strict=True):
            i, j = int(top + down * t) % 38, int(left + right * t) % 62
            image[i : i + 10, j : j + 10] += step
        images.append(np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return images


@pytest.fixture(scope="session")
def film() -> Callable[..., list[NDArray[np.uint8]]]:
    """film(seed, frames=60) -> images (48, 72, 3), always the same for a seed."""
    return _film
