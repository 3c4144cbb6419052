"""`tsvad index show|add|merge` on a fitted run's detector: what is known is looked at, and grows."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from twostream_vad.detector.bundle import CENTRES, DESCRIPTION, EXEMPLARS, HASHNET, TABLES, Bundle, write_bundle
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.exemplars import STRIP, Exemplars
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.runs.run import Run
from twostream_vad.storage import load_tensors, save_tensors

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

CODES = 138
"""Of the fitted run: 2 videos, one is held out, of 23 snippets of 3 crops."""
MORE = 69
"""Of one video more."""


def tables_of(folder: Path) -> HashTables:
    return HashTables.load(Bundle(folder).path(TABLES))


@pytest.fixture
def more(plaza: Path) -> Path:
    """Video of the same camera that the fitted run has not learned from."""
    (folder,) = {image.parent for image in (plaza / "testing").rglob("*.jpg") if image.parent.name == "01"}
    return folder


def test_tables_are_shown_with_their_buckets(tsvad: Tsvad, fitted: Path) -> None:
    said = tsvad("index", "show", fitted, "--show", 2)
    assert said.returncode == 0
    assert all(f"│ {table} " in said.stdout for table in range(4))
    assert str(CODES) in said.stdout
    assert all(word in said.stdout.split("├")[0] for word in ("buckets", "fullest", "emptiest"))


def test_a_run_whose_index_is_not_built_is_refused(refused: Refused, copied: Path, tmp_path: Path) -> None:
    Run.open(copied).begin("index", redo=True)
    assert f"{copied} is not fitted to the end; `tsvad fit" in refused("index", "show", copied)
    assert "is no detector" in refused("index", "show", tmp_path / "none")


def test_more_normal_video_gives_more_codes_that_explain(
    tsvad: Tsvad, fitted: Path, more: Path, tmp_path: Path
) -> None:
    said = tsvad("index", "add", fitted, more, "--out", tmp_path / "grown")
    assert said.returncode == 0
    assert said.stdout.startswith(f"{tmp_path / 'grown'}: {CODES + MORE} codes in ")
    assert f"{MORE} codes of normal video added to {CODES}" in said.stderr
    before, after = tables_of(fitted / "detector"), tables_of(tmp_path / "grown")
    assert (before.codes, after.codes) == (CODES, CODES + MORE)
    known = Exemplars.load(Bundle(tmp_path / "grown").path(EXEMPLARS))
    assert "01" in known.videos
    of_table = np.repeat(np.arange(after.tables), np.diff(after.offsets)).tolist()
    seen = [known.of(table, int(key)) for table, key in zip(of_table, after.keys, strict=True)]
    assert all(exemplar is not None and len(exemplar.strip) == STRIP for exemplar in seen)


def test_what_was_added_is_no_longer_unusual(tsvad: Tsvad, fitted: Path, more: Path, tmp_path: Path) -> None:
    tsvad("index", "add", fitted, more, "--out", tmp_path / "grown")
    scores = {}
    for detector in (fitted / "detector", tmp_path / "grown"):
        assert tsvad("score", detector, more, "--out", tmp_path / "x.csv").returncode == 0
        header, *rows = [line.split(",") for line in (tmp_path / "x.csv").read_text().splitlines()]
        raw = [float(row[header.index("retrieval_raw")]) for row in rows if row[header.index("retrieval_raw")]]
        scores[detector.name] = np.mean(raw)
    assert scores["grown"] < scores["detector"]


def test_several_videos_are_added_one_after_another(tsvad: Tsvad, fitted: Path, more: Path, tmp_path: Path) -> None:
    assert tsvad("index", "add", fitted, more, more, "--out", tmp_path / "grown").returncode == 0
    assert tables_of(tmp_path / "grown").codes == CODES + 2 * MORE


def test_video_too_short_to_say_anything_is_refused(tsvad: Tsvad, fitted: Path, more: Path, tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    for image in sorted(more.iterdir())[:3]:
        (tmp_path / "short" / image.name).write_bytes(image.read_bytes())
    said = tsvad("index", "add", fitted, tmp_path / "short", "--out", tmp_path / "grown")
    assert (said.returncode, "too short for a snippet" in said.stderr) == (2, True)
    assert not (tmp_path / "grown").exists()


def test_a_detector_merged_with_itself_has_every_code_twice(tsvad: Tsvad, fitted: Path, tmp_path: Path) -> None:
    assert tsvad("index", "merge", fitted, fitted / "detector", "--out", tmp_path / "both").returncode == 0
    one, both = tables_of(fitted / "detector"), tables_of(tmp_path / "both")
    np.testing.assert_array_equal(both.keys, one.keys)
    np.testing.assert_array_equal(both.counts, 2 * one.counts)
    np.testing.assert_allclose(both.centres, one.centres, atol=1e-6)
    old, new = (Exemplars.load(Bundle(folder).path(EXEMPLARS)) for folder in (fitted, tmp_path / "both"))
    np.testing.assert_array_equal(new.places, old.places)


def test_what_grew_merges_with_what_it_grew_from(tsvad: Tsvad, fitted: Path, more: Path, tmp_path: Path) -> None:
    tsvad("index", "add", fitted, more, "--out", tmp_path / "grown")
    assert tsvad("index", "merge", tmp_path / "grown", fitted, "--out", tmp_path / "both").returncode == 0
    assert tables_of(tmp_path / "both").codes == 2 * CODES + MORE


def test_a_detector_of_other_nets_is_not_merged(refused: Refused, fitted: Path, tmp_path: Path) -> None:
    bundle = Bundle(fitted)
    tensors, metadata = load_tensors(bundle.path(HASHNET))
    save_tensors(tmp_path / "hashnet", {name: -tensor for name, tensor in tensors.items()}, metadata)
    files = {name: bundle.path(name) for name in bundle.hashes if name != DESCRIPTION}
    write_bundle(tmp_path / "other", bundle.description, {**files, HASHNET: tmp_path / "hashnet"})
    said = refused("index", "merge", fitted, tmp_path / "other", "--out", tmp_path / "both")
    assert f"its {HASHNET} is another than that of" in said
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize("command", ["add", "merge"])
def test_nothing_that_is_there_is_written_over(
    command: str, tsvad: Tsvad, fitted: Path, more: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").touch()
    before = (fitted / "detector/SHA256SUMS").read_bytes()
    for out in (tmp_path / "mine", fitted / "detector"):
        said = tsvad("index", command, fitted, more if command == "add" else fitted, "--out", out)
        assert (said.returncode, said.stdout) == (2, "")
        assert said.stderr.splitlines()[-1] == f"tsvad: {out} is there already; choose another --out"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert (fitted / "detector/SHA256SUMS").read_bytes() == before


FEATURES, PLACES = 2 * 23 * 192, 192
"""Of the run by place."""


def test_by_place_the_index_is_one_row(tsvad: Tsvad, placed: Path) -> None:
    said = tsvad("index", "show", placed)
    assert (said.returncode, said.stderr) == (0, "")
    heads, row = (
        [cell.strip() for cell in line.split(mark)[1:-1]]
        for line, mark in zip(said.stdout.splitlines()[1:4:2], "┃│", strict=True)
    )
    assert heads[:4] == ["places", "features added", "centres", "at most"]
    assert [row[0], row[1], row[3]] == [str(PLACES), str(FEATURES), "2000"]


def test_by_place_more_normal_video_is_added_and_merged(tsvad: Tsvad, placed: Path, more: Path, tmp_path: Path) -> None:
    said = tsvad("index", "add", placed, more, "--out", tmp_path / "grown")
    assert said.returncode == 0
    grown = Centres.load(Bundle(tmp_path / "grown").path(CENTRES))
    assert said.stdout == (
        f"{tmp_path / 'grown'}: {FEATURES + 23 * PLACES} features in {len(grown)} centres of {PLACES} places\n"
    )
    assert f"{23 * PLACES} features of normal video added to {FEATURES}" in said.stderr
    assert tsvad("index", "merge", tmp_path / "grown", placed, "--out", tmp_path / "both").returncode == 0
    both = Centres.load(Bundle(tmp_path / "both").path(CENTRES))
    assert both.counts.sum() == both.added == 2 * FEATURES + 23 * PLACES
    assert len(both) <= 2000


def test_detectors_of_both_forms_are_not_merged(refused: Refused, fitted: Path, placed: Path, tmp_path: Path) -> None:
    said = refused("index", "merge", fitted, placed, "--out", tmp_path / "both")
    assert "it knows normal events by place" in said
    assert not (tmp_path / "both").exists()


def test_normal_video_is_added_to_a_detector_with_an_edgenet_and_both_merge(
    tsvad: Tsvad, refused: Refused, edged: Path, placed: Path, more: Path, tmp_path: Path
) -> None:
    assert tsvad("index", "add", edged, more, "--out", tmp_path / "grown").returncode == 0
    assert tsvad("index", "merge", tmp_path / "grown", edged, "--out", tmp_path / "both").returncode == 0
    counts = [
        Centres.load(Bundle(folder).path(CENTRES)).added for folder in (edged, tmp_path / "grown", tmp_path / "both")
    ]
    assert counts[1] == counts[0] + 23 * 2 * 64
    assert counts[2] == counts[0] + counts[1]
    assert "one has an EdgeNet, the other not" in refused("index", "merge", edged, placed, "--out", tmp_path / "odd")
