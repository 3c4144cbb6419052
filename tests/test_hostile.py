"""`bench/hostile.py` in short: changed files of every format are read or refused in one line, and harm is seen."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"


def hostile(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCH / "hostile.py"), "--plain", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_changed_file_does_harm(tmp_path: Path) -> None:
    sys.path.insert(0, str(BENCH))
    try:
        import hostile_inputs
    finally:
        sys.path.remove(str(BENCH))
    formats = [name for name in hostile_inputs.FORMATS if name != "bombs"]
    done = hostile("--inputs", 2000, "--seed", 1, "--keep", tmp_path / "kept", "--formats", *formats)
    assert done.returncode == 0, done.stdout + done.stderr
    total = done.stdout.splitlines()[-1].split()
    assert total[:2] == ["all", "2,000"]
    assert int(total[2].replace(",", "")) > 200
    assert int(total[3].replace(",", "")) > 200
    assert not (tmp_path / "kept").exists()


def test_harm_is_counted_and_the_input_kept(tmp_path: Path) -> None:
    """By a limit that everything passes."""
    words = ("--inputs", 2, "--keep", tmp_path / "kept", "--formats", "recipe", "--memory", -1000)
    done = hostile(*words)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].split() == ["all", "2", "0", "0", "0", "0", "2", "0"]
    stories = sorted((tmp_path / "kept").rglob("story.txt"))
    assert ["over memory" in story.read_text() for story in stories] == [True, True]
    assert [(story.parent / "a.yaml").exists() for story in stories] == [True, True]


def test_a_process_that_ends_is_a_crash_and_the_next_input_is_read(tmp_path: Path) -> None:
    """By a reader that aborts at the first input of three, as a C library may."""
    code = """
import os, sys
sys.path.insert(0, {bench!r})
import hostile, hostile_inputs as inputs

def reader():
    return lambda path: os.abort() if path.read_bytes() == b"0" else None

inputs.FORMATS = {{"x": inputs.Format("a.x", lambda: [b"0", b"1", b"2"], reader)}}
hostile.__file__ = __file__
hostile.main()
"""
    (tmp_path / "program.py").write_text(code.format(bench=str(BENCH)))
    words = ["--plain", "--inputs", "3", "--keep", str(tmp_path / "kept")]
    command = [sys.executable, str(tmp_path / "program.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].split() == ["all", "3", "2", "0", "1", "0", "0", "0"], done.stderr
    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept / "a.x").read_bytes() == b"0"
    assert "Fatal Python error: Aborted" in (kept / "story.txt").read_text()
