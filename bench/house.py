"""Figures of the house: files, lines, functions, imports across rooms, how far a `Run` travels in `evaluate`.

    python bench/house.py [--src src/twostream_vad]

Counts every line of every Python file. An import counts as across where it leads to another room (a folder, or a file
beside the folders), and as sideways where it leads to a room that is not on a lower floor (the floors are those of
tests/test_imports.py). A `Run` passes through a file where a function there that `tsvad evaluate` comes to, by calls
as the code spells them, has a parameter of that type, or where it is made or has its methods.
"""

import argparse
import ast
import importlib.util
import statistics
import sys
from pathlib import Path

# Lines: 13,500 when the detector was redrawn, 2,100 more for video, labels and weights as people have them, 1,800 more
# for places (centres, keys, heat), things cut out along outlines, cameras that vary and an encoder that comes along;
# 1,300 more for engines and export, 1,100 more for a net for the edge and groups of watchers, 300 more for one encoder
# for both streams, 1,100 more for cameras, 3,400 more for what cameras tell: store, alerts, clips, trouble, promises.
LIMITS = {"lines": 24_800, "sideways": 0, "files a Run passes through in evaluate": 12}


def main() -> None:
    """Prints the figures; exit code 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--src", type=Path, default=Path(__file__).parents[1] / "src/twostream_vad")
    options = parser.parse_args()
    files = {path.relative_to(options.src): path.read_text("utf-8") for path in sorted(options.src.rglob("*.py"))}
    lines = {file: len(text.splitlines()) for file, text in files.items()}
    written = {file: count for file, count in lines.items() if count}
    functions = {
        f"{file}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for file, text in files.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    longest = max(functions, key=lambda name: functions[name])
    across, sideways = crossings(files)
    travelled = travels(files)
    figures: dict[str, float] = {
        "files": len(written),
        "lines": sum(lines.values()),
        "median lines of a file": statistics.median(written.values()),
        "longest file": max(lines.values()),
        "longest function": functions[longest],
        "imports across rooms": across,
        "sideways": sideways,
        "files a Run passes through in evaluate": len(travelled),
    }
    for name, value in figures.items():
        limit = f" (at most {LIMITS[name]:,})" if name in LIMITS else ""
        print(f"{'FAIL' if value > LIMITS.get(name, value) else 'ok  '} {name}: {value:,g}{limit}")
    print(f"longest function: {longest}; longest file: {max(lines, key=lambda file: lines[file])}")
    print(f"a Run passes through: {', '.join(map(str, travelled))}")
    sys.exit(1 if any(figures[name] > limit for name, limit in LIMITS.items()) else 0)


def crossings(files: dict[Path, str]) -> tuple[int, int]:
    """Imports that lead to another room, and those of them that do not lead to a lower floor."""
    spec = importlib.util.spec_from_file_location("floors", Path(__file__).parents[1] / "tests/test_imports.py")
    assert spec is not None
    assert spec.loader is not None
    floors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(floors)
    pairs = [
        (floors.room_of(file), other)
        for file in files
        if file != Path("__init__.py")
        for other in floors.rooms_imported(file)
        if other != floors.room_of(file)
    ]
    return len(pairs), sum(not floors.allowed(room, other) for room, other in pairs)


def travels(files: dict[Path, str]) -> list[Path]:
    """Files that a `Run` passes through on its way from `tsvad evaluate`."""
    defined: dict[str, list[tuple[Path, ast.FunctionDef]]] = {}
    for file, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                defined.setdefault(node.name, []).append((file, node))
    seen: set[str] = set()
    passed = {Path("cli/evaluate.py"), Path("runs/run.py")}
    waiting = [node for file, node in defined["evaluate"] if file == Path("cli/evaluate.py")]
    while waiting:
        function = waiting.pop()
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = called(call)
            for file, target in defined.get(name, []) if name not in seen else []:
                if takes_run(target):
                    passed.add(file)
                    waiting.append(target)
            seen.add(name)
    return sorted(passed)


def called(call: ast.Call) -> str:
    """The name of what is called; imports under another name are undone where they only add `_run`."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    return name.removesuffix("_run")


def takes_run(function: ast.FunctionDef) -> bool:
    """Whether a parameter is a `Run`."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any("Run" in ast.unparse(each.annotation).replace('"', "").split() for each in arguments if each.annotation)


if __name__ == "__main__":
    main()
