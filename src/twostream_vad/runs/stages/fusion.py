"""Stages of both streams together: the weight, the scale on normal video, the fused scores."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...detector.bundle import Bundle, Calibration
from ...detector.engines.engine import Engine
from ...detector.engines.sides import for_several
from ...detector.heat import Looking
from ...detector.rawscores import RawScores, raw_scores
from ...errors import TsvadError
from ...progress import Progress
from ...recovery.selection import rate
from ...scores.calibration import Scale
from ...scores.causal import causal_frames, cold_start
from ...scores.files import read_scores, write_scores
from ...scores.fusion import fuse
from ...scores.promise import JOIN, NormalEvents, events_of
from ...scores.stream import Stream
from ...scores.timeline import paper_timeline
from ...storage import write_text
from ...video.frames import ImageFolder
from ...video.snippets import Snippet
from ..assemble import fusion_weights, recovery_stream, retrieval_stream
from ..curves import TestScores
from ..pseudo import WEIGHTS, retrieval_curves, spoilt_videos
from ..run import Run
from ..videos import holds_out, learned_rate, normal_videos

HOTTEST = "hottest "
"""Before a stream's name: the largest of its values by place, of every snippet."""
MARGIN = 1e-3  # above what normal video reaches: more than engines differ, so that none alarms there by rounding
Scores = NDArray[np.float64]


def select_weight(run: Run, progress: Progress) -> None:
    """Chooses the fusion weight of knowledge retrieval by pseudo-anomalies, if the recipe leaves it to be selected."""
    given = run.recipe.fusion.retrieval
    rows = [(given, None)] if given != "select" else _rate_weights(run, progress)
    write_text(run.path("results/weight.json"), json.dumps(rows) + "\n")
    shutil.rmtree(run.path("retrieval/pseudo"), ignore_errors=True)


def _rate_weights(run: Run, progress: Progress) -> Sequence[tuple[float, float | None]]:
    """Weights of retrieval and the mean micro-AUC over all kinds of pseudo-anomalies, the best first."""
    errors, settings, videos = read_scores(run.path("recovery/pseudo.npz")), run.recipe.recovery, spoilt_videos(run)
    snippet = Snippet.predicting(settings.length, settings.interval)
    own = {video.name: paper_timeline(errors[video.name], snippet, len(video)) for video in videos}
    rows: list[tuple[float, float]] = []
    if run.recipe.pseudo.judge == "fused":  # the window was chosen beside them
        others = read_scores(run.path("retrieval/pseudo.npz"))
    else:
        others = retrieval_curves(run, run.path("retrieval/pseudo"), progress)
    for weight in WEIGHTS:
        both = {name: fuse({"recovery": own[name], "retrieval": others[name]},
                           {"recovery": run.recipe.fusion.recovery, "retrieval": weight}) for name in own}  # fmt: skip
        rows.append((weight, float(np.mean(list(rate(both, videos, run.recipe.pseudo.kinds).values())))))
    best = max(auc for _, auc in rows)
    return sorted(rows, key=lambda row: (0, -row[0]) if best - row[1] <= run.recipe.pseudo.tie else (1, -row[1]))


def calibrate(run: Run, progress: Progress, engine: Engine) -> None:
    """Scores normal video that was held out of training: the scale of causal scores, and the alarm threshold."""
    several = for_several(engine)  # the streams' nets compute side by side
    both: dict[str, Stream] = {"recovery": recovery_stream(run, several), "retrieval": retrieval_stream(run, several)}
    rate, weights, videos = learned_rate(run), fusion_weights(run), normal_videos(run)
    looking = with_heat(both)
    total, done, raw = sum(len(video) for video in videos.values()), 0, {}
    for name, video in videos.items():
        raw[name] = _raw(run, looking, rate, video)
        done += len(video)
        progress(done, total, name)
    found = {name: Scale.of(np.concatenate([scores.streams[name] for scores in raw.values()])) for name in looking}
    scales = {stream: found[stream] for stream in both}
    heat = {stream: found[HOTTEST + stream] for stream in both if HOTTEST + stream in found}
    snippets = {name: stream.snippet for name, stream in both.items()}
    fused = [causal_frames(s.streams, snippets, scales, weights, s.ticks)[1] for s in raw.values()]
    reached = np.nanquantile(np.concatenate(fused), run.recipe.calibration.quantile)
    threshold = float(reached) + MARGIN  # an alarm is at the threshold or above
    for stream in both:
        scored = {name: scores.streams[stream] for name, scores in raw.items()}
        write_scores(run.path(f"calibration/{stream}.npz"), scored)
    normal = _normal([scores.times for scores in raw.values()], fused) if holds_out(run) else None
    calibration = Calibration(scales=scales, heat=heat, threshold=threshold, videos=tuple(videos), normal=normal)
    write_text(run.path("calibration/scale.json"), calibration.model_dump_json(indent=1) + "\n")
    shutil.rmtree(run.path("calibration/videos"))


def _normal(times: Sequence[Scores], fused: Sequence[Scores]) -> NormalEvents | None:
    """How often normal video is loud; None where it is too short to tell anything."""
    try:
        return events_of(times, fused, JOIN)
    except TsvadError:
        return None


class _Hottest:
    """A stream whose values by place are looked at too; ``hottest`` has the largest ones, until taken."""

    def __init__(self, stream: Stream, look: Callable[[Tensor], tuple[Scores, NDArray[np.float32]]]) -> None:
        self.snippet, self.views, self._look = stream.snippet, stream.views, look
        self.hottest: SimpleQueue[Scores] = SimpleQueue()  # each stream is scored by a thread of its own

    def score(self, clips: Tensor) -> Scores:
        scores, local = self._look(clips)
        self.hottest.put(local.reshape(len(local), -1).max(axis=1).astype(np.float64))
        return scores


class _Heat:
    """What `_Hottest` has just seen, as a stream of its own: a video's raw scores are kept with it."""

    def __init__(self, seen: _Hottest) -> None:
        self.snippet, self.views, self._seen = seen.snippet, seen.views, seen

    def score(self, _: Tensor) -> Scores:
        return self._seen.hottest.get()


def with_heat(streams: Mapping[str, Stream]) -> dict[str, Stream]:
    """The streams, and behind each one that knows where, its hottest place."""
    found: dict[str, Stream] = {}
    for name, stream in streams.items():
        if isinstance(stream, Looking):
            seen = _Hottest(stream, stream.look)
            found |= {name: seen, HOTTEST + name: _Heat(seen)}
        else:
            found[name] = stream
    return found


def _raw(run: Run, both: Mapping[str, Stream], rate: float, video: ImageFolder) -> RawScores:
    """The streams' scores of a video, kept on the disk: a killed calibration goes on where it was."""
    path = run.path(f"calibration/videos/{video.name}.npz")
    raw = raw_scores(both, rate, video, keep=path)
    write_scores(path, raw.streams)
    return raw


def fuse_streams(run: Run, progress: Progress) -> None:
    """Aligns, smooths and fuses both streams' scores: ``results/fused.npz`` (paper) and ``results/causal.npz``."""
    scores = TestScores.load(run, Bundle(run.path("detector")))
    paper, weights = scores.paper(), scores.bundle.description.weights
    rows = {"recovery": paper[scores.chosen], "retrieval": paper["retrieval"]}
    fused = {name: fuse({stream: rows[stream][name] for stream in rows}, weights) for name in rows["recovery"]}
    write_scores(run.path("results/fused.npz"), fused)
    causal = scores.causal()["fused"]
    write_scores(run.path("results/causal.npz"), {name: cold_start(line) for name, line in causal.items()})
    progress(1, 1)
