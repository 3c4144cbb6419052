"""Every engine computes the nets as torch does, unfolded and one layer after the other."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from twostream_vad.detector.detector import Detector
from twostream_vad.detector.engines import kept
from twostream_vad.detector.engines.engine import TORCH, Engine, EngineError, Name, Precision, Ranges
from twostream_vad.detector.engines.nets import NetEncoder, NetPredictor
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.runs.fit import run_stage
from twostream_vad.runs.ranges import ranges_beside
from twostream_vad.runs.run import Run, RunError
from twostream_vad.video.frames import ImageFolder

WIDTH, SIZE = 1 / 16, 128
ENGINES: list[tuple[Name, Precision]] = [
    ("torch", "fp32"),
    ("openvino", "fp32"),
    ("onnx", "fp32"),
    ("torch", "bf16"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]
OFF: dict[Precision, float] = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.1}
"""How far a score may be from torch's, as a share of it, by a tiny net that has hardly learned anything."""
Clips = NDArray[np.float32]


@pytest.fixture(autouse=True)
def own_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all engines of these tests keep what they compile: an export takes seconds."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def video(plaza: Path) -> ImageFolder:
    return ImageFolder(plaza / "testing/frames/02", rate=12.5)


@pytest.fixture(scope="module")
def clips() -> Clips:
    return np.random.default_rng(0).standard_normal((3, 3, 8, SIZE, SIZE)).astype(np.float32)


class Places(nn.Module):
    """An I3D that gives features by place."""

    def __init__(self, net: I3D) -> None:
        super().__init__()
        self.net = net

    def forward(self, clips: Tensor) -> Tensor:
        return self.net.places(clips)


def asked(name: Name, precision: Precision, folder: Path, clips: Clips) -> Engine:
    """An engine that measures ranges on these clips where it needs them."""
    return Engine(name, precision, kept=folder, ranges=Ranges(str(clips.sum()), lambda: list(clips[:, None])))


def lively(net: nn.Module) -> None:
    """Norms that have seen something, and no layer that is zero."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    net.eval()


@pytest.fixture(scope="module", params=[True, False], ids=["residual", "paper"])
def stunet(request: pytest.FixtureRequest) -> STUNet:
    torch.manual_seed(1)
    net = STUNet(WIDTH, SIZE, residual=request.param)
    nn.init.normal_(net.decoder.last.weight, 0, 0.05)
    lively(net)
    return net


@pytest.fixture(scope="module")
def i3d() -> I3D:
    torch.manual_seed(2)
    net = I3D(WIDTH, SIZE, 2)
    lively(net)
    return net


def exact(graph: nn.Module, clips: Clips) -> NDArray[np.float64]:
    """What the graph computes in float64: such nets' own rounding in float32 is 8e-6 of the largest value."""
    with torch.inference_mode():
        found: NDArray[np.float64] = copy.deepcopy(graph).eval().double()(torch.from_numpy(clips).double()).numpy()
        return found


def close(found: Clips, expected: NDArray[np.float64], precision: Precision) -> bool:
    """Within 3e-5 of the largest value; of eight bits, on average, within a tenth of the deviation, of int8 a quarter.

    What int8 rounds adds up over 84 layers, of noise more than of video.
    """
    if precision == "fp32":
        return bool(np.abs(found - expected).max() < 3e-5 * np.abs(expected).max())
    most = 0.25 if precision == "int8" else 0.1
    return 1e-3 < float(np.sqrt(np.square(found - expected).mean()) / expected.std()) < most


@pytest.mark.parametrize(("name", "precision"), ENGINES)
def test_a_predictor_predicts_as_its_net(
    name: Name, precision: Precision, stunet: STUNet, clips: Clips, folder: Path
) -> None:
    found = NetPredictor(stunet, asked(name, precision, folder, clips))(clips)
    last = clips[:, :, -1] if stunet.residual else np.zeros_like(found)
    assert close(found - last, exact(stunet, clips)[:, :, 0] - last, precision)
    assert found.dtype == np.float32


@pytest.mark.parametrize("by_place", [True, False])
@pytest.mark.parametrize(("name", "precision"), ENGINES)
def test_an_encoder_encodes_as_its_net(
    name: Name, precision: Precision, by_place: bool, i3d: I3D, clips: Clips, folder: Path
) -> None:
    encoder = NetEncoder(i3d, "", asked(name, precision, folder, clips), by_place=by_place)
    found = encoder(clips)
    if by_place:
        places = exact(Places(i3d), clips).reshape(-1, encoder.values)
        places -= places.mean(1, keepdims=True)
        expected = places / np.sqrt(np.square(places).mean(1, keepdims=True) + 1e-5)
    else:
        expected = exact(i3d, clips).reshape(3, -1)
    assert close(found, expected, precision)


@pytest.mark.parametrize(("name", "precision"), ENGINES[1:3])
def test_any_number_of_clips(name: Name, precision: Precision, i3d: I3D, clips: Clips, folder: Path) -> None:
    encoder = NetEncoder(i3d, "", Engine(name, precision, kept=folder))
    one = np.concatenate([encoder(clips[:1]), encoder(clips[1:])])
    np.testing.assert_allclose(one, encoder(clips), rtol=1e-4, atol=1e-5)


def test_what_was_compiled_is_kept_and_not_made_again(i3d: I3D, clips: Clips, tmp_path: Path) -> None:
    one, other = (NetEncoder(i3d, "", Engine("openvino", kept=tmp_path))(clips) for _ in range(2))
    assert np.array_equal(one, other)
    assert len(list(tmp_path.glob("*.bin"))) == 2  # the ONNX model, and that compiled for three clips


def test_kept_bytes_are_believed_only_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"a compiled net"

    def look(key: str = "net") -> int:
        """How often it has been made, after one more look."""
        assert kept.kept(tmp_path / "kept", key, make) == b"a compiled net"
        return len(made)

    assert [look(), look(), look("another")] == [1, 1, 2]
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert [look(), look()] == [3, 3]
    one, other = sorted((tmp_path / "kept").iterdir())
    one.write_bytes(other.read_bytes())  # a good file under another's name
    other.write_bytes(b"")
    assert [look(), look("another"), look(), look("another")] == [4, 5, 5, 5]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    assert [look(), look()] == [6, 6]
    assert (tmp_path / "another user" / "twostream-vad" / "engines.key").stat().st_mode & 0o077 == 0


def test_where_nothing_can_be_written_nets_work_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert kept.kept(tmp_path / "file" / "no folder", "net", lambda: b"net") == b"net"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert kept.kept(tmp_path / "kept", "net", lambda: b"net") == b"net"
    assert kept.kept(None, "net", lambda: b"net") == b"net"
    assert not (tmp_path / "kept").exists()


def test_auto_is_openvino_where_it_is_installed_and_torch_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Engine().resolved().name == ("torch" if torch.cuda.is_available() else "openvino")
    assert Engine(device=torch.device("cpu")).resolved().name == "openvino"
    monkeypatch.setattr("twostream_vad.detector.engines.engine.find_spec", lambda _: None)
    assert Engine().resolved().name == "torch"
    with pytest.raises(EngineError, match=r"engine onnx is not installed: pip install 'twostream-vad\[onnx\]'"):
        Engine("onnx").resolved()


def test_what_an_engine_cannot_do_is_said(i3d: I3D) -> None:
    with pytest.raises(EngineError, match="engine onnx has no bf16 on a CPU: --engine openvino, or torch"):
        NetEncoder(i3d, "", Engine("onnx", "bf16"))
    with pytest.raises(EngineError, match="engine openvino computes on the CPU, not on cuda:1: --engine torch"):
        Engine("openvino", device=torch.device("cuda:1")).resolved()
    with pytest.raises(EngineError, match="int8 is computed on a CPU by OpenVINO: --engine openvino, or --precision"):
        NetEncoder(i3d, "", Engine("onnx", "int8"))
    with pytest.raises(EngineError, match="a detector alone has none: give the folder of the run that fitted it"):
        NetEncoder(i3d, "", Engine("openvino", "int8"))


def test_a_detector_scores_the_same_by_any_engine(placed: Path, video: ImageFolder, folder: Path) -> None:
    expected, call = Detector.load(placed, TORCH).score(video), nn.Module.__call__
    for name, precision in ENGINES[1:]:
        engine = Engine(name, precision, kept=folder, ranges=ranges_beside(placed / "detector"))
        found = Detector.load(placed, engine).score(video)
        for stream, scores in expected.raw.streams.items():
            np.testing.assert_allclose(found.raw.streams[stream], scores, rtol=OFF[precision], atol=1e-7)
    assert nn.Module.__call__ is call  # the exporter changes it while it works


def test_a_file_of_weights_is_part_of_what_compiled_nets_are_told_apart_by(tmp_path: Path, clips: Clips) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_file(I3D(WIDTH, SIZE).state_dict(), tmp_path / "i3d.safetensors")
        engine = Engine("onnx", kept=tmp_path)
        found.append(NetEncoder.load(tmp_path / "i3d.safetensors", width=WIDTH, size=SIZE, cells=2, engine=engine))
    assert not np.allclose(found[0](clips), found[1](clips), rtol=0.1)


def test_a_stage_is_gone_on_with_by_the_engine_that_began_it(copied: Path, folder: Path) -> None:
    run, openvino = Run.open(copied), Engine("openvino", kept=folder)
    before = dict(np.load(run.path("recovery/chosen.npz")))
    with pytest.raises(RunError, match="`score recovery` was run by torch fp32, not openvino fp32; --redo replaces it"):
        run_stage(run, "score-recovery", engine=openvino)
    run_stage(run, "score-recovery", redo=True, engine=openvino)
    assert run.records()["score-recovery"]["engine"] == ["openvino", "fp32"]
    run_stage(run, "score-recovery")  # as `fit` does: whichever it was
    with pytest.raises(RunError, match="was run by openvino fp32, not torch fp32"):
        run_stage(run, "score-recovery", engine=TORCH)
    after = np.load(run.path("recovery/chosen.npz"))
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4)


QUIET = """
import sys
import numpy as np
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") or "fork" in event else None)
from twostream_vad.detector.engines.engine import Engine
from twostream_vad.detector.engines.nets import NetEncoder
from twostream_vad.nets.i3d import I3D
NetEncoder(I3D(1 / 16, 32, 1).eval(), "", Engine("openvino"))(np.zeros((1, 3, 8, 32, 32), np.float32))
print(seen)
"""


def test_openvino_tells_nobody_that_it_was_started() -> None:
    """Left alone, it does: a process of its own calls its maker."""
    found = subprocess.run([sys.executable, "-c", QUIET], check=True, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1] == "[]"


THREADED = """
import sys, threading
import numpy as np
from torch import nn
from twostream_vad.detector.engines.engine import Engine
net = Engine("openvino", threads=1).compile(nn.Conv2d(3, 4, 3), (3, 8, 8))
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=net, args=(np.zeros((1, 3, 8, 8), np.float32),)) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_compute_first_at_once_do_not_wait_for_each_other_for_ever() -> None:
    """OpenVINO's first tensor of an array: a lock inside a lock. Without the one made beforehand this hangs."""
    subprocess.run([sys.executable, "-c", THREADED], check=True, timeout=60)
