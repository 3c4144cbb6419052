"""`tsvad weights`: imported, inspected, downloaded, refused."""

import hashlib
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A HashNet under the authors' names."""
    names = [f"hash_encoder.hash_layers.{i}.hash_layer.0.weight" for i in range(8)]
    path = tmp_path / "hash.pth"
    torch.save({name: torch.tensor(0.5).expand(32, 8192) for name in names}, path)
    return path


def test_import_says_what_it_wrote_and_inspect_reads_it(tsvad: Tsvad, checkpoint: Path, tmp_path: Path) -> None:
    said = tsvad("weights", "import", checkpoint, "--out", tmp_path / "hash.safetensors")
    assert said.returncode == 0
    assert "hashnet from torch zip" in said.stdout
    assert "8 tensors, 2.1 M parameters" in said.stdout
    shown = tsvad("weights", "inspect", tmp_path / "hash.safetensors", "--tensors").stdout
    assert "hashnet, safetensors" in shown
    assert "source: hash.pth" in shown
    assert shown.count("32×8192") == 8


def test_a_trained_model_is_inspected(tsvad: Tsvad, fitted: Path) -> None:
    said = tsvad("weights", "inspect", fitted / "recovery/model.safetensors")
    assert "stunet" in said.stdout
    assert "0 values not finite" in said.stdout


@dataclass(frozen=True)
class Attack:
    """Unpickled, it makes a file."""

    proof: Path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.proof}",)


def test_a_pickle_that_would_run_a_command_is_refused_and_nothing_runs(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Attack(tmp_path / "proof")))
    assert "system" in refused("weights", "import", tmp_path / "evil.pkl", "--out", tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]


def test_what_holds_no_weights_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "notes.txt" in refused("weights", "import", tmp_path / "notes.txt", "--out", tmp_path / "x.safetensors")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A file on a server of this machine."""
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "served").mkdir()
    (tmp_path / "served/I3D.pkl").write_bytes(b"weights")
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/I3D.pkl"
        server.shutdown()
        thread.join()


def test_a_download_says_its_hash_and_what_is_next(tsvad: Tsvad, url: str, tmp_path: Path) -> None:
    out = tmp_path / "I3D.pkl"
    said = tsvad("weights", "download", "i3d-r50-8x8", "--url", url, "--out", out)
    assert said.returncode == 0
    assert out.read_bytes() == b"weights"
    assert f"sha256 {hashlib.sha256(b'weights').hexdigest()}" in said.stdout
    assert f"next: tsvad weights import {out} --out {tmp_path / 'I3D.safetensors'}" in said.stdout


def test_another_hash_than_the_one_given_is_refused(tsvad: Tsvad, url: str, tmp_path: Path) -> None:
    words = ("i3d-r50-8x8", "--url", url, "--out", tmp_path / "I3D.pkl", "--sha256", "0" * 64)
    said = tsvad("weights", "download", *words)
    assert said.returncode == 2
    assert "0000" in said.stderr.splitlines()[-1]


def test_unknown_weights_name_those_known(refused: Refused) -> None:
    assert "no weights 'i3d'; known: i3d-r50-8x8" in refused("weights", "download", "i3d")
