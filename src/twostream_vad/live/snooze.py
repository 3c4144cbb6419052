"""Cameras that announce nothing for a while: a file beside the store, read again by who watches as it changes."""

import json
import time
from pathlib import Path

from ..errors import TsvadError
from ..storage import write_text

FILE = "snooze.json"
SHORTEST, LONGEST = 5.0, 60.0  # minutes


def snooze(folder: Path, camera: str, minutes: float) -> float:
    """Lets a camera announce no anomaly for so many minutes from now; 0 wakes it. Until when, seconds since the epoch.

    TsvadError for other than 0 or 5 to 60 minutes.
    """
    if minutes != 0 and not SHORTEST <= minutes <= LONGEST:
        raise TsvadError(
            f"a camera is snoozed for {SHORTEST:.0f} to {LONGEST:.0f} minutes, or woken by 0; got {minutes:g}"
        )
    now = time.time()
    until = {name: end for name, end in snoozed(folder).items() if end > now and name != camera}
    if minutes:
        until[camera] = now + 60 * minutes
    write_text(folder / FILE, json.dumps(until, indent=1) + "\n")
    return until.get(camera, now)


def snoozed(folder: Path) -> dict[str, float]:
    """Until when cameras announce nothing, seconds since the epoch. TsvadError for a broken file."""
    path = folder / FILE
    try:
        return {str(camera): float(until) for camera, until in json.loads(path.read_text("utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise TsvadError(f"{path} is broken ({error}): remove it, and nothing is snoozed") from None
