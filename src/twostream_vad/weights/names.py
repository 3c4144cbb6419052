"""Which foreign tensor is which of ours: names of PySlowFast, PyTorchVideo, Caffe2 and the authors."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from ..nets.hashnet import HashNet
from ..nets.i3d import I3D
from ..nets.stunet import STUNet

Kind = Literal["i3d", "stunet", "hashnet"]
# The classification head, and what Caffe2's optimizer keeps beside the weights.
IGNORED = re.compile(r"(encoder\.)?head\.projection\..*|pred_.*|blocks\.6\.proj\..*|.*_momentum|lr|model_iter")
NORM = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
CAFFE2_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
VIDEO_STAGES = {1: 2, 3: 3, 4: 4, 5: 5}  # PyTorchVideo's block → stage; block 2 is the pool

SLOWFAST = {
    r"s1\.pathway0_stem\.conv\.weight": r"stem.conv.weight",
    rf"s1\.pathway0_stem\.bn\.{NORM}": r"stem.norm.\1",
    r"s([2-5])\.pathway0_res(\d+)\.branch1\.weight": r"s\1.\2.shortcut.weight",
    rf"s([2-5])\.pathway0_res(\d+)\.branch1_bn\.{NORM}": r"s\1.\2.shortcut_norm.\3",
    r"s([2-5])\.pathway0_res(\d+)\.branch2\.([abc])\.weight": r"s\1.\2.\3.weight",
    rf"s([2-5])\.pathway0_res(\d+)\.branch2\.([abc])_bn\.{NORM}": r"s\1.\2.\3_norm.\4",
}
PYTORCHVIDEO = {
    r"blocks\.0\.conv\.weight": r"stem.conv.weight",
    rf"blocks\.0\.norm\.{NORM}": r"stem.norm.\1",
    **{
        rf"blocks\.{block}\.res_blocks\.(\d+)\.{foreign}": rf"s{stage}.\1.{ours}"
        for block, stage in VIDEO_STAGES.items()
        for foreign, ours in (
            (r"branch1_conv\.weight", r"shortcut.weight"),
            (rf"branch1_norm\.{NORM}", r"shortcut_norm.\2"),
            (r"branch2\.conv_([abc])\.weight", r"\2.weight"),
            (rf"branch2\.norm_([abc])\.{NORM}", r"\2_norm.\3"),
        )
    },
}
CAFFE2 = {
    r"conv1_w": r"stem.conv.weight",
    r"res([2-5])_(\d+)_branch1_w": r"s\1.\2.shortcut.weight",
    r"res([2-5])_(\d+)_branch2([abc])_w": r"s\1.\2.\3.weight",
    **{
        foreign.format(suffix): ours.format(name)
        for suffix, name in CAFFE2_NORM.items()
        for foreign, ours in (
            (r"res_conv1_bn_{}", r"stem.norm.{}"),
            (r"res([2-5])_(\d+)_branch1_bn_{}", r"s\1.\2.shortcut_norm.{}"),
            (r"res([2-5])_(\d+)_branch2([abc])_bn_{}", r"s\1.\2.\3_norm.{}"),
        )
    },
}
STUNET = {
    **{rf"encoder\.{foreign}": f"encoder.{ours}" for foreign, ours in SLOWFAST.items()},
    # The authors number a T-conv one past the stage whose output it takes.
    **{rf"tconv{stage + 1}\.(weight|bias)": rf"tconv{stage}.\1" for stage in (2, 3, 4, 5)},
    rf"decoder\.up(\d)\.(\d+)\.{NORM}": r"decoder.up\1.\2.\3",
    rf"decoder\.uconv(\d)\.(\d+)\.{NORM}": r"decoder.u\1.\2.\3",
}
HASHNET = {r"hash_encoder\.hash_layers\.(\d+)\.hash_layer\.0\.weight": r"layers.\1.project.weight"}


@dataclass(frozen=True)
class Dialect:
    """How one program names the tensors of one net."""

    first: str  # a tensor that only this dialect names so
    owner: str
    kind: Kind
    patterns: Mapping[str, str]  # foreign name → our name

    def ours(self, name: str) -> str | None:
        """Our name of a tensor; None where the dialect has no such tensor."""
        matches = ((re.fullmatch(foreign, name), ours) for foreign, ours in self.patterns.items())
        return next((match.expand(ours) for match, ours in matches if match), None)


DIALECTS = (
    Dialect("s1.pathway0_stem.conv.weight", "PySlowFast", "i3d", SLOWFAST),
    Dialect("blocks.0.conv.weight", "PyTorchVideo", "i3d", PYTORCHVIDEO),
    Dialect("conv1_w", "Caffe2", "i3d", CAFFE2),
    Dialect("stem.conv.weight", "ours", "i3d", {r"(stem|s[2-5]\.\d+)\..*": r"\g<0>"}),
    Dialect("encoder.s1.pathway0_stem.conv.weight", "the authors", "stunet", STUNET),
    Dialect("encoder.stem.conv.weight", "ours", "stunet", {r"(encoder|decoder|tconv[2-5])\..*": r"\g<0>"}),
    Dialect("hash_encoder.hash_layers.0.hash_layer.0.weight", "the authors", "hashnet", HASHNET),
    Dialect("layers.0.project.weight", "ours", "hashnet", {r"layers\.\d+\.project\.weight": r"\g<0>"}),
)


def find_dialect(names: Collection[str]) -> Dialect | None:
    """The dialect that the names are in: told by the first convolution, or failing that by most names."""

    def known(dialect: Dialect) -> tuple[bool, int]:
        return dialect.first in names, sum(dialect.ours(name) is not None for name in names)

    best = max(DIALECTS, key=known)
    return best if known(best)[1] else None


@cache
def expected(kind: Kind) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Tensor name → shape and whether its values are floats, of the paper's net (width 1, b = 8, r = 32)."""
    with torch.device("meta"):
        net = {"i3d": I3D, "stunet": STUNet, "hashnet": HashNet}[kind]()
    return {name: (tuple(t.shape), t.dtype.is_floating_point) for name, t in net.state_dict().items()}
