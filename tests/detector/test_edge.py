"""A detector with an EdgeNet: streaming and whole clips agree, and all that a detector does it does too."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.detector.bundle import EDGE, ENCODER, FORMAT, PREDICTOR, Bundle
from twostream_vad.detector.engines.engine import TORCH, Engine, EngineError
from twostream_vad.runs.ranges import ranges_beside
from twostream_vad.runs.run import Run
from twostream_vad.scores.files import read_scores

Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def detector(edged: Path) -> Detector:
    return Detector.load(edged, TORCH)


def test_streaming_gives_the_scores_of_whole_clips(edged: Path, detector: Detector, images: Images) -> None:
    raw = detector.score(images).raw.streams
    for stream, name in (("recovery", "recovery/chosen.npz"), ("retrieval", "retrieval/scores.npz")):
        wanted = read_scores(edged / name)["01"]
        np.testing.assert_allclose(raw[stream], wanted, rtol=1e-5, atol=1e-5)


def test_a_watcher_gives_the_scores_of_the_whole_file_to_the_bit(detector: Detector, images: Images) -> None:
    watcher, whole = detector.watch(12.5), detector.score(images)
    found = [watcher.push(image, index / 12.5) for index, image in enumerate(images)]
    assert np.array_equal([score.fused for score in found], whole.fused, equal_nan=True)
    assert np.isnan(whole.fused[:7]).all()
    assert not np.isnan(whole.fused[8:]).any()


def test_int8_is_refused_in_words(edged: Path) -> None:
    with pytest.raises(EngineError, match="an EdgeNet is not computed in int8: it is small as it is; --precision bf16"):
        Detector.load(edged, Engine("openvino", "int8", ranges=ranges_beside(edged / "detector")))


def test_a_killed_scoring_goes_on_to_the_same_scores(
    detector: Detector, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twostream_vad.detector import rawscores

    monkeypatch.setattr(rawscores, "KEEP_SECONDS", 0.0)

    def stop(frames: int) -> None:
        if frames == 19:
            raise KeyboardInterrupt

    whole = detector.score(images).raw.streams
    with pytest.raises(KeyboardInterrupt):
        detector.score(images, stop, tmp_path / "kept.npz")
    kept = {name: len(scores) for name, scores in read_scores(tmp_path / "kept.npz", gaps=True).items()}
    assert kept["recovery"] == kept["retrieval"] - 1 > 0
    again = detector.score(images, keep=tmp_path / "kept.npz").raw.streams
    for name, scores in whole.items():
        np.testing.assert_array_equal(again[name], scores)


def test_no_snippet_with_a_lost_frame_in_it_has_a_score(detector: Detector, images: Images) -> None:
    watcher, whole = detector.watch(), detector.score(images).raw.streams
    found: dict[str, list[float]] = {name: [] for name in whole}
    for index, image in enumerate(images):
        for name, new in watcher.push(image, lost=index == 12).raw.items():
            found[name] += new
    for name, each in found.items():
        scores = np.array(each)
        span = detector.streams[name].snippet.span
        touched = [start <= 12 <= start + span for start in range(len(scores))]
        assert np.array_equal(np.isnan(scores), touched)
        assert np.array_equal(scores[~np.array(touched)], whole[name][~np.array(touched)])


def test_it_says_where_and_what_is_nearest(detector: Detector, images: Images) -> None:
    (told,) = detector.explain(images, [20])
    watcher = detector.watch()
    score = [watcher.push(image) for image in images[:21]][-1]
    heat = score.heat()
    assert heat is not None
    assert told.heat is not None
    assert heat.shape == images[0].shape[:2]
    assert np.array_equal(heat, told.heat)
    assert told.nearest is not None
    assert told.nearest.exemplar is not None


def test_the_bundle_holds_one_net_and_says_what_reads_it(edged: Path, placed: Path) -> None:
    bundle = Bundle(edged)
    assert EDGE in bundle.hashes
    assert not {PREDICTOR, ENCODER} & bundle.hashes.keys()
    assert bundle.description.format == FORMAT
    assert bundle.description.pictures.crops == 2
    before = json.loads((placed / "detector/detector.json").read_text("utf-8"))
    assert "edge" not in before


def test_it_scores_from_a_copy_elsewhere_by_each_engine(edged: Path, images: Images, tmp_path: Path) -> None:
    from twostream_vad.detector.engines.engine import Engine, installed

    copy = Path(shutil.copytree(edged / "detector", tmp_path / "moved"))
    wanted = Detector.load(edged, TORCH).score(images).raw.streams
    for name in ("openvino", "onnx"):
        if installed(name):
            found = Detector.load(copy, Engine(name)).score(images).raw.streams
            for stream, scores in found.items():
                np.testing.assert_allclose(scores, wanted[stream], rtol=1e-4, atol=1e-4)


def test_the_stages_are_done_once(edged: Path) -> None:
    run = Run.open(edged)
    assert run.is_done("train-edge")
    assert run.is_done("fuse")
