"""Hash keys of features: bits by loops, places, and prefixes that tell nearness."""

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.retrieval.keys import BITS, SKETCH, Keys


def draw(count: int, values: int = 40, places: int = 3, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features that vary most along the first values, each place around a mean of its own."""
    rng = np.random.default_rng(seed)
    at = rng.integers(places, size=count)
    means = np.random.default_rng(99).normal(0, 5, (places, values))
    spread = rng.normal(size=(count, values)) * np.linspace(3, 0.1, values)
    return (means[at] + spread).astype(np.float32), at


def test_a_key_is_its_place_and_then_the_sides_of_its_places_medians() -> None:
    features, places = draw(200)
    keys = Keys.fit(features, places, tables=2)
    made = keys.keys(features, places)
    sides = features @ keys.mixes
    for row in range(0, 200, 7):
        for table in range(2):
            bits = range(table * BITS, (table + 1) * BITS)
            expected = int(places[row])
            for bit in bits:
                expected = expected << 1 | int(sides[row, bit] > np.median(sides[places == places[row], bit]))
            differing = int(made[table, row]) ^ expected
            assert differing.bit_count() <= 1  # the median itself may fall on either side by rounding


def test_every_bit_halves_what_is_normal_at_a_place() -> None:
    features, places = draw(600)
    keys = Keys.fit(features, places)
    on = features @ keys.mixes > keys.medians[places]
    for place in range(3):
        np.testing.assert_allclose(on[places == place].mean(axis=0), 0.5, atol=0.02)


def test_mixes_lie_in_the_directions_of_most_variance_within_a_place() -> None:
    features, places = draw(3000, values=80)
    centred = features - np.stack([features[places == place].mean(axis=0) for place in range(3)])[places]
    leading = np.linalg.svd(centred, full_matrices=False)[2][:SKETCH]  # an independent decomposition
    found = Keys.fit(features, places).directions
    np.testing.assert_allclose(np.linalg.norm(leading[:8] @ found, axis=1), 1, atol=0.02)
    np.testing.assert_allclose(found.T @ found, np.eye(SKETCH), atol=1e-5)


def test_spreads_are_the_root_mean_square_distance_to_the_places_mean() -> None:
    features, places = draw(500)
    expected = [np.sqrt(features[places == place].var(axis=0).sum()) for place in range(3)]
    np.testing.assert_allclose(Keys.fit(features, places).spreads, expected, rtol=1e-5)


def test_sketches_are_never_farther_apart_than_their_features() -> None:
    features, places = draw(60)
    sketches = Keys.fit(features, places).sketches(features)
    apart = np.linalg.norm(features[:, None] - features, axis=-1)
    assert (np.linalg.norm(sketches[:, None] - sketches, axis=-1) <= apart + 1e-3).all()
    np.testing.assert_allclose(np.linalg.norm(sketches, axis=1), np.linalg.norm(features, axis=1), rtol=1e-4)


def test_a_seed_gives_the_same_keys_and_another_gives_others() -> None:
    features, places = draw(100)
    one, again, other = (Keys.fit(features, places, seed=seed).mixes for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_fewer_values_than_directions_make_keys_too() -> None:
    features, places = draw(50, values=4)
    keys = Keys.fit(features, places)
    assert keys.sketches(features).shape == (50, 5)
    assert keys.keys(features, places).shape == (8, 50)


def test_keys_of_nothing_or_of_places_below_0_are_refused() -> None:
    features, places = draw(10)
    for held, at in ((features[:0], places[:0]), (features, places - 5)):
        with pytest.raises(ValueError, match="keys need features, and places from 0"):
            Keys.fit(held, at)


def test_keys_are_the_same_only_where_all_of_them_are() -> None:
    features, places = draw(100)
    one, again, other = (Keys.fit(features, places, seed=seed) for seed in (1, 1, 2))
    assert one.same(again)
    assert not one.same(other)
    assert not one.same(Keys.fit(features, places * 2, seed=1))
