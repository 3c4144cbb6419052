"""Tables that grow: more normal video is normal afterwards, and still explained."""

from pathlib import Path

import numpy as np
import pytest

from twostream_vad import BundleError, Detector
from twostream_vad.detector.bundle import EXEMPLARS, TABLES, Bundle
from twostream_vad.detector.detector import untold
from twostream_vad.detector.grow import codes_of, refuse_other_nets, refuse_taken, rewrite
from twostream_vad.detector.loading import retrieval_stream
from twostream_vad.retrieval.exemplars import Exemplars
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.video.frames import ImageFolder


@pytest.fixture(scope="module")
def video(plaza: Path) -> ImageFolder:
    """A test video, which the detector has not seen."""
    return ImageFolder(plaza / "testing/frames/02", rate=12.5)


@pytest.fixture(scope="module")
def grown(fitted: Path, video: ImageFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fitted run's detector, to which the test video was added."""
    bundle, out = Bundle(fitted), tmp_path_factory.mktemp("grown") / "detector"
    tables, exemplars = HashTables.load(bundle.path(TABLES)), Exemplars.load(bundle.path(EXEMPLARS))
    found = codes_of(retrieval_stream(bundle), video, 12.5, untold)
    tables.add(found.codes)
    rewrite(bundle, tables, exemplars.merge(found.exemplars(tables)), out)
    return out


def test_its_codes_are_added(fitted: Path, grown: Path) -> None:
    before, after = (HashTables.load(Bundle(folder).path(TABLES)).codes for folder in (fitted, grown))
    assert after == before + 23 * 3


def test_what_was_added_is_nearer_to_normal(fitted: Path, grown: Path, video: ImageFolder) -> None:
    before, after = (Detector.load(folder).score(video).raw.streams["retrieval"] for folder in (fitted, grown))
    assert after.mean() < before.mean()
    assert after.max() < np.sqrt(8)  # every code has a bucket now


def test_the_other_stream_and_the_scales_stay(fitted: Path, grown: Path, video: ImageFolder) -> None:
    before, after = Detector.load(fitted), Detector.load(grown)
    first, second = (detector.score(video).raw.streams["recovery"] for detector in (before, after))
    np.testing.assert_array_equal(first, second)
    assert (after.scales, after.threshold) == (before.scales, before.threshold)


def test_it_explains_with_pictures_of_what_was_added(grown: Path, video: ImageFolder) -> None:
    seen = {found.frame: found.nearest for found in Detector.load(grown).explain(video, range(7, 30))}
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
    for stage in ("train-retrieval", "index", "select-weight", "calibrate", "pack"):
        run_stage(run, stage, redo=True)
    with pytest.raises(BundleError, match=r"its retrieval/hashnet\.safetensors is another than that of"):
        refuse_other_nets(Bundle(fitted), Bundle(copied))
