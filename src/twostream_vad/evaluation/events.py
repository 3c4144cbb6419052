"""What an operator would see at one threshold: events found, how late, and false alarms an hour."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import ByVideo

Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of frames, both ends included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class EventReport:
    """Alarms of all videos at one threshold, judged."""

    threshold: float
    events: int
    found: int  # events of which at least one frame scores at or above the threshold
    recall: float | None  # found / events; None without events
    delays: tuple[float, ...]  # seconds from a found event's first frame to its first frame that scores so
    median_delay: float | None  # seconds; None where nothing is found
    false_alarms: int  # alarms without an anomalous frame from their first frame to their last
    false_alarms_per_hour: float | None  # of video labelled normal; None where there is none


def events(labels: NDArray[Any]) -> list[Event]:
    """Runs of 1 in frame labels (frames,) of 0/1; ValueError for other labels."""
    return _runs(_marks(labels, ""))


def alarms(scores: NDArray[Any], threshold: float, *, gap: int) -> list[Event]:
    """Runs of frames that score at or above the threshold, joined where they lie close.

    Args:
        scores: (frames,). NaN is no score yet, as before a video's first snippet, and raises no alarm.
        threshold: of an alarm.
        gap: runs with fewer quiet frames than this between them are one alarm; 0 and 1 join nothing.

    Raises:
        ValueError: infinite scores, a threshold that is not finite, or a negative gap.
    """
    if gap < 0:
        raise ValueError(f"gap must be 0 frames or more, got {gap}")
    return _joined(_runs(_loud(scores, threshold, "")), gap)


def judge_alarms(
    scores: ByVideo, labels: ByVideo, rates: Mapping[str, float], threshold: float, *, join_seconds: float = 2.0
) -> EventReport:
    """Judge the alarms at one threshold against the events, runs of anomalous frames.

    An event is found, and its delay taken, by the frames that score at or above the threshold. A false alarm
    is a joined one that touches no event, quiet frames inside it counted in. False alarms are divided by the
    hours of frames labelled normal, with a score or without: hours of an event cannot raise a false alarm, and
    test videos hold many more events than a camera sees.

    Args:
        scores: video -> (frames,). NaN is no score yet, and counts as below the threshold.
        labels: video -> (frames,) of 0/1.
        rates: video -> frames per second.
        threshold: of an alarm.
        join_seconds: runs less far apart are one alarm.

    Raises:
        ValueError: infinite scores, differing lengths or videos, labels that are not 0/1, a rate that is
            missing or not positive, or a setting out of range.
    """
    if not (math.isfinite(join_seconds) and join_seconds >= 0):
        raise ValueError(f"join_seconds must be 0 or more, got {join_seconds}")
    _same_videos(scores, labels)
    count, false_alarms, normal_seconds = 0, 0, 0.0
    delays: list[float] = []
    for name in labels:
        where, rate = f"video {name}: ", _rate(rates, name)
        loud, anomalous = _loud(scores[name], threshold, where), _marks(labels[name], where)
        if len(loud) != len(anomalous):
            raise ValueError(
                f"{where}{len(loud)} scores but {len(anomalous)} labels: one belongs to another video or decoder"
            )
        for event in _runs(anomalous):
            count += 1
            hits = np.flatnonzero(loud[event.first : event.last + 1])
            delays.extend(float(hit) / rate for hit in hits[:1])
        raised = _joined(_runs(loud), math.ceil(join_seconds * rate))
        false_alarms += sum(not anomalous[alarm.first : alarm.last + 1].any() for alarm in raised)
        normal_seconds += int(np.count_nonzero(~anomalous)) / rate
    return EventReport(
        threshold=float(threshold),
        events=count,
        found=len(delays),
        recall=len(delays) / count if count else None,
        delays=tuple(delays),
        median_delay=float(np.median(delays)) if delays else None,
        false_alarms=false_alarms,
        false_alarms_per_hour=false_alarms / (normal_seconds / 3600) if normal_seconds else None,
    )


def _runs(marks: Marks) -> list[Event]:
    """Stretches of True."""
    edges = np.flatnonzero(np.diff(marks, prepend=False, append=False))
    return [Event(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]


def _joined(runs: list[Event], gap: int) -> list[Event]:
    joined: list[Event] = []
    for run in runs:
        if joined and run.first - joined[-1].last - 1 < gap:
            joined[-1] = Event(joined[-1].first, run.last)
        else:
            joined.append(run)
    return joined


def _loud(scores: NDArray[Any], threshold: float, where: str) -> Marks:
    """Frames that score at or above the threshold, (frames,)."""
    if not math.isfinite(threshold):
        raise ValueError(f"the threshold must be a finite number, got {threshold}")
    values = np.asarray(scores, np.float64)
    if values.ndim != 1:
        raise ValueError(f"{where}scores must be (frames,), got {values.shape}")
    if np.isinf(values).any():
        bad = int(np.argmax(np.isinf(values)))
        raise ValueError(f"{where}the score of frame {bad} is {values[bad]}: score the video again")
    return np.asarray(values >= threshold)  # False for NaN


def _marks(labels: NDArray[Any], where: str) -> Marks:
    values = np.asarray(labels)
    if values.ndim != 1:
        raise ValueError(f"{where}labels must be (frames,), got {values.shape}")
    wrong = ~np.isin(values, (0, 1))
    if wrong.any():
        bad = int(np.argmax(wrong))
        raise ValueError(f"{where}the label of frame {bad} is {values[bad]}: labels are 0 (normal) or 1 (anomalous)")
    return values.astype(np.bool_)


def _same_videos(scores: ByVideo, labels: ByVideo) -> None:
    if not scores and not labels:
        raise ValueError("no videos to judge: scores and labels are both empty")
    if differing := sorted(set(scores) ^ set(labels)):
        shown = ", ".join(differing[:5]) + (" …" if len(differing) > 5 else "")
        raise ValueError(f"only scores or only labels for {len(differing)} videos ({shown}): give both, or neither")


def _rate(rates: Mapping[str, float], name: str) -> float:
    if name not in rates:
        raise ValueError(f"video {name} has no frame rate: give frames per second for every video")
    rate = float(rates[name])
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"video {name} has the frame rate {rate}: give its frames per second, above 0")
    return rate
