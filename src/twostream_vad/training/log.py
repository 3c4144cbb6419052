"""Scalars of a training, step by step: JSON lines for programs, TensorBoard's events for people."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..storage import write_text


@dataclass
class TrainingLog:
    """Scalars a step, as JSON lines and for TensorBoard; lines past a resumed step are dropped."""

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
        for name, value in values.items():
            self._board().add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes TensorBoard's events."""
        if self._writer is not None:
            self._writer.close()

    def _board(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # 1 s to import: only when something is logged

            self._writer = SummaryWriter(str(self.folder), purge_step=self.resumed_at)
        return self._writer
