"""A camera's own days as normal video: what counts and what does not, against the events of the plain scores."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.live.events import Event
from twostream_vad.live.renewal import MARGIN, lived
from twostream_vad.live.store import Store
from twostream_vad.scores.promise import JOIN, events_of

START, HOURS = 1_000_000_000, 3
LINE = np.random.default_rng(3).exponential(size=3600 * HOURS).astype(np.float32)
EVENT = Event("gate-1", "gate", START + 500.0, START + 510.0, START + 505.0, 9.0, 8.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as made:
        made.add_seconds("gate", {START + at: (0.0, float(value)) for at, value in enumerate(LINE)})
        yield made


def expected(left_out: list[range]) -> tuple[float, ...]:
    line, clock = LINE.astype(np.float64), np.arange(len(LINE), dtype=np.float64)
    for span in left_out:
        line[span.start : span.stop] = np.nan
    return events_of([clock], [line], JOIN).peaks


def test_all_of_the_time_counts_second_by_second(store: Store) -> None:
    found = lived(store, "gate", START, START + len(LINE))
    assert found.peaks == expected([])
    assert found.seconds == len(LINE) - 1
    part = lived(store, "gate", START + 3600, START + 2 * 3600)
    assert part.seconds == 3599
    assert max(part.peaks) == LINE[3600:7200].max()


def test_trouble_and_real_anomalies_do_not_count(store: Store) -> None:
    store.begin(EVENT, [])
    assert lived(store, "gate", START, START + len(LINE)).peaks == expected([])
    store.begin(replace(EVENT, key="gate-2", start=START + 2000.0, end=START + 2100.5, kind="covered"), [])
    trouble = range(2000 - MARGIN, 2100 + MARGIN + 1)
    found = lived(store, "gate", START, START + len(LINE))
    assert found.peaks == expected([trouble])
    assert found.seconds == pytest.approx(len(LINE) - len(trouble), abs=JOIN)
    anomaly = range(500 - MARGIN, 510 + MARGIN + 1)
    assert lived(store, "gate", START, START + len(LINE), ["gate-1"]).peaks == expected([trouble, anomaly])
    later = lived(store, "gate", START + 505, START + len(LINE), ["gate-1"])
    assert later.seconds < len(LINE) - 505 - MARGIN


def test_a_drift_is_no_trouble(store: Store) -> None:
    store.begin(replace(EVENT, kind="drift"), [])
    assert lived(store, "gate", START, START + len(LINE)).peaks == expected([])


def test_trouble_that_goes_on_leaves_out_all_that_follows(store: Store) -> None:
    store.begin(replace(EVENT, kind="moved", start=START + 7200.0, end=None), [])
    assert lived(store, "gate", START, START + len(LINE)).seconds == pytest.approx(7200 - MARGIN, abs=2)


def test_too_little_and_unknown_events_are_refused(store: Store) -> None:
    with pytest.raises(
        TsvadError, match="30 minutes of gate's scores in that time, less than an hour: watch it longer"
    ):
        lived(store, "gate", START, START + 1800)
    with pytest.raises(TsvadError, match="0 minutes of door's scores"):
        lived(store, "door", START, START + len(LINE))
    with pytest.raises(TsvadError, match="gate has no event gate-7; its messages name their keys"):
        lived(store, "gate", START, START + len(LINE), ["gate-7"])
