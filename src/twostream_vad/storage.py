"""Files are written whole, under a temporary name, then renamed; tensors lie in safetensors files."""

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TsvadError

if TYPE_CHECKING:  # torch takes a second: commands that need none start without it
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


class CheckpointError(TsvadError):
    """A file of tensors that cannot be read; the message names the file and the remedy."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``: takes its name when the block ends well, goes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def typed(path: Path) -> str:
    """The path as one types it in a shell, quoted where it holds spaces: for remedies that are commands."""
    return shlex.quote(str(path))


def write_text(path: Path, text: str) -> None:
    """A UTF-8 text file, written whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, "utf-8")


def save_tensors(path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> None:
    """A safetensors file, written whole."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(plain, temporary, dict(metadata))
        _in_order(temporary)


def save_arrays(path: Path, arrays: "Mapping[str, NDArray[Any]]", metadata: Mapping[str, str]) -> None:
    """As `save_tensors`, of NumPy's arrays, contiguous ones; without torch."""
    from safetensors.numpy import save_file

    with whole_file(path) as temporary:
        save_file(dict(arrays), temporary, dict(metadata))
        _in_order(temporary)


def _in_order(path: Path) -> None:
    """Puts the metadata of a safetensors file in order, in place: the library's own is another each time.

    So the same tensors are the same bytes.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        told = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items()))} | header
        text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode().ljust(size)
        if len(text) == size:
            file.seek(8)
            file.write(text)


def load_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and metadata of a safetensors file; CheckpointError where there is none, or a broken one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; run the stage that writes it") from None
    except (SafetensorError, OSError) as error:
        remedy = "delete it and run the stage again"
        raise CheckpointError(f"{path}: not a whole safetensors file ({error}); {remedy}") from None


def fill(net: "torch.nn.Module", tensors: "Mapping[str, Tensor]", source: Path, *, assign: bool = False) -> None:
    """Puts the tensors of a file into a net; with ``assign`` in place of its own, for one on no device yet.

    Raises:
        CheckpointError: a tensor is missing, unknown or of another shape.
    """
    try:
        net.load_state_dict(tensors, assign=assign)
    except RuntimeError as error:
        why = " ".join(line.strip() for line in str(error).splitlines()[1:3])[:400]
        remedy = "Give the recipe that they were trained with (its width, tables and bits), or other weights"
        older = "where an older version of this program trained them, fit again"
        raise CheckpointError(f"{source}: not the tensors of this net: {why} {remedy}; {older}") from None
