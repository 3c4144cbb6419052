"""What is told of a camera: events, and the words of an alert."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .decisions import Place

Phase = Literal["begun", "ended"]
ANOMALY = "anomaly"


@dataclass(frozen=True)
class Event:
    """What was unlike normal at one camera, or wrong with it, as it is known so far; times are seconds since the epoch.

    ``kind`` is anomaly, the trouble that the camera has, or drift; ``place`` is where the heat was highest as it began;
    ``zone`` is the one that this place lies in; ``nearest`` the nearest normal event in words; ``repeats`` the key of
    an event that it says again; ``detector`` the hash of the bundle. ``end`` is None while it goes on.
    """

    key: str
    camera: str
    start: float
    end: float | None
    peak: float
    score: float
    threshold: float
    stream: str = ""
    place: Place | None = None
    zone: str = ""
    nearest: str = ""
    repeats: str | None = None
    kind: str = ANOMALY
    detector: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        told = asdict(self)
        return told | {"place": None if self.place is None else list(self.place)}


@dataclass(frozen=True)
class Message:
    """What a target is to be told: an event as it began or ended, its picture, a JPEG, and the tries so far."""

    id: int
    key: str
    phase: Phase
    event: Mapping[str, Any]
    picture: bytes | None
    tries: int
