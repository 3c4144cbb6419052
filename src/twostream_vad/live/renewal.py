"""A camera's own last days as normal video: what a promise may be counted on once it has been watched."""

from collections.abc import Collection

import numpy as np

from ..errors import TsvadError
from ..scores.promise import JOIN, NormalEvents, events_of
from .store import Store
from .trouble import KINDS

MARGIN = 5  # seconds beside what does not count
MOST = 100_000  # events looked at
LEAST = 3600.0  # seconds with scores, with fewer of which nothing is calibrated


def lived(store: Store, camera: str, start: int, end: int, without: Collection[str] = ()) -> NormalEvents:
    """The normal events of a camera from ``start`` to before ``end``, seconds since the epoch, by its kept scores.

    A second counts by its largest score. What was no normal day is left out: times of trouble, and the events of these
    keys. TsvadError for a key that is none of the camera's, or less than an hour of scores.
    """
    line = store.seconds(camera, start, end)[1].astype(np.float64)
    known = {event.key: event for event in store.events(camera=camera, most=MOST)}
    if unknown := sorted(set(without) - known.keys()):
        raise TsvadError(f"{store.shown}: {camera} has no event {unknown[0]}; its messages name their keys")
    for event in known.values():
        if event.kind in KINDS or event.key in without:
            last = end if event.end is None else event.end
            line[max(0, int(event.start) - MARGIN - start) : max(0, int(last) + MARGIN + 1 - start)] = np.nan
    scored = int(np.count_nonzero(~np.isnan(line)))
    if scored < LEAST:
        raise TsvadError(
            f"{store.shown}: {scored / 60:.0f} minutes of {camera}'s scores in that time, less than an hour: watch it "
            "longer, or give more --days"
        )
    return events_of([np.arange(len(line), dtype=np.float64)], [line], JOIN)
