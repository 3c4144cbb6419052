"""cameras.yaml and schedules: what is read, and what is refused with its line."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostream_vad.errors import TsvadError
from twostream_vad.live.plan import PlanError, read_plan
from twostream_vad.live.schedule import DAYS, Schedule

PLAN = """
detector: runs/gate
per_day: 2
alerts: ["https://guard:geheim@example.org/hook"]
cameras:
  gate:
    address: rtsp://guard:geheim@10.0.0.7/stream
    transport: udp
    per_day: 1
    schedule: [mon-fri 18:00-07:00, "sat,sun"]
    zones:
      tree:
        points: [[0, 0], [0.3, 0], [0.3, 0.4]]
      door:
        points: [[0.5, 0.5], [1, 0.5], [1, 1]]
        use: alone
  film:
    address: film.mp4
    detector: /elsewhere
"""
MONDAY = datetime(2026, 11, 30)


def written(folder: Path, text: str) -> Path:
    path = folder / "cameras.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_plan_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    plan = read_plan(written(tmp_path, PLAN))
    gate, film = plan.places["gate"], plan.places["film"]
    assert (gate.address.shown, gate.transport, gate.per_day) == ("rtsp://10.0.0.7/stream", "udp", 1)
    assert [(zone.name, zone.use, len(zone.points)) for zone in gate.zones] == [
        ("tree", "leave out", 3),
        ("door", "alone", 3),
    ]
    assert gate.detector == tmp_path / "runs/gate"
    assert (film.detector, film.per_day, film.address.kind) == (Path("/elsewhere"), 2, "file")
    assert film.address.whole == str(tmp_path / "film.mp4")
    assert gate.schedule.holds(MONDAY.replace(hour=20))
    assert not gate.schedule.holds(MONDAY.replace(hour=12))


def test_two_readings_of_a_plan_are_equal_and_show_no_password(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    one, other = read_plan(written(tmp_path, PLAN)), read_plan(written(tmp_path, PLAN))
    assert one == other
    assert "geheim" not in repr(one)


@pytest.mark.parametrize(
    ("change", "line", "word"),
    [
        (("per_day: 1", "per_day: -1"), 9, "per_day"),
        (("per_day: 1", "perday: 1"), 9, "unknown key"),
        (("transport: udp", "transport: quic"), 8, "tcp"),
        (("mon-fri 18:00-07:00", "mo-fr 18:00-07:00"), 6, "days are"),
        (("[0.3, 0.4]", "[0.3, 4]"), 13, "less than or equal to 1"),
        (("[1, 0.5], [1, 1]", "[1, 0.5]"), 15, "at least 3"),
        (("rtsp://guard:geheim@10.0.0.7/stream", "ftp://guard:geheim@10.0.0.7/stream"), 6, "cameras speak"),
        (("detector: runs/gate", "engine: openvino"), 2, "unknown key"),
        (("film.mp4", "gone.mp4"), 17, "no such file"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    change: tuple[str, str], line: int, word: str, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").touch()
    with pytest.raises(PlanError, match=word) as raised:
        read_plan(written(tmp_path, PLAN.replace(*change)))
    assert f"cameras.yaml, line {line}:" in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "[1, 2]", "cameras: {}", "a: [", "cameras: {gate: {address: 1}}", "\x00", "!!python/object:os.system {}"],
)
def test_what_is_no_plan_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"cameras\.yaml"):
        read_plan(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"gone\.yaml"):
        read_plan(tmp_path / "gone.yaml")


@given(
    st.sampled_from(DAYS),
    st.sampled_from(DAYS),
    st.integers(0, 1439),
    st.integers(0, 1440),
    st.integers(0, 7 * 1440 - 1),
)
def test_a_schedule_holds_when_a_slow_reading_of_it_does(
    first: str, last: str, start: int, end: int, minute: int
) -> None:
    line = f"{first}-{last} {start // 60}:{start % 60:02}-{end // 60}:{end % 60:02}"
    days, day = set(), DAYS.index(first)
    while True:
        days.add(day)
        if DAYS[day] == last:
            break
        day = (day + 1) % 7
    moment = MONDAY + timedelta(minutes=minute)
    now, today = moment.hour * 60 + moment.minute, moment.weekday()
    if start < end:
        holds = today in days and start <= now < end
    else:
        holds = (today in days and now >= start) or ((today - 1) % 7 in days and now < end)
    assert Schedule.parse([line]).holds(moment) == holds


@pytest.mark.parametrize("line", ["", "now", "mon 25:00-26:00", "mon tue 1:00-2:00", "24:00-1:00", "mon-fri 8-18"])
def test_what_is_no_schedule_is_refused(line: str) -> None:
    with pytest.raises(TsvadError, match="schedule"):
        Schedule.parse([line])


def test_without_a_schedule_a_camera_is_always_watched() -> None:
    assert Schedule().holds(MONDAY)
