"""`tsvad recalibrate`: a detector whose promise is counted on the days that its camera was watched."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import TsvadError
from ..storage import typed
from .common import DetectorFolder, packed, say
from .fit import A_DAY
from .watch import need_libraries, open_store


def recalibrate(
    detector: DetectorFolder,
    camera: str,
    out: Path,
    *,
    watched: Path = Path("watch"),
    store: str | None = None,
    days: float = 7.0,
    per_day: float = A_DAY,
    without: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
) -> None:
    """Calibrate a detector anew, by the scores of a camera that it has watched: its threshold, and what it promises.

    Where the camera's days have changed, or learning saw little video. Nets and known events stay as they are. All of
    the time counts as normal but trouble, and events that are named.

    Args:
        camera: Its name in the store.
        out: The folder to write, a detector.
        watched: The store's folder: --out of tsvad watch.
        store: A PostgreSQL database, as of tsvad watch.
        days: Of the last days.
        per_day: False alarms a day from which the new detector's own threshold follows.
        without: Keys of events that were real anomalies.
    """
    need_libraries()
    from ..detector.bundle import DESCRIPTION, Bundle, write_bundle
    from ..detector.grow import refuse_taken
    from ..live.renewal import lived
    from ..scores.promise import DAY, Promises

    if not days > 0:
        raise TsvadError("--days must be more than 0")
    bundle, end = Bundle(packed(detector)), int(time.time())
    refuse_taken(bundle, out)
    start = end - int(days * DAY)
    with open_store(watched, store, reading=True) as kept:
        normal = lived(kept, camera, start, end, without)
    before, promise = bundle.description.calibration, Promises(normal).promise(per_day)
    if before.normal is not None:
        say(f"as it was: {Promises(before.normal).promise(per_day).said()}")
    say(f"now: {promise.said()}")
    span = f"{camera}, {time.strftime('%Y-%m-%d', time.gmtime(start))} to {time.strftime('%Y-%m-%d', time.gmtime(end))}"
    changed = {"threshold": promise.threshold, "normal": normal, "videos": (span,)}
    calibration = before.model_copy(update=changed)
    files = {name: bundle.path(name) for name in bundle.hashes if name != DESCRIPTION}
    write_bundle(out, bundle.description.model_copy(update={"calibration": calibration}), files)
    say(f"threshold {before.threshold:.2f} before, {promise.threshold:.2f} now; next: tsvad watch {typed(out)} …")
