"""Score files: what the authors' program writes is read, what is broken is named."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from twostream_vad.scores.files import ScoreFileError, read_scores, write_scores


def test_scores_come_back_as_written(tmp_path: Path) -> None:
    scores = {
        "01_0014": np.random.default_rng(0).random((9, 5)),
        "file": np.arange(3.0),
        "short": np.zeros(0),
    }
    write_scores(tmp_path / "scores.npz", scores)
    read = read_scores(tmp_path / "scores.npz")
    assert list(read) == list(scores)
    for name, array in scores.items():
        np.testing.assert_array_equal(read[name], array)


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.npz", {"01": np.arange(3, dtype=np.float32)})
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["01"], [0, 1, 2])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path: Path, save: object) -> None:
    assert callable(save)
    save(tmp_path / "scores.npz", **{"01": np.arange(3, dtype=np.float32)})
    np.testing.assert_array_equal(read_scores(tmp_path / "scores.npz")["01"], [0, 1, 2])


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_scores(tmp_path / name, {"01": np.arange(3.0)})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    write_scores(path, {"01": np.arange(3.0)})
    with pytest.raises(ScoreFileError, match="NaN or infinity among the scores of video 02"):
        write_scores(path, {"02": np.array([0, np.nan])})
    assert list(read_scores(path)) == ["01"]
    assert [file.name for file in tmp_path.iterdir()] == ["scores.npz"]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ScoreFileError, match=r"absent\.npz is not there: score the videos first"):
        read_scores(tmp_path / "absent.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "scores.npz").write_bytes(content)
    with pytest.raises(ScoreFileError, match=r"scores\.npz cannot be read"):
        read_scores(tmp_path / "scores.npz")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    write_scores(path, {"01": np.arange(3000.0)})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ScoreFileError, match=r"scores\.npz"):
        read_scores(path)


def test_an_altered_array_is_named_by_its_video(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    write_scores(path, {"01": np.arange(3000.0)})
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)
    with pytest.raises(ScoreFileError, match="broken array for video 01"):
        read_scores(path)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    np.savez(tmp_path / "inner.npz", a=np.array([Touch()], dtype=object))
    (tmp_path / "outer.npz").write_bytes(pickle.dumps(Touch()))
    for name in ("inner.npz", "outer.npz"):
        with pytest.raises(ScoreFileError):
            read_scores(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("array", [np.array(1.0), np.zeros((2, 2, 2)), np.array(["a"])])
def test_arrays_that_are_no_scores_are_refused(tmp_path: Path, array: np.ndarray[tuple[int, ...]]) -> None:
    np.savez(tmp_path / "scores.npz", allow_pickle=False, **{"01": array})
    with pytest.raises(ScoreFileError, match=r"\(snippets, windows\) numbers for video 01"):
        read_scores(tmp_path / "scores.npz")


def test_a_single_array_is_no_score_file(tmp_path: Path) -> None:
    np.save(tmp_path / "scores.npy", np.zeros(3))
    with pytest.raises(ScoreFileError, match="one array"):
        read_scores(tmp_path / "scores.npy")
