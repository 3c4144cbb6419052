"""Can a seam detector tell what pseudo-anomalies paste from untouched people? AUC by kind; 50: it cannot.

    python bench/seams.py FRAMES... [--videos 8] [--seeds 2] [--kinds hurries giants tumbles ...]

FRAMES are folders of training videos, each a folder of images. In spoilt frames, things are found as the cut-outs were,
by what differs from the backdrop; a pasted one is to be told from the same person untouched, where it was cut out. Of a
rush or a stray the outline is its square, to be told from a square of the untouched frame that things fill as much.
What is measured: gradient, Laplacian and noise on the outline and inside, relative to each other and to how much the
thing differs from the backdrop (so that the place alone does not tell); what is left around it of the backdrop that it
was cut from, and whether that is as steep, bent and noisy as the backdrop here; how much of the steps between pixels is
on JPEG's grid. A logistic regression is cross-validated over videos; once by all of these, and once by what the place
that a thing is pasted to has no part in: the outline relative to the inside, and the grid.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from twostream_vad.recovery.extras import EXTRAS
from twostream_vad.recovery.pseudo import Kind, PseudoVideo
from twostream_vad.settings import PseudoSettings
from twostream_vad.video.cutouts import Backdrop, Box, find_backdrop
from twostream_vad.video.folders import ImageFolder

EVERY = 4  # frames from one that is looked at to the next
SQUARES = ("rushes", "strays")
OUTLINE = [0, 1, 2, 13, 14, 15]  # features of the outline relative to the thing itself, and of JPEG's grid
Mask = NDArray[np.bool_]


def main() -> None:
    """Prints a table of AUC by folder and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, nargs="+")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=get_args(Kind), default=[*SQUARES, *EXTRAS])
    options = parser.parse_args()
    for folder in options.frames:
        videos = sorted(path for path in folder.iterdir() if path.is_dir())[: options.videos]
        for kind in options.kinds:
            rows, pasted, groups = [], [], []
            for group, path in enumerate(videos):
                source = ImageFolder(path)
                backdrop = find_backdrop(source.read, len(source))
                for seed in range(options.seeds):
                    video = PseudoVideo(source, cast(Kind, kind), PseudoSettings(), seed)
                    for image, outline, is_pasted in outlines(video, backdrop):
                        rows.append(features(image, outline, backdrop))
                        pasted.append(is_pasted)
                        groups.append(group)
            measured, truth, of = np.array(rows), np.array(pasted), np.array(groups)
            aucs = [100 * auc(part, truth, of) for part in (measured, measured[:, OUTLINE])]
            print(f"{folder}: {kind:10} all {aucs[0]:5.1f}, outline alone {aucs[1]:5.1f} ({sum(pasted):,} pasted)")


def outlines(video: PseudoVideo, backdrop: Backdrop) -> Iterator[tuple[NDArray[np.uint8], Mask, bool]]:
    """Pictures, the pixels of a thing in each, and whether it was pasted."""
    read = video.source.read
    for frame in video:
        box = video.box(frame.index)
        if box is None or frame.index % EVERY:
            continue
        if video.kind in SQUARES:
            square = np.zeros(frame.image.shape[:2], np.bool_)
            square[box[1] : box[3], box[0] : box[2]] = True
            yield frame.image, square, True
            untouched = read(frame.index)
            full = (backdrop.things(frame.image)[0][square] > 0).mean()
            yield untouched, like(backdrop.things(untouched)[0] > 0, square, full), False
            continue
        numbers, boxes = backdrop.things(frame.image)
        same = [number for number, other in enumerate(boxes) if overlap(box, other) > 0.5]
        act = next((act for act in video.acts if frame.index in act.seen), None)
        if same and act:
            yield frame.image, numbers == same[0], True
            own = read(act.frames[frame.index - act.first])
            numbers, boxes = backdrop.things(own)
            yield own, numbers == boxes.index(act.boxes[frame.index - act.first]), False


def like(things: Mask, square: Mask, full: float) -> Mask:
    """The square moved to where things fill as much of it."""
    rows, columns = (np.flatnonzero(square.any(axis=axis)) for axis in (1, 0))
    height, width = len(rows), len(columns)
    filled = cv2.boxFilter(things.astype(np.float32), -1, (width, height), anchor=(0, 0))
    top, left = divmod(int(np.abs(filled[:-height, :-width] - full).argmin()), filled.shape[1] - width)
    moved = np.zeros_like(square)
    moved[top : top + height, left : left + width] = True
    return moved


def features(image: NDArray[np.uint8], mask: Mask, backdrop: Backdrop) -> list[float]:
    """What a seam, another noise or another grid around a thing's outline would show in."""
    grey, behind = (cv2.cvtColor(side, cv2.COLOR_RGB2GRAY).astype(np.float32) for side in (image, backdrop.image))
    thing = mask.astype(np.uint8)
    away, gradient, bend, noise = np.abs(grey - behind), slope(grey), bending(grey), grain(grey)
    within = cv2.erode(thing, np.ones((5, 5))) > 0
    ring = (cv2.dilate(thing, np.ones((3, 3))) > 0) & ~within
    around = (cv2.dilate(thing, np.ones((11, 11))) > 0) & (cv2.dilate(thing, np.ones((3, 3))) == 0)
    contrast = log_mean(away, mask)
    found = [log_mean(of, ring) - log_mean(of, within) for of in (gradient, bend, noise)]
    found += [log_mean(of, part) - contrast for of in (gradient, bend, noise) for part in (ring, within)]
    found += [log_mean(away, around) - contrast]
    found += [log_mean(of(grey), around) - log_mean(of(behind), around) for of in (slope, bending, grain)]
    found += [float(np.log1p(np.percentile(gradient[ring], 95)) - np.log1p(np.median(gradient[ring])))]
    near = cv2.dilate(thing, np.ones((5, 5))) > 0
    for axis in (0, 1):
        step = np.abs(np.diff(grey, axis=axis))
        part = near[1:] if axis == 0 else near[:, 1:]
        on_grid = np.zeros_like(part)
        on_grid[(slice(7, None, 8), slice(None)) if axis == 0 else (slice(None), slice(7, None, 8))] = True
        found.append(log_mean(step, part & on_grid) - log_mean(step, part & ~on_grid))
    return found


def slope(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """How steep the picture is at each pixel."""
    steep: NDArray[np.float32] = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return steep


def bending(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Its Laplacian, without the sign."""
    return np.abs(cv2.Laplacian(grey, cv2.CV_32F)).astype(np.float32, copy=False)


def grain(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the median around it."""
    return cv2.absdiff(grey, cv2.medianBlur(grey, 3)).astype(np.float32, copy=False)


def log_mean(of: NDArray[np.float32], part: Mask) -> float:
    """Logarithm of the mean over the part, of 1 more than it; 0 of nothing."""
    return float(np.log1p(of[part].mean())) if part.any() else 0.0


def auc(rows: NDArray[np.float64], pasted: Mask, groups: NDArray[np.int64]) -> float:
    """Of a logistic regression that has never seen the video that it judges."""
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    folds = GroupKFold(min(5, len(np.unique(groups))))
    judged = cross_val_predict(model, rows, pasted, groups=groups, cv=folds, method="decision_function")
    return float(roc_auc_score(pasted, judged))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


if __name__ == "__main__":
    main()
