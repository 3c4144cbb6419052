"""`tsvad learn`: from a camera to a detector: records it, fits, and says what that can promise."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import TsvadError
from ..storage import typed
from .common import ANY_ENGINE, DEFAULT_RECIPE, PLAIN, EngineOptions, Options, RecipeName, clock, say
from .fit import fit
from .process import until_told

if TYPE_CHECKING:
    from ..live.camera import Health
    from ..live.tape import Taped

FAST = 15.0  # frames a second from which the recipe camera is meant
SLOW = "small"  # that of slower cameras, with camera's number of steps: however few the files of a minute are


def learn(
    camera: str,
    out: Path,
    *,
    hours: float = 24.0,
    minutes: float = 60.0,
    disk: float = 50.0,
    recipe: RecipeName = None,
    login: Path | None = None,
    transport: Literal["tcp", "udp"] = "tcp",
    engine: EngineOptions = ANY_ENGINE,
    options: Options = PLAIN,
) -> None:
    """Learn what is normal at a camera: record it, fit, and say how many false alarms a day that can promise.

    Packets are copied into files of a minute; minutes in which the camera is in trouble are left out. A lost camera is
    opened again. The same command goes on where it was stopped, recording or fitting; Ctrl-C ends the recording, and
    what there is by then is kept. Then: tsvad watch OUT/run CAMERA.

    Args:
        camera: As of `tsvad watch`.
        out: A folder that gets the recording, and the run with its detector.
        hours: Of normal video to be recorded.
        minutes: Of it to be learned from, evenly spread over all hours.
        disk: Gigabytes that the recording may take; then it ends.
        recipe: camera, or small where the camera gives fewer than 15 frames a second, unless given.
        login: A file whose first line is USER:PASSWORD.
        transport: Of RTSP.
    """
    from ..live.address import Address
    from ..live.camera import Camera
    from ..live.tape import Tape, files, spread

    if not (hours > 0 and minutes > 0 and disk > 0):
        raise TsvadError("--hours, --minutes and --disk must be more than 0")
    address, folder = Address.parse(camera, login), out / "recording"
    began = time.monotonic()

    def told(taped: "Taped") -> None:
        left = f"; left out: {taped.left_out}" if taped.left_out else ""
        said = f"{taped.seconds / 3600:.2f} of {hours:g} hours, {taped.size / 1e9:.2f} GB"
        say(f"{time.strftime('%H:%M:%S')} {said} after {clock(time.monotonic() - began)}{left}")

    def changed(health: "Health") -> None:
        say(f"the camera is {health.state}")

    with until_told() as stopped, Camera(address, transport=transport, changed=changed) as source:
        taped = Tape(source, folder, told).record(3600 * hours, int(1e9 * disk), stopped.is_set)
        rate, failure = source.rate, source.failure
    if failure:
        raise TsvadError(f"{address.shown}: {failure}; give the address of a camera")
    if stopped.is_set():
        say(f"stopped; the same command goes on: {taped.seconds / 3600:.2f} hours lie in {folder}")
        return
    if len(files(folder)) < 3:
        raise TsvadError(
            f"{folder}: {taped.seconds:.0f} seconds of normal video, less than can be learned: record more"
        )
    chosen = recipe or (DEFAULT_RECIPE if rate is None or rate >= FAST else SLOW)
    if recipe is None and chosen == SLOW:
        options = replace(options, set=(*_steps(), *options.set))
    say(f"learning from {spread(folder, out / 'normal', minutes)} of {len(files(folder))} files, recipe {chosen}")
    fit(out / "normal", recipe=chosen, out=out / "run", engine=engine, options=options)
    say(f"next: tsvad watch {typed(out / 'run')} {address.shown}")


def _steps() -> tuple[str, ...]:
    """How long the recipe for cameras trains, as settings."""
    from ..recipes import load_recipe

    given = load_recipe(DEFAULT_RECIPE)
    return f"recovery.steps={given.recovery.steps}", f"pace.steps={given.pace.steps}"
