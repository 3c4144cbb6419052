"""What error is normal at each place of a camera's view: near and far, where people walk and where nobody does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import TsvadError
from ..progress import Progress, silent
from ..scores.calibration import DEVIATIONS, FLOOR
from ..scores.stream import clip_batches
from ..storage import load_tensors, save_tensors
from ..video.frames import ImageFolder
from .windows import AllWindows

EVERY = 4  # of so many snippets one is looked at


@dataclass(frozen=True)
class Places:
    """Largest normal local error at each place: window → (crops, 3, P, P), of the kinds of `local_errors`."""

    normal: Mapping[int, Tensor]

    @classmethod
    def measure(
        cls, windows: AllWindows, videos: Mapping[str, ImageFolder], sums: Path, *, progress: Progress = silent
    ) -> "Places":
        """Mean plus three deviations of the local error of normal video, place by place, and a floor.

        Args:
            windows: the trained stream, without a chosen score.
            videos: normal videos of one camera, all of one size, by name.
            sums: a file that keeps what was added up video by video: a killed measuring goes on behind the last.
            progress: told after every video.

        Raises:
            TsvadError: videos of several sizes, or none that is long enough.
        """
        # Sums of errors and of their squares, (crops, 3, P, P), over `count` snippets of `read` videos.
        totals, facts = load_tensors(sums) if sums.exists() else ({}, {"count": "0", "videos": "0"})
        count, read = int(facts["count"]), int(facts["videos"])
        for done, (name, video) in enumerate(videos.items()):
            progress(done, len(videos), name)
            if done < read:
                continue
            frames = (windows.views.scored(frame.image) for frame in video)
            for clips in clip_batches(frames, windows.snippet, EVERY * windows.settings.score_batch):
                picked = clips[::EVERY]
                for window, errors in windows.local_errors(picked).items():
                    shaped = errors.reshape(*picked.shape[:2], *errors.shape[1:]).double()
                    for kind, values in (("sums", shaped), ("squares", shaped.square())):
                        total = totals.setdefault(f"{kind}_{window}", torch.zeros_like(values[0]))
                        if total.shape != values.shape[1:]:
                            raise TsvadError(
                                f"{video.path}: has another size than the videos before it: one camera, please"
                            )
                        totals[f"{kind}_{window}"] = total + values.sum(0)
                count += len(picked)
            save_tensors(sums, totals, {"count": str(count), "videos": str(done + 1)})
        if count == 0:
            raise TsvadError(f"no normal video is longer than a snippet's {windows.snippet.span + 1} frames")
        progress(len(videos), len(videos))
        means = {name: total / count for name, total in totals.items()}
        sides = (int(name.removeprefix("sums_")) for name in means if name.startswith("sums_"))
        return cls({side: _most(means[f"sums_{side}"], means[f"squares_{side}"]) for side in sides})

    def save(self, path: Path) -> None:
        """As safetensors."""
        save_tensors(path, {f"window_{window}": normal for window, normal in self.normal.items()}, {"kind": "places"})

    @classmethod
    def load(cls, path: Path) -> "Places":
        """What `save` wrote; CheckpointError where there is no such file, or a broken one."""
        tensors = load_tensors(path)[0]
        return cls({int(name.removeprefix("window_")): tensor for name, tensor in tensors.items()})


def _most(mean: Tensor, square: Tensor) -> Tensor:
    """(crops, 3, P, P) of mean and mean square → what normal reaches, each kind of error with its own floor."""
    most = mean + DEVIATIONS * (square - mean.square()).clamp_min(0).sqrt()
    floor = FLOOR * most.transpose(0, 1).flatten(1).median(dim=1).values
    return (most + floor[:, None, None]).clamp_min(torch.finfo(torch.float32).tiny).float()
