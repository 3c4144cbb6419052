"""Trains one encoder for any camera: of many, without labels, by the pace task (`retrieval/pace.py`).

    python bench/encoder.py --videos room.mp4 carpark.mp4 --out encoder.safetensors \
        --steps 2400 --seed 1 --work FOLDER

Renders varied plazas (`varieties.py`), cuts the videos into pieces, and writes every frame once as training wants it,
with 0.08 to 0.2 s from one to the next. First lessons are a U-Net's, which predicts all these cameras: of paces a new
net learns nothing for hundreds of steps. Then it tells the paces of all, a few cameras a step; killed, it goes on.
Plazas and the last quarter of the first video are held out: of their cells in which something moves, the AUC of faster
against ordinary ones is printed and written on the card, FILE.json, with recipe, versions and the data's SHA-256.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from varieties import draw_scene

from twostream_vad.evaluation.auc import roc_auc
from twostream_vad.nets.i3d import I3D, load_encoder
from twostream_vad.plaza.plaza import VERSION
from twostream_vad.progress import Progress
from twostream_vad.recipes import load_recipe
from twostream_vad.recovery.train import train_recovery
from twostream_vad.retrieval.pace import PaceNet, draw_batch, train_pace, truth
from twostream_vad.settings import PaceSettings
from twostream_vad.storage import fill, load_tensors, save_tensors, sha256_of, write_text
from twostream_vad.training.loop import seeded
from twostream_vad.video.clips import ClipReader
from twostream_vad.video.frames import Frame, ImageFolder, count_frames, open_source
from twostream_vad.video.images import encode_jpeg
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.views import Views

Image = NDArray[np.uint8]
SNIPPET, SIZE, WIDTH = Snippet.centred(8, 1), 128, 0.125
BATCH, SCENES = 2, 4  # clips of a camera, cameras, in a step: what norms learn is then of several cameras
LONGEST, SHORTEST = 0.2, 0.075  # seconds between a snippet's frames
PIECE = 180  # frames of a video that make one piece: as much is drawn from it as from one plaza
QUALITY = 95  # of the frames as they are kept
HELD_OUT = 2  # plazas
JUDGED = 24  # batches of each camera held out


def main() -> None:
    """Renders, trains, judges, writes the encoder and its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for frames and what is trained")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--first", type=int, default=800, help="steps of the first lessons")
    parser.add_argument("--plazas", type=int, default=48, help="that are trained on")
    parser.add_argument("--frames", type=int, default=160, help="of a plaza")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    corpus = options.work / f"corpus-{options.seed}-{options.plazas}-{options.frames}"
    training, held_out = write_corpus(corpus, options.videos, options.plazas, options.frames, options.seed)
    pace = PaceSettings(steps=options.steps, batch=BATCH, warmup_steps=100)
    start = first_lessons(training, options.work / f"{corpus.name}-first-{options.first}", options.first, options.seed)
    folder = options.work / f"{corpus.name}-steps-{options.steps}-{sha256_of(start)[:8]}"
    views, began = Views(SIZE), time.monotonic()
    model = train_pace(
        *(training, pace, SNIPPET, views, start, folder),
        **{"width": WIDTH, "seed": options.seed, "scenes": SCENES, "heads": True, "progress": told("training")},
    )
    print(f"trained in {time.monotonic() - began:.0f} s", flush=True)
    aucs = judge(model, held_out, pace)
    card = {
        "about": "I3D encoder of twostream-vad, trained without labels to tell at which pace each part of a picture "
        "plays, on rendered plazas and on room.mp4 and carpark.mp4, sample videos of Intel's "
        "(https://github.com/intel-iot-devkit/sample-videos, CC BY 4.0); no research data",
        "command": f"python bench/encoder.py --videos {' '.join(video.name for video in options.videos)} --steps "
        f"{options.steps} --first {options.first} --seed {options.seed} --plazas {options.plazas} "
        f"--frames {options.frames}",
        **{"width": WIDTH, "size": SIZE, "seed": options.seed, "steps": load_tensors(model)[1]["steps"]},
        **{"batch": f"{SCENES} cameras x {BATCH} clips", "pace": pace.model_dump(mode="json"), "plaza": VERSION},
        "held-out pace AUC": aucs,
        "sha256": {video.name: sha256_of(video) for video in options.videos}
        | {"frames": sha256_of_all(training), "first lessons": sha256_of(start)},
        "versions": {
            name: version(name) for name in ("twostream-vad", "torch", "numpy", "opencv-python-headless", "av")
        },
    }
    tensors = load_encoder(model)
    save_tensors(options.out, tensors, {"kind": "i3d", "card": json.dumps(card, sort_keys=True)})
    write_text(options.out.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB; {json.dumps(aucs)}")


def first_lessons(training: Sequence[ImageFolder], folder: Path, steps: int, seed: int) -> Path:
    """A U-Net of `demo`, trained to predict all these cameras: its encoder knows motion before paces are asked for."""
    settings = load_recipe("demo").recovery.model_copy(update={"steps": steps, "interval": 1})
    return train_recovery(training, settings, Views(SIZE), folder, seed=seed, progress=told("first lessons"))


def write_corpus(
    folder: Path, videos: Sequence[Path], plazas: int, frames: int, seed: int
) -> tuple[list[ImageFolder], list[ImageFolder]]:
    """The training videos and those held out, scene by scene; what is there already stays."""
    training: list[ImageFolder] = []
    held_out: list[ImageFolder] = []
    show = told("plazas")
    for number in range(plazas + HELD_OUT):
        name = f"plaza{number:03d}_01"
        if not (folder / name).exists():
            write_piece(folder / name, draw_scene(seed, number, frames).frames())
        (training if number < plazas else held_out).append(ImageFolder(folder / name))
        show(number + 1, plazas + HELD_OUT)
    for number, video in enumerate(videos):
        for piece in write_video(folder, video):  # there are few: only of the first a part is held out
            (held_out if number == 0 and piece.name.endswith("_last") else training).append(piece)
    return training, held_out


def write_video(folder: Path, video: Path) -> list[ImageFolder]:
    """A video at every interval that suits, in pieces, the last quarter one of its own; each interval is a scene."""
    source, stem, done = open_source(video), video.stem.replace("_", "-"), folder / f"{video.stem}.json"
    if not done.exists():
        kept, names = count_frames(source) * 3 // 4, []
        for interval in (each for each in range(1, 9) if SHORTEST <= each / source.rate <= LONGEST):
            taken = (frame for frame in source if frame.index % interval == 0)
            pieces = groupby(taken, partial(piece_of, kept=kept, length=PIECE * interval))
            for piece, frames in pieces:
                write_piece(folder / f"{stem}-{interval}_{piece}", (frame.image for frame in frames))
                names.append(f"{stem}-{interval}_{piece}")
        write_text(done, json.dumps(names))
    return [ImageFolder(folder / name) for name in json.loads(done.read_text("utf-8"))]


def piece_of(frame: Frame, *, kept: int, length: int) -> str:
    """Which piece a frame belongs to."""
    return "last" if frame.index >= kept else f"{frame.index // length}"


def write_piece(folder: Path, images: Iterable[Image]) -> None:
    """A folder of frames whose short side is what the nets see; resized as `Views` does, and complete or not there."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        short = min(height, width)
        shape = (SIZE * width // short, SIZE * height // short)
        small = np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_LINEAR), np.uint8)
        (partial / f"{index:06d}.jpg").write_bytes(encode_jpeg(small, QUALITY))
    partial.replace(folder)


def judge(model: Path, held_out: Sequence[ImageFolder], pace: PaceSettings) -> dict[str, dict[str, float]]:
    """Camera → map → AUC of cells where only a faster part moves against those where only ordinary ones do."""
    encoder = I3D(WIDTH, SIZE, cells=1, final_relu=True)
    net = PaceNet(encoder, encoder.s4_channels)
    fill(net, load_tensors(model)[0], model)
    net.eval()
    reader, aucs = ClipReader(Views(SIZE)), {}
    for video in held_out:
        told_of: dict[str, list[tuple[NDArray[Any], NDArray[Any]]]] = {"s4": [], "s5": []}
        for number in range(JUDGED):
            batch = draw_batch([video], pace.model_copy(update={"batch": 8}), SNIPPET, reader, seeded(0, 9, number))
            with torch.inference_mode():
                answers = dict(zip(told_of, net(batch.clips), strict=True))
            for name, answer in answers.items():
                share, weight = truth(batch.fast, batch.change, answer.shape[-1])
                clear = (weight > 0.3) & ((share > 0.8) | (share < 0.2))
                told_of[name].append((answer[clear].numpy(), (share[clear] > 0.5).numpy().astype(np.uint8)))
        pooled = {name: [np.concatenate(part) for part in zip(*rows, strict=True)] for name, rows in told_of.items()}
        aucs[video.name] = {name: round(roc_auc(*rows), 4) for name, rows in pooled.items()}
        print(f"held out: {video.name}: {aucs[video.name]}", flush=True)
    return aucs


def sha256_of_all(videos: Iterable[ImageFolder]) -> str:
    """Of names and bytes of all frames."""
    digest = hashlib.sha256()
    for video in videos:
        for file in video.files:
            digest.update(f"{video.name}/{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def told(what: str) -> Progress:
    """A line now and then."""
    last = [time.monotonic()]

    def show(done: int, total: int, note: str = "") -> None:
        if time.monotonic() - last[0] > 10 or done == total:
            last[0] = time.monotonic()
            print(f"{what}: {done} of {total} {note}", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    main()
