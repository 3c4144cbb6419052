"""What several test files need: short videos as folders of frames, and one run fitted on a tiny plaza."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream_vad.plaza.plaza import PlazaSettings, render_plaza
from twostream_vad.recipes import load_recipe
from twostream_vad.video.frames import ImageFolder

FRAMES = 30
TINY = (
    *("name=tiny", "seed=1", "threads=1", "view.size=128"),
    *("recovery.width=0.0625", "recovery.interval=1", "recovery.epochs=1", "recovery.draws=4", "recovery.batch=4"),
    # By place a run judges video of its camera's shape only, and tests score square ones too.
    *("recovery.windows=[128,32,16]", "recovery.window_stride=8", "recovery.per_place=false", "pseudo.videos=1"),
    *("recovery.window=select", "recovery.score_l1=select", "recovery.channel_l2=select", "recovery.crops=select"),
    *("recovery.l1=1", "pseudo.kinds=[ghosts,jumps,rushes]", "pace.epochs=1", "pace.draws=2", "pace.batch=2"),
    *("retrieval.by_place=false", "retrieval.interval=1", "retrieval.encoder=pace", "retrieval.cells=1"),
    *("retrieval.epochs=1", "retrieval.batch=16", "retrieval.tables=4", "retrieval.bits=8"),
    "fusion.retrieval=select",
)
"""Of `demo`, what makes it fit in seconds: 22 snippets a video for recovery, 23 for retrieval."""


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ImageFolder]:
    """A function that writes a video of coloured blotches that drift to the right; each name another one."""

    def write(name: str = "01", frames: int = 30, height: int = 128, width: int = 144) -> ImageFolder:
        folder = tmp_path_factory.mktemp("film") / name
        folder.mkdir()
        rng = np.random.default_rng(list(name.encode()))
        coarse = rng.integers(0, 256, (8, 24, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (width + 2 * frames, height), interpolation=cv2.INTER_LINEAR)
        for index in range(frames):
            cv2.imwrite(str(folder / f"{index:03d}.png"), scene[:, 2 * index : 2 * index + width])
        return ImageFolder(folder)

    return write


@pytest.fixture(scope="session")
def plaza(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training and two test videos of 30 frames of 160 × 128 pixels: three crops a frame."""
    out = tmp_path_factory.mktemp("plaza") / "plaza"
    render_plaza(out, PlazaSettings(width=160, height=128, training_videos=3, testing_videos=2, frames=FRAMES))
    labels = np.zeros(FRAMES, np.uint8)
    labels[12:24] = 1  # so short a video is anomalous from end to end, and no AUC would exist
    np.savez(out / "labels.npz", **{"01": labels, "02": labels})  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of `fitted`, as a file."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(load_recipe("demo", TINY).to_yaml(), "utf-8")
    return path


@pytest.fixture(scope="session")
def fitted(plaza: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run fitted to the end. It is shared: take `copied` to change it."""
    from twostream_vad.runs.fit import fit  # here: torch takes seconds, and most test files need none of it
    from twostream_vad.runs.run import Run

    folder = tmp_path_factory.mktemp("runs") / "run"
    fit(Run.create(folder, load_recipe(tiny_recipe), plaza))
    return folder


@pytest.fixture(scope="session")
def placed(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fitted`, with knowledge retrieval by place: 3 crops of 8 × 8 places, up to 2,000 centres."""
    from twostream_vad.runs.fit import run_stage
    from twostream_vad.runs.run import Run

    run = Run.open(
        shutil.copytree(fitted, tmp_path_factory.mktemp("placed") / "run"),
        ["retrieval.by_place=true", "retrieval.centres=2000", "fusion.retrieval=0.5"],
    )
    for stage in ("features", "index", "select-window", "select-weight", "calibrate", "pack", "score-retrieval"):
        run_stage(run, stage, redo=True)
    return run.folder


@pytest.fixture(scope="session")
def edged(placed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`placed`, with an EdgeNet that learned for a few steps: two crops of 8 × 8 places, the error judged by place."""
    from twostream_vad.runs.fit import run_stage, wanted_stages
    from twostream_vad.runs.run import Run

    run = Run.open(
        shutil.copytree(placed, tmp_path_factory.mktemp("edged") / "run"),
        [
            *("edge.width=0.25", "edge.steps=8", "edge.batch=2", "edge.ends=2", "recovery.per_place=true"),
            *("recovery.window=all", "recovery.score_l1=0", "recovery.channel_l2=false", "recovery.crops=max"),
        ],
    )
    for stage in wanted_stages(run)[3:]:
        run_stage(run, stage, redo=True)
    return run.folder


@pytest.fixture(scope="session")
def joined(placed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`placed`, with one encoder for both streams, that of retrieval."""
    from twostream_vad.runs.fit import run_stage, wanted_stages
    from twostream_vad.runs.run import Run

    folder = shutil.copytree(placed, tmp_path_factory.mktemp("joined") / "run")
    run = Run.open(folder, ["joint.steps=4", "retrieval.interval=1", "recovery.interval=1"])
    for stage in wanted_stages(run)[1:]:
        run_stage(run, stage, redo=True)
    return run.folder


@pytest.fixture
def copied(fitted: Path, tmp_path: Path) -> Path:
    """A copy of the fitted run, to be changed."""
    return Path(shutil.copytree(fitted, tmp_path / "run"))
