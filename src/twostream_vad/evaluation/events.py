"""What an operator would see at one threshold: events found, how late, and false alarms an hour."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import ByVideo, checked, same_videos

JOIN_SECONDS = 2.0
"""Runs of loud frames less far apart than this are one alarm."""


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


def alarms(scores: NDArray[Any], threshold: float, rate: float) -> list[Event]:
    """Runs of frames that score at or above the threshold, joined where they lie less than JOIN_SECONDS apart.

    Args:
        scores: (frames,). NaN is no score yet, as before a video's first snippet, and raises no alarm.
        threshold: of an alarm.
        rate: frames per second.
    """
    gap = math.ceil(JOIN_SECONDS * rate)
    joined: list[Event] = []
    for run in _runs(scores >= threshold):  # False for NaN
        if joined and run.first - joined[-1].last - 1 < gap:
            joined[-1] = Event(joined[-1].first, run.last)
        else:
            joined.append(run)
    return joined


def judge_alarms(scores: ByVideo, labels: ByVideo, rates: Mapping[str, float], threshold: float) -> EventReport:
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

    Raises:
        EvaluationError: infinite scores, differing lengths or videos, or labels that are not 0/1.
    """
    count, false_alarms, normal_seconds = 0, 0, 0.0
    delays: list[float] = []
    for name in same_videos(scores, labels):
        values, anomalous = checked(scores[name], labels[name], f"video {name}: ", gaps=True)
        loud, rate = values >= threshold, rates[name]
        for event in _runs(anomalous):
            count += 1
            hits = np.flatnonzero(loud[event.first : event.last + 1])
            delays.extend(float(hit) / rate for hit in hits[:1])
        raised = alarms(values, threshold, rate)
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


def _runs(marks: NDArray[np.bool_]) -> list[Event]:
    """Stretches of True."""
    edges = np.flatnonzero(np.diff(marks, prepend=False, append=False))
    return [Event(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]
