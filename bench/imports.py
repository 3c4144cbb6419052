"""What `from twostream_vad import Detector` loads, and how long it and a bundle take.

    python bench/imports.py [DETECTOR]

Each measurement is a process of its own, the median of --repeats. Exit code 1 where a limit is passed: 25 modules of
ours, none of the rooms that a camera box does not need, 30 ms for the bare package, 0.5 s for a bundle after torch.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOMS = ("datasets", "plaza", "weights", "report", "runs")
"""Rooms that scoring does without."""
MODULES = "sorted(name for name in sys.modules if name.split('.')[0] == 'twostream_vad')"


def main() -> None:
    """Prints a line a limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path, nargs="?", help="a bundle to load")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    names = run(f"import sys; from twostream_vad import Detector; print(*{MODULES})").split()
    unwanted = [name for name in names if name.split(".")[1:2] and name.split(".")[1] in ROOMS]
    good = report("modules loaded by `from twostream_vad import Detector`", len(names), 25)
    good &= report(f"of {', '.join(ROOMS)}", len(unwanted), 0)
    bare = timed("import sys, time", "import twostream_vad", options.repeats)
    good &= report("`import twostream_vad`, ms", 1000 * bare, 30)
    if options.detector:
        # Torch, OpenCV and what else the library needs are loaded before: what is timed is ours.
        before = "import sys, time, torch, cv2, pydantic, safetensors.torch; from twostream_vad import Detector"
        load = timed(before, f"Detector.load({str(options.detector)!r})", options.repeats)
        good &= report("`Detector.load`, s", load, 0.5)
    print("\n".join(names))
    sys.exit(0 if good else 1)


def report(what: str, value: float, limit: float) -> bool:
    """Prints a line; whether the value is within its limit."""
    print(f"{'ok  ' if value <= limit else 'FAIL'} {what}: {value:.3g} (at most {limit:g})", flush=True)
    return value <= limit


def timed(before: str, work: str, repeats: int) -> float:
    """Seconds that ``work`` takes in a process that has done ``before``, the median."""
    code = f"{before}\nbegan = time.perf_counter()\n{work}\nprint(time.perf_counter() - began)"
    return statistics.median(float(run(code)) for _ in range(repeats))


def run(code: str) -> str:
    """What a Python process prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
