"""A detector for where neither this program nor torch is: graphs, tables, numbers, and a card that says what it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ...errors import TsvadError
from ...progress import Progress
from ...retrieval.centres import Centres
from ...retrieval.keys import BITS
from ...retrieval.placed import PLACE
from ...retrieval.tables import HashTables
from ...scores.causal import causal_sigma
from ...storage import sha256_of, write_text
from ...video.frames import ImageFolder
from ..bundle import CENTRES, SUMS, TABLES, Bundle, whole_folder
from ..detector import Detector
from ..engines.engine import PACKAGES, TORCH, installed
from ..engines.interchange import EXPORTING, onnx_of
from ..engines.quantise import normal_clips, quantised
from .card import card
from .graphs import NETS, InBfloat16, Part, parts_of
from .parity import MOST_FALL, Parity, measure, videos_of
from .runtime import ENDINGS, Format, detector_of, opened

Precision = Literal["fp32", "bf16", "int8"]
PRECISIONS: dict[Format, tuple[Precision, ...]] = {
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "torch": ("fp32", "bf16"),
}
INDEX, FACTS, CARD = "index.safetensors", "export.json", "README.md"


class ExportError(TsvadError):
    """What cannot be exported so; the message says what can."""


@dataclass(frozen=True)
class Wish:
    """What is to be written."""

    form: Format
    precision: Precision = "fp32"
    anyway: bool = False  # int8, however much it loses

    def check(self) -> None:
        """ExportError for what a format has not, or where its libraries are missing."""
        if self.precision not in PRECISIONS[self.form]:
            raise ExportError(
                f"--to {self.form} has no {self.precision}: it has {', '.join(PRECISIONS[self.form])}; "
                f"{self.precision} has --to "
                + " or ".join(form for form, precisions in PRECISIONS.items() if self.precision in precisions)
            )
        needed = {self.form, "onnx"} if self.precision == "int8" else {self.form}
        for name in sorted(needed & PACKAGES.keys()):
            if not installed(name):
                raise ExportError(f"--to {self.form} needs more packages: pip install 'twostream-vad[{name}]'")


def export(bundle: Bundle, out: Path, wish: Wish, normal: Mapping[str, ImageFolder], progress: Progress) -> Parity:
    """Writes the export, whole or not at all, and says how far it is from the detector on normal video, spoilt too.

    ExportError where int8 loses more than half a point of AUC on pseudo-anomalies, or something else lies at ``out``.
    """
    wish.check()
    if bundle.description.edge is not None and wish.precision == "int8":
        raise ExportError(f"{bundle.folder}: an EdgeNet is not exported in int8; take bf16, by --to openvino")
    if out.exists() and any(out.iterdir()) and not (out / FACTS).exists():
        raise ExportError(f"{out} is not empty and no export; choose another --out")
    parts, told, chosen = parts_of(bundle), bundle.description, videos_of(normal, seed=0)
    detector = Detector.load(bundle, TORCH)
    with whole_folder(out, {}) as partial:
        for name, part in parts.items():
            clips = None
            if wish.precision == "int8" and name in NETS:
                stream = detector.streams["recovery" if name == "predict" else "retrieval"]
                plain = [video for video in chosen if isinstance(video, ImageFolder)]
                clips = normal_clips(stream.snippet, stream.views, plain)
            _write(partial / f"{name}.{ENDINGS[wish.form]}", part, wish, clips, net=name in NETS)
        arrays, state = index_of(bundle)
        save_file(arrays, partial / INDEX)
        calls = {
            name: opened(
                partial / f"{name}.{ENDINGS[wish.form]}", wish.form, wish.precision if name in NETS else "fp32"
            )
            for name in parts
        }
        parity = measure(detector, detector_of(bundle, calls), chosen, progress)
        if wish.precision == "int8" and parity.fall > MOST_FALL and not wish.anyway:
            raise ExportError(
                f"int8 loses {parity.fall:.1f} points of AUC on pseudo-anomalies ({parity.auc[0]:.1f} to "
                f"{parity.auc[1]:.1f} %), more than {MOST_FALL}: nothing written; take bf16, or --anyway"
            )
        facts = {
            "detector": bundle.identity,
            "made_by": told.made_by,
            "format": wish.form,
            "precision": wish.precision,
            "frame": [told.pictures.height, told.pictures.width],
            "rate": told.pictures.rate,
            "threshold": told.calibration.threshold,
            "streams": {
                name: {
                    "length": snippet.length,
                    "interval": snippet.interval,
                    "sigma": causal_sigma(snippet),
                    "middle": told.calibration.scales[name].middle,
                    "spread": told.calibration.scales[name].spread,
                    "weight": told.weights[name],
                }
                for name, snippet in bundle.snippets.items()
            },
            "features": told.retrieval.dtype,
            "values": told.retrieval.values,
            "index": state,
            "parity": parity.model_dump(),
        }
        write_text(partial / FACTS, json.dumps(facts, indent=1) + "\n")
        write_text(partial / CARD, card(out.name, facts, parts, ENDINGS[wish.form]))
        names = sorted(path.name for path in partial.iterdir())
        write_text(partial / SUMS, "".join(f"{sha256_of(partial / name)}  {name}\n" for name in names))
    return parity


def index_of(bundle: Bundle) -> tuple[dict[str, NDArray[Any]], dict[str, int | str]]:
    """Normal events as arrays by name, ready to be looked up, and what they are."""
    if not bundle.description.retrieval.by_place:
        tables = HashTables.load(bundle.path(TABLES))
        arrays: dict[str, NDArray[Any]] = {"keys": tables.keys, "centres": tables.centres, "offsets": tables.offsets}
        return _whole(arrays), {"kind": "hash tables", "bits": tables.bits}
    centres = Centres.load(bundle.path(CENTRES))
    sketches, ordered = centres.indexed()
    keys, orders = (np.stack(arrays) for arrays in zip(*ordered, strict=True))
    own: dict[str, NDArray[Any]] = {field.name: getattr(centres.keys, field.name) for field in fields(centres.keys)}
    arrays = own | {
        "means": centres.means,
        "places": centres.places,
        "normal": centres.normal,
        "sketches": sketches,
        "keys": keys,
        "orders": orders,
    }
    side = bundle.description.pictures.size // PLACE
    return _whole(arrays), {"kind": "places", "reach": centres.reach, "bits": BITS, "side": side}


def _whole(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _write(path: Path, part: Part, wish: Wish, clips: Sequence[NDArray[np.float32]] | None, *, net: bool) -> None:
    """One graph; a net in the precision that was wished for, eight bits by what these clips reach."""
    if wish.form == "torch":
        graph = InBfloat16(part.graph) if net and wish.precision == "bf16" else part.graph
        with EXPORTING:
            torch.export.save(torch.export.export(graph, tuple(part.given.values())), path)
        return
    model = onnx_of(part.graph, part.given, part.found)
    if clips is not None:
        model = quantised(model, clips)
    if wish.form == "onnx":
        path.write_bytes(model)
        return
    from ..engines.by_openvino import openvino

    openvino.save_model(openvino.Core().read_model(BytesIO(model)), path, compress_to_fp16=False)
