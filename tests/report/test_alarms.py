"""The page of a new video: self-contained, deaf to what names say, its alarms in order."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twostream_vad.report.alarms import AlarmCard, write_alarms

HOSTILE = "</script><script>alert(1)</script><!--\"'><img src=x onerror=alert(1)>{{title}}\u2028 & 中"
TIMES = np.arange(1000) / 12.5
SCORES = np.where(np.arange(1000) < 16, np.nan, np.sin(TIMES))


def card(start: float, **changes: object) -> AlarmCard:
    given: dict[str, Any] = {
        "end": start + 2.5,
        "peak_time": start + 1,
        "peak": 4.214,
        "first_frame": 100,
        "last_frame": 131,
        "peak_frame": 112,
        "stream": "recovery",
        "picture": b"picture",
        "heat": b"heat",
        "sentence": "nearest normal: a walker at 0:12",
        "nearest": [b"1", b"2"],
        "where": "left edge",
    }
    return AlarmCard(start, **(given | changes))


class Reader(HTMLParser):
    """Elements as a browser's parser would see them, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def written(folder: Path, **changes: Any) -> Reader:
    given: dict[str, Any] = {
        "title": "gate",
        "facts": [("frames", "1,000")],
        "times": TIMES,
        "scores": SCORES,
        "threshold": 3.0,
        "streams": {"recovery": SCORES / 2, "retrieval": SCORES / 3},
        "alarms": [],
    }
    write_alarms(folder / "alarms.html", **(given | changes))
    return Reader((folder / "alarms.html").read_text("utf-8"))


def test_each_alarm_has_its_times_its_peak_its_pictures_and_its_words(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path, alarms=[card(62.3)]).text.split())
    for words in ("1:02.3 – 1:04.8", "peak score 4.21 at 1:03.3, alarm threshold 3.00", "loudest: recovery"):
        assert words in text
    for words in ("frames 100 to 131, peak at 112", "left edge", "nearest normal: a walker at 0:12"):
        assert words in text


def test_the_heat_map_lies_over_the_picture(tmp_path: Path) -> None:
    images = [attrs for tag, attrs in written(tmp_path, alarms=[card(1)]).elements if tag == "img"]
    assert [image.get("class") for image in images] == [None, "under", "over", None, None]
    images = [attrs for tag, attrs in written(tmp_path, alarms=[card(1, heat=None)]).elements if tag == "img"]
    assert len(images) == 3


def test_alarms_keep_their_order_and_the_timeline_leads_to_each(tmp_path: Path) -> None:
    elements = written(tmp_path, alarms=[card(60), card(5), card(33)]).elements
    assert [attrs["id"] for tag, attrs in elements if tag == "article"] == ["alarm-1", "alarm-2", "alarm-3"]
    assert [attrs["href"] for tag, attrs in elements if tag == "a"] == ["#alarm-1", "#alarm-2", "#alarm-3"]
    places = [float(attrs["x"] or "") for tag, attrs in elements if tag == "rect"]
    assert places == pytest.approx([1000 * start / TIMES[-1] for start in (60, 5, 33)], abs=0.1)


def test_no_alarm_is_said_in_words(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path).text.split())
    assert "No alarm." in text
    assert "No alarm; the highest score is 1.00 at 1:04.4, the alarm threshold 3.00." in text


def test_a_video_too_short_for_a_score_says_so(tmp_path: Path) -> None:
    nothing = np.full(3, np.nan)
    text = written(tmp_path, times=np.arange(3.0), scores=nothing, streams={"recovery": nothing}).text
    assert "No frame has a score." in text
    written(tmp_path, times=np.zeros(1), scores=np.zeros(1), streams={}, threshold=0.0)


def test_notes_stand_above_the_alarms(tmp_path: Path) -> None:
    text = written(tmp_path, notes=["resampled from 25 to 12.5 frames a second"], alarms=[card(1)]).text
    assert 0 < text.index("resampled from 25 to 12.5 frames a second") < text.index("0:01.0")


def test_names_do_nothing(tmp_path: Path) -> None:
    reader = written(
        tmp_path,
        title=HOSTILE,
        facts=[(HOSTILE, HOSTILE)],
        streams={HOSTILE: SCORES},
        notes=[HOSTILE],
        alarms=[card(1, stream=HOSTILE, sentence=HOSTILE, where=HOSTILE)],
    )
    assert reader.text.count(HOSTILE) == 9
    assert "script" not in {tag for tag, _ in reader.elements}
    names = {name for _, attrs in reader.elements for name in attrs}
    assert not [name for name in names if name.startswith("on") or name == "style"]


def test_nothing_is_fetched_and_no_script_runs(tmp_path: Path) -> None:
    elements = written(tmp_path, alarms=[card(1)]).elements
    links = [attrs[key] or "" for _, attrs in elements for key in ("src", "href") if key in attrs]
    assert links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in links)
    policy = next(attrs["content"] or "" for _, attrs in elements if "http-equiv" in attrs)
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_a_failure_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        written(tmp_path, alarms=[card(1), card(2, picture="no bytes")])
    assert not list(tmp_path.iterdir())


def test_a_days_recording_makes_a_small_page_with_all_its_peaks(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random(1_000_000)
    scores[123_456] = 50
    written(tmp_path, times=np.arange(1e6) / 12.5, scores=scores, streams={"a": scores})
    html = (tmp_path / "alarms.html").read_text("utf-8")
    assert len(html) < 100_000
    (path,) = re.findall(r'<path class="curve main" d="([^"]*)"', html)
    assert min(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)) == pytest.approx(172 - 172 / 1.04, abs=0.1)
