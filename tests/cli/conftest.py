"""The command line as a function."""

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from twostream_vad.cli import main


@pytest.fixture
def tsvad(capsys: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """Runs `tsvad` with these words in this process."""

    def run(*words: object) -> CompletedProcess[str]:
        arguments, code = [str(word) for word in words], 0
        capsys.readouterr()
        try:
            main(arguments)
        except SystemExit as stop:
            code = int(str(stop.code))
        return CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(tsvad: Callable[..., CompletedProcess[str]]) -> Callable[..., str]:
    """Runs `tsvad` with words that it must refuse: the one line that it says."""

    def run(*words: object) -> str:
        said = tsvad(*words)
        (line,) = said.stderr.splitlines()
        assert (said.returncode, said.stdout) == (2, "")
        assert line.startswith("tsvad: ")
        return line

    return run
