"""The command line as a whole: help without torch, mistakes in one line, bugs with their traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import Mock

import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.runs.pipeline import STAGES

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

EVERY_HELP = """
import contextlib, io, json, sys
from twostream_vad.cli.app import app, main

def commands(group, words=()):
    yield list(words)
    for name in group:
        if not name.startswith("-"):
            yield from commands(group[name], (*words, name))

said = {}
for words in commands(app):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main([*words, "--help"])
    said[" ".join(words)] = out.getvalue()
print(json.dumps([said, sorted({"torch", "cv2", "matplotlib", "av"} & set(sys.modules))]))
"""

STAGE_COMMANDS = [stage.command for stage in STAGES.values()]
COMMANDS = (
    *("", "fit", "demo", "plaza", "score", "evaluate", "doctor", "compare", "reproduce", "export", "learn", "watch"),
    *("recalibrate", "snooze"),
    *("index show", "index add", "index merge", "recipe show", "recipe list"),
    *("weights import", "weights inspect", "weights download", "train", "recovery", "retrieval", "recipe", "weights"),
)


@pytest.fixture(scope="module")
def helps() -> tuple[dict[str, str], list[str]]:
    """Help of every command, and the slow libraries that it took; one process for all of them."""
    done = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=True)
    said, slow = json.loads(done.stdout)
    return said, slow


def test_help_of_any_command_needs_no_slow_library(helps: tuple[dict[str, str], list[str]]) -> None:
    assert helps[1] == []


def test_these_are_all_the_commands(helps: tuple[dict[str, str], list[str]]) -> None:
    assert set(helps[0]) == {*COMMANDS, *STAGE_COMMANDS}


@pytest.mark.parametrize("command", [*COMMANDS, *STAGE_COMMANDS])
def test_every_command_has_help(command: str, helps: tuple[dict[str, str], list[str]]) -> None:
    text = helps[0][command]
    assert f"Usage: tsvad {command}".rstrip() in text
    described = text.split("╭")[0].splitlines()
    assert len([line for line in described if line.strip()]) >= 2, "usage, and a sentence on what it does"


@pytest.mark.parametrize("command", [*STAGE_COMMANDS, "fit", "reproduce"])
def test_long_commands_share_their_options(command: str, helps: tuple[dict[str, str], list[str]]) -> None:
    for option in ("--set", "--redo", "--wait-for", "--note", "--dry-run"):
        assert option in helps[0][command]


@pytest.mark.parametrize("name", [name for name in STAGES if name not in ("index", "prepare", "pack")])
def test_a_stages_help_is_that_of_the_table(name: str, helps: tuple[dict[str, str], list[str]]) -> None:
    said = " ".join(helps[0][STAGES[name].command].split())
    assert " ".join(STAGES[name].help.replace("`", "").split()) in said


def test_a_mistake_is_one_line_and_exit_code_2(refused: Refused, tmp_path: Path) -> None:
    assert "is no run; `tsvad fit DATA" in refused("fuse", tmp_path)


@pytest.mark.parametrize("words", [["fuse"], ["fuse", "x", "--rdo"], ["fuze"], ["fit", "x", "--wait-for", "abc"]])
def test_words_that_do_not_parse_are_one_line_and_exit_code_2(words: list[str], refused: Refused) -> None:
    assert len(refused(*words)) > len("tsvad: ")


def test_the_whole_traceback_is_there_when_asked_for(
    tsvad: Tsvad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSVAD_DEBUG", "1")
    with pytest.raises(ValueError, match="is no run"):
        tsvad("fuse", tmp_path)


@pytest.mark.parametrize(("given", "then"), [(None, "1000"), ("7", "7")])
def test_waiting_threads_spin_briefly_unless_the_user_says_how_long(
    given: str | None, then: str, tsvad: Tsvad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    tsvad("recipe", "list")
    assert os.environ["GOMP_SPINCOUNT"] == then


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tsvad: Tsvad, tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """A function that runs a command inside which this error is raised."""

    def fail(error: BaseException) -> CompletedProcess[str]:
        monkeypatch.setattr("twostream_vad.runs.run.Run.open", Mock(side_effect=error))
        return tsvad("fuse", tmp_path)

    return fail


def test_ctrl_c_gives_130_and_says_that_the_command_goes_on(
    failing: Callable[..., CompletedProcess[str]],
) -> None:
    said = failing(KeyboardInterrupt())
    assert said.returncode == 130
    assert "the same command goes on from here" in said.stderr


@pytest.mark.parametrize("error", [ValueError("shapes differ"), KeyError("fused"), AssertionError()])
def test_a_bug_prints_its_traceback_and_asks_for_a_report(
    error: Exception, failing: Callable[..., CompletedProcess[str]]
) -> None:
    said = failing(error)
    *traceback, last = said.stderr.splitlines()
    assert (said.returncode, said.stdout) == (70, "")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1].startswith(type(error).__name__)
    assert last.startswith("tsvad: this is a bug in twostream-vad")
    assert "please report it" in last


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (TsvadError("no such thing; make it"), "no such thing; make it"),
        (
            FileNotFoundError(2, "No such file or directory", "frames/x"),
            "[Errno 2] No such file or directory: 'frames/x'",
        ),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_what_is_no_bug_is_one_line(error: Exception, line: str, failing: Callable[..., CompletedProcess[str]]) -> None:
    said = failing(error)
    assert (said.returncode, said.stdout, said.stderr) == (2, "", f"tsvad: {line}\n")


def test_a_reader_that_has_enough_is_no_mistake(failing: Callable[..., CompletedProcess[str]]) -> None:
    said = failing(BrokenPipeError())
    assert (said.returncode, said.stderr) == (0, "")
