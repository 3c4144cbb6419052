"""Scalars of a training, step by step: JSON lines, and TensorBoard's events where it is installed."""

import json
import time
from pathlib import Path
from typing import Any

from ..storage import write_text


class TrainingLog:
    """Scalars a step: JSON lines in ``folder``, and TensorBoard's where it is; those from ``resumed_at`` on go."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        self._lines = folder / "steps.jsonl"
        kept = []
        for line in self._lines.read_text("utf-8").splitlines() if self._lines.exists() else ():
            try:
                if json.loads(line)["step"] < resumed_at:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                continue  # a line cut short by a kill
        write_text(self._lines, "".join(kept))
        self._board = _board(folder, resumed_at)

    def write(self, step: int, **values: float) -> None:
        """One line, and one point a value."""
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), **values}) + "\n")
        for name, value in values.items() if self._board else ():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes TensorBoard's events."""
        if self._board:
            self._board.close()


def _board(folder: Path, resumed_at: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # 1 s to import, and not always installed
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=resumed_at)
