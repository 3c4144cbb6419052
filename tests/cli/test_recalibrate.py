"""`tsvad recalibrate`: a detector with the promise of its camera's own days."""

import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from twostream_vad import Detector
from twostream_vad.detector.bundle import Bundle
from twostream_vad.live.store import Store
from twostream_vad.scores.promise import Promises

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A camera's last two hours."""
    line, now = np.random.default_rng(1).exponential(size=7200), int(time.time())
    with Store(tmp_path / "watch") as store:
        store.add_seconds("gate", {now - 7200 + at: (0.0, float(value)) for at, value in enumerate(line)})
    return tmp_path / "watch"


def test_the_threshold_is_that_of_the_cameras_days(tsvad: Tsvad, placed: Path, watched: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    done = tsvad("recalibrate", placed, "gate", out, "--watched", watched, "--days", 1, "--per-day", 240)
    assert done.returncode == 0, done.stderr
    assert "now: threshold" in done.stderr
    assert "counted (2 hours seen" in done.stderr
    old, new = Bundle(placed), Bundle(out)
    normal = new.description.calibration.normal
    assert normal is not None
    assert new.description.calibration.threshold == Promises(normal).promise(240).threshold
    assert new.description.calibration.scales == old.description.calibration.scales
    assert [name for name in old.hashes if old.hashes[name] != new.hashes[name]] == ["detector.json"]
    assert Detector.load(out).threshold == new.description.calibration.threshold


def test_what_is_there_stays_and_no_store_is_said(
    refused: Refused, placed: Path, watched: Path, tmp_path: Path
) -> None:
    assert "choose another --out" in refused("recalibrate", placed, "gate", tmp_path, "--watched", watched)
    out = tmp_path / "new"
    assert "holds no events.db" in refused("recalibrate", placed, "gate", out, "--watched", tmp_path)
    assert "0 minutes of door's scores" in refused("recalibrate", placed, "door", out, "--watched", watched)
    assert "--days must be more than 0" in refused("recalibrate", placed, "gate", out, "--days", 0)
    assert not out.exists()
