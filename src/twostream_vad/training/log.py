"""Scalars of a training, step by step: JSON lines, and TensorBoard's events where it is installed."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..storage import write_text


@dataclass
class TrainingLog:
    """Scalars a step, as JSON lines and, where it is installed, for TensorBoard.

    Lines past a resumed step are dropped.
    """

    folder: Path
    resumed_at: int = 0
    _writer: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = []
        if self.lines.exists():
            for line in self.lines.read_text("utf-8").splitlines():
                try:
                    if json.loads(line)["step"] < self.resumed_at:
                        kept.append(line + "\n")
                except (ValueError, KeyError):
                    continue  # a line cut short by a kill
        write_text(self.lines, "".join(kept))

    @property
    def lines(self) -> Path:
        """The JSON lines."""
        return self.folder / "steps.jsonl"

    def write(self, step: int, **values: float) -> None:
        """One line, and one point a value."""
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), **values}) + "\n")
        if self._writer is None:
            self._writer = _board(self.folder, self.resumed_at)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes TensorBoard's events."""
        if self._writer is not None:
            self._writer.close()


class _NoBoard:
    """Takes TensorBoard's place where it is not installed."""

    def add_scalar(self, _name: str, _value: float, _step: int) -> None:
        pass

    def close(self) -> None:
        pass


def _board(folder: Path, resumed_at: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # 1 s to import: only when something is logged
    except ImportError:
        return _NoBoard()
    return SummaryWriter(str(folder), purge_step=resumed_at)
