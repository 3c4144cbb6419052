"""What is to be watched: cameras, each with its detector, zones and schedule, as ``cameras.yaml`` says."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..detector.zones import Zone
from ..errors import TsvadError
from ..settings import explained
from .address import Address
from .schedule import ALWAYS, Schedule

LARGEST = 1 << 20  # bytes of a plan
Name = Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]


class PlanError(TsvadError):
    """A plan that cannot be followed; the message names the file, the line and what would do."""


@dataclass(frozen=True)
class Place:
    """A camera of a plan. ``threshold`` goes before ``per_day``, false alarms a day; without both it is the detector's.

    ``release``, ``least`` and ``cool_down`` are those of `decisions.Rules`.
    """

    name: str
    address: Address
    detector: Path
    transport: Literal["tcp", "udp"] = "tcp"
    zones: tuple[Zone, ...] = ()
    schedule: Schedule = ALWAYS
    threshold: float | None = None
    per_day: float | None = None
    release: float | None = None
    least: float = 0.0
    cool_down: float = 60.0


@dataclass(frozen=True)
class Plan:
    """Cameras by name, and the addresses that alerts go to."""

    places: Mapping[str, Place]
    alerts: tuple[str, ...] = field(default=(), repr=False)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]


class _Zone(_Part):
    points: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=3, max_length=1000)]
    use: Literal["leave out", "alone"] = "leave out"


class _Rules(_Part):
    detector: Path | None = None
    login: Path | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    schedule: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    threshold: float | None = None
    per_day: Annotated[float, Field(gt=0, le=10_000)] | None = None
    release: float | None = None
    least: Annotated[float, Field(ge=0, le=3600)] = 0.0
    cool_down: Annotated[float, Field(ge=0, le=86400)] = 60.0


class _Camera(_Rules):
    address: Annotated[str, Field(min_length=1, max_length=4096)]
    zones: Annotated[dict[Name, _Zone], Field(max_length=100)] = {}


class _Plan(_Rules):
    cameras: Annotated[dict[Name, _Camera], Field(min_length=1, max_length=1000)]
    alerts: Annotated[tuple[str, ...], Field(max_length=100)] = ()


def read_plan(path: Path) -> Plan:
    """The plan in a YAML file; paths in it are from its folder. What all cameras share may stand above ``cameras``.

    Raises:
        PlanError: no such file, no YAML, an unknown key, or a value that does not fit.
    """
    text = _text(path)
    try:
        values, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except Exception as error:  # PyYAML's own, and what Python raises on its odd dates, numbers, tags and nesting
        raise PlanError(f"{path}: not YAML ({' '.join(str(error).split())[:400]})") from None
    if not isinstance(values, dict):
        raise PlanError(f"{path}: a plan is a mapping with `cameras`; docs/cameras.md shows one")
    try:
        found = _Plan.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise PlanError(f"{path}, line {_line(root, fault['loc'])}: {_said(fault)}"[:500]) from None
    shared = found.model_dump(include=set(_Rules.model_fields) & found.model_fields_set)
    places = {}
    for name, given in found.cameras.items():
        told = shared | given.model_dump(exclude_unset=True, exclude={"zones"})
        zones = {key: zone.model_dump() for key, zone in given.zones.items()}
        try:
            places[name] = _place(path.parent, name, told, zones)
        except (TsvadError, OSError) as error:
            raise PlanError(f"{path}, line {_line(root, ('cameras', name))}: camera {name}: {error}") from None
    return Plan(places, found.alerts)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise PlanError(f"{path}: larger than {LARGEST >> 20} MB, which no plan is")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: not a text file in UTF-8 ({error.reason}); give a YAML file") from None
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give a file such as docs/cameras.md shows") from None


def _place(folder: Path, name: str, told: dict[str, Any], zones: dict[str, dict[str, Any]]) -> Place:
    detector, login = told.pop("detector", None), told.pop("login", None)
    if detector is None:
        raise PlanError("names no detector: write `detector: FOLDER` there, or above `cameras` for all")
    given = told.pop("address")
    local = "://" not in given and not given.startswith("webcam:")
    address = Address.parse(str(folder / given) if local else given, None if login is None else folder / login)
    schedule = Schedule.parse(told.pop("schedule", ()))
    drawn = tuple(Zone(zone_name, **values) for zone_name, values in zones.items())
    return Place(name, address, folder / detector, zones=drawn, schedule=schedule, **told)


def _line(root: Any, where: tuple[int | str, ...]) -> int:
    """The line, from 1, of what a path leads to, as far as it leads."""
    node = mark = root
    for step in where:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == str(step)]
            if not found:
                break
            mark, node = found[-1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            mark = node = node.value[step]
        else:
            break
    return int(mark.start_mark.line) + 1


def _said(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(map(str, fault['loc']))}; docs/cameras.md names those that there are"
    shown = "" if "address" in fault["loc"] or "alerts" in fault["loc"] else f" (got {reprlib.repr(fault['input'])})"
    return f"{explained(fault)}{shown}"
