"""The page as a file: whole, self-contained, and deaf to what names say."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report.model import Card, CardGroup, CurvePlot, VideoPanel
from twostream_vad.report.page import write_page
from twostream_vad.report.thumbnails import Thumbnails

HOSTILE = "</script><script>alert(1)</script><!--\"'><img src=x onerror=alert(1)>{{script}}\u2028 & 中"


class Reader(HTMLParser):
    """Elements with their attributes and the text in them, as a browser's parser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self.within = True

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self.within = False

    def handle_data(self, data: str) -> None:
        if self.within:
            self.texts[-1] += data

    def scripts(self, kind: str | None) -> list[str]:
        found = zip(self.elements, self.texts, strict=True)
        return [text for (tag, attrs), text in found if tag == "script" and attrs.get("class") == kind]


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text("utf-8"))
    reader.close()
    return reader


def panel(name: str = "01", **changes: object) -> VideoPanel:
    fused = np.array([0.0, 0.5, np.nan, 1.5])
    series = {"paper": {"fused": fused}, "causal": {"fused": -fused}}
    given: dict[str, object] = {"frames": 4, "rate": 2.0, "labels": np.array([0, 1, 1, 0]), "series": series}
    return VideoPanel(name, **(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    path = tmp_path_factory.mktemp("page") / "report.html"
    line = np.linspace(0, 1, 3)
    video = panel(
        HOSTILE,
        series={"paper": {HOSTILE: np.zeros(4)}},
        note=HOSTILE,
        thumbnails=Thumbnails(2, [b"1", b"2"]),
    )
    write_page(
        path,
        HOSTILE,
        [video],
        facts=[(HOSTILE, HOSTILE)],
        curves=[CurvePlot(HOSTILE, HOSTILE, HOSTILE, [(HOSTILE, line, line)])],
        cards=[CardGroup(HOSTILE, HOSTILE, [Card(HOSTILE, 3, b"f", b"h", HOSTILE, [b"n"])])],
    )
    return read(path)


def test_a_name_cannot_open_a_script(hostile: Reader) -> None:
    kinds = [attrs.get("type") for tag, attrs in hostile.elements if tag == "script"]
    assert kinds == ["application/json"] * 3 + [None]


def test_a_name_cannot_add_a_handler_or_a_style(hostile: Reader) -> None:
    names = {name for _, attrs in hostile.elements for name in attrs}
    assert not [name for name in names if name.startswith("on") or name == "style"]


def test_nothing_is_fetched(hostile: Reader) -> None:
    links = [attrs[key] or "" for _, attrs in hostile.elements for key in ("src", "href") if key in attrs]
    assert links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in links)


def test_a_name_is_read_back_as_it_was(hostile: Reader) -> None:
    video = next(attrs for tag, attrs in hostile.elements if tag == "article" and "data-name" in attrs)
    assert video["data-name"] == HOSTILE
    [scores] = hostile.scripts("scores")
    assert json.loads(scores)["series"]["paper"][0][0] == HOSTILE


def test_the_policy_names_the_very_script_and_style_of_the_page(hostile: Reader) -> None:
    policy = next(attrs["content"] or "" for _, attrs in hostile.elements if "http-equiv" in attrs)
    [script] = [s for s in hostile.scripts(None) if "use strict" in s]
    [style] = [t for (tag, _), t in zip(hostile.elements, hostile.texts, strict=True) if tag == "style"]
    for text in (script, style):
        assert f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy


def written(path: Path, *videos: VideoPanel) -> Reader:
    write_page(path / "report.html", "run", videos)
    return read(path / "report.html")


def floats(packed: str) -> NDArray[np.float32]:
    return np.frombuffer(b64decode(packed), "<f4")


def test_scores_are_kept_to_float32_and_gaps_stay_gaps(tmp_path: Path) -> None:
    scores = np.array([0.1, np.nan, np.inf, 1e300])
    [data] = written(tmp_path, panel(series={"paper": {"fused": scores}})).scripts("scores")
    expected = np.array([0.1, np.nan, np.nan, np.nan], np.float32)
    np.testing.assert_array_equal(floats(json.loads(data)["series"]["paper"][0][1]), expected)


def test_pictures_come_back_byte_for_byte(tmp_path: Path) -> None:
    frames, heat = [b"\xff\xd8a", b"\x00b"], [b"c", b"d\xff"]
    [data] = written(tmp_path, panel(thumbnails=Thumbnails(2, frames, heat))).scripts("samples")
    samples = json.loads(data)
    assert samples["step"] == 2
    assert [b64decode(p) for p in samples["frames"]] == frames
    assert [b64decode(p) for p in samples["heat"]] == heat


def test_the_common_scale_spans_every_video_threshold_and_zero(tmp_path: Path) -> None:
    text = written(tmp_path, panel(), panel("02", thresholds={"causal": 4.0})).scripts(None)
    overview = json.loads(next(t for t in text if "spans" in t and "use strict" not in t))
    assert overview["spans"] == {"paper": [0.0, 1.5], "causal": [-1.5, 4.0]}


def test_a_video_without_labels_says_so(tmp_path: Path) -> None:
    reader = written(tmp_path, panel(labels=None))
    assert json.loads(reader.scripts("scores")[0])["labels"] is None
    assert "4 frames · 2.0 s · no labels" in reader.texts


def test_videos_may_be_a_generator_taken_one_at_a_time(tmp_path: Path) -> None:
    alive: list[int] = []

    def videos() -> Iterator[VideoPanel]:
        for i in range(3):
            alive.append(i)
            yield panel(f"{i:02d}")

    write_page(tmp_path / "report.html", "run", videos())
    assert alive == [0, 1, 2]
    assert len(read(tmp_path / "report.html").scripts("scores")) == 3


def test_a_failure_on_the_way_leaves_the_old_page_and_no_rest(tmp_path: Path) -> None:
    def videos() -> Iterator[VideoPanel]:
        yield panel()
        raise RuntimeError("camera unplugged")

    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="camera unplugged"):
        write_page(path, "run", videos())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_run_is_a_page_too(tmp_path: Path) -> None:
    assert ("h1", {}) in written(tmp_path).elements
