"""What several tests of detectors look at."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.frames import ImageFolder


@pytest.fixture(scope="session")
def images(plaza: Path) -> list[NDArray[np.uint8]]:
    """The frames of the plaza's first test video."""
    return [frame.image for frame in ImageFolder(plaza / "testing/frames/01")]
