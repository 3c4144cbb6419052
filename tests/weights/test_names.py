"""Weight files of others: every tensor of every form arrives under our name."""

import gzip
import math
import pickle
import sys
import warnings
import zlib
from collections import Counter, OrderedDict
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from twostream_vad.nets.hashnet import HashNet
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.weights import foreign as weights
from twostream_vad.weights.foreign import read_foreign
from twostream_vad.weights.names import Kind, expected

NARROW = 1 / 16


def shapes(net: type[nn.Module], **settings: float) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in net(**settings).state_dict().items()}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nets at a sixteenth of their width, for files that would be large on the disk."""

    @cache
    def narrowed(kind: str) -> dict[str, tuple[tuple[int, ...], bool]]:
        found = shapes({"i3d": I3D, "stunet": STUNet}[kind], width=NARROW)
        return {name: (tuple(shape), not name.endswith("tracked")) for name, shape in found.items()}

    monkeypatch.setattr(weights, "expected", narrowed)


def constant(name: str, shape: torch.Size) -> Tensor:
    """A tensor full of a number that its name gives, one value in memory; a counter is 7."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    return torch.tensor(zlib.crc32(name.encode()) % 2000 / 1000 - 1).expand(shape)


def slowfast(name: str) -> str:
    """Our name of an encoder's tensor → PySlowFast's, split where the map under test uses patterns."""
    if name.startswith("stem."):
        return "s1.pathway0_stem." + name.removeprefix("stem.").replace("norm", "bn")
    stage, block, layer, *rest = name.split(".")
    layer = layer.replace("_norm", "_bn")
    branch = layer.replace("shortcut", "branch1") if "shortcut" in layer else f"branch2.{layer}"
    return ".".join([stage, f"pathway0_res{block}", branch, *rest])


def pytorchvideo(name: str) -> str:
    if name.startswith("stem."):
        return "blocks.0." + name.removeprefix("stem.")
    stage, block, layer, *rest = name.split(".")
    kind = "norm" if layer.endswith("_norm") else "conv"
    letter = layer.removesuffix("_norm")
    branch = f"branch1_{kind}" if letter == "shortcut" else f"branch2.{kind}_{letter}"
    blocks = {"s2": 1, "s3": 3, "s4": 4, "s5": 5}
    return ".".join([f"blocks.{blocks[stage]}.res_blocks.{block}", branch, *rest])


def caffe2(name: str) -> str:
    parts = name.split(".")
    last = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}[parts[-1]]
    if parts[0] == "stem":
        return "conv1_w" if parts[1] == "conv" else f"res_conv1_bn_{last}"
    letter = parts[2].removesuffix("_norm")
    layer = f"res{parts[0][1]}_{parts[1]}_" + ("branch1" if letter == "shortcut" else f"branch2{letter}")
    return f"{layer}_bn_{last}" if parts[2].endswith("_norm") else f"{layer}_w"


def authors(name: str) -> str:
    """Our name of a STUNet's tensor → the authors'."""
    if name.startswith("encoder."):
        return "encoder." + slowfast(name.removeprefix("encoder."))
    if name.startswith("tconv"):
        return f"tconv{int(name[5]) + 1}{name[6:]}"
    return name.replace("decoder.u", "decoder.uconv").replace("uconvp", "up")


def assert_constants(found: dict[str, Tensor], net: type[nn.Module], **settings: float) -> None:
    expected = shapes(net, **settings)
    assert list(found) == list(expected)
    for name, tensor in found.items():
        assert tensor.shape == expected[name], name
        assert torch.equal(tensor, constant(name, expected[name])), name
        assert tensor.is_contiguous(), name


def hash_state() -> dict[str, Tensor]:
    return {
        f"hash_encoder.hash_layers.{i}.hash_layer.0.weight": constant(
            f"layers.{i}.project.weight", torch.Size((32, 8192))
        )
        for i in range(8)
    }


def pickled_network(path: Path, tensors: dict[str, Tensor], *, legacy: bool) -> None:
    """Save a network of a class that is gone when the file is read, its settings in a dict of a class too."""
    package = ModuleType("slowfast.models.video_model_builder")
    node = type("ResNet", (nn.Module,), {"__module__": package.__name__})
    settings = type("CfgNode", (dict,), {"__module__": package.__name__})
    package.ResNet, package.CfgNode = node, settings  # type: ignore[attr-defined]
    root = node()
    root.cfg = settings(ARCH="i3d")
    root.cfg.frozen = True
    root.norm_module = nn.BatchNorm3d
    for name, tensor in tensors.items():
        *parents, leaf = name.split(".")
        place = root
        for parent in parents:
            if parent not in place._modules:
                place.add_module(parent, node())
            place = getattr(place, parent)
        if "running" in leaf or "tracked" in leaf:
            place.register_buffer(leaf, tensor)
        else:
            place.register_parameter(leaf, nn.Parameter(tensor))
    root.register_buffer("scratch", torch.zeros(1), persistent=False)
    injected = {"slowfast": package, "slowfast.models": package, package.__name__: package}
    sys.modules.update(injected)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the legacy form wants the class's source code
            torch.save(root, path, _use_new_zipfile_serialization=not legacy)
    finally:
        for name in injected:
            del sys.modules[name]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_pickled_network_of_classes_that_are_not_there(prefix: str, legacy: bool, tmp_path: Path) -> None:
    tensors = {prefix + slowfast(name): constant(name, shape) for name, shape in shapes(I3D).items()}
    head = {
        f"{prefix}head.projection.weight": torch.zeros(4, 2),
        f"{prefix}head.projection.bias": torch.zeros(4),
    }
    pickled_network(tmp_path / "I3D.pth", tensors | head, legacy=legacy)
    found = read_foreign(tmp_path / "I3D.pth")
    stripped = f" (names without {prefix})" if prefix else ""
    assert found.form == f"torch {'legacy' if legacy else 'zip'}, module object{stripped}, names of PySlowFast"
    assert (found.kind, found.ignored) == ("i3d", ["head.projection.weight", "head.projection.bias"])
    assert_constants(found.tensors, I3D)


def test_a_pytorchvideo_file(tmp_path: Path) -> None:
    state = {pytorchvideo(name): constant(name, shape) for name, shape in shapes(I3D).items()}
    state["blocks.6.proj.weight"] = torch.zeros(4, 2)
    torch.save({"model_state": state}, tmp_path / "I3D.pyth")
    found = read_foreign(tmp_path / "I3D.pyth")
    assert (found.kind, found.ignored) == ("i3d", ["blocks.6.proj.weight"])
    assert_constants(found.tensors, I3D)


@pytest.mark.usefixtures("narrow")
def test_a_caffe2_file_gets_zero_counters(tmp_path: Path) -> None:
    expected = shapes(I3D, width=NARROW)
    counters = [name for name in expected if name.endswith("num_batches_tracked")]
    blobs = {
        caffe2(name): constant(name, shape).contiguous().numpy()
        for name, shape in expected.items()
        if name not in counters
    }
    extra = {
        "conv1_w_momentum": np.zeros(1),
        "lr": np.float32(0.1),
        "model_iter": np.array([9]),
        "pred_w": np.ones(2),
    }
    with gzip.open(tmp_path / "I3D.pkl.gz", "wb", compresslevel=1) as file:
        pickle.dump({"blobs": blobs | extra}, file, protocol=2)
    found = read_foreign(tmp_path / "I3D.pkl.gz")
    assert found.form == "pickle, gzipped, Caffe2 blobs, names of Caffe2, counters set to 0"
    assert sorted(found.ignored) == sorted(extra)
    assert all(found.tensors[name].dtype == torch.int64 and found.tensors[name] == 0 for name in counters)
    assert_constants(found.tensors | {name: torch.tensor(7) for name in counters}, I3D, width=NARROW)


@pytest.mark.usefixtures("narrow")
def test_the_authors_stunet_checkpoint(tmp_path: Path) -> None:
    model = OrderedDict(
        ("module." + authors(name), constant(name, shape)) for name, shape in shapes(STUNet, width=NARROW).items()
    )
    assert "module.decoder.uconv6.6.bias" in model
    assert model["module.tconv6.weight"].shape == (128, 128, 4, 1, 1)
    checkpoint = {"epoch": 59, "model": model, "optimizer": {"state": {0: {"step": torch.ones(2)}}}}
    torch.save(checkpoint | {"lr_sch": {"milestones": Counter([40])}}, tmp_path / "checkpoint_59.pth.tar")
    found = read_foreign(tmp_path / "checkpoint_59.pth.tar")
    assert (found.kind, found.epoch, found.ignored) == ("stunet", 59, [])
    assert found.form == "torch zip, checkpoint (names without module.), names of the authors"
    assert_constants(found.tensors, STUNet, width=NARROW)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_foreign_safetensors_file_without_counters(dtype: torch.dtype, tmp_path: Path) -> None:
    """As exporters leave it: 16 bits, no counters, names of torch.compile."""
    expected = shapes(I3D, width=NARROW)
    counters = [name for name in expected if name.endswith("num_batches_tracked")]
    state = {name: constant(name, shape).to(dtype) for name, shape in expected.items() if name not in counters}
    save_file({f"_orig_mod.{slowfast(n)}": t.contiguous() for n, t in state.items()}, tmp_path / "i3d.safetensors")
    found = read_foreign(tmp_path / "i3d.safetensors")
    assert found.form == ("safetensors, state dict (names without _orig_mod.), names of PySlowFast, counters set to 0")
    assert all(found.tensors[name].dtype == torch.int64 and found.tensors[name] == 0 for name in counters)
    assert {name for name in state if torch.equal(found.tensors[name], state[name])} == set(state)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_authors_hashnet_checkpoint(legacy: bool, tmp_path: Path) -> None:
    checkpoint = {"epoch": 10, "model": {f"module.{name}": tensor for name, tensor in hash_state().items()}}
    torch.save(checkpoint, tmp_path / "checkpoint_10.pth.tar", _use_new_zipfile_serialization=not legacy)
    found = read_foreign(tmp_path / "checkpoint_10.pth.tar")
    assert (found.kind, found.epoch) == ("hashnet", 10)
    assert_constants(found.tensors, HashNet)


@pytest.mark.parametrize(
    ("kind", "tensors", "parameters"),
    [("i3d", 318, 27_277_045), ("stunet", 510, 108_154_000), ("hashnet", 8, 8 * 32 * 8192)],
)
def test_what_is_expected_is_the_papers_net(kind: Kind, tensors: int, parameters: int) -> None:
    """Of method and zoo: 27.2 M and 108.1 M parameters, to which the norms' statistics add a little."""
    found = expected(kind)
    assert len(found) == tensors
    assert sum(math.prod(shape) for shape, _ in found.values()) == pytest.approx(parameters, rel=5e-4)
