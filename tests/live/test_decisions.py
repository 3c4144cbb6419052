"""Events of any scores: against a slow, obvious version, and by their promises."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostream_vad.errors import TsvadError
from twostream_vad.live.decisions import Change, Decisions, Repeats, Rules, Span

STEP = 0.1  # seconds from score to score
scores = st.lists(st.one_of(st.just(math.nan), st.integers(0, 30).map(lambda score: score / 10)), max_size=120)
rules = st.builds(
    lambda threshold, below, join, least: Rules(threshold, threshold - below, least * STEP, join * STEP, longest=1e9),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 12),
    st.integers(0, 4),
)


def run(values: list[float], given_rules: Rules) -> list[Change]:
    decisions = Decisions(given_rules)
    found = [change for place, score in enumerate(values) for change in decisions.push(place * STEP, score)]
    return found + decisions.end()


def ended(changes: list[Change]) -> list[Span]:
    return [change.span for change in changes if change.kind == "ended"]


def slowly(values: list[float], by: Rules) -> list[tuple[int, int]]:
    """First and last score of each event where nothing must last: loud scores, and those above the release nearby."""
    found: list[list[int]] = []
    for place, score in enumerate(values):
        goes_on = bool(found) and (place - found[-1][-1]) * STEP <= by.join + 1e-9
        if score >= (by.low if goes_on else by.threshold):
            if goes_on:
                found[-1].append(place)
            else:
                found.append([place])
    return [(event[0], event[-1]) for event in found]


@given(scores, rules)
def test_events_are_those_of_a_slow_obvious_version(values: list[float], given_rules: Rules) -> None:
    at_once = Rules(given_rules.threshold, given_rules.release, 0.0, given_rules.join + STEP / 2, longest=1e9)
    spans = ended(run(values, at_once))
    assert [(round(span.start / STEP), round(span.end / STEP)) for span in spans] == slowly(values, at_once)


@given(scores, rules)
def test_every_event_begins_once_and_ends_once_and_has_its_highest_score(values: list[float], by: Rules) -> None:
    changes = run(values, by)
    kinds = [change.kind for change in changes if change.kind != "peak"]
    assert kinds == ["begun", "ended"] * (len(kinds) // 2)
    for span in ended(changes):
        inside = values[round(span.start / STEP) : round(span.end / STEP) + 1]
        assert span.score == np.nanmax(inside) >= by.threshold
        assert values[round(span.peak / STEP)] == span.score
        assert span.end - span.start >= by.least - 1e-9


@given(scores, rules)
def test_a_score_changes_nothing_that_was_told_before(values: list[float], by: Rules) -> None:
    half = len(values) // 2
    decisions = Decisions(by)
    early = [change for place, score in enumerate(values[:half]) for change in decisions.push(place * STEP, score)]
    assert run(values, by)[: len(early)] == early


def test_a_long_event_ends_and_what_follows_is_its_repeat() -> None:
    rules = Rules(1.0, longest=10.0)
    decisions, repeats = Decisions(rules), Repeats(rules)
    told: list[str | None] = []
    for place in range(350):
        for change in decisions.push(place * STEP, 2.0):
            if change.kind == "begun":
                told.append(repeats.begin(f"event {len(told)}", change.span.start, (0.5, 0.5)))
            elif change.kind == "ended":
                repeats.end("event 0", change.span.end)
    assert told == [None, "event 0", "event 0", "event 0"]


def test_an_event_elsewhere_or_long_after_is_new() -> None:
    repeats = Repeats(Rules(1.0, cool_down=60))
    assert repeats.begin("a", 0.0, (0.2, 0.2)) is None
    repeats.end("a", 5.0)
    assert repeats.begin("b", 10.0, (0.8, 0.2)) is None
    assert repeats.begin("c", 30.0, (0.25, 0.2)) == "a"
    repeats.end("a", 31.0)
    assert repeats.begin("d", 92.0, (0.2, 0.2)) is None
    assert repeats.begin("e", 92.0, None) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": math.nan}, "threshold must be a number"),
        ({"threshold": 1.0, "release": 2.0}, "not above the threshold"),
        ({"threshold": 1.0, "join": -1.0}, "join must be seconds"),
        ({"threshold": 1.0, "least": math.inf}, "least must be seconds"),
        ({"threshold": 1.0, "least": 10.0, "longest": 10.0}, "longest must be more than least"),
    ],
)
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(TsvadError, match=message):
        Rules(**wrong)
