"""The second decoder: what it gives, and that what it does cannot end the doctor."""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.doctor import opencv
from twostream_vad.doctor.fingerprints import HEIGHT, WIDTH

Films = Callable[..., list[NDArray[np.uint8]]]


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """A program in the place of the one that decodes."""
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_its_pictures_are_those_that_opencv_decodes(film: Films, tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (72, 48))
    for image in film(1, 12):
        writer.write(image)
    writer.release()
    capture = cv2.VideoCapture(str(path))
    grays = [np.asarray(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY)).astype(float) for _ in range(12)]
    cells = [gray.reshape(HEIGHT, 2, WIDTH, 2).mean(axis=(1, 3)) for gray in grays]
    found = opencv.opencv_pictures(path, 12)
    assert found.shape == (12, HEIGHT, WIDTH)
    assert np.abs(found - np.array(cells)).max() <= 0.5  # 48 x 72: four pixels a cell


def test_what_it_decodes_before_an_abort_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, f"head -c {HEIGHT * WIDTH} /dev/zero; kill -ABRT $$")
    assert len(opencv.opencv_pictures(tmp_path / "film.avi", 12)) == 0


def test_what_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, "exec sleep 1000")
    monkeypatch.setattr(opencv, "SECONDS", 0.2)
    assert len(opencv.opencv_pictures(tmp_path / "film.avi", 0)) == 0
