"""Imports go one way, floor by floor, and commands start without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import twostream_vad

ROOT = Path(twostream_vad.__file__).parent
FLOORS = [
    {"errors", "progress", "machine"},
    {"settings", "storage"},
    {"recipes", "video", "nets", "evaluation"},
    {"scores"},
    {"training", "datasets", "plaza", "weights"},
    {"recovery", "retrieval"},
    {"edge"},
    {"detector"},
    {"runs"},
    {"report", "doctor", "cluster"},
    {"live"},
    {"serve"},
    {"cli"},
]
"""Lowest first; a room is a folder, or a file beside them. There are no exceptions."""


def floor(room: str) -> int:
    (number,) = (number for number, rooms in enumerate(FLOORS) if room in rooms)
    return number


def modules() -> list[Path]:
    return [path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def room_of(module: Path) -> str:
    return module.parts[0] if len(module.parts) > 1 else module.stem


def rooms_imported(module: Path) -> set[str]:
    """Rooms of this package that the file imports anywhere in it, inside functions too."""
    package = ["twostream_vad", *module.parts[:-1]]
    names: list[list[str]] = []
    for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            start += node.module.split(".") if node.module else []
            names += [[*start, alias.name] for alias in node.names]
    return {name[1] for name in names if name[0] == "twostream_vad" and len(name) > 1}


def allowed(room: str, other: str) -> bool:
    return room == other or floor(other) < floor(room)


@pytest.mark.parametrize("module", modules(), ids=str)
def test_a_file_imports_from_its_own_room_and_from_lower_floors(module: Path) -> None:
    room = room_of(module)
    assert [other for other in sorted(rooms_imported(module)) if not allowed(room, other)] == []


def test_every_import_form_is_seen() -> None:
    assert {"settings", "nets", "training", "video"} <= rooms_imported(Path("recovery/train.py"))
    assert {"runs", "plaza"} <= rooms_imported(Path("cli/fit.py"))
    assert "video" in rooms_imported(Path("video/frames.py"))


def test_the_streams_and_the_upper_floors_are_out_of_reach() -> None:
    assert not allowed("recovery", "retrieval")
    assert not allowed("retrieval", "recovery")
    assert not allowed("scores", "training")
    assert not allowed("detector", "runs")
    assert not allowed("nets", "training")
    assert allowed("detector", "recovery")


@pytest.mark.parametrize("module", ["twostream_vad", "twostream_vad.cli"])
def test_a_command_starts_without_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'cv2', 'matplotlib'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
