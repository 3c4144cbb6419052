"""The index of retrieval by place: every feature in its place, and pictures of where it came from."""

from pathlib import Path

import numpy as np
import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.progress import silent
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.exemplars import Exemplar, Exemplars
from twostream_vad.retrieval.features import FeatureSet, VideoRows
from twostream_vad.runs.run import Run
from twostream_vad.runs.stages import places as module
from twostream_vad.runs.stages.places import index_places
from twostream_vad.runs.videos import training_videos
from twostream_vad.video.pictures import thumbnail

SNIPPETS, PLACES, VALUES, SPAN = 9, 64, 4, 7


@pytest.fixture
def run(copied: Path) -> Run:
    return Run.open(copied, ["retrieval.by_place=true"])


def features_of(run: Run, folder: Path, places: tuple[int, ...] = (PLACES, PLACES)) -> FeatureSet:
    """Of both videos that the run has learned from."""
    videos, first = [], 0
    for name, own in zip(training_videos(run), places, strict=True):
        videos.append(VideoRows(name, first, SNIPPETS, own, SNIPPETS))
        first += videos[-1].rows
    found = FeatureSet(folder, tuple(videos), VALUES, "float16", "drawn")
    folder.mkdir()
    np.save(found.path, np.random.default_rng(0).normal(size=(first, VALUES)).astype(np.float16))
    return found


def indexed(run: Run) -> tuple[Centres, Exemplars]:
    centres, exemplars = (run.path(f"retrieval/{name}.safetensors") for name in ("centres", "exemplars"))
    return Centres.load(centres), Exemplars.load(exemplars)


@pytest.mark.parametrize("clips", [1, 4, 64])
def test_every_feature_is_a_centre_of_its_place_in_whatever_portions(
    clips: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLIPS", clips)
    features = features_of(run, tmp_path / "features")
    index_places(run, features, SPAN, silent)
    centres = indexed(run)[0]
    np.testing.assert_array_equal(centres.means, features.array().astype(np.float32))
    assert centres.places.tolist() == list(range(PLACES)) * 2 * SNIPPETS
    assert centres.rows.tolist() == list(range(features.rows))


def test_exemplars_are_of_the_right_video_frame_and_place(run: Run, tmp_path: Path) -> None:
    index_places(run, features_of(run, tmp_path / "features"), SPAN, silent)
    exemplars, row = indexed(run)[1], 0
    for name, video in training_videos(run).items():
        pictures: list[bytes] = [thumbnail(frame.image) for frame in video]
        for frame in range(SNIPPETS):
            strip = tuple(pictures[frame + step] for step in (0, 2, 5, 7))
            for place in range(PLACES):
                assert exemplars.of(0, row) == Exemplar(name, frame, place, strip)
                row += 1


def test_merged_centres_are_explained_too(copied: Path, tmp_path: Path) -> None:
    run = Run.open(copied, ["retrieval.by_place=true", "retrieval.centres=400"])
    index_places(run, features_of(run, tmp_path / "features"), SPAN, silent)
    centres, exemplars = indexed(run)
    assert len(centres) <= 400
    assert centres.added == 2 * SNIPPETS * PLACES
    seen = [exemplars.of(0, int(row)) for row in centres.rows]
    assert [known.crop if known else None for known in seen] == centres.places.tolist()


def test_videos_of_other_shapes_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TsvadError, match=r"training videos give \[12, 64\] places a frame: one camera"):
        index_places(run, features_of(run, tmp_path / "features", (PLACES, 12)), SPAN, silent)


def test_fewer_centres_than_places_are_refused(copied: Path, tmp_path: Path) -> None:
    run = Run.open(copied, ["retrieval.by_place=true", "retrieval.centres=11"])
    with pytest.raises(TsvadError, match=r"retrieval\.centres=11: a frame has 64 places"):
        index_places(run, features_of(run, tmp_path / "features"), SPAN, silent)
