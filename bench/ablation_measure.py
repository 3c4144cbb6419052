"""Measures a fitted run for `ablation.py`: its own scores, and those that other choices would have given.

Nothing is fitted: recovery's maxima of every window, error map, place and crop lie in the run.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import torch
from ablation_rows import ALL, CHOICES, Candidate, Regret, regret, said
from numpy.typing import NDArray

from twostream_vad.detector.bundle import Bundle
from twostream_vad.errors import TsvadError
from twostream_vad.evaluation.auc import macro_auc, micro_auc, roc_auc
from twostream_vad.recovery.error import over_crops
from twostream_vad.recovery.selection import load_selection
from twostream_vad.recovery.windows import maximum_errors
from twostream_vad.runs.assemble import rated_weights
from twostream_vad.runs.curves import Scores, TestScores, without_lost
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.record import Record, flat
from twostream_vad.runs.run import Run
from twostream_vad.scores.causal import causal_frames, cold_start
from twostream_vad.scores.fusion import fuse
from twostream_vad.scores.timeline import paper_timeline
from twostream_vad.settings import Recipe
from twostream_vad.storage import typed

WEIGHTS = (1.0, 0.5, 0.25, 0.125)  # of retrieval: what `select` tries, looked at where the weight is fixed too
PLAZA = "plaza.json"  # in a rendered plaza: what happens when
SAME = 1e-5  # of frame scores in 0 to 1, computed here and by the run's stages


def measure(run: Run, record: Record) -> dict[str, Any]:
    """All of a `Row` but what it is a row of; ``record`` is the run's evaluation.

    Raises:
        TsvadError: the run's maxima do not give its scores.
    """
    rescored = Rescored(run)
    rescored.check()
    micro, chosen = rescored.micro(), rescored.chosen
    opened = rescored.opened()
    return {
        "streams": streams(record),
        "where": {
            name: percent(value) for name, value in (record.localisation or {}).items() if isinstance(value, float)
        },
        "minutes": round(sum(filter(None, record.seconds.values())) / 60, 1),
        "chosen": chosen._asdict(),
        "fixed": tuple(name for name in CHOICES if name not in opened),
        "options": rescored.options(),
        "regret": regrets(micro, chosen, opened),
        "kinds": rescored.by_kind(),
        "settings": settings(run.recipe),
        "data": record.hashes.data,
        "versions": record.versions,
        "machine": record.machine,
        "time": record.time,
    }


def settings(recipe: Recipe) -> dict[str, Any]:
    """Those that differ from the defaults, by dotted key, as they stand in JSON; threads are the machine's."""
    plain = flat(Recipe(name=recipe.name).model_dump(mode="json"))
    return {
        key: value
        for key, value in flat(recipe.model_dump(mode="json")).items()
        if key not in ("about", "threads") and (key == "name" or value != plain.get(key))
    }


def streams(record: Record) -> dict[str, dict[str, float]]:
    """Stream → micro- and macro-AUC under both protocols."""
    rows = {"recovery": record.chosen, "retrieval": "retrieval", "fused": "fused"}
    return {
        stream: {
            f"{prefix}{name}": percent(value)
            for protocol, prefix in (("paper", ""), ("causal", "causal "))
            for name, value in zip(("micro", "macro"), record.rows(protocol)[row].aucs, strict=False)
            if value is not None
        }
        for stream, row in rows.items()
    }


def regrets(micro: Mapping[Candidate, float], chosen: Candidate, opened: list[str]) -> dict[str, Regret]:
    """Of what was open to pseudo-anomalies together, of everything together, and of each choice by itself."""
    together = {"open": regret(micro, chosen, opened), "all": regret(micro, chosen, CHOICES)}
    return together | {name: regret(micro, chosen, [name]) for name in CHOICES}


class Rescored:
    """A run's test videos under other choices; ``chosen`` is what it has."""

    def __init__(self, run: Run) -> None:
        self.run, self.truth = run, labels_of(run)
        self.scores = TestScores.load(run, Bundle(run.path("detector")))
        described = self.scores.bundle.description
        self.weights, how = described.weights, described.recovery.how
        self.chosen = Candidate(
            ALL if how.together else how.window,
            how.score_l1,
            how.channel_l2,
            how.crops,
            how.per_place,
            self.weights["retrieval"],
        )
        self._maxima = {
            name: torch.from_numpy(np.load(run.path(f"recovery/maxima/{name}.npy"), allow_pickle=False))
            for name in self.scores.videos
        }
        self._retrieval = self._placed(self.scores.distances, "retrieval")

    def check(self) -> None:
        """TsvadError where the maxima do not give the scores that the run has of its chosen way to score."""
        own = self.scores.paper()[self.scores.chosen]
        for name, line in self.recovery(self.chosen).items():
            if not np.allclose(line, own[name], rtol=0, atol=SAME):
                why = f"{self.run.folder}/recovery/maxima/{name}.npy does not give the video's scores"
                raise TsvadError(f"{why}; `tsvad score recovery {typed(self.run.folder)} --redo` writes both anew")

    def values(self) -> dict[str, tuple[Any, ...]]:
        """Choice, in their order → all values that can be had from what the run keeps, the chosen one among them."""
        places = (
            self.run.recipe.recovery.per_place is not False and self.run.path("recovery/places.safetensors").exists()
        )
        return {
            "window": (ALL, *self.scores.windows),
            "score_l1": tuple(sorted({0.0, 1.0, self.chosen.score_l1})),
            "channel_l2": (False, True),
            "crops": ("mean", "max"),
            "per_place": (False, True) if places else (self.chosen.per_place,),
            "weight": tuple(sorted({*WEIGHTS, *(weight for weight, _ in rated_weights(self.run))}, reverse=True)),
        }

    def opened(self) -> list[str]:
        """The choices that the recipe left to pseudo-anomalies."""
        tried = load_selection(self.run.path("recovery/selection.json"))
        of_score = [name for name in CHOICES[:-1] if len({getattr(how, name) for how in tried}) > 1]
        return of_score + ["weight"] * (self.run.recipe.fusion.retrieval == "select")

    def micro(self) -> dict[Candidate, float]:
        """Every candidate's fused micro-AUC under the paper's protocol, in %."""
        found, values = {}, self.values()
        weights = values.pop("weight")
        for window, l1, l2, crops, place in itertools.product(*values.values()):
            one = Candidate(window, l1, l2, crops, place, self.chosen.weight)
            recovery = self.recovery(one)
            for weight in weights:
                fused = self.fused(recovery, weight)
                found[one._replace(weight=weight)] = percent(micro_auc(fused, self.truth))
        return found

    def options(self) -> dict[str, dict[str, dict[str, float]]]:
        """Choice → value → AUCs, all else as chosen; causal ones of weights only.

        For the others the scale of held-out normal video would be needed, which is kept for the chosen score alone.
        """
        found: dict[str, dict[str, dict[str, float]]] = {}
        for name, values in self.values().items():
            found[name] = {}
            for value in values:
                one = self.chosen._replace(**{name: value})
                recovery = self.recovery(one)
                row = self._aucs(self.fused(recovery, one.weight), "")
                row |= self._aucs(self.causal(one.weight), "causal ") if name == "weight" else {}
                row |= self._aucs(recovery, "recovery ") if name != "weight" else {}
                found[name][said(value)] = row
        return found

    def recovery(self, one: Candidate) -> Scores:
        """Context recovery's frame scores under the paper's protocol."""
        wanted = self.scores.windows if one.window == ALL else (one.window,)
        columns = [self.scores.windows.index(int(window)) for window in wanted]
        how = self.scores.bundle.description.recovery.how.model_copy(
            update={name: getattr(one, name) for name in CHOICES[1:-1]}
        )
        raw = {
            name: over_crops(maximum_errors(maxima, how), how.crops)[:, columns].double().mean(1).numpy()
            if len(maxima)
            else np.zeros(0)  # too short for a snippet
            for name, maxima in self._maxima.items()
        }
        videos, described = self.scores.videos.values(), self.scores.bundle
        raw = without_lost(videos, raw, described.snippets["recovery"], described.description.pictures.rate)
        return self._placed(raw, "recovery")

    def fused(self, recovery: Scores, weight: float) -> Scores:
        """Recovery's frame scores fused with retrieval's own at another weight."""
        weights = {**self.weights, "retrieval": weight}
        return {
            name: fuse({"recovery": line, "retrieval": self._retrieval[name]}, weights)
            for name, line in recovery.items()
        }

    def by_kind(self) -> dict[str, float]:
        """Kind of event → AUC of the fused score in the test videos that show it, their mean; of rendered plazas."""
        path, found = self.run.data / PLAZA, defaultdict[str, dict[str, float]](dict)
        if not path.is_file():
            return {}
        fused = self.fused(self.recovery(self.chosen), self.chosen.weight)
        for event in json.loads(path.read_text("utf-8"))["events"]:
            name = event["video"]
            found[event["kind"]][name] = percent(roc_auc(fused[name], self.truth[name]))
        return {kind: round(fmean(own.values()), 2) for kind, own in sorted(found.items())}

    def causal(self, weight: float) -> Scores:
        """Fused causal frame scores of the chosen score at another weight."""
        scores, weights = self.scores, {**self.weights, "retrieval": weight}
        scales, found = scores.bundle.description.calibration.scales, {}
        for name, ticks in scores.ticks.items():
            raw = {stream: scores.raw[stream][name] for stream in scales}
            found[name] = cold_start(causal_frames(raw, scores.bundle.snippets, scales, weights, ticks)[1])
        return found

    def _placed(self, raw: Mapping[str, NDArray[np.float64]], stream: str) -> Scores:
        snippet, ticks = self.scores.bundle.snippets[stream], self.scores.ticks
        return {
            name: paper_timeline(line, snippet, int(ticks[name][-1]) + 1)[ticks[name]] for name, line in raw.items()
        }

    def _aucs(self, scores: Scores, prefix: str) -> dict[str, float]:
        return {
            f"{prefix}micro": percent(micro_auc(scores, self.truth)),
            f"{prefix}macro": percent(macro_auc(scores, self.truth)),
        }


def percent(value: float) -> float:
    """A share in %, to a hundredth."""
    return round(100 * value, 2)
