"""The command line as a whole: help without torch, and mistakes in one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import Mock

import pytest

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

COMMANDS = (
    *("", "fit", "demo", "plaza", "score", "evaluate", "doctor", "prepare", "features", "fuse", "index", "index show"),
    *("train recovery", "train retrieval", "recovery select-window", "retrieval select-weight", "score recovery"),
    *(
        "score retrieval",
        "train encoder",
        "calibrate",
        "compare",
        "reproduce",
        "recipe show",
        "recipe list",
        "weights import",
        "weights inspect",
        "weights download",
    ),
)
LONG = (
    "fit",
    "prepare",
    "train recovery",
    "score recovery",
    "features",
    "train retrieval",
    "index",
    "fuse",
    "train encoder",
    "calibrate",
    "reproduce",
)


@pytest.fixture(scope="module")
def helps() -> tuple[dict[str, str], list[str]]:
    """Help of every command, and the slow libraries that it took; one process for all of them."""
    done = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=True)
    said, slow = json.loads(done.stdout)
    return said, slow


def test_help_of_any_command_needs_no_slow_library(helps: tuple[dict[str, str], list[str]]) -> None:
    assert helps[1] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, helps: tuple[dict[str, str], list[str]]) -> None:
    text = helps[0][command]
    assert f"Usage: tsvad {command}".rstrip() in text
    described = text.split("╭")[0].splitlines()
    assert len([line for line in described if line.strip()]) >= 2, "usage, and a sentence on what it does"


@pytest.mark.parametrize("command", LONG)
def test_long_commands_share_their_options(command: str, helps: tuple[dict[str, str], list[str]]) -> None:
    for option in ("--set", "--redo", "--wait-for", "--note", "--dry-run"):
        assert option in helps[0][command]


def test_a_mistake_is_one_line_and_exit_code_2(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "is no run; `tsvad fit DATA" in refused("fuse", tmp_path)


@pytest.mark.parametrize("words", [["fuse"], ["fuse", "x", "--rdo"], ["fuze"], ["fit", "x", "--wait-for", "abc"]])
def test_words_that_do_not_parse_are_one_line_and_exit_code_2(words: list[str], refused: Callable[..., str]) -> None:
    assert len(refused(*words)) > len("tsvad: ")


def test_the_whole_traceback_is_there_when_asked_for(
    tsvad: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSVAD_DEBUG", "1")
    with pytest.raises(ValueError, match="is no run"):
        tsvad("fuse", tmp_path)


@pytest.mark.parametrize(("given", "then"), [(None, "1000"), ("7", "7")])
def test_waiting_threads_spin_briefly_unless_the_user_says_how_long(
    given: str | None, then: str, tsvad: Callable[..., CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    tsvad("recipe", "list")
    assert os.environ["GOMP_SPINCOUNT"] == then


def test_ctrl_c_gives_130_and_says_that_the_command_goes_on(
    tsvad: Callable[..., CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twostream_vad.run.Run.open", Mock(side_effect=KeyboardInterrupt))
    said = tsvad("fuse", tmp_path)
    assert said.returncode == 130
    assert "the same command goes on from here" in said.stderr
