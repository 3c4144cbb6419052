"""The bundle: it stands alone, and what was altered, lost or is too new is refused by name."""

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from twostream_vad import BundleError, Detector, TsvadError
from twostream_vad.detector.bundle import DESCRIPTION, FORMAT, SUMS, Bundle, Calibration, copy_bundle
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.video.frames import ImageFolder

FILES = (
    "detector.json",
    "recovery/net.safetensors",
    "retrieval/encoder.safetensors",
    "retrieval/exemplars.safetensors",
    "retrieval/hashnet.safetensors",
    "retrieval/tables.safetensors",
)


@pytest.fixture
def bundle(fitted: Path, tmp_path: Path) -> Path:
    """A copy of the fitted run's, to be spoilt."""
    return Path(shutil.copytree(fitted / "detector", tmp_path / "bundle"))


def flip(path: Path, place: int) -> None:
    """One bit of a byte of the file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_it_has_what_scoring_needs_and_nothing_else(bundle: Path) -> None:
    found = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert found == {*FILES, SUMS}
    assert set(Bundle(bundle).hashes) == set(FILES)


def test_nothing_in_it_is_left_open_or_points_outside(bundle: Path, plaza: Path) -> None:
    text = (bundle / DESCRIPTION).read_text("utf-8")
    assert "select" not in text
    assert str(plaza) not in text
    assert "/" not in json.dumps({key: value for key, value in json.loads(text).items() if key != "made_by"})


def test_it_says_what_the_pictures_were(bundle: Path) -> None:
    pictures = Bundle(bundle).description.pictures
    assert (pictures.rate, pictures.height, pictures.width, pictures.crops, pictures.gray) == (12.5, 128, 160, 3, False)
    assert (pictures.size, pictures.mean, pictures.deviation) == (128, 0.45, 0.225)


def test_it_scores_from_a_read_only_folder_when_the_run_is_gone(bundle: Path, fitted: Path, plaza: Path) -> None:
    video = ImageFolder(plaza / "testing/frames/01", rate=12.5)
    expected = Detector.load(fitted, TORCH).score(video)
    for path in (*bundle.rglob("*"), bundle):
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    found = Detector.load(bundle, TORCH)
    np.testing.assert_array_equal(found.score(video).fused, expected.fused)
    assert [seen.nearest for seen in found.explain(video, [20])] != [None]


@pytest.mark.parametrize("place", [0, -2, 0.5])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_by_name(name: str, place: float, bundle: Path) -> None:
    size = (bundle / name).stat().st_size
    flip(bundle / name, int(place * size) if isinstance(place, float) else place)
    with pytest.raises(BundleError, match=rf"{name} is not what {SUMS} says"):
        Detector.load(bundle, TORCH)


def test_a_flipped_bit_anywhere_in_the_sums_is_refused_by_name(bundle: Path) -> None:
    size = (bundle / SUMS).stat().st_size
    for place in range(0, size, 7):
        flip(bundle / SUMS, place)
        with pytest.raises(BundleError, match=SUMS):
            Bundle(bundle)
        flip(bundle / SUMS, place)
    Bundle(bundle)


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_a_missing_file_is_refused_by_name(name: str, bundle: Path) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle(bundle)


def resummed(bundle: Path, values: dict[str, object]) -> None:
    """Writes another description, and sums that fit it."""
    import hashlib

    text = json.dumps(values)
    (bundle / DESCRIPTION).write_text(text, "utf-8")
    lines = (bundle / SUMS).read_text("utf-8").splitlines()
    digest = hashlib.sha256(text.encode()).hexdigest()
    new = [f"{digest}  {DESCRIPTION}" if line.endswith(DESCRIPTION) else line for line in lines]
    (bundle / SUMS).write_text("\n".join(new) + "\n", "utf-8")


def test_a_newer_detector_is_refused_in_words(bundle: Path) -> None:
    values = json.loads((bundle / DESCRIPTION).read_text("utf-8"))
    resummed(bundle, {**values, "format": FORMAT + 1, "made_by": "9.0", "more": 1})
    said = rf"of format {FORMAT + 1}, made by twostream-vad 9\.0; .* reads format {FORMAT}: upgrade it"
    with pytest.raises(BundleError, match=said):
        Bundle(bundle)


@pytest.mark.parametrize("change", [{"weights": 3}, {"pictures": {}}, {"more": 1}])
def test_a_description_that_means_nothing_is_refused_by_name(change: dict[str, object], bundle: Path) -> None:
    values = json.loads((bundle / DESCRIPTION).read_text("utf-8"))
    resummed(bundle, {**values, **change})
    with pytest.raises(BundleError, match=rf"{DESCRIPTION}: not a detector's description"):
        Bundle(bundle)


@pytest.mark.parametrize(
    ("part", "change"),
    [("recovery", {"interval": 0}), ("retrieval", {"length": 0}), ("retrieval", {"width": 1e9}),
     ("retrieval", {"tables": 10**9}), ("pictures", {"size": 0}), ("pictures", {"rate": 0})],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused_by_name(part: str, change: dict[str, object], bundle: Path) -> None:
    values = json.loads((bundle / DESCRIPTION).read_text("utf-8"))
    resummed(bundle, {**values, part: {**values[part], **change}})
    with pytest.raises(BundleError, match=rf"{DESCRIPTION}: not a detector's description"):
        Bundle(bundle)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_sums_that_lead_outside_are_refused(name: str, bundle: Path) -> None:
    with (bundle / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(BundleError, match=f"{SUMS} is altered"):
        Bundle(bundle)


def test_what_is_no_detector_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is no detector: .* `tsvad pack RUN --out FOLDER`"):
        Detector.load(tmp_path, TORCH)


def test_a_copy_is_the_same_and_replaces_only_a_detector(bundle: Path, tmp_path: Path) -> None:
    copy_bundle(Bundle(bundle), tmp_path / "copy")
    copy_bundle(Bundle(bundle), tmp_path / "copy")
    assert Bundle(tmp_path / "copy").identity == Bundle(bundle).identity
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").touch()
    with pytest.raises(BundleError, match="other is not empty and no detector"):
        copy_bundle(Bundle(bundle), tmp_path / "other")


def test_no_calibration_and_a_broken_one_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(TsvadError, match=r"scale\.json: nothing is calibrated yet; run `tsvad calibrate` first"):
        Calibration.load(tmp_path / "scale.json")
    for text in ("", "[]", '{"threshold": 1}', '{"scales": {}, "threshold": "x", "videos": []}'):
        (tmp_path / "scale.json").write_text(text)
        with pytest.raises(TsvadError, match=r"scale\.json: not a calibration .*; run `tsvad calibrate` again"):
            Calibration.load(tmp_path / "scale.json")
