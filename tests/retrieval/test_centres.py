"""Centres in feature space: what comparing every feature with every centre of its place would answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from twostream_vad.retrieval import centres as module
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.keys import Keys
from twostream_vad.retrieval.tables import TableError

Features = NDArray[np.float32]
Places = NDArray[np.int64]


def draw(count: int, seed: int = 0, places: int = 2, values: int = 12) -> tuple[Features, Places]:
    """Thirty clusters, those of each place around a mean of its own."""
    rng = np.random.default_rng(seed)
    clusters = np.random.default_rng(99).normal(0, 2, (30, values))
    at = rng.integers(places, size=count)
    features = clusters[rng.integers(30, size=count)] + 3 * at[:, None] + rng.normal(0, 0.2, (count, values))
    return features.astype(np.float32), at


def by_loop(held: Features, held_at: Places, asked: Features, at: Places) -> tuple[list[int], list[float]]:
    """Nearest of every feature among those of its place, one by one; -1 and infinity where there is none."""
    rows, distances = [], []
    for feature, place in zip(asked, at, strict=True):
        own = np.flatnonzero(held_at == place)
        apart = np.linalg.norm(held[own] - feature, axis=1)
        rows.append(int(own[apart.argmin()]) if len(own) else -1)
        distances.append(float(apart.min()) if len(own) else np.inf)
    return rows, distances


def test_few_places_are_searched_wider() -> None:
    few, many = (
        Centres.build(np.random.default_rng(0).standard_normal((256, 8)).astype(np.float32), np.arange(256) % places)
        for places in (4, 128)
    )
    assert (few.reach, many.reach) == (8, 4)


def test_a_reach_over_everything_finds_the_nearest_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFINED", 100)
    held, held_at = draw(100)
    asked, at = draw(60, seed=1)
    built = Centres.build(held, held_at)
    built.reach = 100
    found, distances = built.find(asked, at)
    rows, expected = by_loop(held, held_at, asked, at)
    assert found.tolist() == rows
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_hashed_look_up_is_close_to_comparing_all() -> None:
    held, held_at = draw(3000, values=40)
    asked, at = draw(300, seed=1, values=40)
    _, distances = Centres.build(held, held_at).find(asked, at)
    exact = np.array(by_loop(held, held_at, asked, at)[1])
    assert (distances > exact - 1e-4).all()
    assert distances.mean() < 1.1 * exact.mean()
    everything_else = np.linalg.norm(asked - held[:300], axis=1).mean()
    assert everything_else > 5 * exact.mean()  # what is found is no chance neighbour


def test_what_was_put_in_is_found_at_no_distance_with_its_number() -> None:
    held, at = draw(500)
    built = Centres.build(held, at)
    found, distances = built.find(held, at)
    np.testing.assert_array_equal(distances, 0)
    np.testing.assert_array_equal(built.rows[found], np.arange(500))


def test_no_look_up_is_empty_where_the_place_holds_anything() -> None:
    held, at = draw(300)
    built = Centres.build(held[at == 1], at[at == 1])
    far = np.full((4, 12), 1e3, np.float32)
    found, distances = built.find(far, np.array([1, 0, 1, 0]))
    assert (found >= 0).tolist() == [True, False, True, False]
    assert np.isinf(distances).tolist() == [False, True, False, True]


def test_places_do_not_see_each_other() -> None:
    held, at = draw(300)
    built = Centres.build(held, at)
    found, distances = built.find(held, 1 - at)
    assert (built.places[found] == 1 - at).all()
    assert distances.min() > 0


def test_equal_features_become_one_centre_that_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 50)
    five = draw(5, places=1)[0]
    built = Centres.build(np.tile(five, (100, 1)), np.zeros(500, np.int64), limit=20)
    assert len(built) <= 20
    assert built.counts.sum() == 500
    assert {tuple(mean) for mean in built.means.round(4)} == {tuple(row) for row in five.round(4)}


@pytest.mark.parametrize("block", [64, 1000])
def test_merging_keeps_the_limit_the_count_and_the_mean_of_all(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    held, at = draw(2000)
    built = Centres.build(held, at, limit=150)
    assert len(built) <= 150
    assert built.counts.sum() == built.added == 2000
    for place in range(2):
        own = built.places == place
        mean = np.average(built.means[own].astype(np.float64), axis=0, weights=built.counts[own])
        np.testing.assert_allclose(mean, held[at == place].mean(axis=0, dtype=np.float64), atol=1e-4)
    assert (built.rows <= built.seen).all()
    assert (at[built.rows] == built.places).all()


def test_merging_costs_a_query_little_where_features_come_in_clusters() -> None:
    held, at = draw(2000)
    asked, asked_at = draw(200, seed=1)
    built = Centres.build(held, at, limit=300)  # 60 clusters
    assert 0 < built.radius < 0.5
    exact = np.array(by_loop(held, at, asked, asked_at)[1])
    assert np.abs(built.find(asked, asked_at)[1] - exact).max() < 1


def test_the_nearest_pair_is_merged_first_and_by_weight() -> None:
    line = np.array([[0.0], [10.0], [11.0], [30.0], [50.0]], np.float32)
    built = Centres(Keys.fit(line, np.zeros(5, np.int64)), limit=4)
    built.add(line, np.zeros(5, np.int64))
    np.testing.assert_allclose(built.means.ravel(), [7, 30, 50], rtol=1e-6)  # 10 and 11, then 0 with these two
    assert built.counts.tolist() == [3, 1, 1]
    assert built.radius == pytest.approx(10.5 / line.std())


def test_centres_of_different_places_are_never_merged() -> None:
    alone = np.arange(12, dtype=np.float32).reshape(6, 2)
    built = Centres.build(alone, np.arange(6), limit=4)
    assert built.radius == 0
    assert built.places.tolist() == [3, 4, 5]  # forgotten, the longest unseen first


def test_what_comes_later_goes_into_a_centre_within_the_radius() -> None:
    line = np.array([[0.0], [0.1], [20.0], [20.1], [60.0]], np.float32)
    built = Centres(Keys.fit(line, np.zeros(5, np.int64)), limit=4)
    built.add(line, np.zeros(5, np.int64))
    built.add(np.array([[0.05], [0.11], [0.05], [70.0]], np.float32), np.zeros(4, np.int64))
    first = int(built.means[:, 0].argmin())
    assert (built.counts[first], built.seen[first], built.rows[first]) == (5, 7, 0)
    assert built.means[first, 0] == pytest.approx((0 + 0.1 + 0.05 + 0.11 + 0.05) / 5)
    assert 70 in built.means


def test_a_still_place_keeps_its_grain() -> None:
    rng = np.random.default_rng(0)
    at = np.arange(400) % 2
    held = (rng.normal(size=(400, 12)) * np.where(at == 0, 1, 0.01)[:, None]).astype(np.float32)
    built = Centres.build(held, at, limit=300)
    assert 0.6 < (built.places == 0).sum() / (built.places == 1).sum() < 1.6


def test_portions_of_a_query_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    held, at = draw(500)
    asked, asked_at = draw(100, seed=1)
    built = Centres.build(held, at)
    whole = built.find(asked, asked_at)
    monkeypatch.setattr(module, "CHUNK", 7)
    for one, other in zip(built.find(asked, asked_at), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_file_loads_as_it_was_and_goes_on_the_same(tmp_path: Path) -> None:
    held, at = draw(800)
    built = Centres.build(held, at, limit=300)
    built.save(tmp_path / "centres.safetensors")
    loaded = Centres.load(tmp_path / "centres.safetensors")
    asked = draw(500, seed=1)
    for centres in (built, loaded):
        centres.add(*asked)
    assert (loaded.radius, loaded.added, loaded.limit) == (built.radius, 1300, 300)
    for one, other in zip(loaded.find(*draw(50, seed=2)), built.find(*draw(50, seed=2)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_centres_of_nothing_answer_nothing_and_survive_a_file(tmp_path: Path) -> None:
    held, at = draw(20)
    Centres(Keys.fit(held, at)).save(tmp_path / "centres.safetensors")
    found, distances = Centres.load(tmp_path / "centres.safetensors").find(held, at)
    assert (found == -1).all()
    assert np.isinf(distances).all()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x, at: (x[:, :5], at), "must be .features, 12 values"),
        (lambda x, at: (x, at[1:]), "a place each"),
        (lambda x, at: (x, at + 1), "places must be 0 to 1"),
        (lambda x, at: (np.where(np.arange(len(x))[:, None] == 3, np.nan, x), at), "feature 3 has a value"),
    ],
)
def test_features_that_cannot_be_looked_up_are_refused(change: Callable[..., Any], fault: str) -> None:
    held, at = draw(50)
    built = Centres.build(held, at)
    for act in (built.find, built.add):
        with pytest.raises(TableError, match=fault):
            act(*change(held, at))
    assert len(built) == 50


def test_a_cut_file_is_refused_with_its_name_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "centres.safetensors"
    Centres.build(*draw(100)).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TableError, match=r"centres\.safetensors .*index the training features again"):
        Centres.load(path)


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("means", lambda a: a[:, 1:], "shapes"),
        ("means", lambda a: a * np.float32(np.nan), "not finite"),
        ("mixes", lambda a: a[:, 1:], "shapes"),
        ("medians", lambda a: a[:, 0], "shapes"),
        ("medians", lambda a: a[:1], "shapes"),
        ("spreads", lambda a: a * 0, "spread"),
        ("normal", lambda a: a * 0, "not positive"),
        ("normal", lambda a: a[1:], "shapes"),
        ("counts", lambda a: a * 0, "not positive"),
        ("seen", lambda a: a + 1, "rows are not"),
        ("rows", lambda a: a + 1, "rows are not"),
        ("places", lambda a: a - 1, "no keys"),
        ("places", lambda a: a.astype(np.int32), "exactly"),
    ],
)
def test_an_altered_array_is_refused(tmp_path: Path, name: str, change: Callable[..., Any], fault: str) -> None:
    path = tmp_path / "centres.safetensors"
    Centres.build(*draw(100)).save(path)
    with safe_open(path, framework="numpy") as file:
        state = file.metadata()
    arrays = load_file(path)
    save_file(arrays | {name: np.ascontiguousarray(change(arrays[name]))}, path, state)
    with pytest.raises(TableError, match=fault):
        Centres.load(path)


@pytest.mark.parametrize(
    "state", [{"version": "1"}, {"format": "x"}, {"limit": "1"}, {"limit": "99"}, {"radius": "nan"}, {"added": ""}]
)
def test_foreign_or_altered_metadata_is_refused(tmp_path: Path, state: dict[str, str]) -> None:
    path = tmp_path / "centres.safetensors"
    Centres.build(*draw(100)).save(path)
    with safe_open(path, framework="numpy") as file:
        held = file.metadata()
    save_file(load_file(path), path, held | state)
    with pytest.raises(TableError, match="index the training features again"):
        Centres.load(path)


def two(limit: int = 1000) -> tuple[Centres, Centres]:
    """Centres of two videos, of the same keys."""
    (held, at), (other, other_at) = draw(200), draw(150, seed=1)
    keys = Keys.fit(held, at)
    first, second = Centres(keys, limit), Centres(keys, limit)
    first.add(held, at)
    second.add(other, other_at)
    return first, second


def test_merged_centres_answer_as_if_all_had_been_added_to_one() -> None:
    first, second = two()
    merged = first.merge(second)
    first.add(*draw(150, seed=1))
    asked = draw(80, seed=2)
    for one, other in zip(merged.find(*asked), first.find(*asked), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (merged.rows.tolist(), merged.added) == (list(range(350)), 350)


def test_a_merge_leaves_both_as_they_were() -> None:
    first, second = two(limit=100)
    before = [(each.means.copy(), each.counts.copy(), each.added) for each in (first, second)]
    first.merge(second)
    for each, (means, counts, added) in zip((first, second), before, strict=True):
        np.testing.assert_array_equal(each.means, means)
        np.testing.assert_array_equal(each.counts, counts)
        assert each.added == added


@pytest.mark.parametrize("limit", [100, 1000])
def test_centres_merged_with_themselves_count_double(limit: int) -> None:
    first = two(limit)[0]
    both = first.merge(first)
    np.testing.assert_allclose(both.means, first.means, atol=1e-6)
    np.testing.assert_array_equal(both.counts, 2 * first.counts)
    np.testing.assert_array_equal(both.rows, first.rows)
    np.testing.assert_array_equal(both.seen, first.seen + 200)


def test_a_merge_keeps_the_limit_the_count_and_the_mean_of_all() -> None:
    first, second = two(limit=100)
    merged = first.merge(second)
    assert len(merged) <= 100
    assert merged.counts.sum() == merged.added == 350
    assert merged.radius >= max(first.radius, second.radius) > 0
    (held, held_at), (more, more_at) = draw(200), draw(150, seed=1)
    features, at = np.concatenate([held, more]), np.concatenate([held_at, more_at])
    for place in range(2):
        own = merged.places == place
        mean = np.average(merged.means[own].astype(np.float64), axis=0, weights=merged.counts[own])
        np.testing.assert_allclose(mean, features[at == place].mean(axis=0, dtype=np.float64), atol=1e-4)
    assert (merged.rows <= merged.seen).all()
    assert (at[merged.rows] == merged.places).all()


def test_centres_of_other_keys_are_not_merged() -> None:
    first, other = Centres.build(*draw(50)), Centres.build(*draw(50), seed=1)
    with pytest.raises(TableError, match="build both from one fit"):
        first.merge(other)
