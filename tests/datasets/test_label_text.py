"""Labels as text: 0/1 a line, tables, UCF-Crime's intervals."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.dataset import Dataset, Video
from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.label_values import LabelValueError
from twostream_vad.datasets.labels import Labels, find_labels, read_labels

LABELS = [0, 0, 1, 1, 0]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def lists(labels: Labels) -> dict[str, list[int]]:
    return {name: values.tolist() for name, values in labels.items()}


def dataset(root: Path, **frames: int) -> Dataset:
    """Test videos of black frames."""
    for name, count in frames.items():
        (root / name).mkdir()
        for index in range(count):
            cv2.imwrite(str(root / name / f"{index}.png"), np.zeros((4, 4), dtype=np.uint8))
    return Dataset(root, "folder", (), tuple(Video(name, root / name) for name in frames))


@pytest.mark.parametrize(
    "text",
    [
        "0\n0\n1\n1\n0\n",
        "0\r\n0\r\n1\r\n1\r\n0",
        "\ufeff0\n\n0\n1\n1\n0\n\n",
        "0.0\n0.0\n1.0\n1.0\n0.0",
        "0\n0\n255\n255\n0\n",
        "label\n0\n0\n1\n1\n0\n",
        "0.000000000000000000e+00\n0.000000000000000000e+00\n1e+00\n1e0\n0e0\n",  # np.savetxt's
    ],
)
@pytest.mark.parametrize("file", ["01.txt", "01.csv", "01.mp4.txt"])
def test_a_label_a_line_is_one_video_of_the_files_name(tmp_path: Path, file: str, text: str) -> None:
    assert lists(read_labels(write(tmp_path / file, text))) == {"01": LABELS}


@pytest.mark.parametrize(
    "text",
    [
        "frame,label\n0,0\n1,0\n2,1\n3,1\n4,0\n",
        "1,0\n2,0\n3,1\n4,1\n5,0\n",
        "0 0\n1 0\n2 1\n3 1\n4 0\n",
        "0;0\n1;0\n2;1\n3;1\n4;0\n",
        "0\t0\n1\t0\n2\t1\n3\t1\n4\t0\n",
        "Label,Score,Frame\n0,9,1\n0,9,2\n1,9,3\n1,9,4\n0,9,5\n",
        "t,is it,more\n0,0,9\n1,0,9\n2,1,9\n3,1,9\n4,0,9\n",  # no known name: the first two
        "is it,frame\n0,0\n0,1\n1,2\n1,3\n0,4\n",
        '"frame","label"\n"4","0"\n"2","1"\n"3","1"\n"0","0"\n"1","0"\n',  # in any order
    ],
)
def test_columns_of_frame_and_label_count_from_the_first_frame(tmp_path: Path, text: str) -> None:
    assert lists(read_labels(write(tmp_path / "01.csv", text))) == {"01": LABELS}


@pytest.mark.parametrize(
    "text",
    [
        "video,frame,label\nb,0,0\na,1,1\nb,1,1\na,2,0\n",
        "frame,label,video_name\n0,0,x/b.mp4\n1,1,x/a.mp4\n1,1,x/b.mp4\n2,0,x/a.mp4\n",
        "b,0,0\na,1,1\nb,1,1\na,2,0\n",
        "video,label\nb,0\na,1\nb,1\na,0\n",
    ],
)
def test_a_table_may_hold_several_videos(tmp_path: Path, text: str) -> None:
    assert lists(read_labels(write(tmp_path / "labels.csv", text))) == {"b": [0, 1], "a": [1, 0]}


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("0,0\n1,0\n3,1\n6,1\n", "no labels of frames 2, 4-5"),
        ("7,0\n8,0\n", "the first frame is 7"),
        ("0,0\n0,1\n", "frame 0 has two labels"),
        ("0,0\n0.5,1\n", "frame 0.5 is no frame's number"),
        ("0,0\nnan,1\n", "frame nan is no frame's number"),
        ("0,0\n1e300,1\n", "is no frame's number"),
        ("0,0\n1000000000000,1\n", "no labels of frames 1-999999999999"),
        ("0,0\n1\n", "line 2: 1 fields, the first line 2"),
        ("0,0\n1,normal\n", "line 2: label 'normal' is no number"),
        ("0,0,1,1\n", "line 1: 4 fields are no labels"),
        ("frame,label\n", "has no labels"),
        ("", "has no labels"),
        ("video\n", "no column of labels"),
    ],
)
def test_a_table_with_a_fault_is_refused_by_its_place(tmp_path: Path, rows: str, what: str) -> None:
    with pytest.raises(DatasetError, match=rf"01\.csv.*{what}.*; ") as refused:
        read_labels(write(tmp_path / "01.csv", rows))
    assert "\n" not in str(refused.value)


def test_a_value_that_is_no_label_names_its_frame(tmp_path: Path) -> None:
    with pytest.raises(LabelValueError, match=r"video 01, frame 1: label 2\.0 is neither") as refused:
        read_labels(write(tmp_path / "01.csv", "4,0\n3,1\n2,2\n1,0\n"))
    assert refused.value.length == 4


@pytest.mark.parametrize("values", [[0, 1, 255], [0, 254, 255]])
def test_255_is_a_label_only_where_all_others_are_0(tmp_path: Path, values: list[int]) -> None:
    np.save(tmp_path / "01.npy", np.array(values))
    with pytest.raises(LabelValueError, match="frame"):
        read_labels(tmp_path)


@pytest.mark.parametrize("kind", [np.uint8, np.float64, np.int16])
def test_arrays_of_0_and_255_are_0_and_1(tmp_path: Path, kind: type[np.generic]) -> None:
    values: NDArray[np.generic] = (np.array(LABELS) * 255).astype(kind)
    np.savez(tmp_path / "gt.npz", **{"01": values})  # type: ignore[arg-type]
    np.save(tmp_path / "02.npy", values)
    assert lists(read_labels(tmp_path / "gt.npz") | read_labels(tmp_path / "02.npy")) == {"01": LABELS, "02": LABELS}


UCF = "Abuse028_x264.mp4  Abuse  3  4  -1  -1  \nArson_2.mp4  Arson  1  1  4  5\nNormal_1.mp4  Normal  -1  -1  -1  -1\n"


def test_ucf_crimes_frames_count_from_one_and_both_ends_are_in(tmp_path: Path) -> None:
    path = write(tmp_path / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt", UCF)
    labels = read_labels(path, lambda: {"Abuse028_x264": 5, "Arson_2": 6, "Normal_1": 2})
    assert lists(labels) == {"Abuse028_x264": LABELS, "Arson_2": [1, 0, 0, 1, 1, 0], "Normal_1": [0, 0]}


def test_ucf_crimes_file_is_found_and_its_videos_counted(tmp_path: Path) -> None:
    own = dataset(tmp_path, Abuse028_x264=5, Arson_2=6, Normal_1=2)
    write(tmp_path / "Temporal_Anomaly_Annotation.txt", UCF)
    labels = find_labels(own)
    assert labels is not None
    assert lists(labels)["Abuse028_x264"] == LABELS


def test_intervals_given_by_hand_count_the_videos_too(tmp_path: Path) -> None:
    own = dataset(tmp_path, Arson_02=6)
    labels = find_labels(own, write(tmp_path / "else/gt.txt", "Arson_2.mp4 Arson 1 1 4 5\nOther.mp4 Abuse 3 4\n"))
    assert labels is not None
    assert lists(labels) == {"Arson_02": [1, 0, 0, 1, 1, 0], "Other": []}  # whoever compares names tells of it


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a.mp4 Abuse 3 9\n", "interval 3-9 does not lie within the frames 1-5"),
        ("a.mp4 Abuse 0 2\n", "interval 0-2 does not lie"),
        ("a.mp4 Abuse 3 -1\n", "interval 3--1 does not lie"),
        ("a.mp4 Abuse 1 1\na.mp4 Abuse 2 2\n", "line 2: video a is there twice"),
        ("a.mp4 Abuse 1 2\nb.mp4 Abuse 1 2 3\n", "line 2: is not NAME"),
        ("a.mp4 Abuse 1 2\n0 1\n", "line 2: is not NAME"),
    ],
)
def test_intervals_with_a_fault_are_refused_by_their_place(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(DatasetError, match=rf"gt\.txt.*{what}.*; "):
        read_labels(write(tmp_path / "gt.txt", text), lambda: {"a": 5})


def test_intervals_alone_do_not_say_how_long_a_video_is(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="pass the frame counts"):
        read_labels(write(tmp_path / "gt.txt", UCF))


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_a_folder_of_texts_is_a_video_a_file(tmp_path: Path, suffix: str) -> None:
    own = dataset(tmp_path, **{"01": 5, "02": 2})
    write(tmp_path / f"labels/01.{suffix}", "0\n0\n1\n1\n0\n")
    write(tmp_path / f"labels/2.{suffix}", "1\n0\n")
    labels = find_labels(own)
    assert labels is not None
    assert lists(labels) == {"01": LABELS, "02": [1, 0]}


def test_a_text_beside_arrays_is_no_label_file(tmp_path: Path) -> None:
    np.save(tmp_path / "01.npy", np.array(LABELS))
    write(tmp_path / "README.txt", "How these labels were made.\n")
    assert lists(read_labels(tmp_path)) == {"01": LABELS}


def test_one_video_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "01.txt", "0\n")
    write(tmp_path / "01.csv", "0\n")
    with pytest.raises(DatasetError, match=r"01\.csv and .*01\.txt are both labels of video 01; remove one"):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xfe0\x000", "is no text"),
        (b"0 " * 9000, "line 1: is too long"),
        (b"no labels at all, but prose.\n", "line 2: 1 fields, the first line 2"),
    ],
)
def test_what_is_no_text_of_labels_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    (tmp_path / "01.txt").write_bytes(data + b"0\n")
    with pytest.raises(DatasetError, match=what):
        read_labels(tmp_path / "01.txt")


def test_a_file_far_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twostream_vad.datasets.label_text.MAX_TEXT", 3)
    with pytest.raises(DatasetError, match="too much for labels"):
        read_labels(write(tmp_path / "01.txt", "0\n1\n"))
