"""Kills a fit at random moments and starts it again, until it ends: are its files those of one left alone?

    python bench/kills.py DATA --recipe demo --kills 10 --seed 1

Fits DATA undisturbed and notes how long each stage takes. Draws moments of that time by the seed, fits again, and
SIGKILLs the whole process group when the second fit has come to each of them: to that stage, and as far into it. Then
compares both runs' files byte for byte. Exit code 1 where one differs, or where fewer kills fell than asked for.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from twostream_vad.runs.pipeline import STAGES
from twostream_vad.runs.run import RECORDS

FOLDERS = ("recovery", "retrieval", "calibration", "results")
"""What is compared: every array, tensor and choice in these folders of a run, logs left out."""
POLL = 0.005
"""Seconds between two looks at how far a fit is."""


def main() -> None:
    """Fits twice and prints what fell where, and which files are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--out", type=Path, help="folder for both runs, kept; a temporary one unless given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        good = compare(options, folder)
    sys.exit(0 if good else 1)


def compare(options: argparse.Namespace, folder: Path) -> bool:
    """Whether the killed fit ends with the files of the undisturbed one, all kills having fallen."""
    alone, killed = folder / "alone", folder / "killed"
    for run in (alone, killed):
        if run.exists():
            sys.exit(f"{run} is there already; give another --out")
    began = time.monotonic()
    if (code := start(options, alone, folder / "alone.log").wait()) != 0:
        sys.exit(f"the undisturbed fit ended with {code}; see {folder / 'alone.log'}:\n{tail(folder / 'alone.log')}")
    print(f"left alone: {time.monotonic() - began:.1f} s", flush=True)
    stages = [(name, float(record["seconds"])) for name, record in records(alone).items()]
    for name, seconds in stages:
        print(f"  {name:16} {seconds:8.1f} s")
    fell = 0
    moments = draw_moments(stages, options.kills, options.seed)
    for number, (name, offset) in enumerate(moments, start=1):
        since, process = time.time(), start(options, killed, folder / "killed.log")
        if not come_to(process, killed, name, offset, since):
            if process.returncode != 0:
                sys.exit(f"the killed fit ended with {process.returncode}:\n{tail(folder / 'killed.log')}")
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        fell += 1
        print(f"kill {number}: drawn {offset:.2f} s into {name}, fell in {where(killed)}", flush=True)
    print(f"{fell} of {options.kills} kills fell; the last start runs to the end", flush=True)
    if (code := start(options, killed, folder / "killed.log").wait()) != 0:
        sys.exit(f"the killed fit ended with {code}; see {folder / 'killed.log'}:\n{tail(folder / 'killed.log')}")
    files = sorted({file for run in (alone, killed) for file in compared(run)})
    same = [report(file, alone / file, killed / file) for file in files]
    print(f"{sum(same)} of {len(same)} files are the same")
    return all(same) and fell == options.kills


def compared(run: Path) -> list[str]:
    """Files to compare, relative to the run."""
    found = (path for folder in FOLDERS for path in (run / folder).rglob("*.*") if "logs" not in path.parts)
    return [str(path.relative_to(run)) for path in found if path.is_file()]


def start(options: argparse.Namespace, run: Path, log: Path) -> "subprocess.Popen[bytes]":
    """A fit in a process group of its own."""
    words = ["fit", str(options.data), "--recipe", options.recipe, "--out", str(run)]
    words += [word for setting in options.set for word in ("--set", setting)]
    code = "from twostream_vad.cli import main; main()"
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=True, stdout=file, stderr=file)


def draw_moments(stages: list[tuple[str, float]], kills: int, seed: int) -> list[tuple[str, float]]:
    """Random moments of all stages' time in order, as stage and seconds into it.

    Each kill has an equal share of the time to fall in, so that they spread over the whole fit.
    """
    ends = np.cumsum([seconds for _, seconds in stages])
    rng = np.random.default_rng(seed)
    moments = (np.arange(kills) + rng.random(kills)) / kills * ends[-1]
    places = np.searchsorted(ends, moments, side="right")
    return [(stages[place][0], float(moments[i] - ends[place] + stages[place][1])) for i, place in enumerate(places)]


def come_to(process: "subprocess.Popen[bytes]", run: Path, name: str, offset: float, since: float) -> bool:
    """Waits until a fit started at ``since`` is so far into the stage, or past it; False where it ends before."""
    order = list(STAGES)
    while process.poll() is None:
        begun = {stage: record for stage, record in records(run).items() if record["began"] >= since}
        past = any(order.index(stage) > order.index(name) for stage in begun)
        if past or (name in begun and (begun[name]["done"] or time.time() - begun[name]["began"] >= offset)):
            return True
        time.sleep(POLL)
    return False


def records(run: Path) -> dict[str, dict[str, Any]]:
    """What the run knows of its stages."""
    try:
        found: dict[str, dict[str, Any]] = json.loads((run / RECORDS).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def where(run: Path) -> str:
    """The stage that a kill fell in."""
    return next((name for name, record in records(run).items() if not record["done"]), "no stage: between two")


def report(file: str, first: Path, second: Path) -> bool:
    """Prints whether two files are the same."""
    same = second.exists() and content(first) == content(second)
    print(f"  {'same     ' if same else 'DIFFERENT'} {file}")
    return same


def content(file: Path) -> object:
    """A file's bytes; safetensors writes the entries of its header in any order."""
    data = file.read_bytes()
    if file.suffix != ".safetensors":
        return data
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def tail(log: Path) -> str:
    """The end of what a fit said."""
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-5:])


if __name__ == "__main__":
    main()
