"""The documentation is so: its Python runs, its links lead somewhere, its commands and scripts exist."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from twostream_vad.cli.app import app
from twostream_vad.detector.bundle import DESCRIPTION, Bundle, write_bundle
from twostream_vad.video.frames import ImageFolder

ROOT = Path(__file__).parents[1]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
RUN = ("README.md", "README.zh-CN.md", "docs/python.md")
"""Pages whose Python is run, each from its first block to its last."""


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def write_video(path: Path, source: ImageFolder) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(source.rate))
        stream.height, stream.width = source.read(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in source:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def at_place(fitted: Path, plaza: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in a folder with what the examples name: a video, and a detector that finds every frame of it anomalous."""
    bundle = Bundle(fitted)
    calibration = bundle.description.calibration.model_copy(update={"threshold": -1e9})
    nervous = bundle.description.model_copy(update={"calibration": calibration})
    files = {name: bundle.path(name) for name in bundle.hashes if name != DESCRIPTION}
    write_bundle(tmp_path / "mine/detector", nervous, files)
    write_video(tmp_path / "video.mp4", ImageFolder(plaza / "testing/frames/01", rate=12.5))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("at_place")
@pytest.mark.parametrize("page", RUN)
def test_the_examples_run_in_order_and_each_says_something(
    page: str, plaza: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = ImageFolder(plaza / "testing/frames/01").read(0)
    names: dict[str, object] = {"image": picture, "seconds": 0.0}
    blocks = python_blocks(ROOT / page)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), names)
        if "print(" in block:
            assert capsys.readouterr().out


def test_python_stands_only_where_it_is_run() -> None:
    assert {name for name, page in zip(IDS, PAGES, strict=True) if python_blocks(page)} == set(RUN)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", page.read_text("utf-8")):
        if target.startswith("http"):
            continue
        path, _, heading = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_and_scripts_that_are_named_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for first, second in re.findall(r"\btsvad\s+([a-z]+)(?:\s+([a-z-]+))?", text):
        assert first in app, f"tsvad {first}"
        command = app[first]
        assert not second or command.default_command or second in command, f"tsvad {first} {second}"
    for script in re.findall(r"\bbench/([a-z_]+\.py)", text):
        assert (ROOT / "bench" / script).exists(), script
