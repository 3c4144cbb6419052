"""Weight files with bytes changed at random: each is read, or refused in one line; nothing else happens."""

import io
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from twostream_vad.weights.foreign import inspect_weights, read_foreign
from twostream_vad.weights.stored import WeightsError


def network() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Sequential(nn.Linear(2, 2)))


def whole_file(form: str, path: Path) -> bytes:
    """A small file of a form."""
    if form == "safetensors":
        save_file(network().state_dict(), path, {"kind": "i3d"})
    elif form == "pickle":
        blobs = {"conv1_w": np.ones((2, 3), np.float32), "s": np.zeros(3, ">f8"), "lr": np.float32(2)}
        path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    else:
        torch.save(network(), path, _use_new_zipfile_serialization=form == "torch zip")
    return path.read_bytes()


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """One to four bytes changed, taken out or put in, most of them where the pickle or the header lies."""
    changed = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(changed), rng.choice((2000, 2000, len(changed)))))
        changed[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
    return bytes(changed)


def rezipped(whole: bytes, rng: random.Random) -> bytes:
    """A zip with its pickle changed and all checksums right."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            part = source.read(name)
            archive.writestr(name, mutated(part, rng) if name.endswith("data.pkl") else part)
    return target.getvalue()


@pytest.mark.parametrize("form", ["torch zip", "rezipped", "torch legacy", "pickle", "safetensors"])
def test_a_changed_file_is_read_or_refused_in_one_line(form: str, tmp_path: Path) -> None:
    rng = random.Random(form)
    whole = whole_file("torch zip" if form == "rezipped" else form, tmp_path / "whole")
    inspect_weights(tmp_path / "whole")
    path, refusals = tmp_path / "changed", list[str]()
    for _ in range(100):
        path.write_bytes((rezipped if form == "rezipped" else mutated)(whole, rng))
        for reader in (read_foreign, inspect_weights):
            try:
                reader(path)
            except WeightsError as error:
                refusals.append(str(error))
    assert len(refusals) >= 100
    assert [text for text in refusals if len(text.splitlines()) != 1 or str(path) not in text] == []
