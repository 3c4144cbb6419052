"""The choice of the error window: it finds what was planted, and only that."""

import itertools
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from twostream_vad.errors import TsvadError
from twostream_vad.recovery.pseudo import Kind, PseudoVideo
from twostream_vad.recovery.selection import best_by_window, load_selection, save_selection, select_score
from twostream_vad.recovery.windows import AllWindows
from twostream_vad.scores.timeline import paper_timeline
from twostream_vad.settings import PseudoSettings, RecoverySettings, Resolved
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.snippets import RECOVERY
from twostream_vad.video.views import Views

Film = Callable[..., ImageFolder]
KINDS: tuple[Kind, ...] = ("ghosts", "jumps", "rushes")
PSEUDO = PseudoSettings(kinds=KINDS)
WINDOWS = (64, 32, 16)
VIEWS = Views(16)


class Planted(AllWindows):
    """Windows whose errors are noise but for one window, error map and crop, where they tell the label.

    Args:
        videos: in the order in which they will be scored.
        settings: of the recovery section.
        column: the window that tells.
        error: the map that tells: 0 squared, 1 channel-L2, 2 absolute.
        crop: the crop that tells, and the others say the contrary; None: all tell.
    """

    def __init__(
        self,
        videos: list[ImageFolder],
        settings: RecoverySettings,
        column: int | None,
        error: int = 0,
        crop: int | None = None,
    ) -> None:
        super().__init__(lambda seen: seen[:, :, -1], settings, VIEWS)
        self.column, self.error, self.crop = column, error, crop
        spoilt = [PseudoVideo(video, kind, PSEUDO, 0).labels() for kind in KINDS for video in videos]
        self.labels = [int(label) for labels in spoilt for label in labels[16:]]
        self.seen: list[weakref.ref[Tensor]] = []
        self.most_alive = 0
        self.rng = np.random.default_rng(0)

    def maxima(self, predicted: Tensor, true: Tensor, crops: Sequence[int]) -> Tensor:  # noqa: ARG002
        self.seen.append(weakref.ref(true))
        self.most_alive = max(self.most_alive, sum(seen() is not None for seen in self.seen))
        batch, count = crops
        local = torch.from_numpy(self.rng.random((batch, count, len(self.settings.windows), 3)))
        labels = torch.tensor([self.labels.pop(0) for _ in range(batch)], dtype=torch.float64)
        if self.column is None:
            local[:] = 0
        elif self.crop is None:
            local[:, :, self.column, self.error] += 3 * labels[:, None]
        else:
            local[:, :, self.column, self.error] -= 3 * labels[:, None]
            local[:, self.crop, self.column, self.error] += 9 * labels
        return torch.stack((local, local), dim=3)


def settings(**values: object) -> RecoverySettings:
    given = {"windows": WINDOWS, "score_l1": 0.0, "channel_l2": False, "crops": "mean", "score_batch": 4}
    return RecoverySettings.model_validate({**given, **values})


@pytest.fixture(scope="module")
def videos(film: Film) -> list[ImageFolder]:
    return [film(name, 61, height=16, width=20) for name in ("a", "b")]


def select(windows: AllWindows, videos: list[ImageFolder]) -> tuple[Resolved, ...]:
    with tempfile.TemporaryDirectory() as folder:
        return select_score({video.name: video for video in videos}, windows, PSEUDO, Path(folder), seed=3)[0]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_window_that_tells_is_chosen(column: int, videos: list[ImageFolder]) -> None:
    selection = select(Planted(videos, settings(), column), videos)
    assert selection[0].window == WINDOWS[column]
    assert sorted(candidate.window for candidate in selection) == [16, 32, 64]
    means = [candidate.mean for candidate in selection]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.9


@pytest.mark.parametrize(
    ("error", "crop", "best"),
    [
        (0, None, (0.0, False, "mean")),
        (1, None, (0.0, True, "mean")),
        (2, None, (1.0, False, "mean")),
        (0, 1, (0.0, False, "max")),
    ],
)
def test_what_the_recipe_leaves_open_is_chosen_too(
    error: int, crop: int | None, best: tuple[float, bool, str], videos: list[ImageFolder]
) -> None:
    left_open = settings(score_l1="select", channel_l2="select", crops="select")
    selection = select(Planted(videos, left_open, 1, error, crop), videos)
    assert len({(c.window, c.score_l1, c.channel_l2, c.crops) for c in selection}) == 3 * 2 * 2 * 2
    # Noise decides what does not matter: only the telling choice is compared.
    found = selection[0]
    assert found.window == 32
    if error == 2:
        assert found.score_l1 == best[0]
    else:
        assert (found.score_l1, found.channel_l2) == best[:2]
    if crop is not None:
        assert found.crops == best[2]


def test_a_candidates_auc_is_that_of_the_papers_timelines(videos: list[ImageFolder]) -> None:
    stream = Planted(videos, settings(crops="max", score_l1=0.5), 0)
    recorded: list[NDArray[np.float64]] = []
    maxima = stream.maxima

    def record(predicted: Tensor, true: Tensor, crops: Sequence[int]) -> Tensor:
        local = maxima(predicted, true, crops)
        recorded.append((local[..., 0, 0] + 0.5 * local[..., 0, 2]).amax(1).numpy())
        return local

    stream.maxima = record  # type: ignore[method-assign]
    selection = select(stream, videos)
    scores = np.concatenate(recorded).reshape(3, len(videos), 45, 3)
    for candidate in selection:
        column = WINDOWS.index(candidate.window)
        for place, kind in enumerate(KINDS):
            lines = [paper_timeline(scores[place, v, :, column], RECOVERY, 61) for v in range(len(videos))]
            labels = [PseudoVideo(video, kind, PSEUDO, 0).labels() for video in videos]
            expected = roc_auc_score(np.concatenate(labels), np.concatenate(lines))
            assert candidate.aucs[kind] == pytest.approx(expected, abs=1e-9)


def test_the_best_candidates_scores_are_given_video_by_video(videos: list[ImageFolder], tmp_path: Path) -> None:
    stream = Planted(videos, settings(), 1)
    by_name = {video.name: video for video in videos}
    selection, scores = select_score(by_name, stream, PSEUDO, tmp_path, seed=3)
    assert list(scores) == [f"{name}-{kind}" for kind in KINDS for name in by_name]
    for kind in KINDS:
        labels = np.concatenate([PseudoVideo(video, kind, PSEUDO, 0).labels() for video in videos])
        lines = [paper_timeline(scores[f"{name}-{kind}"], RECOVERY, 61) for name in by_name]
        assert selection[0].aucs[kind] == pytest.approx(roc_auc_score(labels, np.concatenate(lines)), abs=1e-9)


def test_a_stopped_choice_goes_on_behind_the_last_video_to_the_same(videos: list[ImageFolder], tmp_path: Path) -> None:
    def stop(done: int, total: int, note: str = "") -> None:  # noqa: ARG001  a Progress
        if done == 4:
            raise KeyboardInterrupt

    stream, by_name = Planted(videos, settings(), 1), {video.name: video for video in videos}
    with pytest.raises(KeyboardInterrupt):
        select_score(by_name, stream, PSEUDO, tmp_path, seed=3, progress=stop)
    assert len(stream.labels) == 2 * 45  # of six videos of 45 snippets
    selection, _ = select_score(by_name, stream, PSEUDO, tmp_path, seed=3)
    assert stream.labels == []
    assert selection == select(Planted(videos, settings(), 1), videos)


def test_the_larger_of_equal_windows_is_chosen(videos: list[ImageFolder]) -> None:
    selection = select(Planted(videos, settings(windows=(16, 64, 32)), None), videos)
    assert [candidate.window for candidate in selection] == [64, 32, 16]


def test_one_batch_of_clips_is_held_at_a_time(videos: list[ImageFolder]) -> None:
    stream = Planted(videos, settings(), 0)
    select(stream, videos)
    assert len(stream.seen) == 6 * -(-45 // 4)
    assert stream.most_alive <= 2


def test_few_videos_a_scene_are_enough(film: Film, tmp_path: Path) -> None:
    many = {f"01_{n}": film(f"01_{n}", 30, height=16, width=20) for n in range(4)}
    short = {"02_0": film("02_0", 17, height=16, width=20)}
    picked = [many["01_0"], many["01_2"]]
    stream = Planted(picked, settings(), 0)
    steps: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, note: str = "") -> None:
        steps.append((done, total, note))

    pseudo = PSEUDO.model_copy(update={"videos": 2})
    select_score({**many, **short}, stream, pseudo, tmp_path, seed=0, progress=progress)
    assert stream.labels == []
    names = [f"{video.name}-{kind}" for kind, video in itertools.product(KINDS, picked)]
    assert steps == [*((done, 6, name) for done, name in enumerate(names)), (6, 6, "")]


def test_videos_too_short_are_refused(film: Film) -> None:
    short = film("short", 17, height=16, width=20)
    with pytest.raises(ValueError, match="no training video is longer than a snippet's 17 frames"):
        select(Planted([short], settings(), 0), [short])


AUCS = {"ghosts": 0.9, "jumps": 0.5}
BEST = Resolved(window=32, score_l1=1.0, channel_l2=True, crops="max", per_place=False, aucs=AUCS)
SECOND = Resolved(window=64, score_l1=0.0, channel_l2=False, crops="mean", per_place=False, aucs=AUCS)


def test_a_candidate_is_rated_by_the_mean_of_all_kinds() -> None:
    assert BEST.mean == pytest.approx(0.7)


def test_of_each_window_the_best_is_shown() -> None:
    assert best_by_window([BEST, SECOND, SECOND.model_copy(update={"window": 32})]) == [BEST, SECOND]


def test_a_saved_selection_comes_back(tmp_path: Path) -> None:
    save_selection(tmp_path / "selection.json", [BEST, SECOND])
    assert load_selection(tmp_path / "selection.json") == (BEST, SECOND)


def test_a_missing_selection_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(TsvadError, match=r"selection\.json: no window is chosen yet; run `tsvad recovery"):
        load_selection(tmp_path / "selection.json")


@pytest.mark.parametrize("text", ["[", "[]", "{}", '[{"window": 3}]', "3"])
def test_a_broken_selection_is_refused_by_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "selection.json").write_text(text, "utf-8")
    with pytest.raises(TsvadError, match=r"selection\.json: not a selection .*; delete it"):
        load_selection(tmp_path / "selection.json")
