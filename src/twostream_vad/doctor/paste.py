"""What a researcher puts into an issue about a dataset: counts, hashes, findings by kind, versions; no paths."""

import hashlib
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import av
import cv2

from ..datasets.dataset import Dataset
from ..datasets.labels import open_labels
from ..datasets.published import Total, nearest
from ..errors import TsvadError
from ..storage import sha256_of
from .examine import Report

SHOWN = 16  # hexadecimal digits of a hash


def block(report: Report, labels: str) -> str:
    """Fenced plain text; ``labels`` as `labels_line` says it."""
    lines = [f"twostream-vad {_version('twostream-vad')} doctor", f"layout: {report.layout}"]
    for name, split in report.splits.items():
        published = nearest(report.layout, name, split.videos, split.frames)
        known = "" if published is None else f" ({published.name}: {_total(published.splits[name])})"
        lines.append(f"{name}: {split.videos:,} videos, {split.frames:,} frames{known}, sha256 {split.sha256[:SHOWN]}")
    lines.append(f"labels: {labels}")
    kinds = Counter((finding.severity, finding.kind) for finding in (*report.findings, *report.notes))
    lines += [f"{severity} {kind}: {count:,}" for (severity, kind), count in kinds.most_common()] or ["no findings"]
    lines += _versions()
    return "\n".join(("```text", *lines, "```"))


def labels_line(dataset: Dataset, given: Path | None) -> str:
    """The kind of the labels' file and the hash of what it holds; of a folder, of its files in order of their names."""
    try:
        found = open_labels(dataset, given, dict) if dataset.testing else None
    except TsvadError:
        return "cannot be read"
    if found is None:
        return "none"
    path = found[0]
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    hashes = [sha256_of(file) for file in files]
    digest = hashes[0] if path.is_file() else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return f"{path.suffix or 'a folder'}, sha256 {digest[:SHOWN]}"


def _total(total: Total) -> str:
    return f"{total.videos:,} videos" + (f", {total.frames:,} frames" if total.frames is not None else "")


def _versions() -> list[str]:
    """Of what decodes and computes; torch is not imported for it."""
    ffmpeg = ", ".join(f"{name} {'.'.join(map(str, number))}" for name, number in sorted(av.library_versions.items()))
    names = ("numpy", "scipy", "torch")
    return [
        f"PyAV {av.__version__}: {ffmpeg}",
        f"OpenCV {cv2.__version__}, " + ", ".join(f"{name} {_version(name)}" for name in names),
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
