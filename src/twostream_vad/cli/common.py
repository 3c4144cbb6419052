"""Options that long commands share, progress bars, and waiting for other processes."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from ..errors import TsvadError

if TYPE_CHECKING:
    from ..detector.engines.engine import Engine, Ranges
    from ..runs.run import Run
    from ..settings import Recipe

DEFAULT_RECIPE = "camera"
PLAIN_SECONDS = 15.0  # between two progress lines where standard error is no terminal

Flag = Annotated[bool, Parameter(negative=())]
DATASET = "The dataset: Ped2, Avenue, ShanghaiTech, Corridor, or any folder of videos (training/ and testing/)."
Data = Annotated[Path, Parameter(help=DATASET)]
Labels = Annotated[Path | None, Parameter(help="Frame labels of the test videos, where the dataset has none itself.")]
RECIPE = "A shipped recipe (tsvad recipe list) or a YAML file; camera unless given, or that of the run in OUT."
RecipeName = Annotated[str | None, Parameter(help=RECIPE)]
RunFolder = Annotated[Path, Parameter(help="The run folder.")]
DetectorFolder = Annotated[Path, Parameter(help="A detector (tsvad pack), or the folder of a fitted run.")]


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Options of every long command.

    Attributes:
        set: Change a setting of the recipe: section.key=value, such as recovery.lr=0.001. May be repeated.
        redo: Replace outputs that are there already or were made with other settings.
        wait_for: Start when these processes (PIDs) have ended.
        note: A line for the run's log, to tell runs apart later.
        dry_run: Check everything, write nothing.
    """

    set: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    redo: Flag = False
    wait_for: Annotated[tuple[int, ...], Parameter(consume_multiple=True, negative=())] = ()
    note: str = ""
    dry_run: Flag = False


@Parameter(name="*")
@dataclass(frozen=True)
class EngineOptions:
    """What computes the nets.

    Attributes:
        engine: OpenVINO, ONNX Runtime or torch; auto is OpenVINO on a CPU where it is installed, else torch.
        precision: fp32; bf16, faster where the processor has it, with scores that differ by about a hundredth; or int8,
            by OpenVINO, which measures its ranges on a run's normal video.
    """

    engine: Literal["auto", "torch", "openvino", "onnx"] | None = None
    precision: Literal["fp32", "bf16", "int8"] = "fp32"

    def chosen(self, kept: Path | None) -> "Engine":
        """The engine, which keeps what it compiles in a folder, where one is given."""
        from ..detector.engines.engine import Engine

        return Engine(self.engine or "auto", self.precision, kept=kept)

    def ranges(self, bundle: Path) -> "Ranges | None":
        """What int8 needs of the run that a detector's folder lies in."""
        if self.precision != "int8":
            return None
        from ..runs.ranges import ranges_beside

        return ranges_beside(bundle)

    @property
    def given(self) -> bool:
        """Whether anything was asked for."""
        return self != EngineOptions()


PLAIN = Options()
ANY_ENGINE = EngineOptions()


@contextmanager
def at_work(folder: Path, command: str, options: Options) -> Iterator[None]:
    """Waits as asked, holds the run (TsvadError where another process works in the folder), and logs the command."""
    wait_for(options.wait_for)
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TsvadError(f"{folder}: another tsvad works there; wait for it with --wait-for PID") from None
        entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "command": command, "note": options.note}
        with (logs / "commands.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry | {"arguments": sys.argv[1:]}) + "\n")
        for stream in ("recovery", "retrieval"):  # of killed processes: a checkpoint may be a gigabyte
            for part in (folder / stream).rglob(".*.part*"):
                part.unlink()
        yield


def wanted_recipe(given: str | None, folder: Path | None, overrides: Sequence[str]) -> "Recipe":
    """The recipe named, else that of the run in ``folder``, else the default; RecipeError where an override is bad."""
    from ..recipes import load_recipe
    from ..runs.run import Run

    if given is None and folder is not None and (folder / "run.json").exists():
        return Run.open(folder, overrides).recipe
    return load_recipe(given or DEFAULT_RECIPE, overrides)


def is_dry(options: Options, run: "Run", *stages: str) -> bool:
    """Whether nothing is to be written: then says what the command would work on.

    Raises RunError where outputs of these stages, or of any if none is named, come of other settings.
    """
    if options.dry_run:
        if not options.redo:
            run.refuse_stale(*stages)
        found = run.source()
        videos = f"{len(found.training)} training and {len(found.testing)} test videos"
        where = f"with recipe {run.recipe.name} on {run.data} into {run.folder}"
        say(f"{found.layout}: {videos}; would start {where}")
    return options.dry_run


def packed(folder: Path) -> Path:
    """The detector in ``folder``, a bundle or a run; RunError for a run not fitted to the end as it is set now."""
    from ..runs.run import Run, RunError

    if (folder / "run.json").exists():
        run = Run.open(folder)
        if not run.is_done("pack"):
            raise RunError(f"{folder} is not fitted to the end; {run.goes_on}")
        return folder / "detector"
    return folder


def wait_for(pids: Sequence[int], every: float = 1.0) -> None:
    """Returns when all these processes have ended; TsvadError for a number that no process can have."""
    for pid in pids:
        if not 0 < pid < 2**31:
            raise TsvadError(f"--wait-for {pid} is no process; give the PIDs that `ps` or `jobs -l` print")
    if waiting := [str(pid) for pid in pids if _alive(pid)]:
        say(f"waiting for {', '.join(waiting)} to end")
    while any(map(_alive, pids)):
        time.sleep(every)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def say(line: str) -> None:
    """A line on standard error, as everything that is no result."""
    print(line, file=sys.stderr)


class Bar:
    """A progress bar with speed and time left; plain lines now and then where there is no terminal.

    Calling it as ``bar(done, total, note)`` makes it a `Progress` of the long jobs; a total of 0 is not known yet.
    """

    def __init__(self, title: str) -> None:
        self.title, self._console = title, Console(stderr=True)
        self._began = self._spoke = time.monotonic()
        self._first, self._total = 0, -1
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, "{task.fields[note]}", console=self._console, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task(escape(title), total=None, note="")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if total != self._total:
            if self._total != 0:  # another part of the job, such as the next split
                self._first, self._began = done, now
            self._total = total
        seconds = now - self._began
        speed = (done - self._first) / max(seconds, 1e-9)
        self._bar.update(self._task, completed=done, total=total or None, note=escape(f"{speed:.1f}/s  {note}"))
        if not self._console.is_terminal and (done == total > 0 or now - self._spoke > PLAIN_SECONDS):
            self._spoke = now
            of = f"/{total}" if total else ""
            left = f", {clock((total - done) / speed)} left" if speed > 0 and done < total else ""
            say(f"{self.title}: {done}{of}, {speed:.1f}/s, {clock(seconds)}{left}  {note}".rstrip())


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
