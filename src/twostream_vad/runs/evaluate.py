"""What a fitted run reaches on its test videos, under both protocols; everything that would be needed to repeat it."""

import contextlib
import hashlib
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import torch

from ..datasets.labels import Labels, check_lengths, find_labels
from ..detector.bundle import Bundle
from ..evaluation import auc
from ..evaluation.bootstrap import bootstrap, micro_auc_of
from ..evaluation.events import EventReport, judge_alarms
from ..progress import Progress, silent
from ..scores.causal import cold_start
from ..scores.files import read_scores
from ..storage import load_tensors, sha256_of, typed, write_text
from .curves import Curves, TestScores
from .localise import localise
from .record import FORMAT, Aucs, Hashes, Metrics, Record, Rows
from .run import Run, RunError

TRAINED = ("recovery/model", "retrieval/encoder/model", "retrieval/model", "retrieval/tables")


@dataclass(frozen=True)
class Result:
    """What `evaluate` found."""

    record: Record
    events: EventReport
    series: dict[str, Curves]  # by protocol
    labels: Labels
    scores: TestScores

    @property
    def chosen(self) -> str:
        """The row of the chosen window."""
        return self.record.chosen

    @property
    def rows(self) -> dict[str, Aucs]:
        """Row → its AUCs: the paper's protocol, the causal one, and the gap between their fusions."""
        paper, causal = (self.record.protocols[name].rows for name in ("paper", "causal"))
        rows = {row: metrics.aucs for row, metrics in paper.items()}
        rows |= {f"causal {row}": metrics.aucs for row, metrics in causal.items()}
        (micro, macro, ano), (causal_micro, causal_macro, causal_ano) = rows["fused"], rows["causal fused"]
        gap = None if ano is None or causal_ano is None else ano - causal_ano
        return rows | {"gap: fused − causal fused": (micro - causal_micro, macro - causal_macro, gap)}


def labels_of(run: Run, given: Path | None = None) -> Labels:
    """Labels of the run's test videos, one for each decoded frame; those in ``given`` before the run's own.

    Raises:
        DatasetError: their lengths differ from the videos'.
        RunError: there are none.
    """
    given = given or run.labels
    counts = {name: video.frames for name, video in run.prepared["testing"].items()}
    labels = find_labels(run.source(), given, lambda: counts)
    if labels is None:
        raise RunError(f"{run.data} has no labels of its test videos; give them with --labels FILE")
    check_lengths(labels, counts, given or run.data)
    return labels


def evaluate(run: Run, labels: Path | None = None, progress: Progress = silent) -> Result:
    """Every metric of every row under both protocols, regions and events; also into ``results/``.

    ``labels`` given by hand come before the run's own.

    Raises:
        RunError: the run has not scored its test videos yet, or with other settings than it has now; or has no labels.
        DatasetError: labels do not fit the test videos.
    """
    if run.is_done("prepare") and not run.dataset.testing:
        raise RunError(f"{run.data} has no test videos; score a video with `tsvad score {typed(run.folder)} VIDEO`")
    if not run.is_done("fuse"):
        run.refuse_stale()
        raise RunError(f"{run.folder} has not scored its test videos; {run.goes_on}")
    truth, scores = labels_of(run, labels), TestScores.load(run, Bundle(run.path("detector")))
    calibration, chosen = scores.bundle.description.calibration, scores.chosen
    series: dict[str, Curves] = {
        "paper": {**scores.paper(), "fused": read_scores(run.path("results/fused.npz"))},
        "causal": scores.causal(),
    }
    rates = {video.name: video.open().rate for video in run.dataset.testing}
    events = judge_alarms(series["causal"]["fused"], truth, rates, calibration.threshold)
    rows = {row: {name: cold_start(line) for name, line in lines.items()} for row, lines in series["causal"].items()}
    record = Record(
        format=FORMAT,
        protocols={"paper": _rows(series["paper"], truth, chosen), "causal": _rows(rows, truth, chosen)},
        localisation=localise(scores, progress),
        events={
            "threshold": events.threshold,
            "events": events.events,
            "found": events.found,
            "recall": events.recall,
            "median_delay_seconds": events.median_delay,
            "delays_seconds": list(events.delays),
            "false_alarms": events.false_alarms,
            "false_alarms_per_hour": events.false_alarms_per_hour,
        },
        test_videos=len(truth),
        one_class=auc.one_class(truth),
        chosen=chosen,
        recipe=run.recipe.model_dump(mode="json"),
        seed=run.recipe.seed,
        data=run.data,
        hashes=Hashes(data=data_hash(run), weights=_weights(run)),
        decoder={"images": f"opencv {cv2.__version__}", "video": f"PyAV {version('av')}"},
        versions={name: version(name) for name in ("twostream-vad", "torch", "numpy", "opencv-python-headless", "av")},
        machine={
            "processor": platform.machine(),
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        },
        seconds={name: record.get("seconds") for name, record in run.records().items()},
        time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    write_text(run.path("results/evaluation.json"), record.model_dump_json(indent=1) + "\n")
    return Result(record, events, series, truth, scores)


def _rows(curves: Curves, truth: Labels, chosen: str) -> Rows:
    rows = {}
    for row, scores in curves.items():
        values, positive = auc.pooled(scores, truth)
        interval = None
        if row in (chosen, "retrieval", "fused") and len(truth) > 1:
            with contextlib.suppress(auc.NoMetricError):  # nearly every draw of videos has one class only
                interval = bootstrap(micro_auc_of(scores, truth), list(truth))
        ano = None
        with contextlib.suppress(auc.NoMetricError):
            ano = auc.ano_auc(scores, truth)
        rows[row] = Metrics(
            micro_auc=auc.micro_auc(scores, truth),
            macro_auc=auc.macro_auc(scores, truth),
            ano_auc=ano,
            average_precision=auc.average_precision(values, positive),
            equal_error_rate=auc.equal_error_rate(values, positive),
            scenes=auc.per_scene_auc(scores, truth) if any("_" in name for name in truth) else {},
            interval=interval,
        )
    return Rows(rows=rows)


def data_hash(run: Run) -> str:
    """SHA-256 of the dataset: every video's split, name, and files, their names and bytes."""
    digest = hashlib.sha256()
    source = run.source()
    for split, videos in (("training", source.training), ("testing", source.testing)):
        for video in videos:
            digest.update(f"{split}/{video.name}\n".encode())
            files = sorted(video.path.iterdir()) if video.path.is_dir() else [video.path]
            for file in files:
                if file.is_file():
                    digest.update(f"{file.name} {file.stat().st_size}\n".encode())
                    with file.open("rb") as opened:
                        hashlib.file_digest(opened, lambda: digest)  # goes on with this one
    return digest.hexdigest()


def _weights(run: Run) -> dict[str, str]:
    files = [f"{name}.safetensors" for name in TRAINED if run.path(f"{name}.safetensors").exists()]
    found = {name: _hash_tensors(run.path(name)) for name in files}
    for given in filter(None, {run.recipe.recovery.pretrained, run.recipe.given_encoder}):
        path = Path(given)
        found[given] = sha256_of(path) if path.is_file() else "not there any more"
    return found


def _hash_tensors(path: Path) -> str:
    """Of a safetensors file's tensors: their names, types, shapes and bytes; its metadata stand in any order."""
    tensors, digest = load_tensors(path)[0], hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
