"""Importing and inspecting weight files: what is written says where it is from, and faults are listed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from twostream_vad.weights.foreign import import_weights, inspect_weights, read_foreign
from twostream_vad.weights.stored import UnsafePickleError, WeightsError


def hash_state() -> dict[str, Tensor]:
    return {f"hash_encoder.hash_layers.{i}.hash_layer.0.weight": torch.tensor(i / 7).expand(32, 8192) for i in range(8)}


def assert_imported(found: dict[str, Tensor]) -> None:
    """``hash_state`` under our names."""
    assert sorted(found) == [f"layers.{i}.project.weight" for i in range(8)]
    for i, tensor in enumerate(hash_state().values()):
        assert torch.equal(found[f"layers.{i}.project.weight"], tensor)


def test_what_import_writes_is_read_again_and_says_where_it_is_from(tmp_path: Path) -> None:
    source, out = tmp_path / "hash.pth", tmp_path / "new" / "hash.safetensors"
    torch.save({"epoch": 3, "model": hash_state()}, source)
    done = import_weights(source, out)
    assert (done.kind, done.tensors, done.parameters, done.warnings) == ("hashnet", 8, 8 * 32 * 8192, [])
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    assert_imported(load_file(out))
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    assert metadata.pop("tool").startswith("twostream-vad ")
    form = "torch zip, checkpoint, names of the authors"
    kept = {"kind": "hashnet", "form": form, "source": "hash.pth", "source_sha256": sha256, "epoch": "3"}
    assert metadata == {**kept, "cast": "none"}
    assert_imported(read_foreign(out).tensors)
    assert [path.name for path in out.parent.iterdir()] == ["hash.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32_and_that_is_noted(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {name: tensor.to(dtype) for name, tensor in hash_state().items()}
    torch.save(state, tmp_path / "hash.pth")
    import_weights(tmp_path / "hash.pth", tmp_path / "hash.safetensors")
    found = load_file(tmp_path / "hash.safetensors")["layers.0.project.weight"]
    assert torch.equal(found, state["hash_encoder.hash_layers.0.hash_layer.0.weight"].float())
    metadata = inspect_weights(tmp_path / "hash.safetensors").metadata
    assert metadata["cast"] == f"{str(dtype).removeprefix('torch.')} to float32"


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("model", "_orig_mod."),
        ("model", "module._orig_mod."),
        ("model", "_orig_mod.module."),
        ("state_dict", "model."),
        ("state_dict", "model.net._orig_mod.module."),
        ("state_dict", "net."),
        ("model_state_dict", "module.module."),
    ],
)
def test_what_wrappers_put_before_the_names_is_stripped_and_said(key: str, prefix: str, tmp_path: Path) -> None:
    others = {"pytorch-lightning_version": "2.5.0", "global_step": 7, "callbacks": {}}
    source, out = tmp_path / "hash.ckpt", tmp_path / "hash.safetensors"
    torch.save({**others, key: {prefix + name: tensor for name, tensor in hash_state().items()}}, source)
    done = import_weights(source, out)
    assert_imported(load_file(out))
    assert done.form == f"torch zip, checkpoint (names without {prefix}), names of the authors"
    assert inspect_weights(out).metadata["form"] == done.form
    assert inspect_weights(source).form == f"torch zip, checkpoint (names without {prefix})"


def test_a_net_of_which_parts_were_compiled_is_taken(tmp_path: Path) -> None:
    state = {name.replace("hash_layers.", "hash_layers._orig_mod."): t for name, t in hash_state().items()}
    torch.save(state, tmp_path / "hash.pth")
    assert_imported(read_foreign(tmp_path / "hash.pth").tensors)


def test_two_nets_in_one_file_are_not_mixed(tmp_path: Path) -> None:
    torch.save(hash_state() | {f"model.{name}": 2 * t for name, t in hash_state().items()}, tmp_path / "hash.pth")
    with pytest.raises(WeightsError, match=r"unknown: model\.hash_encoder"):
        read_foreign(tmp_path / "hash.pth")


def test_a_mismatch_names_the_three_nearest(tmp_path: Path) -> None:
    state = hash_state()
    state["hash_encoder.hash_layers.7.hash_layer.0.weigth"] = state.pop(
        "hash_encoder.hash_layers.7.hash_layer.0.weight"
    )
    torch.save(state | {f"fc{i}.bias": torch.zeros(2) for i in range(4)}, tmp_path / "hash.pth")
    with pytest.raises(WeightsError) as refusal:
        read_foreign(tmp_path / "hash.pth")
    said = str(refusal.value)
    misspelt = "hash_encoder.hash_layers.7.hash_layer.0.weigth"
    assert f"missing: layers.7.project.weight (nearest: {misspelt})" in said
    assert f"unknown: {misspelt} (nearest: layers.7.project.weight), fc0.bias, " in said
    torch.save(hash_state() | {"layers.8.project.weight": torch.zeros(2)}, tmp_path / "hash.pth")
    with pytest.raises(
        WeightsError, match=r"unknown: layers\.8\.\S+ \(nearest: (layers\.\d\.project\.weight(, )?){3}\)"
    ):
        read_foreign(tmp_path / "hash.pth")


def test_values_that_are_not_finite_are_a_warning(tmp_path: Path) -> None:
    state = hash_state()
    name = "hash_encoder.hash_layers.2.hash_layer.0.weight"
    state[name] = state[name].clone()
    state[name][0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    torch.save(state, tmp_path / "hash.pth")
    done = import_weights(tmp_path / "hash.pth", tmp_path / "hash.safetensors")
    assert done.warnings == ["layers.2.project.weight has 3 values that are NaN or infinite"]
    summary = inspect_weights(tmp_path / "hash.pth")
    assert [tensor.not_finite for tensor in summary.tensors] == [0, 0, 3, 0, 0, 0, 0, 0]
    assert summary.tensors[2].max < torch.inf


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"hash_encoder.hash_layers.7.hash_layer.0.weight": None}, "missing: layers.7.project.weight"),
        ({"hash_encoder.hash_layers.8.hash_layer.0.weight": torch.zeros(32, 8192)}, "unknown: .*layers.8"),
        ({"classifier.weight": torch.zeros(2)}, "unknown: classifier.weight"),
        ({"note": "hello"}, "unknown: note"),
        ({"layers.0.project.weight": torch.zeros(32, 8192)}, "unknown: layers.0"),
        (
            {"hash_encoder.hash_layers.1.hash_layer.0.weight": torch.zeros(16, 8192)},
            r"another shape: layers.1.project.weight is \[16, 8192\] .* should be \[32, 8192\]",
        ),
        (
            {"hash_encoder.hash_layers.1.hash_layer.0.weight": torch.zeros(32, 8192, dtype=torch.int32)},
            "layers.1.project.weight is .*int32",
        ),
    ],
)
def test_what_is_missing_unknown_or_misshapen_is_listed(
    change: dict[str, Tensor | None], fault: str, tmp_path: Path
) -> None:
    state = {name: value for name, value in (hash_state() | change).items() if value is not None}
    torch.save(state, tmp_path / "hash.pth")
    with pytest.raises(WeightsError, match=rf"hash\.pth: .*{fault}"):
        import_weights(tmp_path / "hash.pth", tmp_path / "hash.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["hash.pth"]


def test_a_long_list_of_faults_ends_in_a_count(tmp_path: Path) -> None:
    torch.save({"s1.pathway0_stem.conv.weight": torch.zeros(64, 3, 5, 7, 7)}, tmp_path / "I3D.pth")
    with pytest.raises(WeightsError, match=r"missing: .* and 254 more"):
        read_foreign(tmp_path / "I3D.pth")


def test_a_file_of_another_net_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"holds no I3D.*fc\.weight"):
        read_foreign(tmp_path / "a.pth")
    torch.save(torch.zeros(2), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="where a network or a dict of tensors is expected"):
        read_foreign(tmp_path / "a.pth")


def test_modules_that_hold_one_another_are_refused(tmp_path: Path) -> None:
    first = nn.Sequential()
    for _ in range(40):  # each twice in the next: 2 ** 40 paths in a few kilobytes
        first = nn.Sequential(first, first)
    torch.save(first, tmp_path / "a.pth")
    with pytest.raises(UnsafePickleError, match="more than"):
        read_foreign(tmp_path / "a.pth")


def test_inspect_describes_any_file_under_its_own_names(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    torch.save({"fc.weight": values, "empty": torch.empty(0)}, tmp_path / "a.pth")
    summary = inspect_weights(tmp_path / "a.pth")
    assert (summary.kind, summary.form, summary.parameters) == (None, "torch zip, state dict", 4)
    line = summary.tensors[0]
    assert (line.name, line.shape, line.dtype) == ("fc.weight", (2, 2), "float32")
    assert (line.mean, line.min, line.max, line.not_finite) == (3.0, 1.0, 6.0, 0)
    assert line.std == pytest.approx(float(np.std(values.numpy())))
    assert np.isnan(summary.tensors[1].mean)
