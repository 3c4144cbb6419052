"""Exemplars: the code that a loop over every bucket would pick, kept by key, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from twostream_vad.retrieval.exemplars import STRIP, Exemplar, ExemplarError, Exemplars, Match, Place, sentence
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.video.views import Views

Codes = NDArray[np.float32]
SPAN = 7
AT = Place(77, 8, Views(128))


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


def places(count: int) -> NDArray[np.int64]:
    """Row r: video r % 2, frame r, crop 0."""
    rows = np.arange(count)
    return np.stack([rows % 2, rows, np.zeros_like(rows)], axis=1)


def build(codes: Codes, size: int = 1000) -> tuple[HashTables, Exemplars]:
    tables = HashTables.build(codes)
    return tables, Exemplars.build(tables, in_chunks(codes, size), places(len(codes)), ("a", "b"))


def pictured(exemplars: Exemplars, total: int = 100) -> Exemplars:
    return exemplars.illustrated(lambda video, frame: f"{video}{frame}".encode(), SPAN, total)


def by_loop(codes: Codes) -> dict[tuple[int, int], int]:
    """Table and key of every bucket → the row nearest its centre, the lower of two as near."""
    found = {}
    for t in range(codes.shape[1]):
        buckets: dict[int, list[int]] = {}
        for row, code in enumerate(codes[:, t]):
            buckets.setdefault(sum(1 << i for i, value in enumerate(code) if value > 0.5), []).append(row)
        for key, held in buckets.items():
            centre = np.mean(codes[held, t].astype(np.float64), axis=0).astype(np.float32)
            gaps = centre - codes[held, t]
            near = np.sqrt(np.einsum("ij,ij->i", gaps, gaps))
            found[t, key] = held[int(np.argmin(near))]
    return found


def rows(exemplars: Exemplars) -> dict[tuple[int, int], int]:
    keys = zip(exemplars.tables.tolist(), exemplars.keys.tolist(), strict=True)
    return dict(zip(keys, exemplars.places[:, 1].tolist(), strict=True))


@pytest.mark.parametrize("bits", [1, 7, 32, 64])
@pytest.mark.parametrize("size", [1, 7, 99, 1000])
def test_exemplars_are_the_code_nearest_each_centre(bits: int, size: int) -> None:
    codes = draw(300, bits=bits)
    assert rows(build(codes, size)[1]) == by_loop(codes)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_of_codes_as_near_the_one_that_came_first_is_kept(size: int) -> None:
    codes = draw(300, distinct=40)
    assert rows(build(codes, size)[1]) == by_loop(codes)


def test_empty_tables_have_no_exemplars() -> None:
    found = Exemplars.build(HashTables(3, 8), [], places(0), ())
    assert (len(found.keys), found.of(0, 0)) == (0, None)


def test_fewer_codes_than_places_are_refused_with_the_remedy() -> None:
    codes = draw(20)
    with pytest.raises(ExemplarError, match="20 codes are known, but 19 came: run `tsvad index RUN --redo`"):
        Exemplars.build(HashTables.build(codes), [codes[:19]], places(20), ("a", "b"))


def test_codes_of_other_tables_are_refused_with_the_remedy() -> None:
    codes, others = draw(50), draw(50, seed=1)[:, ::-1]
    with pytest.raises(ExemplarError, match="not the tables' codes; run `tsvad index RUN --redo`"):
        Exemplars.build(HashTables.build(codes), [others], places(50), ("a", "b"))


def test_a_strip_shows_the_snippet_from_first_to_last() -> None:
    codes = draw(60)
    tables, bare = build(codes)
    seen = pictured(bare).of(0, int(tables.keys[0]))
    assert seen is not None
    assert seen.video == "ab"[seen.frame % 2]
    assert seen.strip == tuple(f"{seen.video}{seen.frame + place}".encode() for place in (0, 2, 5, 7))


def test_pictures_that_several_share_are_kept_once() -> None:
    exemplars = pictured(build(draw(60))[1])
    jpegs = [exemplars._picture(place) for place in range(len(exemplars.ends))]
    assert len(set(jpegs)) == len(jpegs) < STRIP * len(exemplars.keys)


def test_of_long_video_fewer_pictures_are_kept() -> None:
    exemplars = pictured(build(draw(60))[1], total=80_000)
    frames = {int(exemplars._picture(place)[1:]) for place in range(len(exemplars.ends))}
    assert {frame % 10 for frame in frames} == {0}


def test_tables_that_grow_still_explain() -> None:
    first, second = draw(60), draw(60, seed=1)
    tables, exemplars = build(first)
    exemplars = pictured(exemplars)
    before = rows(exemplars)
    tables.add(second)
    more = Exemplars.build(tables, [second], places(60), ("c", "d"))
    merged = exemplars.merge(pictured(more))
    assert set(rows(merged)) == {
        (t, key) for t in range(3) for key in tables.keys[tables.offsets[t] : tables.offsets[t + 1]].tolist()
    }
    for (table, key), row in before.items():
        seen = merged.of(table, key)
        assert seen is not None
        assert seen.strip[0] == f"{seen.video}{seen.frame}".encode()
        assert seen.video in "cd" or seen.frame == row


def test_of_a_bucket_that_both_have_the_nearer_exemplar_stays() -> None:
    codes = draw(60)
    exemplars = build(codes)[1]
    assert rows(exemplars.merge(exemplars)) == rows(exemplars)
    assert exemplars.merge(exemplars).places[:, 0].max() == 1  # the first's


def test_the_nearest_bucket_names_its_exemplar() -> None:
    codes = draw(300)
    tables, exemplars = build(codes)
    for code in draw(20, seed=5):
        match = exemplars.nearest(tables, code)
        assert match.distance == tables.scores(code[None, None])[0]
        if match.table is None:
            assert match.distance == np.float32(np.sqrt(8))
            assert match.exemplar is None
            continue
        bucket = int(tables.find(code[None])[0][0, match.table])
        assert match.exemplar is not None
        assert match.exemplar.frame == by_loop(codes)[match.table, int(tables.keys[bucket])]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (Match(None, 5.6), "no bucket matched: nothing like this was seen in training"),
        (Match(2, 0.5), "nearest normal: a bucket without an exemplar (distance 0.50, table 2)"),
        (
            Match(1, 0.25, Exemplar("03", 40, 2)),
            "nearest normal: training 03, frames 40–47, crop 2 (distance 0.25, table 1)",
        ),
    ],
)
def test_what_was_nearest_is_said(match: Match, said: str) -> None:
    assert sentence(match, SPAN) == said


def test_saved_exemplars_come_back(tmp_path: Path) -> None:
    exemplars = pictured(build(draw(60))[1])
    exemplars.save(tmp_path / "exemplars.safetensors")
    loaded = Exemplars.load(tmp_path / "exemplars.safetensors")
    assert (loaded.videos, rows(loaded)) == (("a", "b"), rows(exemplars))
    first = int(loaded.keys[0]), int(loaded.tables[0])
    assert loaded.of(first[1], first[0]) == exemplars.of(first[1], first[0])


def test_no_file_and_no_exemplars_are_refused_by_file(tmp_path: Path) -> None:
    path = tmp_path / "exemplars.safetensors"
    with pytest.raises(ExemplarError, match=r"exemplars\.safetensors: not exemplars"):
        Exemplars.load(path)
    save_file({"rows": np.zeros((3, 3), np.int64)}, path, {"kind": "exemplars"})
    with pytest.raises(ExemplarError, match=r"exemplars\.safetensors: not exemplars .*tsvad index RUN --redo"):
        Exemplars.load(path)


@pytest.mark.parametrize("what", ["keys", "places", "strips", "ends", "distances"])
def test_altered_exemplars_are_refused_by_file(what: str, tmp_path: Path) -> None:
    path, exemplars = tmp_path / "exemplars.safetensors", pictured(build(draw(60))[1])
    altered = {
        "keys": exemplars.keys[::-1].copy(),
        "places": exemplars.places + 5,
        "strips": exemplars.strips + 10_000,
        "ends": exemplars.ends[::-1].copy(),
        "distances": exemplars.distances[1:],
    }
    object.__setattr__(exemplars, what, altered[what])
    exemplars.save(path)
    with pytest.raises(ExemplarError, match=r"exemplars\.safetensors: is altered"):
        Exemplars.load(path)


def test_centres_are_explained_by_their_first_feature_in_any_order() -> None:
    where = np.array([[1, 5, 2], [0, 3, 1]])
    found = pictured(Exemplars.of_centres(np.array([90, 7]), where, ("a", "b")))
    strip = tuple(f"a{frame}".encode() for frame in (3, 5, 8, 10))
    assert found.of(0, 7) == Exemplar("a", 3, 1, strip)
    assert found.of(0, 90) == Exemplar("b", 5, 2, tuple(f"b{frame}".encode() for frame in (5, 7, 10, 12)))
    assert found.of(0, 8) is None


@pytest.mark.parametrize("kept", [(4, 9), (), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)])
def test_exemplars_of_forgotten_centres_go_with_their_pictures(kept: tuple[int, ...]) -> None:
    rows = np.arange(10)
    whole = pictured(Exemplars.of_centres(rows, np.stack([rows % 2, 20 * rows, rows], axis=1), ("a", "b")))
    found = whole.kept(np.array(kept, np.int64))
    assert [found.of(0, row) for row in range(10)] == [whole.of(0, row) if row in kept else None for row in range(10)]
    assert len(found.ends) == STRIP * len(kept)
    assert found._fault() == ""


def test_exemplars_without_pictures_can_be_forgotten_too() -> None:
    rows = np.arange(4)
    found = Exemplars.of_centres(rows, np.zeros((4, 3), np.int64), ("a",)).kept(rows[1:3])
    assert [found.of(0, row) for row in range(4)] == [None, Exemplar("a", 0, 0), Exemplar("a", 0, 0), None]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        (
            Match(0, 1.234, Exemplar("a", 3, 77), AT),
            "nearest normal at that place: training a, frames 3–10 (distance 1.23)",
        ),
        (Match(0, 1.234, None, AT), "nearest normal: a centre without an exemplar (distance 1.23)"),
        (Match(None, np.inf, None, AT), "nothing is known: nothing like this was seen in training"),
    ],
)
def test_a_sentence_by_place_names_no_table_and_no_crop(match: Match, said: str) -> None:
    assert sentence(match, SPAN) == said
