"""`tsvad export`: a detector for where neither this program nor torch is."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .common import Bar, DetectorFolder, Flag, packed
from .process import set_up_process


def export(
    detector: DetectorFolder,
    *,
    to: Literal["onnx", "openvino", "torch"],
    out: Path,
    precision: Literal["fp32", "bf16", "int8"] = "fp32",
    normal: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    anyway: Flag = False,
) -> None:
    """Write a detector as ONNX, OpenVINO or torch graphs, with a card and a report of how far it is from the original.

    Frames go in as uint8; resizing and cropping are inside. The report is measured on the spot, on normal video and on
    pseudo-anomalies made of it: of a run the video that was held out of training, else what --normal names.

    Args:
        to: The format.
        out: The folder to write.
        precision: Of both nets. onnx has fp32 and int8, torch fp32 and bf16, openvino all three.
        normal: Normal video of the same camera: folders of numbered images. Not needed for a run.
        anyway: Write int8 even where it loses more than half a point of AUC on pseudo-anomalies.
    """
    from ..detector.bundle import Bundle
    from ..detector.export.parity import as_folders
    from ..detector.export.write import ExportError, Wish
    from ..detector.export.write import export as write
    from ..runs.run import Run
    from ..runs.videos import normal_videos

    set_up_process(None)
    wish = Wish(to, precision, anyway)
    wish.check()
    folder = packed(detector)
    bundle = Bundle(folder)
    if normal:
        videos = as_folders(normal, bundle.description.pictures.rate)
    elif folder != detector:
        videos = normal_videos(Run.open(detector))
    else:
        raise ExportError(
            f"{detector} holds no video to measure the export on: give normal video of its camera, --normal FOLDER, "
            "a folder of numbered images, or the run in place of the detector"
        )
    with Bar(f"export to {to}") as bar:
        found = write(bundle, out, wish, videos, bar)
    size = sum(path.stat().st_size for path in out.iterdir())
    alarms = ", ".join(f"{kind} {before} → {after}" for kind, (before, after) in found.alarms.items())
    print(f"{out}: {size / 1e6:.1f} MB, {precision}; README.md is its card")
    print(
        f"on {found.frames} frames: scores differ by {found.largest:.2g} at most, {found.relative:.2g} of the largest; "
        f"{found.changed} frames alarm in one only; alarms {alarms}; AUC on pseudo-anomalies {found.auc[0]:.1f} → "
        f"{found.auc[1]:.1f} %"
    )
