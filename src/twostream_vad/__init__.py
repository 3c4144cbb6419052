"""Two-stream video anomaly detection: learns what is normal from normal video, then says what is not.

    from twostream_vad import Detector

Loading the package loads nothing else; each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .detector.bundle import BundleError
    from .detector.detector import Alarm, Detector, VideoScores
    from .detector.engines.engine import Engine
    from .detector.group import Group
    from .detector.watcher import FrameScore, Watcher
    from .errors import TsvadError

_HOMES = {
    "Detector": "detector.detector",
    "Engine": "detector.engines.engine",
    "Group": "detector.group",
    "Watcher": "detector.watcher",
    "FrameScore": "detector.watcher",
    "VideoScores": "detector.detector",
    "Alarm": "detector.detector",
    "BundleError": "detector.bundle",
    "TsvadError": "errors",
}
__all__ = ["Alarm", "BundleError", "Detector", "Engine", "FrameScore", "Group", "TsvadError", "VideoScores", "Watcher"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twostream_vad' has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
