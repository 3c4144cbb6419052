"""What `hostile.py` begins with: small files of every format, how their bytes are changed, what reads them; bombs."""

import hashlib
import io
import json
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 40  # taken of a video at most
COUNTS = {"01": 30, "02": 20, "Abuse028_x264": 30}
ODD = [
    bytes(4),
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x80\0\0\0",
    b"\0\0\0\x80",
    b"\0\x01\0\0",
    b"9" * 6,
]
Reader = Callable[[Path], Any]


@dataclass(frozen=True)
class Format:
    """Files of one kind. ``file`` is the input's name in its folder; of that, ``given`` goes to the reader."""

    file: str
    seeds: Callable[[], list[bytes]]
    reader: Callable[[], Reader]  # imports it
    given: str | None = None  # None: the file itself; "": the folder
    slow: bool = False  # each takes its reader a process
    ours: bool = True  # read by Python code of ours, at least first
    wrap: Callable[[bytes], bytes] = field(default=bytes)  # what is changed → the file: all around it is right

    def put(self, folder: Path, data: bytes) -> Path:
        """Writes an input; what the reader is given."""
        (folder / self.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / self.file).write_bytes(self.wrap(data))
        return folder / (self.file if self.given is None else self.given)


def mutated(seeds: list[bytes], rng: random.Random) -> bytes:
    """One to four changes of a seed: bytes, numbers, zeros, a piece doubled, taken out or of another seed, the end."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(min(len(data), rng.choice((64, 1000, len(data)))) or 1)
        length = rng.choice((1, 2, 4, 16, 200, 3000))
        match rng.randrange(8):
            case 0 | 1:
                data[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
            case 2:
                odd = rng.choice(ODD)
                data[at : at + len(odd)] = odd
            case 3:
                data[at : at + length] = bytes(min(length, len(data)))
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = data[at : at + length]
            case 6:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) or 1)
                data[at : at + length] = other[start : start + length]
            case 7 if rng.random() < 0.3:
                del data[rng.randrange(len(data) or 1) :]
    return bytes(data)


def saved(save: Callable[..., Any], *arrays: Any, **named: Any) -> bytes:
    """What a function that writes to a file would write."""
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


# Labels, recipes, detectors


def labels_reader() -> Reader:
    from twostream_vad.datasets.labels import read_labels

    return lambda path: read_labels(path, lambda: COUNTS)


def npy_seeds() -> list[bytes]:
    ones = np.arange(30) > 12
    masks = np.zeros((5, 4, 6), np.uint8)
    return [saved(np.save, a) for a in (ones, ones.astype(float)[None], masks, np.asfortranarray(masks), ones * 255)]


def npz_seeds() -> list[bytes]:
    arrays = {"01": np.ones(30), "02": np.zeros((20, 4, 6), bool)}
    return [saved(np.savez, **arrays), saved(np.savez_compressed, **arrays)]


def mat_seeds() -> list[bytes]:
    from scipy.io import savemat

    cells = np.empty((1, 3), object)
    cells[:] = [[np.array([[2], [9]]), np.array([[1, 12], [4, 14]]), np.zeros((0, 0))]]
    volume = np.empty((1, 5), object)
    volume[:] = [[np.eye(4, 6, dtype=np.uint8)] * 5]
    files = {"gt": cells}, {"volLabel": volume}, {"gt": np.arange(4.0), "name": "a"}
    return [saved(savemat, f, do_compression=c) for f in files for c in (False, True)] + [
        saved(savemat, files[2], format="4")
    ]


def mat73_seeds() -> list[bytes]:
    """Cells of intervals as MATLAB 7.3 lays them out."""
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as written:
        references = np.empty((3, 1), dtype=h5py.ref_dtype)
        for number, pairs in enumerate((np.array([[3.0, 7.0], [4.0, 7.0]]), np.ones((1, 2)), np.ones((1, 2)))):
            array = written.create_dataset(f"#refs#/{number}", data=pairs.T)
            array.attrs["MATLAB_class"] = np.bytes_(b"double")
            references[number, 0] = array.ref
        cells = written.create_dataset("gt", data=references, dtype=h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_(b"cell")
    return [b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM" + file.getvalue()[128:]]


def tracks_reader() -> Reader:
    from twostream_vad.evaluation.regions import read_tracks

    return read_tracks


TEXTS = [b"Abuse028_x264.mp4 Abuse 5 9 -1 -1\n01.mp4 Arson 1 4 8 12\n02.mp4 Normal -1 -1 -1 -1\n", b"0\n1\n1\n0\n" * 5]
TABLES = [b"frame,label\n0,0\n1,1\n2,1\n", b"0;0\r\n1;1\r\n", b"video,frame,label\n01,0,0\n01,1,1\n"]


def recipe_reader() -> Reader:
    from twostream_vad.recipes import load_recipe

    return load_recipe


def plan_reader() -> Reader:
    from twostream_vad.live.plan import read_plan

    return read_plan


def plan_seeds() -> list[bytes]:
    zone = b"zones: {door: {points: [[0, 0], [1, 0], [1, 0.5]], use: alone}}"
    camera = (
        b"cameras:\n  gate:\n    address: rtsp://guard:geheim@10.0.0.7/a\n    schedule: [mon-fri 18:00-07:00]\n    "
    )
    return [b"detector: a\nper_day: 2\nalerts: ['mqtt://h']\n" + camera + zone + b"\n"]


def recipe_seeds() -> list[bytes]:
    from twostream_vad.recipes import load_recipe, recipe_names

    return [load_recipe(name).to_yaml().encode() for name in recipe_names()] + [b"a: &x [1, 2]\nb: *x\nrate: 1e3\n"]


def bundle_reader() -> Reader:
    from twostream_vad.detector.bundle import Bundle

    def read(folder: Path) -> None:
        bundle = Bundle(folder)
        assert bundle.snippets, bundle.views

    return read


def description_seeds() -> list[bytes]:
    how = {
        "window": 32,
        "score_l1": 1.0,
        "channel_l2": False,
        "crops": "mean",
        "per_place": False,
        "aucs": {"jumps": 0.5},
    }
    pictures = {"size": 128, "regions": [[0, 0, 128, 128]], "crops": 3, "mean": 0.45, "deviation": 0.225, "rate": 25.0}
    pictures |= {"height": 240, "width": 360, "gray": False}
    stream = {"length": 9, "interval": 1, "width": 0.125}
    scales = {name: {"middle": 0.1, "high": 0.9} for name in ("recovery", "retrieval")}
    retrieval = stream | {"length": 8, "cells": 1, "values": 256, "dtype": "float16", "tables": 8, "bits": 32}
    description = {
        "format": 1,
        "made_by": "0.1.0",
        "recipe": "demo",
        "pictures": pictures,
        "recovery": stream | {"residual": True, "stride": 8, "how": how},
        "retrieval": retrieval,
        "calibration": {"scales": scales, "threshold": 1.0, "videos": ["01"]},
        "weights": {"": 0.5},
    }
    return [json.dumps(description, indent=1).encode(), json.dumps(description).encode()]


@dataclass(frozen=True)
class BundleFormat(Format):
    """A detector's folder whose sums are right, or, where they are changed, whose description is."""

    def put(self, folder: Path, data: bytes) -> Path:
        description = data if self.file == "detector.json" else description_seeds()[0]
        sums = f"{hashlib.sha256(description).hexdigest()}  detector.json\n".encode()
        (folder / "detector.json").write_bytes(description)
        (folder / "SHA256SUMS").write_bytes(sums if self.file == "detector.json" else data)
        return folder


def sums_seeds() -> list[bytes]:
    line = f"{hashlib.sha256(description_seeds()[0]).hexdigest()}  detector.json\n".encode()
    return [line, line + b"0" * 64 + b"  recovery/net.safetensors\n"]


# Weights


def weights_reader() -> Reader:
    from twostream_vad.weights.foreign import inspect_weights, read_foreign
    from twostream_vad.weights.stored import WeightsError

    def read(path: Path) -> None:
        inspect_weights(path)
        try:
            read_foreign(path)
        except WeightsError as error:
            if "not the tensors" not in str(error) and "holds no I3D" not in str(error):
                raise

    return read


def weights_seeds(form: str) -> list[bytes]:
    import torch
    from safetensors.torch import save
    from torch import nn

    net = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Sequential(nn.Linear(2, 2)))
    state = {f"module.layers.{i}.project.weight": torch.full((2, 3), 0.5 * i) for i in range(3)}
    roots: list[object] = [
        net,
        {"state_dict": state, "epoch": 3},
        {"model": {n: t.bfloat16() for n, t in state.items()}},
    ]
    if form == "safetensors":
        return [save(state, {"kind": "hashnet"}), save(net.state_dict())]
    if form == "caffe2":
        blobs = {"conv1_w": np.ones((2, 3), np.float32), "s": np.zeros(3, ">f8"), "lr": np.float32(2)}
        return [pickle.dumps({"blobs": blobs}, protocol=protocol) for protocol in (1, 2, 3, 4)]
    files = [
        saved(lambda file, root=root: torch.save(root, file, _use_new_zipfile_serialization=form != "legacy"))
        for root in roots
    ]
    if form in ("zip", "legacy"):
        return files
    return [zipfile.ZipFile(io.BytesIO(file)).read("archive/data.pkl") for file in files]


def torch_zip(data: bytes) -> bytes:
    """A zip as torch.save writes it, around this pickle."""
    return zipped({"a/data.pkl": data, "a/byteorder": b"little", **{f"a/data/{i}": bytes(24) for i in range(12)}})


# Video and images


def video_reader() -> Reader:
    from twostream_vad.video.frames import open_source

    def read(path: Path) -> None:
        for frame in open_source(path):
            assert frame.image.dtype == np.uint8
            if frame.index + 1 >= FRAMES:
                break

    return read


def picture(number: int, width: int = 64, height: int = 48) -> Any:
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 4 + number * 8) % 256, y * 5 % 256, (x + y + number) % 256], -1).astype(np.uint8)


def video_seeds(container: str, *codecs: str) -> list[bytes]:
    import av

    made = []
    for codec in codecs:
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream: Any = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.gop_size = 64, 48, 6
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(20):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
            output.mux(stream.encode())
        made.append(file.getvalue())
    return made


def image_seeds(suffix: str) -> list[bytes]:
    import cv2

    color = picture(0)
    kinds = [color, color[..., 0]]
    kinds += [color.astype(np.uint16) * 200, np.dstack([color, color[..., :1]])] if suffix in (".png", ".tif") else []
    return [cv2.imencode(suffix, kind)[1].tobytes() for kind in kinds]


# Bombs: the folder's files, all but the one that is read made small


def png(width: int, height: int, rows: bytes, colors: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, colors, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + body


def zeros(size: int) -> bytes:
    """A zlib stream of about so many zeros: one block over and over; its checksum is not right."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + again * (size >> 22) + packer.flush()


def npy_head(shape: tuple[int, ...]) -> bytes:
    return saved(np.lib.format.write_array_header_1_0, {"descr": "|u1", "fortran_order": False, "shape": shape})


def deflated(shape: tuple[int, ...]) -> bytes:
    """A real .npz of zeros, 1 : 1000."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("01.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_head(shape))
        for _ in range(int(np.prod(shape)) >> 22):
            member.write(bytes(1 << 22))
    return file.getvalue()


def huge_video(container: str, side: int) -> bytes:
    """One gray JPEG; FFmpeg makes frames of up to 2^28 pixels, and only their headers can say more."""
    import av

    file, made = io.BytesIO(), min(side, 16_000)
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream("mjpeg", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = made, made, "yuvj420p"
        frame = av.VideoFrame(made, made, stream.pix_fmt)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    sides = made.to_bytes(2, "big") * 2
    return file.getvalue().replace(b"\xff\xc0\0\x11\x08" + sides, b"\xff\xc0\0\x11\x08" + side.to_bytes(2, "big") * 2)


def packed_mat() -> bytes:
    """A MATLAB file with one element of 8 GB, packed."""
    data = zeros(8 << 30)
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM" + struct.pack("<II", 15, len(data)) + data


LAUGHS = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True))
BOMBS: list[tuple[str, Callable[[], Reader], Callable[[], bytes]]] = [
    ("v/0.png", video_reader, lambda: png(100_000, 100_000, zeros(30_000_000_000))),
    ("v/0.png", video_reader, lambda: png(100_000, 100_000, zeros(1 << 22))),
    ("v/0.png", video_reader, lambda: png(16_384, 16_384, zeros(16_385 * 16_384), colors=0)),
    ("a.npz", labels_reader, lambda: zipped({"01.npy": npy_head((10**12,)) + bytes(1 << 20)}, zipfile.ZIP_DEFLATED)),
    ("a.npz", labels_reader, lambda: deflated((4096, 1024, 1024))),
    ("a.npz", labels_reader, lambda: deflated((1 << 32,))),
    ("a.npy", labels_reader, lambda: npy_head((10**12,)) + bytes(1000)),
    ("a.mat", labels_reader, packed_mat),
    ("a.mkv", video_reader, lambda: huge_video("matroska", 16_000)),
    ("a.mkv", video_reader, lambda: huge_video("matroska", 16_384)),
    ("a.avi", video_reader, lambda: huge_video("avi", 16_384)),
    ("a.yaml", recipe_reader, lambda: b"a: &a [1, 2]\n" + LAUGHS.encode() + b"seed: *j\n"),
    ("a.yaml", recipe_reader, lambda: b"a: " + b"[" * 100_000),
    ("a.yaml", recipe_reader, lambda: b"rate: " + b"9" * 100_000),
    ("a.yml", plan_reader, lambda: b"a: &a [1, 2]\n" + LAUGHS.encode() + b"cameras: *j\n"),
    ("a.yml", plan_reader, lambda: b"cameras: " + b"[" * 100_000),
]


@dataclass(frozen=True)
class Bombs(Format):
    """Each input is a number in `BOMBS`: there is one of each."""

    def put(self, folder: Path, data: bytes) -> Path:
        file, _, make = BOMBS[int(data)]
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(make())
        return folder / (file if "/" not in file else "v")


def bomb_reader() -> Reader:
    by_suffix = {"": video_reader(), ".mkv": video_reader(), ".avi": video_reader(), ".yaml": recipe_reader()}
    by_suffix[".yml"] = plan_reader()
    return lambda path: by_suffix.get(path.suffix, labels_reader())(path)


def constant(*seeds: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(seeds)


def in_npz(data: bytes) -> bytes:
    return zipped({"01.npy": data}, zipfile.ZIP_DEFLATED)


VIDEOS = {
    "mp4": ("mp4", "libx264", "mpeg4", "libx265"),
    "mkv": ("matroska", "libx264", "mjpeg", "ffv1"),
    "avi": ("avi", "mpeg4", "mjpeg", "msmpeg4v3"),
    "ts": ("mpegts", "libx264", "mpeg2video"),
    "webm": ("webm", "libvpx", "libvpx-vp9"),
    "mpg": ("mpeg", "mpeg1video", "mpeg2video"),
}
FORMATS: dict[str, Format] = {
    "labels npz": Format("a.npz", npz_seeds, labels_reader),
    "labels npz array": Format("a.npz", npy_seeds, labels_reader, wrap=in_npz),
    "labels npy": Format("a.npy", npy_seeds, labels_reader),
    "labels mat": Format("a.mat", mat_seeds, labels_reader, slow=True),
    "labels mat 7.3": Format("a.mat", mat73_seeds, labels_reader, slow=True),
    "tracks txt": Format("tracks/01.txt", constant(b"0,3,10,20,30,40\n0,4,11,20,31,40\n"), tracks_reader, "tracks"),
    "labels txt": Format("a.txt", constant(*TEXTS), labels_reader),
    "labels csv": Format("a.csv", constant(*TABLES), labels_reader),
    "recipe": Format("a.yaml", recipe_seeds, recipe_reader),
    "cameras": Format("a.yaml", plan_seeds, plan_reader),
    "detector description": BundleFormat("detector.json", description_seeds, bundle_reader),
    "detector sums": BundleFormat("SHA256SUMS", sums_seeds, bundle_reader),
    "weights torch zip": Format("a.pth", partial(weights_seeds, "zip"), weights_reader),
    "weights zip pickle": Format("a.pth", partial(weights_seeds, "pickle"), weights_reader, wrap=torch_zip),
    "weights torch legacy": Format("a.pth", partial(weights_seeds, "legacy"), weights_reader),
    "weights caffe2": Format("a.pkl", partial(weights_seeds, "caffe2"), weights_reader),
    "weights safetensors": Format("a.safetensors", partial(weights_seeds, "safetensors"), weights_reader),
    **{f"video {s}": Format(f"a.{s}", partial(video_seeds, *v), video_reader, ours=False) for s, v in VIDEOS.items()},
    **{
        f"image {s}": Format(f"v/0.{s}", partial(image_seeds, f".{s}"), video_reader, given="v", ours=False)
        for s in ("jpg", "png", "tif", "bmp")
    },
    "bombs": Bombs("", lambda: [str(number).encode() for number in range(len(BOMBS))], bomb_reader, ours=False),
}
