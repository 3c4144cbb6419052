"""An index that grows: more normal video is normal afterwards and explained; in the paper's form and by place."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import BundleError, Detector, TsvadError
from twostream_vad.detector import grow
from twostream_vad.detector.bundle import CENTRES, DESCRIPTION, EXEMPLARS, TABLES, Bundle, write_bundle
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.grow import (
    NormalVideo,
    PlaceIndex,
    open_index,
    refuse_other_nets,
    refuse_taken,
    rewrite,
)
from twostream_vad.detector.loading import retrieval_stream
from twostream_vad.detector.rawscores import untold
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.exemplars import Exemplars
from twostream_vad.retrieval.keys import Keys
from twostream_vad.retrieval.placed import PlacedStream
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.pictures import thumbnail

CLIPS, PLACES = 23, 3 * 8 * 8
"""Of the test video."""


@pytest.fixture(scope="module")
def video(plaza: Path) -> ImageFolder:
    """A test video, which the detector has not seen."""
    return ImageFolder(plaza / "testing/frames/02", rate=12.5)


def grown_of(folder: Path, video: ImageFolder, out: Path) -> Path:
    bundle = Bundle(folder)
    index = open_index(bundle)
    index.learn(retrieval_stream(bundle, TORCH), video, 12.5, untold)
    rewrite(bundle, index, out)
    return out


@pytest.fixture(scope="module")
def grown(fitted: Path, video: ImageFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fitted run's detector, to which the test video was added."""
    return grown_of(fitted, video, tmp_path_factory.mktemp("grown") / "detector")


@pytest.fixture(scope="module")
def roomy(placed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector by place with room for every further feature."""
    bundle, out = Bundle(placed), tmp_path_factory.mktemp("roomy")
    centres = Centres.load(bundle.path(CENTRES))
    centres.limit, centres.radius = 20_000, 0.0
    centres.save(out / "centres")
    files = {name: bundle.path(name) for name in bundle.hashes if name != DESCRIPTION}
    write_bundle(out / "detector", bundle.description, {**files, CENTRES: out / "centres"})
    return out / "detector"


@pytest.fixture(scope="module")
def grown_by_place(roomy: Path, video: ImageFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, to which the test video was added."""
    return grown_of(roomy, video, tmp_path_factory.mktemp("grown") / "detector")


def known(folder: Path) -> tuple[Centres, Exemplars]:
    bundle = Bundle(folder)
    return Centres.load(bundle.path(CENTRES)), Exemplars.load(bundle.path(EXEMPLARS))


def features_of(folder: Path, video: ImageFolder) -> NDArray[Any]:
    """All at once, (clips · places, values)."""
    stream = retrieval_stream(Bundle(folder), TORCH)
    clips = NormalVideo(stream, video, 12.5, untold).clips()
    return np.concatenate([stream.encoding.encode(clip)[0] for clip in clips])


def test_its_codes_are_added(fitted: Path, grown: Path) -> None:
    before, after = (HashTables.load(Bundle(folder).path(TABLES)).codes for folder in (fitted, grown))
    assert after == before + 23 * 3


def test_what_was_added_is_nearer_to_normal(fitted: Path, grown: Path, video: ImageFolder) -> None:
    before, after = (Detector.load(folder, TORCH).score(video).raw.streams["retrieval"] for folder in (fitted, grown))
    assert after.mean() < before.mean()
    assert after.max() < np.sqrt(8)  # every code has a bucket now


def test_the_other_stream_and_the_scales_stay(fitted: Path, grown: Path, video: ImageFolder) -> None:
    before, after = Detector.load(fitted, TORCH), Detector.load(grown, TORCH)
    first, second = (detector.score(video).raw.streams["recovery"] for detector in (before, after))
    np.testing.assert_array_equal(first, second)
    assert (after.scales, after.threshold) == (before.scales, before.threshold)


def test_it_explains_with_pictures_of_what_was_added(grown: Path, video: ImageFolder) -> None:
    seen = {found.frame: found.nearest for found in Detector.load(grown, TORCH).explain(video, range(7, 30))}
    videos = {match.exemplar.video for match in seen.values() if match and match.exemplar}
    assert "02" in videos
    exemplar = next(m.exemplar for m in seen.values() if m and m.exemplar and m.exemplar.video == "02")
    assert len(exemplar.strip) == 4
    assert all(picture.startswith(b"\xff\xd8") for picture in exemplar.strip)


def test_a_detector_that_is_there_is_not_replaced(fitted: Path, grown: Path) -> None:
    bundle = Bundle(fitted)
    for out in (bundle.folder, grown.parent):
        with pytest.raises(BundleError, match="is there already; choose another --out"):
            refuse_taken(bundle, out)


def test_detectors_of_other_nets_are_not_merged(fitted: Path, grown: Path, copied: Path) -> None:
    from twostream_vad.runs.fit import run_stage
    from twostream_vad.runs.run import Run

    refuse_other_nets(Bundle(fitted), Bundle(grown))
    run = Run.open(copied, ["retrieval.lr=0.5", "retrieval.epochs=3"])
    for stage in ("train-retrieval", "index", "select-window", "select-weight", "calibrate", "pack"):
        run_stage(run, stage, redo=True)
    with pytest.raises(BundleError, match=r"its retrieval/hashnet\.safetensors is another than that of"):
        refuse_other_nets(Bundle(fitted), Bundle(copied))


def test_by_place_every_new_feature_goes_on_behind_those_that_were_added(
    roomy: Path, grown_by_place: Path, video: ImageFolder
) -> None:
    before, after = known(roomy)[0], known(grown_by_place)[0]
    assert after.added == before.added + CLIPS * PLACES
    np.testing.assert_array_equal(after.means[len(before) :], features_of(roomy, video).astype(np.float32))
    assert after.rows[len(before) :].tolist() == list(range(before.added, after.added))
    assert after.places[len(before) :].tolist() == list(range(PLACES)) * CLIPS


def test_by_place_new_centres_are_explained_by_where_they_were_seen(
    roomy: Path, grown_by_place: Path, video: ImageFolder
) -> None:
    added, exemplars = known(roomy)[0].added, known(grown_by_place)[1]
    for row in range(added, added + CLIPS * PLACES, 101):
        clip, place = divmod(row - added, PLACES)
        seen = exemplars.of(0, row)
        assert seen is not None
        assert (seen.video, seen.frame, seen.crop) == ("02", clip, place)
        # A picture of every second frame, since a snippet spans seven.
        shown = [thumbnail(video.read((clip + step) // 2 * 2)) for step in (0, 2, 5, 7)]
        assert list(seen.strip) == shown


def test_by_place_what_was_added_is_no_longer_unusual(roomy: Path, grown_by_place: Path, video: ImageFolder) -> None:
    before, after = (
        Detector.load(folder, TORCH).score(video).raw.streams["retrieval"] for folder in (roomy, grown_by_place)
    )
    assert before.min() > 0
    np.testing.assert_array_equal(after, 0)


def test_by_place_features_are_held_a_few_clips_at_a_time(
    roomy: Path, video: ImageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    portions, add = [], Centres.add

    def told(self: Centres, features: NDArray[Any], places: NDArray[np.int64]) -> None:
        portions.append(len(features))
        add(self, features, places)

    monkeypatch.setattr(grow, "CLIPS", 5)
    monkeypatch.setattr(Centres, "add", told)
    bundle = Bundle(roomy)
    index = open_index(bundle)
    index.learn(retrieval_stream(bundle, TORCH), video, 12.5, untold)
    assert portions == [5 * PLACES] * 4 + [3 * PLACES]


def test_by_place_centres_and_exemplars_stay_within_the_limit(placed: Path, video: ImageFolder, tmp_path: Path) -> None:
    before = known(placed)[0]
    after, exemplars = known(grown_of(placed, video, tmp_path / "grown"))
    assert len(after) <= before.limit == 2000
    assert after.counts.sum() == after.added == before.added + CLIPS * PLACES
    np.testing.assert_array_equal(exemplars.keys, np.sort(after.rows))
    seen = [exemplars.of(0, int(row)) for row in after.rows]
    assert [each.crop if each else None for each in seen] == after.places.tolist()
    assert exemplars.strips.min() == 0
    assert len(np.unique(exemplars.strips)) == len(exemplars.ends)


def test_of_long_video_few_pictures_are_held_and_those_evenly(placed: Path, video: ImageFolder) -> None:
    normal = NormalVideo(retrieval_stream(Bundle(placed), TORCH), video, 12.5, untold, most=5)
    held = []
    for _ in normal.clips():
        held.append(len(normal._pictures))
        assert normal.picture("", normal.ticks - 1)
    assert max(held) <= 5
    ticks = sorted(normal._pictures)
    assert ticks == [0, 8, 16, 24]
    assert normal.picture("02", 15) == thumbnail(video.read(8))
    assert len({after - before for before, after in pairwise(ticks)}) == 1


def test_by_place_video_of_another_shape_is_refused(roomy: Path, film: Callable[..., ImageFolder]) -> None:
    bundle = Bundle(roomy)
    with pytest.raises(TsvadError, match="gives 64 places a frame, the detector's camera 192"):
        open_index(bundle).learn(retrieval_stream(bundle, TORCH), film(height=128, width=128), 12.5, untold)


def test_by_place_two_that_learned_apart_know_together_what_both_know(
    roomy: Path, grown_by_place: Path, plaza: Path, tmp_path: Path
) -> None:
    other = ImageFolder(plaza / "testing/frames/01", rate=12.5)
    second = Bundle(grown_of(roomy, other, tmp_path / "second"))
    first, base = Bundle(grown_by_place), known(roomy)[0]
    refuse_other_nets(first, second)
    index = open_index(first)
    index.merge(open_index(second))
    assert isinstance(index, PlaceIndex)
    # What both had from the start is there once.
    assert len(index.centres) == len(base) + 2 * CLIPS * PLACES
    assert index.added == 2 * base.added + 2 * CLIPS * PLACES
    stream = retrieval_stream(first, TORCH)
    assert isinstance(stream, PlacedStream)
    features = features_of(roomy, other)
    centre, distance = index.centres.find(features, np.arange(len(features)) % PLACES)
    np.testing.assert_array_equal(distance, 0)
    for row in index.centres.rows[centre[::301]]:
        seen = index.exemplars.of(0, int(row))
        assert seen is not None
        assert (seen.video, len(seen.strip)) == ("01", 4)
    np.testing.assert_array_equal(index.exemplars.keys, np.sort(index.centres.rows))


def test_detectors_of_other_keys_are_not_merged(roomy: Path, tmp_path: Path) -> None:
    bundle, centres = Bundle(roomy), known(roomy)[0]
    features, at = np.random.default_rng(0).normal(size=(400, len(centres.keys.mixes))), np.arange(400) % PLACES
    centres.keys = Keys.fit(features.astype(np.float32), at)
    centres.save(tmp_path / "centres")
    files = {name: bundle.path(name) for name in bundle.hashes if name != DESCRIPTION}
    write_bundle(tmp_path / "other", bundle.description, {**files, CENTRES: tmp_path / "centres"})
    with pytest.raises(BundleError, match=r"/other: its retrieval/centres\.safetensors has other keys than that of"):
        refuse_other_nets(bundle, Bundle(tmp_path / "other"))


def test_detectors_of_the_two_forms_are_not_merged(fitted: Path, roomy: Path) -> None:
    hashed, by_place = Bundle(fitted), Bundle(roomy)
    with pytest.raises(BundleError, match=r"it knows normal events by place, .* knows them in hash tables; merge"):
        refuse_other_nets(hashed, by_place)
    with pytest.raises(BundleError, match=r"it knows normal events in hash tables, .* knows them by place; merge"):
        refuse_other_nets(by_place, hashed)


def test_an_overview_by_place_says_how_fine_the_knowledge_is(placed: Path, roomy: Path) -> None:
    for folder, radius in ((placed, " of a place's spread"), (roomy, "every feature is a centre")):
        centres = known(folder)[0]
        own = [int((centres.places == place).sum()) for place in range(PLACES)]
        heads, (row,) = open_index(Bundle(folder)).overview(3)
        told = dict(zip(heads, row, strict=True))
        assert told["places"] == "192"
        assert told["features added"] == str(2 * CLIPS * PLACES)
        assert told["centres"] == str(len(centres))
        assert told["centres a place (least / median / most)"] == f"{min(own)} / {np.median(own):g} / {max(own)}"
        assert told["radius"].endswith(radius)
