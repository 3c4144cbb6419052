"""Mutated files of every kind that is read: each gives a value or a frame, or is refused in one line.

    python bench/hostile.py --inputs 100000 [--seed 1] [--workers 2] [--keep FOLDER]

Makes small files of every format and bombs, changes bytes, and gives them to the program's own readers in watched
processes. atheris (`pip install atheris`) leads the changes to our own readers to code not yet seen, where it is
installed and --plain is not given; video and images, which C reads, are changed blindly. Prints a table: inputs, read,
refused, and what must be 0: crashed, hung (--seconds without an answer), over memory (--memory MB more than before),
wrong (any error but one line of ours). Such inputs are kept with what happened. Exit code 1 where there is one.
"""

import argparse
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile_inputs as inputs

BATCH = 500  # inputs of one process
SLOW = 0.1  # of a format's share, where each input takes a process of its own
RESULTS = ("read", "refused", "crashed", "hung", "over memory", "wrong")
LINE = 3000  # characters that a refusal may have
HARD = 6 << 30  # bytes that a process may write to: the machine must live


def main() -> None:
    """Prints the table by format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--seconds", type=float, default=60, help="longest time for an input")
    parser.add_argument("--memory", type=int, default=1500, help="MB that an input may take")
    parser.add_argument("--formats", nargs="+", default=list(inputs.FORMATS), choices=list(inputs.FORMATS))
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--keep", type=Path, default=Path("hostile"), help="folder for inputs that do harm")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep = options.keep.absolute()
    if options.child:
        child(options.child[0], int(options.child[1]), int(options.child[2]), options)
        return
    if (
        not options.plain
        and subprocess.run([sys.executable, "-c", "import atheris"], stderr=-3, check=False).returncode
    ):
        print("atheris is not installed: all changes are blind")
        options.plain = True
    tallies = Fuzzing(options).run()
    harm = print_table(tallies)
    sys.exit(1 if harm else 0)


def print_table(tallies: dict[str, Counter[str]]) -> int:
    """By format; how many inputs did harm."""
    print(f"{'format':24}{'inputs':>9}" + "".join(f"{result:>13}" for result in RESULTS))
    total = sum(tallies.values(), Counter[str]())
    for name, tally in (*tallies.items(), ("all", total)):
        print(f"{name:24}{tally.total():9,}" + "".join(f"{tally[result]:13,}" for result in RESULTS))
    return total.total() - total["read"] - total["refused"]


class Fuzzing:
    """Batches of inputs, several at a time, each in a process that is watched."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        few = int(SLOW * options.inputs / len(options.formats))
        counts = {name: few for name in options.formats if inputs.FORMATS[name].slow}
        if "bombs" in options.formats:  # there are so many and no more
            counts["bombs"] = min(len(inputs.BOMBS), options.inputs)
        quick = [name for name in options.formats if name not in counts]
        share, more = divmod(options.inputs - sum(counts.values()), max(len(quick), 1))
        counts |= {name: share + (place < more) for place, name in enumerate(quick)}
        self.total = sum(counts.values())
        self.waiting = [
            (name, first, min(first + BATCH, count))
            for name, count in counts.items()
            for first in range(0, count, BATCH)
        ][::-1]
        self.tallies: dict[str, Counter[str]] = {name: Counter() for name in counts}
        self.began = self.spoke = time.monotonic()
        self.lock = threading.Lock()

    def run(self) -> dict[str, Counter[str]]:
        """Format → result → inputs."""
        threads = [threading.Thread(target=self._work) for _ in range(self.options.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.tallies

    def _work(self) -> None:
        while True:
            with self.lock:
                if not self.waiting:
                    return
                name, first, last = self.waiting.pop()
            while first < last:  # begun anew after an input that ends the process
                with tempfile.TemporaryDirectory() as folder:
                    first = self._watch(name, first, last, Path(folder))

    def _watch(self, name: str, first: int, last: int, folder: Path) -> int:
        """One process from input ``first`` on; the first input that it left."""
        kept = {key: value for key, value in vars(self.options).items() if key in ("seed", "memory", "keep")}
        words = [word for key, value in kept.items() for word in (f"--{key}", str(value))]
        words += ["--plain"] if self.options.plain else []
        words = [sys.executable, __file__, *words, "--child", name, str(first), str(last)]
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(words, stdout=-1, stderr=said, env=os.environ | {"TMPDIR": str(folder)})
        assert process.stdout is not None
        rest, hung = b"", False
        while first < last:
            if not select.select([process.stdout], [], [], self.options.seconds)[0]:
                hung = True
                break
            if not (data := os.read(process.stdout.fileno(), 1 << 16)):
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                first += 1
                self._count(name, line.decode())
        process.kill()
        process.wait()
        process.stdout.close()
        if first < last and not (folder / "input").exists():  # ours to mend: it did not come to an input
            os.write(2, (folder / "said").read_bytes())
            os._exit(70)
        if first < last:
            self._count(name, "hung" if hung else "crashed")
            story = f"{process.returncode}\n" + (folder / "said").read_text("utf-8", "replace")[-5000:]
            keep(self.options, name, first, folder, "hung" if hung else f"crashed with {story}")
            first += 1
        return first

    def _count(self, name: str, result: str) -> None:
        with self.lock:
            self.tallies[name][result] += 1
            done, now = sum(tally.total() for tally in self.tallies.values()), time.monotonic()
            if now - self.spoke > 15:
                self.spoke, speed = now, done / (now - self.began)
                harm = sum(tally[result] for tally in self.tallies.values() for result in RESULTS[2:])
                left = (self.total - done) / speed / 60
                print(f"{done:,} of {self.total:,}, {speed:.0f}/s, {left:.1f} min left, {harm} did harm", flush=True)


def keep(options: argparse.Namespace, name: str, number: int, folder: Path, story: str) -> None:
    """Copies an input and writes down what happened; the seed and the number make it again."""
    target = options.keep / f"{name.replace(' ', '-')}-{options.seed}-{number}"
    shutil.copytree(folder / "input", target, dirs_exist_ok=True, symlinks=False)
    (target / "story.txt").write_text(f"{name}, seed {options.seed}, input {number}: {story}\n", "utf-8")


def child(name: str, first: int, last: int, options: argparse.Namespace) -> None:
    """Reads a batch of inputs in this process and writes a line each."""
    import faulthandler
    import resource

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_DATA, (HARD, HARD))
    warnings.simplefilter("ignore")
    form = inputs.FORMATS[name]
    if form.ours and not options.plain:
        led(form, name, first, last, options)
    try_one = trier(form, name, options)
    made = form.seeds()
    for number in range(first, last):
        rng = random.Random(f"{options.seed} {name} {number}")
        try_one(number, made[number] if number < len(made) else inputs.mutated(made, rng))


def led(form: inputs.Format, name: str, first: int, last: int, options: argparse.Namespace) -> None:
    """The same, with changes that atheris chooses by what code they reach."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["twostream_vad"]):
        try_one = trier(form, name, options)
    made, corpus = form.seeds(), Path(tempfile.gettempdir()) / "corpus"
    corpus.mkdir()
    for place, data in enumerate(made):
        (corpus / str(place)).write_bytes(data)
    number = first

    def one(data: bytes) -> None:
        nonlocal number
        try_one(number, data)
        number += 1
        if number == last:
            os._exit(0)

    def change(data: bytes, size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        return bytes(atheris.Mutate(data, size)) if rng.random() < 0.5 else inputs.mutated([data or b"0"], rng)[:size]

    limits = [
        f"-artifact_prefix={corpus.parent}/",  # all limits are watched from outside
        "-timeout=100000",
        "-rss_limit_mb=0",
        "-malloc_limit_mb=0",
        f"-max_len={max(map(len, made)) + 4096}",
    ]
    seed = random.Random(f"{options.seed} {name} {first}").getrandbits(31)
    atheris.Setup([name, f"-seed={seed}", *limits, str(corpus)], one, custom_mutator=change)
    atheris.Fuzz()


def trier(form: inputs.Format, name: str, options: argparse.Namespace) -> Callable[[int, bytes], None]:
    """What gives one input to its reader, and writes what came of it."""
    from twostream_vad.errors import TsvadError

    read: Callable[[Path], Any] = form.reader()
    answers, place = os.fdopen(os.dup(1), "w"), Path(tempfile.gettempdir())
    folder = place / "input"
    os.dup2(2, 1)  # what libraries print is no answer

    def try_one(number: int, data: bytes) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        given = form.put(folder, data)
        before, result, story = resident("VmRSS"), "read", ""
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        try:
            read(given)
        except TsvadError as error:
            line = str(error)
            result = "refused" if len(line.splitlines()) == 1 and len(line) < LINE else "wrong"
            story = "" if result == "refused" else f"no line: {line[:1000]!r}"
        except Exception:
            result, story = "wrong", traceback.format_exc()[-5000:]
        taken = resident("VmHWM") - before
        if taken > options.memory:
            result, story = "over memory", f"{taken} MB, {story}"
        if story:
            keep(options, name, number, place, f"{result}: {story}")
        answers.write(f"{result}\n")
        answers.flush()

    return try_one


def resident(what: str) -> int:
    """MB in memory now (VmRSS), or at most (VmHWM)."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split(f"{what}:")[1].split()[0]) // 1000


if __name__ == "__main__":
    main()
