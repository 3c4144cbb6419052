"""`tsvad doctor`: what in a dataset would spoil a result."""

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from .common import Bar, console, packed
from .process import set_up_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..datasets.layouts import Dataset
    from ..doctor.examine import Report
    from ..doctor.findings import Finding

_Json = Annotated[bool, Parameter(name="--json", negative=())]


def register(app: App) -> None:
    """Adds the command."""
    app.command(doctor)


def doctor(
    data: Path,
    *,
    layout: str = "auto",
    labels: Path | None = None,
    run: Path | None = None,
    as_json: _Json = False,
    notes: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Read a dataset once and name what would spoil a result.

    Broken, repeated, black or missing frames, labels that do not fit, test video inside training; with --run,
    training video that looks anomalous.
    Exit code 0 if there is nothing to say, 1 if there is, 2 if nothing can be read.

    Parameters
    ----------
    data
        The dataset: Ped2, Avenue, ShanghaiTech, Corridor, or any folder of videos (training/ and testing/).
    layout
        How it lies on disk: auto, ped2, avenue, shanghaitech, corridor or folder.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    run
        A fitted run, which need not be of this dataset: it scores the training videos, and segments that would raise
        its alarm are named. It takes as long as scoring does.
    as_json
        Print one JSON object with findings and notes.
    notes
        Print notes too: videos too short for a snippet, of one class only, or that the run cannot
        score. They change no exit code.
    """
    from ..datasets.layouts import find_dataset
    from ..doctor.examine import examine, with_findings

    dataset = find_dataset(data, layout)
    judge = None if run is None else _judge(run)  # first: a run that is not fitted need not wait for the reading
    with Bar("doctor") as bar:
        report = examine(dataset, labels, bar)
    if judge is not None:
        with Bar("score") as bar:
            report = with_findings(report, dataset, judge(dataset, bar))
    if as_json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        _print(report, notes=notes)
    if report.frames == 0:
        sys.exit(2)
    if report.findings:
        sys.exit(1)


def _judge(run: Path) -> "Callable[[Dataset, Bar], list[Finding]]":
    """What looks for anomalous-looking training segments by a fitted run; RunError where it is not fitted."""
    from ..detector.detector import Detector
    from ..doctor.suspects import suspicious_segments
    from ..runs.run import Run

    fitted = Run.open(run)
    set_up_process(fitted.recipe.threads)
    detector = Detector.load(packed(run))
    return lambda dataset, bar: suspicious_segments(detector, dataset.at_rate(fitted.recipe.rate).training, bar)


def _print(report: "Report", *, notes: bool) -> None:
    """A block for each video; the summary goes to standard error, so that a clean dataset prints nothing."""
    _print_blocks(report.findings)
    if notes and report.notes:
        print("notes")
        _print_blocks(report.notes)
    from ..doctor.findings import counted

    found, videos = counted(len(report.findings), "finding"), counted(report.affected, "video")
    read = f"{report.frames} frames read in {report.seconds:.1f} s"
    console().print(f"{found} in {videos}; {read}", soft_wrap=True)


def _print_blocks(findings: "tuple[Finding, ...]") -> None:
    for video, group in groupby(findings, key=lambda finding: finding.video):
        print(video or "the dataset")
        for finding in group:
            remedy = f" {finding.remedy[0].upper()}{finding.remedy[1:]}." if finding.remedy else ""
            print(f"  {finding.severity} {finding.kind}: {finding.what}.{remedy}")
