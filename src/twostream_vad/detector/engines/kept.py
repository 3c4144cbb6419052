"""Compiled nets kept from one start to the next, beside the bundle, and believed only where this user wrote them."""

import contextlib
import hashlib
import hmac
import os
import platform
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ...storage import whole_file

DIGEST = 32


def kept(folder: Path | None, key: str, make: Callable[[], bytes]) -> bytes:
    """What ``make`` gives, or gave under this key: read from ``folder`` where it was kept and not altered since.

    An engine runs what it reads as code, and a bundle may come from anywhere: each file begins with a code of
    authentication, made with a secret of this user's. What does not fit is made anew; a folder that cannot be written
    to keeps nothing.
    """
    if folder is None:
        return make()
    name = hashlib.sha256(f"{key} {processor()}".encode()).hexdigest()
    path = folder / f"{name[:32]}.bin"
    try:
        secret = _secret()
        with path.open("rb") as file:  # in two parts, since a slice is a copy
            digest, found = file.read(DIGEST), file.read()
        if hmac.compare_digest(digest, _sign(secret, name, found)):
            return found
    except FileNotFoundError:
        pass
    except OSError:
        return make()
    made = make()
    with contextlib.suppress(OSError), whole_file(path) as temporary, temporary.open("wb") as file:
        file.writelines((_sign(secret, name, made), made))
    return made


@cache
def processor() -> str:
    """What tells this processor from another that needs other code."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return " ".join(line for line in dict.fromkeys(lines) if line.startswith(("model name", "flags", "Features")))
    return f"{platform.machine()} {platform.processor()}"


def _sign(secret: bytes, name: str, data: bytes) -> bytes:
    code = hmac.new(secret, name.encode(), "sha256")
    code.update(data)
    return code.digest()


def _secret() -> bytes:
    """This user's, 32 bytes, made when first asked for; OSError where it can be neither read nor written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "twostream-vad" / "engines.key"
    with contextlib.suppress(FileNotFoundError):
        if len(secret := path.read_bytes()) == DIGEST:
            return secret
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(secrets.token_bytes(DIGEST))
    return path.read_bytes()
