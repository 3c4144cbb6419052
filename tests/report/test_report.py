"""The page of a fitted run."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report import report
from twostream_vad.report.model import PROTOCOLS
from twostream_vad.report.page import write_page
from twostream_vad.report.painter import Painter
from twostream_vad.report.report import write_figures, write_report
from twostream_vad.runs.evaluate import Result, evaluate
from twostream_vad.runs.record import Rows
from twostream_vad.runs.run import Run
from twostream_vad.settings import Resolved


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int, str]]:
    """What the page's progress said."""
    return []


@pytest.fixture(scope="module")
def result(fitted: Path) -> Iterator[Result]:
    yield evaluate(Run.open(fitted))
    (fitted / "results/evaluation.json").unlink()


@pytest.fixture(scope="module")
def page(fitted: Path, result: Result, told: list[tuple[int, int, str]]) -> Iterator[str]:
    def progress(done: int, total: int, note: str = "") -> None:
        told.append((done, total, note))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(report, "thumbnail_step", lambda _: 15)  # a heat map takes a pass of the net
        patched.setattr(report, "CARDS", 1)
        path = write_report(result, progress)
    assert path == fitted / "results/report.html"
    yield path.read_text("utf-8")
    path.unlink()


def test_every_test_video_is_on_the_page(page: str, told: list[tuple[int, int, str]]) -> None:
    assert told == [(1, 2, "01"), (2, 2, "02")]
    assert '"01"' in page
    assert '"02"' in page


def test_tables_of_aucs_and_of_windows_are_on_the_page(page: str) -> None:
    for text in ("MLE 128", "FLE", "retrieval", "fused", "Choice of the error window", "ghosts", "jumps"):
        assert text in page


def test_a_table_says_which_window_is_chosen_and_how_far_apart_the_protocols_are(page: str, result: Result) -> None:
    cells = re.findall(r"<t[hd]([^>]*)>([^<]*)</t[hd]>", page)
    texts = [text for _, text in cells]
    assert texts.count(f"{result.chosen} (chosen)") == 2
    gap = texts.index("fused − causal fused")
    assert texts[gap + 1] == f"{100 * result.rows['gap: fused − causal fused'][0]:.2f}"
    assert texts[gap + 4 : gap + 7] == ["", "", ""]
    fused = texts.index("fused")
    assert "emphasised" in cells[fused][0]
    assert texts[fused + 1] == f"{100 * result.record.protocols['paper'].rows['fused'].micro_auc:.2f}"


def test_names_in_facts_and_tables_do_nothing_and_numbers_are_set_flush_right(tmp_path: Path, result: Result) -> None:
    hostile = "<script>alert(1)</script>"
    record = result.record
    paper = record.protocols["paper"].rows
    changed = record.model_copy(
        update={
            "recipe": record.recipe | {"name": hostile},
            "machine": record.machine | {"processor": hostile},
            "localisation": {"rbdc": 0.5, "tracks_from": hostile},
            "protocols": record.protocols | {"paper": Rows(rows=paper | {hostile: paper["fused"]})},
        }
    )
    ways = [Resolved(window=8, score_l1=1, channel_l2=True, crops="max", per_place=False, aucs={hostile: 0.5})]
    path = tmp_path / "report.html"
    write_page(path, hostile, [], template="report.html.jinja", result=replace(result, record=changed), windows=ways)
    html = path.read_text("utf-8")
    assert hostile not in html
    assert html.count(escape(hostile)) == 7
    assert re.findall(r"<td(.*?)>(1|yes|max|50.00)</td>", html) == [
        *[(' class="number"', "50.00"), (' class="number"', "1"), ("", "yes"), ("", "max")],
        *[(' class="number"', "50.00")] * 2,
    ]


def test_the_worst_frames_stand_below(page: str) -> None:
    for title in ("Highest anomalies", "Worst false alarms", "Worst misses"):
        assert title in page


def test_the_page_loads_nothing_from_elsewhere(page: str) -> None:
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.fixture(scope="module")
def painter(result: Result) -> Painter:
    return Painter(result.scores)


def test_first_frames_have_no_heat_since_nothing_predicts_them(painter: Painter) -> None:
    assert painter.heat.at("01", 7) is None
    assert painter.heat.at("01", 8) is not None


def test_a_heat_map_is_as_large_as_the_frame_and_hot_where_the_error_is(painter: Painter) -> None:
    heat = painter.heat.at("02", 20)
    assert heat is not None
    assert heat.shape == painter.videos["02"].read(20).shape[:2]
    assert heat.min() >= 0
    assert 0 < heat.max() < 100  # times normal video's hottest place


def scores(*values: float) -> NDArray[np.float64]:
    return np.array(values)


def test_cards_of_one_video_are_frames_apart_and_of_their_class() -> None:
    labels = {"a": np.repeat([0, 1], 50).astype(np.uint8), "b": np.array([1], np.uint8)}
    fused = {"a": np.arange(100) / 100, "b": scores(0.2)}
    assert report._extremes(fused, labels, anomalous=True, highest=True) == [("a", 99), ("a", 69), ("b", 0)]
    assert report._extremes(fused, labels, anomalous=True, highest=False) == [("b", 0), ("a", 50), ("a", 80)]
    assert report._extremes(fused, labels, anomalous=False, highest=True) == [("a", 49), ("a", 19)]


def test_figures_are_vector_pictures_of_both_protocols(copied: Path) -> None:
    folder = write_figures(evaluate(Run.open(copied)))
    names = {"roc", "precision-recall", *(f"{video}-{protocol}" for video in ("01", "02") for protocol in PROTOCOLS)}
    assert {path.name for path in folder.iterdir()} == {f"{name}.pdf" for name in names}
    assert (folder / "roc.pdf").read_bytes().startswith(b"%PDF")
