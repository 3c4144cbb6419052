"""Waiting, the lock, the log of commands, and progress without a terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from twostream_vad.cli.common import Bar, Options, at_work, clock, wait_for, wanted_recipe
from twostream_vad.recipes import load_recipe


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.9, "1:01"), (3600, "1:00:00"), (45296, "12:34:56")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_waiting_ends_when_the_process_has_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                process.communicate(b"\n")  # it ends, and is reaped: a zombie still has its number

        monkeypatch.setattr("time.sleep", sleep)
        wait_for([process.pid], every=7.0)
    assert (slept, process.returncode) == ([7.0, 7.0], 0)
    assert f"waiting for {process.pid} to end" in capsys.readouterr().err


def test_a_process_that_has_ended_already_is_not_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it waits"))
    wait_for([process.pid])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_numbers_that_no_process_has_are_refused(pid: int) -> None:
    with pytest.raises(ValueError, match=f"--wait-for {pid} is no process"):
        wait_for([os.getpid(), pid])


def test_commands_are_logged_with_their_notes(tmp_path: Path) -> None:
    for note in ("first", "second"):
        with at_work(tmp_path, "fuse", Options(note=note)):
            pass
    log = [json.loads(line) for line in (tmp_path / "logs/commands.jsonl").read_text().splitlines()]
    assert [(entry["command"], entry["note"]) for entry in log] == [("fuse", "first"), ("fuse", "second")]


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from twostream_vad.cli.common import Options, at_work\n"
        f"with at_work(Path({str(tmp_path)!r}), 'fit', Options()): print('at work', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        with pytest.raises(ValueError, match="another tsvad works there; wait for it with --wait-for PID"):
            at_work(tmp_path, "fuse", Options()).__enter__()
        process.kill()
    with at_work(tmp_path, "fuse", Options()):
        pass


def test_what_killed_processes_left_half_written_goes(tmp_path: Path) -> None:
    whole, half = tmp_path / "recovery/checkpoint.safetensors", tmp_path / "recovery/.checkpoint.7.part.safetensors"
    whole.parent.mkdir()
    whole.touch()
    half.touch()
    with at_work(tmp_path, "fit", Options()):
        assert (whole.exists(), half.exists()) == (True, False)


def test_without_a_terminal_the_last_step_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    with Bar("features") as bar:
        for done in range(4):
            bar(done, 3, "01")
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("features: 3/3, ")
    assert line.endswith("01")


def test_a_total_not_known_yet_is_no_end(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    with Bar("score") as bar:
        for done in range(1, 4):
            bar(done, 0)
        bar(3, 3)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["score: 3/3"]


def test_long_work_is_told_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Bar("features") as bar:
        for done in range(0, 100, 10):
            bar(done, 200)
            now[0] += 10
        bar(0, 50, "01")
        now[0] += 20
        bar(10, 50, "01")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "features: 20/200, 1.0/s, 0:20, 3:00 left"
    assert lines[-1] == "features: 10/50, 0.5/s, 0:20, 1:20 left  01"
    assert len(lines) == 6


def test_the_recipe_is_the_one_named_or_the_runs_or_the_default(fitted: Path, tmp_path: Path) -> None:
    assert wanted_recipe("small", fitted, ["seed=5"]) == load_recipe("small", ["seed=5"])
    assert wanted_recipe(None, fitted, ["seed=5"]).model_dump() == {
        **wanted_recipe(str(fitted / "recipe.yaml"), None, []).model_dump(),
        "seed": 5,
    }
    assert wanted_recipe(None, tmp_path / "new", []) == wanted_recipe(None, None, []) == load_recipe("camera")


def test_brackets_in_names_are_no_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    with Bar("add [b]") as bar:
        bar(1, 1, "[/red]")
    assert "[/red]" in capsys.readouterr().err
