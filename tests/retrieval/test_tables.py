"""Hash tables: what one dict a table, filled code by code, would hold and answer."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from twostream_vad.retrieval import tables as module
from twostream_vad.retrieval.tables import Bucket, HashTables

Codes = NDArray[np.float32]


def draw(count: int, tables: int = 3, bits: int = 8, seed: int = 0) -> Codes:
    """Clustered codes, so that buckets hold many and some keys come once."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).random((10, tables, bits))
    codes = centres[rng.integers(0, 10, count)] + rng.normal(0, 0.05, (count, tables, bits))
    return np.clip(codes, 0.001, 0.999).astype(np.float32)


def by_loop(codes: Codes) -> list[dict[int, list[NDArray[np.float64]]]]:
    """Every table as a dict: key -> the codes that fell there."""
    tables: list[dict[int, list[NDArray[np.float64]]]] = [{} for _ in range(codes.shape[1])]
    for code in codes:
        for t, row in enumerate(code):
            key = sum(1 << i for i, value in enumerate(row) if value > 0.5)
            tables[t].setdefault(key, []).append(row.astype(np.float64))
    return tables


def assert_same(a: HashTables, b: HashTables) -> None:
    np.testing.assert_array_equal(a.offsets, b.offsets)
    np.testing.assert_array_equal(a.keys, b.keys)
    np.testing.assert_array_equal(a.counts, b.counts)
    np.testing.assert_allclose(a.centres, b.centres, rtol=0, atol=1e-7)


@pytest.mark.parametrize("bits", [1, 7, 8, 13, 32, 33, 64])
def test_buckets_are_those_of_dicts_filled_code_by_code(bits: int) -> None:
    codes = draw(300, bits=bits)
    built = HashTables.build(codes)
    for t, expected in enumerate(by_loop(codes)):
        own = slice(built.offsets[t], built.offsets[t + 1])
        assert built.keys[own].tolist() == sorted(expected)
        assert built.counts[own].tolist() == [len(expected[key]) for key in sorted(expected)]
        means = [np.mean(expected[key], axis=0) for key in sorted(expected)]
        np.testing.assert_allclose(built.centres[own], means, atol=1e-7)


@pytest.mark.parametrize("bits", [7, 32, 40])
def test_query_is_the_distance_to_the_buckets_mean(bits: int) -> None:
    built, asked = HashTables.build(draw(200, bits=bits)), draw(200, bits=bits, seed=1)
    held = by_loop(draw(200, bits=bits))
    expected = np.full((200, 3), bits**0.5)
    for i, code in enumerate(asked):
        for t, row in enumerate(code):
            (key,) = by_loop(row[None, None])[0]
            if key in held[t]:
                expected[i, t] = np.linalg.norm(row - np.mean(held[t][key], axis=0))
    assert 0 < (expected == bits**0.5).sum() < expected.size
    np.testing.assert_allclose(built.query(asked), expected, atol=1e-6)


def test_find_names_the_bucket_of_each_code_and_its_distance() -> None:
    built, asked = HashTables.build(draw(200)), draw(200, seed=1)
    buckets, distances = built.find(asked)
    for i, code in enumerate(asked):
        for t, held in enumerate(by_loop(code[None])):
            own = slice(built.offsets[t], built.offsets[t + 1])
            rows = np.flatnonzero(np.isin(built.keys[own], list(held))) + built.offsets[t]
            assert [buckets[i, t]] == (rows.tolist() or [-1])
    assert 0 < (buckets < 0).sum() < buckets.size
    np.testing.assert_array_equal(distances, built.query(asked))


def test_work_in_small_portions_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, asked = draw(500), draw(100, seed=1)
    whole = HashTables.build(codes)
    distances = whole.query(asked)
    monkeypatch.setattr("twostream_vad.retrieval.buckets.CHUNK", 16)
    monkeypatch.setattr("twostream_vad.retrieval.buckets.ROWS", 7)
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "PART", 64)
    portions = HashTables.build(codes)
    assert_same(portions, whole)
    np.testing.assert_array_equal(portions.query(asked), distances)


def test_a_bit_is_on_above_one_half_only() -> None:
    codes = np.array([[[0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1.0, 0.0]]], np.float32)
    assert HashTables.build(codes).keys.tolist() == [0b0110]


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_adding_later_gives_the_tables_of_building_at_once(chunk: int) -> None:
    codes = draw(300)
    grown = HashTables(3, 8)
    for start in range(0, 300, chunk):
        grown.add(codes[start : start + chunk])
    assert grown.codes == 300
    assert_same(grown, HashTables.build(codes))


def test_adding_after_a_query_counts_in_the_next_query() -> None:
    codes, asked = draw(300), draw(50, seed=1)
    grown = HashTables.build(codes[:100])
    grown.query(asked)
    grown.add(codes[100:])
    np.testing.assert_allclose(grown.query(asked), HashTables.build(codes).query(asked), atol=1e-6)


def test_many_small_additions_leave_few_parts_to_merge() -> None:
    grown = HashTables(3, 8)
    for code in draw(300):
        grown.add(code[None])
    assert len(grown._parts) <= 3 * module.FAN  # log8(300) levels


def test_merging_two_halves_gives_the_tables_of_the_whole() -> None:
    codes = draw(301)
    first, second = HashTables.build(codes[:150]), HashTables.build(codes[150:])
    assert_same(first.merge(second), HashTables.build(codes))
    assert first.codes == 150


def test_merging_different_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match="3 tables of 8 bits with 3 of 9"):
        HashTables(3, 8).merge(HashTables(3, 9))


def test_order_of_codes_changes_no_table() -> None:
    codes = draw(300)
    assert_same(HashTables.build(codes[::-1]), HashTables.build(codes))


def test_scores_are_the_least_distance_over_tables_averaged_over_crops() -> None:
    built, asked = HashTables.build(draw(200)), draw(12, seed=1)
    expected = built.query(asked).min(axis=1).reshape(4, 3).mean(axis=1)
    np.testing.assert_allclose(built.scores(asked.reshape(4, 3, 3, 8)), expected)


def test_empty_tables_are_far_from_everything() -> None:
    np.testing.assert_allclose(HashTables(3, 8).query(draw(5)), 8**0.5)


def test_no_codes_give_no_distances() -> None:
    assert HashTables.build(draw(5)).query(draw(0)).shape == (0, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_a_code_outside_the_unit_interval_is_refused_by_place(value: float) -> None:
    codes = draw(10)
    codes[7, 2, 5] = value
    built = HashTables.build(draw(5))
    for act in (built.add, built.query):
        with pytest.raises(ValueError, match=r"code 7 has .* at table 2, bit 5"):
            act(codes)
    assert built.codes == 5


def test_a_bad_code_is_counted_over_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 4)
    codes = draw(10)
    codes[7] = np.nan
    with pytest.raises(ValueError, match="code 7 has"):
        HashTables.build(codes)


def test_codes_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 tables, 8 bits\), got shape \(4, 3, 9\)"):
        HashTables.build(draw(5)).query(draw(4, bits=9))


@pytest.mark.parametrize(("tables", "bits"), [(0, 8), (3, 0), (3, 65)])
def test_impossible_sizes_are_refused(tables: int, bits: int) -> None:
    with pytest.raises(ValueError, match="1 to 64 bits"):
        HashTables(tables, bits)


def test_summary_names_the_fullest_and_the_emptiest() -> None:
    codes = np.zeros((6, 1, 2), np.float32)
    codes[1:3, 0, 0] = 1  # key 1 twice
    codes[3:, 0] = 1  # key 3 three times; key 0 once
    (summary,) = HashTables.build(codes).summary(show=2)
    assert summary.buckets == 3
    assert summary.fullest == (Bucket(key=3, count=3), Bucket(key=1, count=2))
    assert summary.emptiest == (Bucket(key=0, count=1), Bucket(key=1, count=2))


def test_a_saved_file_loads_as_it_was(tmp_path: Path) -> None:
    built, path = HashTables.build(draw(300)), tmp_path / "tables.safetensors"
    built.save(path)
    loaded = HashTables.load(path)
    assert (loaded.tables, loaded.bits, loaded.codes) == (3, 8, 300)
    np.testing.assert_array_equal(loaded.query(draw(50, seed=1)), built.query(draw(50, seed=1)))
    assert [file.name for file in tmp_path.iterdir()] == ["tables.safetensors"]


def test_empty_tables_survive_a_file(tmp_path: Path) -> None:
    HashTables(3, 8).save(tmp_path / "tables.safetensors")
    assert HashTables.load(tmp_path / "tables.safetensors").codes == 0


def test_a_cut_file_is_refused_with_its_name_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "tables.safetensors"
    HashTables.build(draw(300)).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"tables\.safetensors .*index the training features again"):
        HashTables.load(path)


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("keys", lambda a: a[::-1], "not sorted"),
        ("counts", lambda a: a * 0, "not positive"),
        ("counts", lambda a: a + np.arange(len(a)), "different numbers"),
        ("sums", lambda a: a * np.nan, "within 0 and 1"),
        ("sums", lambda a: a + 1e6, "within 0 and 1"),
        ("sums", lambda a: a[:, ::-1], "does not fit its key"),
        ("sums", lambda a: a[1:], "sums must be"),
        ("offsets", lambda a: a[::-1], "offsets"),
        ("offsets", lambda a: a[1:], "shapes"),
        ("offsets", lambda a: a.astype(np.float64), "exactly"),
    ],
)
def test_an_altered_array_is_refused(tmp_path: Path, name: str, change: object, fault: str) -> None:
    assert callable(change)
    path = tmp_path / "tables.safetensors"
    HashTables.build(draw(300)).save(path)
    arrays = load_file(path)
    arrays[name] = np.ascontiguousarray(change(arrays[name]))
    save_file(arrays, path, {"format": module.FORMAT, "version": "1", "tables": "3", "bits": "8"})
    with pytest.raises(ValueError, match=fault):
        HashTables.load(path)


@pytest.mark.parametrize("metadata", [{"version": "2"}, {"format": "x"}, {"bits": "-8"}, {"bits": "65"}])
def test_foreign_metadata_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "tables.safetensors"
    HashTables.build(draw(30)).save(path)
    own = {"format": module.FORMAT, "version": "1", "tables": "3", "bits": "8"}
    save_file(load_file(path), path, own | metadata)
    with pytest.raises(ValueError, match="index the training features again"):
        HashTables.load(path)
