"""What several test files need: short videos as folders of frames."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from twostream_vad.video.frames import ImageFolder


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ImageFolder]:
    """A function that writes a video of coloured blotches that drift to the right; each name another one."""

    def write(name: str = "01", frames: int = 30, height: int = 128, width: int = 144) -> ImageFolder:
        folder = tmp_path_factory.mktemp("film") / name
        folder.mkdir()
        rng = np.random.default_rng(list(name.encode()))
        coarse = rng.integers(0, 256, (8, 24, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (width + 2 * frames, height), interpolation=cv2.INTER_LINEAR)
        for index in range(frames):
            cv2.imwrite(str(folder / f"{index:03d}.png"), scene[:, 2 * index : 2 * index + width])
        return ImageFolder(folder)

    return write
