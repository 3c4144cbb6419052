"""Exemplars: the rows that a sort of every bucket would put first, and what is said of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.retrieval.exemplars import ExemplarError, Exemplars, Match, Origin, nearest, origin, sentence
from twostream_vad.retrieval.features import FeatureSet, VideoRows
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.storage import save_tensors
from twostream_vad.video.snippets import RETRIEVAL, Snippet

Codes = NDArray[np.float32]


def draw(count: int, tables: int = 3, bits: int = 8, seed: int = 0, distinct: int | None = None) -> Codes:
    """Clustered codes, so that buckets hold many and some keys come once; with ``distinct``, each comes often."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).random((10, tables, bits))
    drawn = distinct or count
    codes = centres[rng.integers(0, 10, drawn)] + rng.normal(0, 0.05, (drawn, tables, bits))
    clipped = np.clip(codes, 0.001, 0.999).astype(np.float32)
    return clipped if distinct is None else clipped[rng.integers(0, distinct, count)]


def in_chunks(codes: Codes, size: int) -> Iterator[Codes]:
    return (codes[start : start + size] for start in range(0, len(codes), size))


def build(codes: Codes, size: int = 1000, most: int = 3) -> tuple[HashTables, Exemplars]:
    tables = HashTables.build(codes)
    return tables, Exemplars.build(tables, in_chunks(codes, size), most)


def key_of(code: Codes) -> int:
    return sum(1 << i for i, value in enumerate(code) if value > 0.5)


def centre_of(held: list[int], codes: Codes) -> Codes:
    mean: Codes = np.mean(codes[held].astype(np.float64), axis=0).astype(np.float32)
    return mean


def distance(code: Codes, centre: Codes) -> np.float32:
    gap = (centre - code)[None]
    return np.float32(np.sqrt(np.einsum("ij,ij->i", gap, gap))[0])


def by_loop(codes: Codes, most: int) -> list[list[int]]:
    """Rows of every bucket, sorted by distance and row, filled up with -1; tables and keys in order."""
    lines = []
    for t in range(codes.shape[1]):
        buckets: dict[int, list[int]] = {}
        for row, code in enumerate(codes[:, t]):
            buckets.setdefault(key_of(code), []).append(row)
        for key in sorted(buckets):
            centre = centre_of(buckets[key], codes[:, t])
            best = sorted((distance(codes[row, t], centre), row) for row in buckets[key])[:most]
            lines.append([row for _, row in best] + [-1] * (most - len(best)))
    return lines


@pytest.mark.parametrize("most", [1, 3, 50])
@pytest.mark.parametrize("bits", [1, 7, 32])
def test_exemplars_are_the_first_of_each_bucket_sorted_by_distance(bits: int, most: int) -> None:
    codes = draw(300, bits=bits)
    assert build(codes, most=most)[1].rows.tolist() == by_loop(codes, most)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_of_codes_as_near_the_lower_rows_are_kept(size: int) -> None:
    codes = draw(300, distinct=40)
    expected = by_loop(codes, 3)
    tied = [line for line in expected if np.array_equal(codes[line[0]], codes[line[1]])]
    assert len(tied) > 10
    assert build(codes, size)[1].rows.tolist() == expected


@pytest.mark.parametrize("size", [1, 2, 99, 299])
def test_chunks_of_any_size_give_the_same(size: int) -> None:
    codes = draw(300)
    assert build(codes, size)[1].rows.tolist() == build(codes)[1].rows.tolist()


def test_an_empty_chunk_changes_nothing() -> None:
    codes = draw(20)
    chunks = [codes[:0], codes[:9], codes[9:9], codes[9:]]
    assert Exemplars.build(HashTables.build(codes), chunks).rows.tolist() == by_loop(codes, 3)


def test_exemplars_are_in_the_order_of_the_tables_buckets() -> None:
    codes = draw(300)
    tables, exemplars = build(codes)
    buckets, _ = tables.find(codes)
    for t in range(3):
        for row in range(tables.offsets[t], tables.offsets[t + 1]):
            assert {int(buckets[held, t]) for held in exemplars.rows[row] if held >= 0} == {row}


def test_a_bucket_of_one_code_has_that_row_alone() -> None:
    codes = np.array([[[0.1, 0.1]], [[0.9, 0.9]], [[0.2, 0.1]]], np.float32)
    assert build(codes)[1].rows[-1].tolist() == [1, -1, -1]


def test_empty_tables_have_no_exemplars() -> None:
    assert Exemplars.build(HashTables(3, 8), []).rows.shape == (0, 3)


def test_no_exemplar_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="1 exemplar or more, got 0"):
        Exemplars.build(HashTables(3, 8), [], most=0)


def test_fewer_codes_than_the_tables_hold_are_refused_with_the_remedy() -> None:
    codes = draw(20)
    with pytest.raises(ExemplarError, match="hold 20 codes, but 19 came: run `tsvad index RUN --redo`"):
        Exemplars.build(HashTables.build(codes), [codes[:19]])


def test_codes_of_another_network_are_refused() -> None:
    with pytest.raises(ExemplarError, match=r"of 60 keys have no bucket: .*; run `tsvad index RUN --redo`"):
        Exemplars.build(HashTables.build(draw(20)), [1 - draw(20)])


def test_a_code_that_rounding_moved_out_of_its_bucket_is_left_out() -> None:
    codes = np.full((200, 1, 2), 0.1, np.float32)
    codes[0, 0, 1], codes[1, 0, 0] = 0.5, np.nextafter(np.float32(0.5), np.float32(1))
    tables = HashTables.build(codes)
    codes[0, 0, 1] = np.nextafter(np.float32(0.5), np.float32(1))
    assert Exemplars.build(tables, [codes]).rows.tolist() == [[2, 3, 4], [1, -1, -1]]


def test_the_nearest_bucket_is_that_of_a_loop_over_tables() -> None:
    codes, asked = draw(200, bits=32), draw(100, bits=32, seed=1)
    tables, exemplars = build(codes)
    lines = by_loop(codes, 3)
    found = 0
    for code in asked:
        own = [[row for row in range(200) if key_of(codes[row, t]) == key_of(code[t])] for t in range(3)]
        far = [float(distance(code[t], centre_of(own[t], codes[:, t]))) if own[t] else np.inf for t in range(3)]
        match = nearest(tables, exemplars, code)
        if not any(own):
            assert match == Match(None, float(np.float32(32**0.5)), ())
            continue
        found += 1
        t = int(np.argmin(far))
        (line,) = (line for line in lines[tables.offsets[t] : tables.offsets[t + 1]] if line[0] in own[t])
        assert match == Match(t, far[t], tuple(row for row in line if row >= 0))
    assert 0 < found < 100


def test_the_distance_is_the_crops_score() -> None:
    tables, exemplars = build(draw(200))
    asked = draw(50, seed=1)
    matched = [nearest(tables, exemplars, code).distance for code in asked]
    assert matched == tables.scores(asked[:, None]).tolist()


def test_of_tables_as_near_the_lower_is_named() -> None:
    codes = np.full((1, 3, 4), 0.25, np.float32)
    assert nearest(*build(codes), codes[0]) == Match(0, 0.0, (0,))


def test_in_empty_tables_no_bucket_matches() -> None:
    match = nearest(HashTables(3, 4), Exemplars.build(HashTables(3, 4), []), draw(1, bits=4)[0])
    assert match == Match(None, 2.0, ())


def test_saved_exemplars_come_back(tmp_path: Path) -> None:
    tables, exemplars = build(draw(300))
    exemplars.save(tmp_path / "exemplars.safetensors")
    assert np.array_equal(Exemplars.load(tmp_path / "exemplars.safetensors", tables).rows, exemplars.rows)


def test_exemplars_of_empty_tables_survive_a_file(tmp_path: Path) -> None:
    tables = HashTables(3, 8)
    Exemplars.build(tables, []).save(tmp_path / "exemplars.safetensors")
    assert Exemplars.load(tmp_path / "exemplars.safetensors", tables).rows.shape == (0, 3)


def test_exemplars_of_other_tables_are_refused_with_the_remedy(tmp_path: Path) -> None:
    build(draw(300))[1].save(tmp_path / "exemplars.safetensors")
    with pytest.raises(ExemplarError, match=r"has \d+ buckets, the tables have \d+; run `tsvad index RUN --redo`"):
        Exemplars.load(tmp_path / "exemplars.safetensors", HashTables.build(draw(100)))


@pytest.mark.parametrize("value", [-2, 20])
def test_a_row_that_was_never_indexed_is_refused(value: int, tmp_path: Path) -> None:
    tables, exemplars = build(draw(20))
    exemplars.rows[3, 0] = value
    exemplars.save(tmp_path / "exemplars.safetensors")
    with pytest.raises(ExemplarError, match=r"exemplars\.safetensors: names rows that its buckets cannot hold"):
        Exemplars.load(tmp_path / "exemplars.safetensors", tables)


def test_more_rows_than_a_bucket_holds_are_refused(tmp_path: Path) -> None:
    tables, exemplars = build(draw(20))
    exemplars.rows[np.argmin(tables.counts)] = [0, 1, 2]
    exemplars.save(tmp_path / "exemplars.safetensors")
    with pytest.raises(ExemplarError, match="names rows that its buckets cannot hold"):
        Exemplars.load(tmp_path / "exemplars.safetensors", tables)


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [(torch.zeros(4, 3), "exemplars"), (torch.zeros(4).long(), "exemplars"), (torch.zeros(4, 3).long(), "hashnet")],
)
def test_a_file_of_something_else_is_refused(tensor: torch.Tensor, kind: str, tmp_path: Path) -> None:
    save_tensors(tmp_path / "exemplars.safetensors", {"rows": tensor}, {"kind": kind})
    with pytest.raises(ExemplarError, match="does not hold exemplars; run `tsvad index RUN --redo`"):
        Exemplars.load(tmp_path / "exemplars.safetensors", HashTables(3, 8))


def test_a_lost_file_is_told_by_name_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ExemplarError, match=r"exemplars\.safetensors: no such file; .*`tsvad index RUN --redo`"):
        Exemplars.load(tmp_path / "exemplars.safetensors", HashTables(3, 8))


def test_a_cut_file_is_told_by_name_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "exemplars.safetensors"
    tables, exemplars = build(draw(300))
    exemplars.save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ExemplarError, match=r"exemplars\.safetensors: not a whole .*`tsvad index RUN --redo`"):
        Exemplars.load(path, tables)


FEATURES = FeatureSet(
    Path("training"),
    (
        VideoRows("01", 0, 13, 3),
        VideoRows("short", 39, 0, 3),
        VideoRows("02", 39, 5, 1),
        VideoRows("03", 44, 2, 4),
        VideoRows("none", 52, 0, 3),
    ),
    128,
    "float16",
    "weights",
)


def test_every_row_has_its_video_frame_and_crop() -> None:
    expected = [
        Origin(video.name, snippet, crop)
        for video in FEATURES.videos
        for snippet in range(video.snippets)
        for crop in range(video.crops)
    ]
    assert [origin(FEATURES, row) for row in range(52)] == expected


@pytest.mark.parametrize("row", [-1, 52])
def test_a_row_of_no_video_is_refused_with_the_remedy(row: int) -> None:
    with pytest.raises(ExemplarError, match=rf"training: has 52 rows, no row {row}; run `tsvad index RUN --redo`"):
        origin(FEATURES, row)


def test_the_most_central_exemplar_is_named() -> None:
    said = sentence(Match(3, 0.1234, (9, 2)), [Origin("05", 31, 2), Origin("01", 4, 0)], Snippet(8, 1, 4))
    assert said == "nearest normal: training 05, frames 31–38, crop 2 (distance 0.12, table 3)"


def test_frames_of_a_sparse_snippet_are_said_from_its_first_to_its_last() -> None:
    assert ", frames 31–87, " in sentence(Match(3, 0.1, (9,)), [Origin("05", 31, 2)], RETRIEVAL)


def test_a_snippet_of_one_frame_is_said_as_one() -> None:
    assert ", frame 31, " in sentence(Match(3, 0.1, (9,)), [Origin("05", 31, 2)], Snippet(1, 1, 0))


def test_no_bucket_is_said_in_words() -> None:
    said = sentence(Match(None, 5.66, ()), [], RETRIEVAL)
    assert said == "no bucket matched: nothing like this was seen in training"


def test_a_bucket_that_kept_no_exemplar_is_said_in_words() -> None:
    said = sentence(Match(3, 0.1, ()), [], RETRIEVAL)
    assert said == "nearest normal: a bucket without exemplars (distance 0.10, table 3)"
