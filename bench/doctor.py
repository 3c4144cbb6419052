"""Plants ten faults in a copy of a Ped2-like dataset: the doctor must name each and nothing else.

On the clean copy it must be silent. Exit code 1 where either fails.

    python bench/doctor.py PATH [--labels FILE]

PATH has training/frames/NAME/000.jpg, testing/frames/NAME/000.jpg, and labels or masks. It is only read.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.labels import Labels, find_labels, read_labels
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.doctor.examine import Report, examine

Planted = tuple[str, str, str]
"""What was done, the video, the kind of finding that must name it."""

FROZEN = 15


def link(source: str, target: str) -> None:
    """A second name for the same file where the disk allows it: nothing below ever writes into a file."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def replace(file: Path, data: bytes) -> None:
    file.unlink(missing_ok=True)  # else the write would reach the original through the link
    file.write_bytes(data)


def encoded(image: NDArray[np.uint8], quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def frames(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def image(file: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(file)), dtype=np.uint8)


def make_copy(source: Path, target: Path, labels: Labels) -> None:
    for split in ("training", "testing"):
        shutil.copytree(source / split, target / split, copy_function=link)
    if (source / "masks.npz").exists():
        link(str(source / "masks.npz"), str(target / "masks.npz"))
    np.savez(target / "labels.npz", **labels)  # type: ignore[arg-type]


def plant(root: Path, labels: Labels) -> list[Planted]:
    train = sorted((root / "training/frames").iterdir())
    test = sorted((root / "testing/frames").iterdir())
    if len(train) < 7 or len(test) < 3:
        raise DatasetError(f"{root} must have 7 training and 3 test videos or more for ten faults")

    dropped = frames(test[0])
    middle = len(dropped) // 2
    for file, following in zip(dropped[middle:], dropped[middle + 1 :], strict=False):
        following.replace(file)

    doubled = frames(train[0])
    number, width = int(doubled[-1].stem) + 1, len(doubled[-1].stem)
    last = doubled[-1].with_name(f"{number:0{width}d}{doubled[-1].suffix}")
    for file, following in zip(doubled[:40:-1], [last, *doubled[:40:-1]], strict=False):
        file.replace(following)
    shutil.copyfile(doubled[40], doubled[41])

    leaked = train[-1].with_name(f"{int(train[-1].name) + 1:0{len(train[-1].name)}d}")
    leaked.mkdir()
    for file in frames(test[1]):
        (leaked / file.name).write_bytes(encoded(image(file), quality=80))

    cut = frames(train[1])[30]
    replace(cut, cut.read_bytes()[: cut.stat().st_size // 2])
    replace(frames(train[2])[50], b"")
    black = frames(train[3])[0]
    replace(black, encoded(np.zeros_like(image(black))))
    odd = frames(train[4])[60]
    replace(odd, encoded(np.asarray(cv2.resize(image(odd), None, fx=0.5, fy=0.5), dtype=np.uint8)))
    frames(train[5])[70].unlink()
    still = frames(train[6])[20 : 20 + FROZEN]
    for file in still[1:]:
        replace(file, still[0].read_bytes())

    values = {name: array.astype(np.float32) for name, array in labels.items()}
    values[test[2].name][10] = np.nan
    np.savez(root / "labels.npz", **values)  # type: ignore[arg-type]
    return [
        ("a dropped frame, renumbered", f"testing/{test[0].name}", "label-count"),
        ("a repeated frame, renumbered", f"training/{train[0].name}", "repeated-frame"),
        ("a test clip in training, JPEG 80", f"training/{leaked.name}", "test-in-training"),
        ("a frame cut off", f"training/{train[1].name}", "unreadable-frame"),
        ("an empty file", f"training/{train[2].name}", "empty-frame"),
        ("a black first frame", f"training/{train[3].name}", "black-start"),
        ("a frame of another size", f"training/{train[4].name}", "frame-size"),
        ("a gap in the numbering", f"training/{train[5].name}", "frame-gap"),
        (f"{FROZEN} frozen frames", f"training/{train[6].name}", "frozen"),
        ("a label that is no number", f"testing/{test[2].name}", "label-value"),
    ]


def show(report: Report, planted: list[Planted]) -> bool:
    said = Counter((finding.video, finding.kind) for finding in report.findings)
    ok = True
    for what, video, kind in planted:
        named = said.pop((video, kind), 0)
        ok &= named == 1
        text = next((f.what for f in report.findings if (f.video, f.kind) == (video, kind)), "NOT NAMED")
        print(f"  {'named' if named else 'MISSED':7}{what:34}{video:13}{kind:17}{text}")
    for finding in report.findings:
        if (finding.video, finding.kind) in said:
            print(f"  ALSO   {finding.video} {finding.kind}: {finding.what}")
    print(f"  {len(planted)} planted, {sum(said.values())} others; {report.frames} frames in {report.seconds:.1f} s")
    return ok and not said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", type=Path, help="label file, where it does not lie in the dataset")
    arguments = parser.parse_args()
    labels = read_labels(arguments.labels) if arguments.labels else find_labels(find_dataset(arguments.data))
    if labels is None:
        parser.error(f"{arguments.data} has no labels; give them by --labels")
    with tempfile.TemporaryDirectory() as folder:
        clean, faulty = Path(folder) / "clean", Path(folder) / "faulty"
        for copy in (clean, faulty):
            make_copy(arguments.data, copy, labels)
        print("clean copy")
        silent = show(examine(find_dataset(clean)), [])
        planted = plant(faulty, labels)
        print("copy with ten faults")
        named = show(examine(find_dataset(faulty)), planted)
    sys.exit(0 if silent and named else 1)


if __name__ == "__main__":
    main()
