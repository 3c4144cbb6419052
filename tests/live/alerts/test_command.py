"""Commands: what they are told, and how they end."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.live.alerts import command
from twostream_vad.live.alerts.command import Command
from twostream_vad.live.alerts.target import Undelivered

from .conftest import message, until

KEEPS = "import json, os, sys; json.dump([sys.stdin.read(), dict(os.environ)], open(sys.argv[1], 'w'))"


def test_a_program_gets_the_message_as_json_and_its_names_and_none_of_our_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TSVAD_CAMERA_LOGIN", "TSVAD_MQTT_LOGIN", "TSVAD_WEBHOOK_KEY"):
        monkeypatch.setenv(name, "geheim")
    monkeypatch.setenv("OTHER", "stays")
    told = message(3, "ended")
    Command([sys.executable, "-c", KEEPS, str(tmp_path / "told")]).deliver(told)
    given, environment = json.loads((tmp_path / "told").read_text("utf-8"))
    assert json.loads(given) == {"key": "gate-3", "phase": "ended", "event": told.event}
    ours = {name: value for name, value in environment.items() if name.startswith("TSVAD")}
    assert ours == {"TSVAD_KEY": "gate-3", "TSVAD_PHASE": "ended", "TSVAD_CAMERA": "gate"}
    assert environment["OTHER"] == "stays"


def test_words_are_not_read_by_a_shell(tmp_path: Path) -> None:
    Command(["touch", str(tmp_path / "$HOME; true")]).deliver(message())
    assert [path.name for path in tmp_path.iterdir()] == ["$HOME; true"]


def test_another_exit_code_is_a_refusal_of_this_message() -> None:
    with pytest.raises(Undelivered, match=r"^it ended with code 3$") as refused:
        Command(["sh", "-c", "exit 3"]).deliver(message())
    assert refused.value.message_only


def test_a_program_that_reads_nothing_may_have_the_message_all_the_same() -> None:
    Command(["true"]).deliver(message())


class Lingering:
    """A program whose child would stay for a minute; its end is seen in a pipe that the child holds open."""

    def __init__(self, folder: Path) -> None:
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        self._pipe = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.command = Command(["sh", "-c", 'sleep 60 >"$0" & wait', str(fifo)])

    def runs(self) -> bool:
        try:
            os.read(self._pipe, 1)
        except BlockingIOError:
            return True
        return False


def test_a_program_that_takes_too_long_is_killed_with_what_it_has_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "TIMEOUT", 1.0)
    lingering = Lingering(tmp_path)
    with pytest.raises(Undelivered, match=r"^it has not ended in 1 s$"):
        lingering.command.deliver(message())
    until(lambda: not lingering.runs())


def test_closing_kills_a_program_that_runs(tmp_path: Path) -> None:
    lingering, why = Lingering(tmp_path), list[Undelivered]()

    def deliver() -> None:
        with pytest.raises(Undelivered) as refused:
            lingering.command.deliver(message())
        why.append(refused.value)

    thread = threading.Thread(target=deliver)
    thread.start()
    until(lingering.runs)
    lingering.command.close()
    thread.join(10)
    assert str(why[0]) == "it ended with code -9"
    until(lambda: not lingering.runs())


def test_a_program_that_is_gone_is_a_refusal_of_all_messages(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    target = Command([str(program), "--password", "geheim"])
    program.unlink()
    with pytest.raises(Undelivered, match=r"^it does not start: No such file or directory$") as refused:
        target.deliver(message())
    assert not refused.value.message_only
    assert target.name == f"exec:{program}"


@pytest.mark.parametrize("words", [[], ["no-such-program", "geheim"]])
def test_no_program_is_one_line_without_its_arguments(words: list[str]) -> None:
    with pytest.raises(TsvadError, match=r"^exec:.*program") as wrong:
        Command(words)
    assert "geheim" not in str(wrong.value)
