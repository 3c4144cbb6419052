"""Files are written whole: under a temporary name, then renamed."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: takes its name when the block ends well, goes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def typed(path: Path) -> str:
    """The path as one types it in a shell, quoted where it holds spaces: for remedies that are commands."""
    return shlex.quote(str(path))


def write_text(path: Path, text: str) -> None:
    """A UTF-8 text file, written whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, "utf-8")
