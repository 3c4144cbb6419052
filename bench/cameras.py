"""What retrieval's encoder is worth on ordinary cameras: false alarms and minutes, by encoder.

    python bench/cameras.py --videos road_a.avi road_b.avi vtest.avi --work FOLDER [--encoders pace FILE.safetensors]

The first two thirds of each video, at most a minute, are cut into pieces and learned from with the recipe `camera`; the
rest is judged. All of it is taken for normal, so every alarm is a false one: how many there are, how much of the rest
they cover, and the fused scores there, where 0 is held-out video's median and 2 what 1 % of it reaches in both streams.
Runs that are done are read again; a killed one goes on.
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from twostream_vad.cli.common import PLAIN, Bar, at_work
from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.detector import Detector
from twostream_vad.errors import TsvadError
from twostream_vad.recipes import load_recipe
from twostream_vad.runs.fit import fit
from twostream_vad.runs.run import Run
from twostream_vad.video.frames import count_frames, open_source
from twostream_vad.video.images import encode_jpeg

SECONDS, SHARE, PIECES = 60.0, 2 / 3, 4  # at most and at most what share is learned from, in how many pieces
QUALITY = 95  # of the pieces' frames


def main() -> None:
    """A line a video and encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for pieces and runs")
    parser.add_argument("--encoders", nargs="+", default=["pace"], help="pace, or files of weights")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("video      encoder  minutes  learned s  judged s  alarms  share %  median  95 %")
    try:
        for video, encoder in itertools.product(options.videos, options.encoders):
            print(judged(video, encoder, options.seed, options.work), flush=True)
    except TsvadError as error:
        sys.exit(f"cameras: {error}")


def judged(video: Path, encoder: str, seed: int, work: Path) -> str:
    """Fits one encoder's detector and scores what was not learned from."""
    data, rate = work / video.stem, open_source(video).rate
    rest = cut(video, data)
    given = ["retrieval.encoder=pretrained", f"retrieval.pretrained={encoder}"] if encoder != "pace" else []
    recipe = load_recipe("camera", [f"seed={seed}", f"rate={rate!r}", *given])
    run = Run.create(work / f"{video.stem}-{Path(encoder).stem}-{seed}", recipe, data)
    with at_work(run.folder, "fit", PLAIN):
        set_up_process(run.recipe.threads)
        fit(run, bar=Bar)
    seconds = sum(float(record["seconds"] or 0) for record in run.records().values())
    scores = Detector.load(run.path("detector")).score(rest)
    fused, alarms = scores.fused[~np.isnan(scores.fused)], scores.alarms()
    learned = sum(1 for _ in (data / "training").glob("*/*.jpg")) / rate
    return (
        f"{video.stem:10} {Path(encoder).stem:8} {seconds / 60:7.1f} {learned:10.0f} {len(scores.fused) / rate:9.0f} "
        f"{len(alarms):7} {100 * np.mean(fused >= scores.threshold):8.1f} {np.median(fused):7.2f} "
        f"{np.quantile(fused, 0.95):5.2f}"
    )


def cut(video: Path, data: Path) -> Path:
    """Pieces to learn from in ``training``, and the rest, whose folder is returned; what is there already stays."""
    rest = data / "rest"
    if not rest.exists():
        source = open_source(video)
        learned = int(min(SECONDS * source.rate, SHARE * count_frames(source)))
        for frame in source:
            piece = f"training/{frame.index * PIECES // learned:02d}" if frame.index < learned else ".rest"
            path = data / piece / f"{frame.index:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(frame.image, QUALITY))
        (data / ".rest").rename(rest)
    return rest


if __name__ == "__main__":
    main()
