"""`tsvad fit` where little is there: no home, a read-only root, ASCII only, small shared memory, one core, 2 GB.

Each fits a plaza of its smallest size in a process of its own. What the kernel lets no plain user change is skipped.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from twostream_vad.detector.bundle import Bundle
from twostream_vad.plaza.plaza import PlazaSettings, render_plaza

FIXED = (
    *("recovery.windows=[128]", "recovery.window=128", "recovery.score_l1=1", "recovery.channel_l2=false"),
    *("recovery.crops=mean", "fusion.retrieval=0.5", "recovery.draws=1", "retrieval.draws=4"),
)
"""Of the tiny recipe, nothing is left to be selected."""
MEMORY = 2 << 30
"""RLIMIT_DATA, in bytes: what a process may write to and cannot drop, which is more than ever lies in memory at a
time. Address space (RLIMIT_AS) would say nothing, since torch's libraries and threads reserve far more than they use;
pages of libraries can be read again, and a control group is not a plain user's to make."""
COMMAND = "from twostream_vad.cli import main; main()"
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training videos and a test video of 18 frames, one with a name that is not ASCII."""
    out = tmp_path_factory.mktemp("surroundings") / "plätze"
    render_plaza(out, PlazaSettings(width=160, height=128, training_videos=2, testing_videos=1, frames=18))
    (out / "training/frames/01").rename(out / "training/frames/01_日")
    return out


def fit(
    data: Path,
    recipe: Path,
    out: Path,
    *,
    inside: tuple[str, ...] = (),
    env: Mapping[str, str | None] | None = None,
    prepare: Callable[[], object] | None = None,
    code: str = COMMAND,
) -> None:
    """Fits to the end; ``inside`` is put before the command, ``env`` None takes a variable away."""
    words = [*inside, sys.executable, "-c", code, "fit", str(data), "--recipe", str(recipe), "--out", str(out)]
    words += [word for setting in FIXED for word in ("--set", setting)]
    variables = {key: value for key, value in {**os.environ, **(env or {})}.items() if value is not None}
    done = subprocess.run(
        words, env=variables, cwd=out.parent, preexec_fn=prepare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "fitted in " in done.stderr
    assert Bundle(out).description.recipe == "tiny"


def namespace(script: str) -> tuple[str, ...]:
    """Words that run a command after ``script``, in mounts of its own; skips the test where the kernel forbids that."""
    tried = subprocess.run([*NAMESPACE, script + "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no mounts of one's own here: {tried.stderr.strip()}")
    return *NAMESPACE, script + 'exec "$@"', "sh"


def test_without_a_home(data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")
    nobody: tuple[str, ...] = (
        "unshare",
        "--user",
        "--map-user=54321",
    )  # as in a container, a user whom the system has no name for
    if subprocess.run([*nobody, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        nobody = ()
    fit(data, tiny_recipe, tmp_path / "run", inside=nobody, env=dict.fromkeys(names))


def test_on_a_read_only_root(data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    script = f"mount --bind '{tmp_path}' '{tmp_path}' && mount -o remount,ro,bind / && ! touch /usr 2>&- && "
    fit(data, tiny_recipe, tmp_path / "run", inside=namespace(script))


def test_in_an_ascii_locale(data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": None}
    fit(data, tiny_recipe, tmp_path / "läufe", env=env)


def test_with_shared_memory_of_16_mb(data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    inside = namespace("mount -t tmpfs -o size=16m none /dev/shm && ")
    fit(data, tiny_recipe, tmp_path / "run", inside=inside)


def test_on_one_core(data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    core = {min(os.sched_getaffinity(0))}
    fit(data, tiny_recipe, tmp_path / "run", prepare=lambda: os.sched_setaffinity(0, core))


def test_in_2_gb_of_memory(data: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    full = "try:\n    bytearray(2 << 30)\nexcept MemoryError:\n    pass\nelse:\n    raise SystemExit('no limit')\n"
    limit = (MEMORY, MEMORY)
    fit(
        data,
        tiny_recipe,
        tmp_path / "run",
        prepare=lambda: resource.setrlimit(resource.RLIMIT_DATA, limit),
        code=full + COMMAND,
    )
