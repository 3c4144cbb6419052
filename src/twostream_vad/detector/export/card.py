"""The card of an export: what a reader must know who has nothing but the folder."""

from collections.abc import Mapping
from typing import Any

from .graphs import Part

ABOUT = {
    "view": "a frame as the nets see it: normalised, resized, cut into crops",
    "predict": "context recovery's net, on 8 frames of every crop",
    "judge": "context recovery's score, of `change` and its last two of 9 frames; `errors` by place, for a heat map",
    "encode": "knowledge retrieval's net, on 8 frames of every crop",
    "see": "the EdgeNet's encoder, of every crop of a frame, once",
    "tell": "its head, of the maps of eight frames and the last two frames themselves, oldest first: the change to the "
    "next frame, 3 · S · S values a crop, then the features of every place",
    "hash": "real-valued hash codes of the features",
}
CARD = """\
# {name}

A two-stream video anomaly detector, exported from detector `{short}` (twostream-vad {made_by}) as {form}, nets in
{precision}. It has learned one camera: frames of {width} x {height}, {rate:g} a second. A score is causal, on the scale
of normal video: 0 is ordinary, 1 is what 1 % of normal video reaches; an alarm is at {threshold:.4f} and above.

| file | inputs | outputs | what it is |
|---|---|---|---|
{graphs}
| index.safetensors | | | normal events, {kind} |
| export.json | | | every other number: snippets, scales, weights, threshold |

Frames are uint8 RGB, (height, width, 3); what is done to them is inside `view`. Keep the crops of the last frames;
context recovery takes {recovery}, knowledge retrieval {retrieval}, ending at the present frame. Features are rounded to
{features} before they are looked up. How scores come of it, in some hundred lines without torch:
`docs/score_exported.py` of twostream-vad.{hint}

## Parity

Measured when this was written, against the detector computed by torch in float32, on {frames} frames of normal video
and of pseudo-anomalies made of it:

| | |
|---|---|
| largest difference of the fused score | {largest:.2e} (of the largest score: {relative:.2e}) |
| median difference | {median:.2e} |
| frames that alarm in one of the two only | {changed} |
| alarms on normal video, detector → export | {normal[0]} → {normal[1]} |
| alarms on pseudo-anomalies | {pseudo[0]} → {pseudo[1]} |
| AUC on pseudo-anomalies | {auc[0]:.2f} → {auc[1]:.2f} % |
"""
HINT = """
Compile `predict` and `encode` with the hint `INFERENCE_PRECISION_HINT: {hint}`, the others with `f32`: left alone,
OpenVINO chooses the precision itself."""


def card(name: str, facts: Mapping[str, Any], parts: Mapping[str, Part], ending: str) -> str:
    """Markdown."""
    streams, (height, width) = facts["streams"], facts["frame"]
    taken = {stream: f"{own['length']} of them, {own['interval']} apart" for stream, own in streams.items()}
    rows = [
        f"| {key}.{ending} | {', '.join(f'{n} {_shape(t)}' for n, t in part.given.items())} | "
        f"{', '.join(part.found)} | {ABOUT[key]} |"
        for key, part in parts.items()
    ]
    parity = facts["parity"]
    hint = HINT.format(hint="bf16" if facts["precision"] == "bf16" else "f32") if facts["format"] == "openvino" else ""
    return CARD.format(
        name=name,
        short=facts["detector"][:12],
        made_by=facts["made_by"],
        form=facts["format"],
        precision=facts["precision"],
        height=height,
        width=width,
        rate=facts["rate"],
        threshold=facts["threshold"],
        graphs="\n".join(rows),
        kind=facts["index"]["kind"],
        features=facts["features"],
        hint=hint,
        **taken,
        **{key: parity[key] for key in ("frames", "largest", "relative", "median", "changed", "auc")},
        **parity["alarms"],
    )


def _shape(tensor: Any) -> str:
    return f"({', '.join(map(str, tensor.shape))}) {str(tensor.dtype).removeprefix('torch.')}"
