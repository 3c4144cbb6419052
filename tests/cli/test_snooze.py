"""`tsvad snooze`: a camera announces nothing for a while, and is scored all the same."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from twostream_vad import Detector
from twostream_vad.errors import TsvadError
from twostream_vad.live.address import Address
from twostream_vad.live.guard import Guard
from twostream_vad.live.plan import Place, Plan
from twostream_vad.live.snooze import FILE, snooze, snoozed
from twostream_vad.live.store import Store
from twostream_vad.video.frames import open_source

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A store that knows a camera."""
    with Store(tmp_path / "watch") as store:
        store.add_seconds("gate", {int(time.time()): (0.0, 1.0)})
    return tmp_path / "watch"


def test_a_camera_is_snoozed_and_woken(tsvad: Tsvad, watched: Path) -> None:
    assert "gate is snoozed until " in tsvad("snooze", "gate", 30, "--watched", watched).stdout
    assert snoozed(watched)["gate"] == pytest.approx(time.time() + 1800, abs=20)
    snooze(watched, "door", 5)
    assert tsvad("snooze", "gate", 0, "--watched", watched).stdout == "gate is awake\n"
    assert list(snoozed(watched)) == ["door"]


def test_what_is_over_is_forgotten(watched: Path) -> None:
    (watched / FILE).write_text(json.dumps({"door": time.time() - 1}))
    snooze(watched, "gate", 60)
    assert list(snoozed(watched)) == ["gate"]


def test_who_and_how_long_are_checked(refused: Refused, watched: Path) -> None:
    assert "has no scores of door" in refused("snooze", "door", 30, "--watched", watched)
    assert "5 to 60 minutes, or woken by 0; got 61" in refused("snooze", "gate", 61, "--watched", watched)
    (watched / FILE).write_text("[1]")
    assert "snooze.json is broken" in refused("snooze", "gate", 30, "--watched", watched)
    with pytest.raises(TsvadError, match="remove it, and nothing is snoozed"):
        snoozed(watched)


@pytest.mark.parametrize("minutes", [0, 30])
def test_a_snoozed_camera_has_scores_and_no_events(
    minutes: float, tsvad: Tsvad, placed: Path, plaza: Path, watched: Path, tmp_path: Path
) -> None:
    import av

    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        images = [frame.image for frame in open_source(plaza / "testing/frames/01")]
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "bgr0"
        for image in images:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    snooze(watched, "gate", minutes)
    said = tsvad("watch", placed, f"gate={path}", "--fast", "--threshold", -100, "--out", watched)
    assert said.returncode == 0
    with Store(watched) as store:
        assert bool(store.events(camera="gate")) == (minutes == 0)
        now = int(time.time())
        assert (store.seconds("gate", now - 60, now + 60)[1] != 1.0).any()


def test_cameras_that_come_later_are_snoozed_too(placed: Path) -> None:
    class Nowhere:
        def begin(self, *_: object) -> None: ...

        def end(self, *_: object) -> None: ...

        def score(self, *_: object) -> None: ...

        def note(self, *_: object, **__: object) -> None: ...

    guard = Guard(Nowhere(), Detector.load, lambda *_: None, lambda _: None)
    guard.snooze({"gate": 7.0})
    missing = Address.parse("rtsp://127.0.0.1:1/none")
    guard.follow(Plan({"gate": Place("gate", missing, placed), "door": Place("door", missing, placed)}))
    try:
        assert (guard.posts["gate"].monitor.snoozed, guard.posts["door"].monitor.snoozed) == (7.0, 0.0)
        guard.snooze({"door": 9.0})
        assert (guard.posts["gate"].monitor.snoozed, guard.posts["door"].monitor.snoozed) == (0.0, 9.0)
    finally:
        guard.close()
