"""What a watcher and an explanation need of a detector."""

from typing import TYPE_CHECKING, Protocol

from ..scores.calibration import Scale
from ..scores.stream import Stream

if TYPE_CHECKING:
    from ..edge.flow import Flow
    from ..retrieval.exemplars import Exemplars


class Parts(Protocol):
    """Streams, scales, of scores and of heat, and weights by name, as `Detector` has them."""

    streams: dict[str, Stream]
    flow: "Flow | None"  # what makes the streams' clips, where one net serves both
    rate: float
    scales: dict[str, Scale]
    heat: dict[str, Scale]
    weights: dict[str, float]
    threshold: float

    @property
    def exemplars(self) -> "Exemplars | None":
        """Normal events as pictures."""
