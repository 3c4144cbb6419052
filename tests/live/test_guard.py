"""A guard: one camera's failure is its own, and what has failed is tried again."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from twostream_vad import Detector
from twostream_vad.errors import TsvadError
from twostream_vad.live import guard as module
from twostream_vad.live.address import Address
from twostream_vad.live.events import Event
from twostream_vad.live.guard import Guard, promised
from twostream_vad.live.plan import Place, Plan

Until = Callable[[Callable[[], bool]], None]
Serve = Callable[..., object]
Stream = Callable[..., bytes]


class Nowhere:
    """Keeps nothing."""

    def begin(self, event: Event, picture: bytes | None, /) -> None: ...

    def end(self, event: Event, /) -> None: ...

    def score(self, camera: str, moment: float, score: float, /) -> None: ...

    def note(self, key: str, /, **more: object) -> None: ...


def guarded(detector: Path, addresses: dict[str, str], said: list[str]) -> Guard:
    made = Guard(Nowhere(), Detector.load, lambda *_: None, said.append)
    places = {name: Place(name, Address.parse(address), detector) for name, address in addresses.items()}
    made.follow(Plan(places))
    return made


def test_a_camera_of_another_shape_fails_alone_and_is_tried_again(
    placed: Path, served: Serve, stream: Stream, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.2)
    good, square = served(stream(40, width=60)), served(stream(40, width=48))
    made = guarded(placed, {"good": good.address, "square": square.address}, [])  # type: ignore[attr-defined]
    try:
        until(lambda: "square" in made.failures)
        until(lambda: made.posts["good"].monitor.pace.last > 0)
        first = made.posts["square"].monitor
        time.sleep(0.3)
        made.revive()
        assert made.posts["square"].monitor is not first
        assert "good" not in made.failures
        assert not made.over
    finally:
        made.close()


def test_what_has_drifted_is_an_event_of_its_own(
    placed: Path, served: Serve, stream: Stream, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, Event]] = []

    class Kept(Nowhere):
        def begin(self, event: Event, _: bytes | None, /) -> None:
            told.append(("begun", event))

        def end(self, event: Event, /) -> None:
            told.append(("ended", event))

    words = iter(["louder than its normal video was"])
    monkeypatch.setattr("twostream_vad.live.drift.Drift.push", lambda *_: next(words, ""))
    camera = served(stream(40, width=60))
    made = Guard(Kept(), Detector.load, lambda *_: None, lambda _: None)
    made.follow(Plan({"gate": Place("gate", Address.parse(camera.address), placed)}))  # type: ignore[attr-defined]
    try:
        until(lambda: len(told) >= 2)
    finally:
        made.close()
    (_, begun), (_, ended) = [each for each in told if each[1].kind == "drift"]
    assert begun == ended
    assert (begun.camera, begun.end, begun.nearest) == ("gate", begun.start, "louder than its normal video was")
    assert begun.key.endswith("-drift")


def test_where_nothing_could_be_watched_the_reason_is_raised(placed: Path, tmp_path: Path, until: Until) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    made = guarded(placed, {"a": str(tmp_path / "a.mp4")}, [])
    try:
        until(lambda: made.over)
        with pytest.raises(TsvadError, match=r"a\.mp4"):
            made.revive()
    finally:
        made.close()


def test_a_plan_that_cannot_be_followed_changes_nothing(placed: Path, recording: Path, tmp_path: Path) -> None:
    made = guarded(placed, {"a": str(recording)}, [])
    try:
        before = dict(made.posts)
        address = Address.parse(str(recording))
        with pytest.raises(TsvadError):
            made.follow(Plan({"a": before["a"].place, "b": Place("b", address, tmp_path)}))
        assert made.posts == before
    finally:
        made.close()


def test_a_detector_without_held_out_video_promises_nothing() -> None:
    with pytest.raises(TsvadError, match="cannot promise"):
        promised(Detector({}, 10, {}, {}, 1.0), 2)
