"""Events, alarms and their judgement against going through the frames one by one."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.evaluation.auc import EvaluationError
from twostream_vad.evaluation.events import EventReport, alarms, judge_alarms, stretches

NAN = float("nan")


def judge(scores: list[float], labels: list[int], *, rate: float = 1.0) -> EventReport:
    return judge_alarms({"a": np.array(scores)}, {"a": np.array(labels)}, {"a": rate}, 1.0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], []),
        ([0, 0], []),
        ([1], [(0, 1)]),
        ([1, 1, 0, 1], [(0, 2), (3, 4)]),
        ([0.9, 1.0, 1.1, 0.9], [(1, 3)]),
    ],
)
def test_alarms_are_runs_at_or_above_the_threshold_to_the_one_after_the_last(
    scores: list[float], expected: list[tuple[int, int]]
) -> None:
    assert alarms(np.array(scores), 1.0, rate=0.5) == expected


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (0.1, [(0, 1), (2, 3), (5, 6)]),
        (0.5, [(0, 1), (2, 3), (5, 6)]),
        (1.0, [(0, 3), (5, 6)]),
        (1.25, [(0, 6)]),
    ],
)
def test_runs_less_than_two_seconds_apart_are_one_alarm(rate: float, expected: list[tuple[int, int]]) -> None:
    assert alarms(np.array([1, 0, 1, 0, 0, 1]), 1, rate) == expected


def test_frames_without_a_score_raise_no_alarm() -> None:
    assert alarms(np.array([NAN, NAN, 1, NAN]), -5, rate=1.0) == [(2, 3)]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [([0, 1, 1, 0, 1], [(1, 3), (4, 5)]), ([1, 1], [(0, 2)]), ([0, 0], []), ([], [])],
)
def test_stretches_run_from_the_first_frame_to_the_one_after_the_last(
    marks: list[int], expected: list[tuple[int, int]]
) -> None:
    assert stretches(np.array(marks, bool)) == expected


def slowly(scores: NDArray[Any], labels: NDArray[Any], rate: float, threshold: float) -> list[Any]:
    """Events, found, delays and false alarms by walking along the video with a state in hand."""
    found, delays, count = 0, [], 0
    inside, begun = False, 0
    waiting = False
    for frame, label in enumerate(labels):
        if label and not inside:
            count, begun, waiting = count + 1, frame, True
        inside = bool(label)
        if inside and waiting and scores[frame] >= threshold:
            found, waiting = found + 1, False
            delays.append((frame - begun) / rate)
    loud = [frame for frame, score in enumerate(scores) if score >= threshold]
    groups: list[list[int]] = []
    for frame in loud:
        quiet = frame - groups[-1][-1] - 1 if groups else 0
        if groups and (quiet == 0 or quiet / rate < 2.0):
            groups[-1].append(frame)
        else:
            groups.append([frame])
    false = sum(all(labels[frame] == 0 for frame in range(group[0], group[-1] + 1)) for group in groups)
    return [count, found, delays, false]


@pytest.mark.parametrize("seed", range(20))
def test_a_judgement_is_that_of_walking_along_the_videos(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = {"a": 5.0, "b": 5.97, "c": 0.4}
    labels = {name: (np.repeat(rng.random(30), 10) < 0.2).astype(int) for name in rates}
    scores = {name: rng.normal(size=300) + labels[name] for name in rates}
    for values in scores.values():
        values[: rng.integers(0, 40)] = NAN
    report = judge_alarms(scores, labels, rates, 2.5)
    parts = [slowly(scores[name], labels[name], rates[name], 2.5) for name in rates]
    assert report.events == sum(part[0] for part in parts)
    assert report.found == sum(part[1] for part in parts)
    assert report.delays == tuple(delay for part in parts for delay in part[2])
    assert report.false_alarms == sum(part[3] for part in parts)
    hours = sum((labels[name] == 0).sum() / rates[name] for name in rates) / 3600
    assert report.false_alarms_per_hour == pytest.approx(report.false_alarms / hours)


def test_recall_is_the_share_of_events_found() -> None:
    report = judge([0, 1, 0, 0, 0, 0], [1, 1, 0, 1, 0, 1])
    assert (report.events, report.found, report.recall) == (3, 1, 1 / 3)


def test_a_delay_is_in_seconds_from_the_events_first_frame() -> None:
    report = judge([0, 0, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0, 1], rate=4.0)
    assert report.delays == (0.5, 0.0)
    assert report.median_delay == 0.25


def test_an_alarm_before_an_event_does_not_find_it_but_is_not_false_once_it_reaches_in() -> None:
    early = judge([1, 1, 0, 0], [0, 0, 1, 1])
    assert (early.found, early.false_alarms) == (0, 1)
    reaching = judge([1, 1, 1, 0], [0, 0, 1, 1])
    assert (reaching.delays, reaching.false_alarms) == ((0.0,), 0)


def test_an_event_in_the_quiet_part_of_an_alarm_is_missed_though_the_alarm_is_not_false() -> None:
    report = judge([1, 0, 1], [0, 1, 0])
    assert (report.found, report.false_alarms) == (0, 0)
    assert judge([1, 0, 1], [0, 1, 0], rate=0.5).false_alarms == 2


def test_runs_exactly_two_seconds_apart_are_two_alarms() -> None:
    scores = [1.0] + [0.0] * 8 + [1.0]
    assert judge(scores, [0] * 10, rate=4.0).false_alarms == 2
    assert judge(scores, [0] * 10, rate=4.01).false_alarms == 1


def test_false_alarms_are_an_hour_of_normal_video() -> None:
    report = judge([1, 0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 1, 1], rate=2.0)
    assert report.false_alarms_per_hour == 1200


def test_normal_frames_without_a_score_are_normal_time_too() -> None:
    assert judge([NAN, NAN, NAN, 1], [0, 0, 0, 0]).false_alarms_per_hour == 900


def test_alarms_of_two_videos_are_never_joined() -> None:
    both = {"a": np.array([0.0, 1.0]), "b": np.array([1.0, 0.0])}
    normal = {name: np.zeros(2) for name in both}
    assert judge_alarms(both, normal, {"a": 1, "b": 1}, 1.0).false_alarms == 2


def test_what_does_not_exist_is_none() -> None:
    normal = judge([0, 0], [0, 0])
    assert (normal.recall, normal.median_delay, normal.false_alarms_per_hour) == (None, None, 0)
    anomalous = judge([0, 0], [1, 1])
    assert (anomalous.recall, anomalous.median_delay, anomalous.false_alarms_per_hour) == (0, None, None)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0, np.inf], [0, 1], "video a: the score of frame 1 is inf: score"),
        ([0, 1, 1], [0, 1], "video a: 3 scores but 2 labels"),
        ([0, 1], [0, 2], "video a: the label of frame 1 is 2"),
        ([[0, 1]], [0, 1], r"video a: scores and labels must be \(frames,\), got \(1, 2\)"),
        ([0, 1], [[0, 1]], r"video a: scores and labels must be \(frames,\), got \(2,\) and \(1, 2\)"),
    ],
)
def test_what_cannot_be_judged_is_refused(scores: list[Any], labels: list[Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        judge(scores, labels)


def test_videos_must_be_the_same_on_both_sides() -> None:
    one = {"a": np.zeros(2)}
    for scores, labels in ((one, one | {"b": np.zeros(2)}), (one | {"b": np.zeros(2)}, one)):
        with pytest.raises(EvaluationError, match=r"for 1 videos \(b\)"):
            judge_alarms(scores, labels, {"a": 1, "b": 1}, 1.0)
    with pytest.raises(EvaluationError, match="no videos"):
        judge_alarms({}, {}, {}, 1.0)
