"""Recomputes golden numbers of the authors' program through the product's own functions; exits 1 past a tolerance.

    python bench/parity.py --golden GOLDEN/data --salt golden-1 --data DATA

GOLDEN's parent holds ``fill.py``, which turns names into tensors; DATA holds ``groundtruth`` and ``tracks``.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad.datasets.labels import read_labels
from twostream_vad.detector.engines.nets import TorchHasher
from twostream_vad.evaluation.auc import macro_auc, micro_auc
from twostream_vad.evaluation.regions import detect_regions, read_tracks
from twostream_vad.nets.hashnet import HashNet
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.recovery.error import frame_level_error, local_maxima, maximum_local_error, over_crops
from twostream_vad.recovery.train import parameter_groups, recovery_loss
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.retrieval.train import hash_losses
from twostream_vad.scores.fusion import fuse
from twostream_vad.scores.timeline import paper_timeline
from twostream_vad.settings import RecoverySettings
from twostream_vad.video.snippets import RECOVERY, RETRIEVAL
from twostream_vad.video.views import Views
from twostream_vad.weights.foreign import read_foreign

LABELS = {"ped2": "Ped2", "avenue": "Ave", "shanghaitech": "ST", "corridor": "Cor"}


@dataclass(frozen=True)
class Golden:
    """A folder of golden numbers, its filler and the data beside it."""

    folder: Path
    salt: str
    data: Path
    fill: Any

    def normal(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A standard normal array."""
        array: NDArray[np.float32] = self.fill.normal(name, shape, self.salt)
        return array

    def arrays(self, file: str) -> dict[str, NDArray[Any]]:
        """The arrays of a golden file."""
        with np.load(self.folder / file, allow_pickle=False) as arrays:
            return dict(arrays)

    def json(self, file: str) -> Any:
        """The values of a golden file."""
        return json.loads((self.folder / file).read_text("utf-8"))


@dataclass(frozen=True)
class Line:
    """One quantity: ours, the golden value, and how far they may differ."""

    name: str
    ours: NDArray[Any]
    golden: NDArray[Any]
    tolerance: float
    relative: bool = False

    def show(self) -> bool:
        """Prints the line; whether it is within tolerance."""
        ours, golden = np.asarray(self.ours, np.float64), np.asarray(self.golden, np.float64)
        if ours.shape != golden.shape:
            print(f"FAIL {self.name:44} shape {ours.shape} is not {golden.shape}")
            return False
        absolute = float(np.abs(ours - golden).max(initial=0.0))
        relative = absolute / max(float(np.abs(golden).max(initial=0.0)), 1e-30)
        ok = (relative if self.relative else absolute) <= self.tolerance and bool(np.isfinite(ours).all())
        kind = "of the largest" if self.relative else "absolute"
        print(
            f"{'ok  ' if ok else 'FAIL'} {self.name:44} absolute {absolute:.2e}  relative {relative:.2e}  "
            f"(tolerance {self.tolerance:g} {kind})"
        )
        return ok


def main() -> int:
    """Runs every check; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--salt", required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    # With one thread torch takes other convolutions, slower ones, whose rounding alone moves a loss by 1.2e-5.
    torch.set_num_threads(max(2, torch.get_num_threads()))
    golden = Golden(arguments.golden, arguments.salt, arguments.data, load_fill(arguments.golden.parent / "fill.py"))
    checks: dict[str, Callable[[Golden], Iterator[Line]]] = {
        "preprocess.npz": preprocess,
        "stunet.npz": stunet,
        "hashnet_shapes.json": hashnet,
        "retrieval.npz": retrieval,
        "recovery_error.npz": recovery_error,
        "evaluation.json": evaluation,
        "regions.json": regions,
    }
    results = []
    for file, check in checks.items():
        print(file)
        results += [line.show() for line in check(golden)]
    print(f"{sum(results)} of {len(results)} quantities within tolerance")
    return 0 if all(results) else 1


def preprocess(golden: Golden) -> Iterator[Line]:
    """Resized width, each crop's mean and every 16th pixel."""
    arrays = golden.arrays("preprocess.npz")
    for key in sorted(name.removeprefix("width_") for name in arrays if name.startswith("width_")):
        height, width = map(int, key.split("x"))
        image = golden.fill.uint8(f"image_{key}", (3, height, width), golden.salt)
        crops = Views(256).scored(np.ascontiguousarray(image.transpose(1, 2, 0))).numpy()
        left, _, right, _ = Views(256).boxes(height, width)[-1]
        resized = 256 * width / (right - left)  # the last crop spans 256 pixels of the resized frame
        yield Line(f"{key} resized width", np.array(int(resized + 0.5)), arrays[f"width_{key}"], 0)
        yield Line(f"{key} crop means", crops.mean((1, 2, 3), np.float64), arrays[f"mean_{key}"], 1e-5)
        yield Line(f"{key} crops", crops[:, :, ::16, ::16], arrays[f"crops_{key}"], 1e-5)


def stunet(golden: Golden) -> Iterator[Line]:
    """Both encoders' features, the prediction, and one training step; weights go through the importer."""
    arrays = golden.arrays("stunet.npz")
    names = golden.json("stunet_shapes.json")
    filled = golden.fill.fill_state_dict({name: tuple(shape) for name, shape in names.items()}, golden.salt)
    net = STUNet()
    net.load_state_dict(imported({name: torch.from_numpy(value) for name, value in filled.items()}))
    net = net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    encoder = I3D(final_relu=True)
    encoder.load_state_dict(net.encoder.state_dict())
    clip = torch.from_numpy(golden.normal("clip", (1, 3, 8, 256, 256)))
    net.eval()
    encoder.eval()
    with torch.inference_mode():
        yield Line("prediction", net(clip).numpy(), arrays["prediction"], 2e-5, relative=True)
        for key, model in (("features_norelu", net.encoder), ("features_relu", encoder)):
            features = model(clip).permute(0, 4, 1, 2, 3).numpy()
            yield Line(key, features, arrays[key], 2e-5, relative=True)
    yield from training_step(golden, net, arrays)


def training_step(golden: Golden, net: STUNet, arrays: dict[str, NDArray[Any]]) -> Iterator[Line]:
    """One forward and backward in train mode with a frozen encoder."""
    parameter_groups(net, RecoverySettings(encoder_rate=0.0))
    net.train()
    clip = torch.from_numpy(golden.normal("train_clip", (2, 3, 8, 256, 256)))
    target = torch.from_numpy(golden.normal("train_target", (2, 3, 1, 256, 256)))
    mse, l1 = recovery_loss(net(clip), target)
    (mse + l1).backward()  # type: ignore[no-untyped-call]
    yield Line("train_mse", mse.detach().numpy(), arrays["train_mse"], 1e-5, relative=True)
    yield Line("train_l1", l1.detach().numpy(), arrays["train_l1"], 1e-5, relative=True)
    mean, var = net.encoder.stem.norm.running_mean, net.decoder.u3[1].running_var
    assert mean is not None
    assert isinstance(var, Tensor)
    yield Line("train_encoder_running_mean", mean.numpy(), arrays["train_encoder_running_mean"], 1e-5, relative=True)
    yield Line("train_decoder_running_var", var.numpy(), arrays["train_decoder_running_var"], 1e-5, relative=True)
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    for name, norm in zip(arrays["grad_names"], arrays["grad_norms"], strict=True):
        gradient = gradients[our_name(str(name))]
        assert gradient is not None
        yield Line(f"gradient norm of {name}", gradient.norm().numpy(), norm, 1e-2, relative=True)


def hashnet(golden: Golden) -> Iterator[Line]:
    """Every tensor's shape."""
    shapes = golden.json("hashnet_shapes.json")
    ours = [tuple(tensor.shape) for tensor in HashNet().state_dict().values()]
    yield Line("shapes", np.array(ours), np.array(list(shapes.values())), 0)


def retrieval(golden: Golden) -> Iterator[Line]:
    """Codes, buckets, distances, scores and losses."""
    arrays, salt_normal = golden.arrays("retrieval.npz"), golden.normal
    shapes = {name: tuple(shape) for name, shape in golden.json("hashnet_shapes.json").items()}
    net = HashNet().eval()
    filled = golden.fill.fill_state_dict(shapes, golden.salt)
    net.load_state_dict(imported({name: torch.from_numpy(value) for name, value in filled.items()}))
    centres = salt_normal("centres", (24, 1, 2, 2, 2048))

    def pick(count: int) -> NDArray[np.int64]:
        return np.random.Generator(np.random.PCG64(7)).integers(0, 24, count)

    train = centres[pick(600)] + 0.02 * salt_normal("train_features", (600, 1, 2, 2, 2048))
    test = centres[pick(90)] + 0.05 * salt_normal("test_features", (90, 1, 2, 2, 2048))
    test[60:] = salt_normal("outlier_features", (30, 1, 2, 2, 2048))
    normal_codes, codes = (TorchHasher(net)(features.reshape(len(features), -1)) for features in (train, test))
    tables = HashTables.build(normal_codes)
    cosine, mutual = hash_losses(torch.from_numpy(normal_codes[:32]), torch.from_numpy(normal_codes[32:64]))
    yield Line("codes", codes, arrays["codes"], 1e-5)
    buckets = np.array([summary.buckets for summary in tables.summary()])
    yield Line("buckets_per_table", buckets, arrays["buckets_per_table"], 0)
    yield Line("distances", tables.query(codes), arrays["distances"], 1e-5)
    yield Line("snippet_scores", tables.scores(codes.reshape(30, 3, 8, 32)), arrays["snippet_scores"], 1e-5)
    yield Line("cosine_loss", cosine.numpy(), arrays["cosine_loss"], 1e-5)
    yield Line("mutual_loss", mutual.numpy(), arrays["mutual_loss"], 1e-5)


def recovery_error(golden: Golden) -> Iterator[Line]:
    """MLE for every window under two settings, the fusion of crops, and FLE."""
    arrays = golden.arrays("recovery_error.npz")

    def upsampled(name: str) -> Tensor:
        small = torch.from_numpy(golden.normal(name, (3, 3, 64, 64)))
        return F.interpolate(small, size=(256, 256), mode="bilinear", align_corners=False)

    true = upsampled("frame_true")
    predicted = true + 0.2 * upsampled("frame_noise")
    predicted[1, :, 100:140, 60:100] += 1.0
    maxima = local_maxima(predicted, true, arrays["patch_sizes"].tolist())
    avenue = maximum_local_error(maxima, l1=0.0, channel_l2=False)
    shanghai = maximum_local_error(maxima, l1=1.0, channel_l2=True)
    yield Line("MLE, Avenue", avenue.numpy(), arrays["mle_avenue_per_crop"], 1e-5)
    yield Line("MLE, ShanghaiTech", shanghai.numpy(), arrays["mle_shanghaitech_per_crop"], 1e-5)
    yield Line("max over crops", over_crops(avenue[None], "max")[0].numpy(), arrays["avenue_max_over_crops"], 1e-5)
    mean = over_crops(shanghai[None], "mean")[0].numpy()
    yield Line("mean over crops", mean, arrays["shanghaitech_mean_over_crops"], 1e-5)
    whole = torch.stack([frame_level_error(predicted, true, l1=l1) for l1 in (0.0, 1.0)], dim=1).numpy()
    yield Line("FLE", whole, arrays["fle_lam0_lam1_per_crop"], 1e-5)


def evaluation(golden: Golden) -> Iterator[Line]:
    """Micro- and macro-AUC of both streams and two fusions on the label files of four datasets."""
    values = golden.json("evaluation.json")
    for dataset, expected in values.items():
        labels = read_labels(golden.data / "groundtruth" / f"{LABELS[dataset]}_gt.npz")
        curves = {
            "recovery": {v: curve(golden, dataset, "recovery", v, labels[v]) for v in labels},
            "retrieval": {v: curve(golden, dataset, "retrieval", v, labels[v]) for v in labels},
        }
        for name, retrieval_weight in (("fused_1_1", 1.0), ("fused_1_3", 3.0)):
            weights = {"recovery": 1.0, "retrieval": retrieval_weight}
            curves[name] = {v: fuse({stream: curves[stream][v] for stream in weights}, weights) for v in labels}
        for name, scores in curves.items():
            yield Line(f"{dataset} {name} micro", np.array(micro_auc(scores, labels)), expected[name]["micro"], 1e-6)
            yield Line(f"{dataset} {name} macro", np.array(macro_auc(scores, labels)), expected[name]["macro"], 1e-6)
        first = expected["first_video"]
        for stream in ("recovery", "retrieval"):
            golden_curve = np.array(expected[f"curve_{stream}"])
            yield Line(f"{dataset} {stream} curve", curves[stream][first][: len(golden_curve)], golden_curve, 1e-6)


def curve(golden: Golden, dataset: str, stream: str, video: str, labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The golden input scores of one video, through the paper's protocol."""
    snippet, gain = (RECOVERY, 1.2) if stream == "recovery" else (RETRIEVAL, 0.8)
    count = snippet.count(len(labels))
    if not count:
        return paper_timeline(np.zeros(0), snippet, len(labels))
    truth = labels[snippet.offset : snippet.offset + count].astype(np.float32)
    scores = golden.normal(f"{dataset}/{stream}/{video}", (count,)) + np.float32(gain) * truth
    return paper_timeline(scores.astype(np.float64), snippet, len(labels))


def regions(golden: Golden) -> Iterator[Line]:
    """RBDC and TBDC of two sets of detections."""
    detections = golden.arrays("regions_detections.npz")
    tracks = read_tracks(golden.data / "tracks" / "shanghaitech")
    for case, expected in golden.json("regions.json").items():
        found = {name.partition("/")[2]: rows for name, rows in detections.items() if name.startswith(f"{case}/")}
        videos = {video: tracks[video] for video in expected["videos"]}
        result = detect_regions(found, videos, frames=expected["frames"])
        yield Line(f"{case} RBDC", np.array(result.rbdc), np.array(expected["rbdc"]), 1e-6)
        yield Line(f"{case} TBDC", np.array(result.tbdc), np.array(expected["tbdc"]), 1e-6)


def imported(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under our names, by way of a checkpoint file and the importer."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint_0.pth.tar"
        torch.save({"epoch": 0, "model": state, "optimizer": {}, "lr_sch": {}}, path)
        return read_foreign(path).tensors


def our_name(name: str) -> str:
    """Our name of one of the authors' decoder tensors or T-convs."""
    if name.startswith("tconv"):
        return f"tconv{int(name[5]) - 1}{name[6:]}"
    return name.replace("uconv", "u")


def load_fill(path: Path) -> Any:
    """The module that turns names into tensors."""
    spec = importlib.util.spec_from_file_location("fill", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
