"""What an operator would see at one threshold: events found, how late, and false alarms an hour."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import ByVideo, checked, same_videos

JOIN_SECONDS = 2.0  # runs of loud frames less far apart than this are one alarm


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


def alarms(scores: NDArray[Any], threshold: float, rate: float) -> list[tuple[int, int]]:
    """`stretches` of frames that score at or above the threshold, joined where less than JOIN_SECONDS apart.

    Scores are (frames,), at ``rate`` frames a second. NaN, as before a video's first snippet, raises no alarm.
    """
    loud = np.flatnonzero(scores >= threshold)  # False for NaN
    ends = np.flatnonzero(np.diff(loud) > math.ceil(JOIN_SECONDS * rate)) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(loud, ends) if len(run)]


def stretches(marks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of True in (frames,) marks: the first frame of each, and the one after its last."""
    edges = np.flatnonzero(np.diff(marks, prepend=False, append=False))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def judge_alarms(scores: ByVideo, labels: ByVideo, rates: Mapping[str, float], threshold: float) -> EventReport:
    """Judge the alarms at one threshold against the events, runs of anomalous frames.

    An event is found, and its delay taken, by the frames that score at or above the threshold. A false alarm
    is a joined one that touches no event, quiet frames inside it counted in. False alarms are divided by the
    hours of frames labelled normal, with a score or without: hours of an event cannot raise a false alarm, and
    test videos hold many more events than a camera sees.

    By video: scores (frames,), where NaN is no score yet and counts as below the threshold; labels (frames,) of 0/1;
    frames per second. EvaluationError: infinite scores, differing lengths or videos, labels that are not 0/1.
    """
    count, false_alarms, normal_seconds = 0, 0, 0.0
    delays: list[float] = []
    for name in same_videos(scores, labels):
        values, anomalous = checked(scores[name], labels[name], f"video {name}: ", gaps=True)
        events, rate = stretches(anomalous), rates[name]
        count += len(events)
        hits = [np.flatnonzero(values[first:end] >= threshold) for first, end in events]
        delays.extend(float(late[0]) / rate for late in hits if len(late))
        false_alarms += sum(not anomalous[first:end].any() for first, end in alarms(values, threshold, rate))
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
