"""The encoder that comes along in the wheel, trained by `bench/encoder.py`, and the card that says how."""

import json
from importlib import resources
from pathlib import Path

from ..storage import CheckpointError, sha256_of

SHIPPED = "shipped"
"""What a recipe writes in place of a file of weights to have this encoder."""


def shipped_encoder() -> Path:
    """Its safetensors file; CheckpointError where this copy of the program has none."""
    path = _place()
    if not path.is_file():
        raise CheckpointError(
            f"{path} is not there: this copy came without the shipped encoder; install a wheel that has it, or train "
            "one: --set retrieval.encoder=pace --set recovery.pretrained=null --set recovery.encoder_reinit=true"
        )
    return path


def shipped_width() -> float:
    """Its width, as its card has it; CheckpointError where there is none that says so."""
    card = shipped_encoder().with_suffix(".json")
    try:
        return float(json.loads(card.read_text("utf-8"))["width"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{card} tells no width of the shipped encoder ({error}); install it again") from None


def weight_file(given: str) -> Path:
    """Where the weights that a recipe names lie, or would lie."""
    return _place() if given == SHIPPED else Path(given)


def weight_mark(given: str) -> str | int | None:
    """What tells the weights that a recipe names from others of that name: bytes, or the shipped one's SHA-256."""
    path = weight_file(given)
    if not path.is_file():
        return None
    return sha256_of(path) if given == SHIPPED else path.stat().st_size


def _place() -> Path:
    return Path(str(resources.files("twostream_vad") / "nets" / "encoder.safetensors"))
