"""Scores a video with an exported detector: python score_exported.py EXPORT VIDEO. No torch, no twostream-vad.

Needs numpy, safetensors, av, and onnxruntime or openvino. Frames are taken as they come: the video's rate and size must
be those that export.json states.
"""

import collections
import json
import pathlib
import sys

import av
import numpy as np
from safetensors.numpy import load_file

folder = pathlib.Path(sys.argv[1])
told, index = json.loads((folder / "export.json").read_text()), load_file(folder / "index.safetensors")


def opened(path):
    """A graph as a function of its inputs, in order, that gives its first output."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        return lambda *given: session.run(None, dict(zip(names, given, strict=True)))[0]
    sys.modules.setdefault("openvino_telemetry", None)  # importing OpenVINO would tell its maker, over the network
    import openvino

    net = path.stem in ("predict", "encode", "see", "tell") and told["precision"] == "bf16"
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if net else "f32"})
    return lambda *given: model(list(given))[0].copy()


graphs = {path.stem: opened(path) for ending in ("*.onnx", "*.xml") for path in folder.glob(ending)}


def by_place(found):
    """Distance of each place's feature (places, values) to the nearest centre found there, relative to normal."""
    bits, side, reach = told["index"]["bits"], told["index"]["side"], told["index"]["reach"]
    at = np.arange(len(found))
    on = (found @ index["mixes"] > index["medians"]).reshape(len(found), -1, bits)
    keys = (on * (1 << np.arange(bits, dtype=np.uint64)[::-1])).sum(2) | (at[:, None] << bits).astype(np.uint64)
    lead = found @ index["directions"]
    sketches = np.c_[lead, np.sqrt(np.maximum((found**2).sum(1) - (lead**2).sum(1), 0))]
    near = [
        order[np.clip(np.searchsorted(held, keys[:, t])[:, None] + np.arange(-reach, reach), 0, len(held) - 1)]
        for t, (held, order) in enumerate(zip(index["keys"], index["orders"], strict=True))
    ]
    near = np.sort(np.concatenate(near, axis=1), axis=1)
    barred = (index["places"][near] != at[:, None]) | (np.diff(near, axis=1, prepend=-1) == 0)
    gaps = np.where(barred, np.inf, ((index["sketches"][near] - sketches[:, None]) ** 2).sum(2))
    near = np.take_along_axis(near, best := np.argsort(gaps, axis=1)[:, :8], 1)
    gaps = ((index["means"][near] - found[:, None]) ** 2).sum(2)
    gaps = np.sqrt(np.where(np.take_along_axis(barred, best, 1), np.inf, gaps).min(1)).reshape(-1, side, side)
    wide = np.pad(gaps, ((0, 0), (1, 1), (1, 1)))
    mean = sum(wide[:, y : y + side, x : x + side] for y in range(3) for x in range(3)) / 9
    return (mean / index["normal"].reshape(mean.shape)).max()


def by_crop(found):
    """Distance of each crop's codes to their buckets' centres: least over tables, mean over crops."""
    codes, bits = graphs["hash"](found), told["index"]["bits"]
    keys, distances = ((codes > 0.5) * (1 << np.arange(bits, dtype=np.uint64))).sum(2), np.full(codes.shape[:2], bits)
    distances = np.sqrt(distances, dtype=np.float32)
    for t, (first, end) in enumerate(zip(index["offsets"], index["offsets"][1:], strict=False)):
        rows = first + np.searchsorted(index["keys"][first:end], keys[:, t])
        for crop, row in enumerate(rows):
            if row < end and index["keys"][row] == keys[crop, t]:
                distances[crop, t] = np.linalg.norm(index["centres"][row] - codes[crop, t])
    return distances.min(1).mean()


def recovery(clip):
    """Error of the frame that the net predicts."""
    if "tell" in graphs:
        return graphs["judge"](changes[0], clip[:, :, -2:].copy())[0]
    return graphs["judge"](graphs["predict"](np.ascontiguousarray(clip[:, :, :-1])), clip[:, :, -2:].copy())[0]


def retrieval(clip):
    """Distance to normal events."""
    found = features if "tell" in graphs else graphs["encode"](clip)
    found = found.reshape(-1, found.shape[-1]).astype(told["features"]).astype(np.float32)
    return (by_place if told["index"]["kind"] == "places" else by_crop)(found)


raw = {"recovery": recovery, "retrieval": retrieval}
past = {name: collections.deque(maxlen=int(4 * own["sigma"] + 0.5) + 1) for name, own in told["streams"].items()}
seen = collections.deque(maxlen=1 + max((own["length"] - 1) * own["interval"] for own in told["streams"].values()))
step = told["streams"]["recovery"]["interval"]
maps, changes = collections.deque(maxlen=7 * step + 1), collections.deque(maxlen=step + 1)  # of an EdgeNet
for number, frame in enumerate(av.open(sys.argv[2]).decode(video=0)):
    seen.append(graphs["view"](frame.to_ndarray(format="rgb24")))
    if "see" in graphs:
        maps.append(graphs["see"](seen[-1]))
        if len(maps) == maps.maxlen:
            ring, recent = np.stack(list(maps)[::step], 1), np.stack((seen[-1 - step], seen[-1]), 1)
            found, pixels = graphs["tell"](ring, recent), seen[-1][0].size
            changes.append(found[:, :pixels].reshape(seen[-1].shape))
            features = found[:, pixels:].reshape(-1, told["values"])
    fused = weight = 0.0
    for name, own in told["streams"].items():
        span = (own["length"] - 1) * own["interval"]
        if len(seen) > span:
            clip = np.stack([seen[i - 1 - span + len(seen)] for i in range(0, span + 1, own["interval"])], axis=2)
            past[name].appendleft((raw[name](clip) - own["middle"]) / own["spread"])
            taps = np.exp(-0.5 * (np.arange(len(past[name])) / own["sigma"]) ** 2)
            fused, weight = fused + own["weight"] * (taps @ past[name]) / taps.sum(), weight + own["weight"]
    score = fused / weight * sum(own["weight"] for own in told["streams"].values()) if weight else float("nan")
    print(f"{number},{score:.6f},{int(score >= told['threshold'])}", flush=True)
