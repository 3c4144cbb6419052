"""`tsvad doctor`: what in a dataset would spoil a result."""

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..doctor.findings import Finding, counted
from .common import Bar, Data, Flag, Labels, packed, say
from .process import set_up_process

if TYPE_CHECKING:
    from ..datasets.dataset import Dataset
    from ..detector.bundle import Bundle


def doctor(
    data: Data,
    *,
    layout: str = "auto",
    labels: Labels = None,
    run: Path | None = None,
    as_json: Annotated[Flag, Parameter(name="--json")] = False,
    notes: Flag = False,
    paste: Flag = False,
) -> None:
    """Read a dataset once and name what would spoil a result.

    Broken, repeated, black or missing frames, labels that do not fit, test video inside training; with --run,
    training video that looks anomalous.
    Exit code 0 if there is nothing to say, 1 if there is, 2 if nothing can be read.

    Args:
        layout: How it lies on disk: auto, ped2, avenue, shanghaitech, corridor, nwpu, ubnormal or folder.
        run: A fitted run or a detector, which need not be of this dataset: it scores the training videos, and segments
            that would raise its alarm are named. It takes as long as scoring does.
        as_json: Print one JSON object with findings and notes.
        notes: Print notes too: videos too short for a snippet, of one class only, or that the run cannot score. They
            change no exit code.
        paste: Print a block to put into an issue instead: counts, hashes of frames and labels, findings by kind,
            versions; no paths and no names of videos.
    """
    from ..datasets.layouts import find_dataset
    from ..detector.bundle import Bundle
    from ..doctor.examine import examine, with_findings

    dataset = find_dataset(data, layout)
    detector = None if run is None else Bundle(packed(run))  # a bad one is told before the reading, not after
    with Bar("doctor") as bar:
        report = examine(dataset, labels, bar)
    if detector is not None:
        report = with_findings(report, dataset, _suspects(detector, dataset))
    if paste:
        from ..doctor.paste import block, labels_line

        print(block(report, labels_line(dataset, labels)))
    elif as_json:
        print(json.dumps(report.as_dict(), indent=1))
    else:  # the summary goes to standard error, so that a clean dataset prints nothing
        _print(report.findings)
        if notes and report.notes:
            print("notes")
            _print(report.notes)
        found, videos = counted(len(report.findings), "finding"), counted(report.affected, "video")
        say(f"{found} in {videos}; {report.frames} frames read in {report.seconds:.1f} s")
    if report.frames == 0:
        sys.exit(2)
    if report.findings:
        sys.exit(1)


def _suspects(detector: "Bundle", dataset: "Dataset") -> list[Finding]:
    """Training segments that look anomalous."""
    from ..detector.detector import Detector
    from ..doctor.suspects import suspicious_segments

    set_up_process(None)
    scorer = Detector.load(detector)
    with Bar("score") as bar:
        return suspicious_segments(scorer, dataset.at_rate(scorer.rate).training, bar)


def _print(findings: tuple[Finding, ...]) -> None:
    """A block for each video."""
    for video, group in groupby(findings, key=lambda finding: finding.video):
        print(video or "the dataset")
        for finding in group:
            remedy = f" {finding.remedy[0].upper()}{finding.remedy[1:]}." if finding.remedy else ""
            print(f"  {finding.severity} {finding.kind}: {finding.what}.{remedy}")
