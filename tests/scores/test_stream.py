"""Clips out of consecutive frames: the same as stacking them by the snippet's arithmetic, in bounded memory."""

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from twostream_vad.scores.stream import ClipBuffer, ScoreLog, clip_batches
from twostream_vad.video.snippets import Snippet


def video(frames: int, crops: int = 2) -> list[Tensor]:
    """Crops (crops, 3, 2, 2) of each frame, all different."""
    return list(torch.randn(frames, crops, 3, 2, 2, generator=torch.Generator().manual_seed(frames)))


def stacked(views: list[Tensor], snippet: Snippet) -> list[Tensor]:
    """Every clip (crops, 3, T, 2, 2), from its definition."""
    clips = []
    for start in range(snippet.count(len(views))):
        clip = torch.empty(*views[0].shape[:2], snippet.length, 2, 2)
        for place, index in enumerate(snippet.frames(start)):
            clip[:, :, place] = views[index]
        clips.append(clip)
    return clips


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 5),
    interval=st.integers(1, 4),
    batch=st.integers(1, 7),
    frames=st.integers(0, 40),
)
def test_clips_are_the_snippets_in_order_in_full_batches(length: int, interval: int, batch: int, frames: int) -> None:
    snippet, views = Snippet(length, interval, offset=0), video(frames)
    batches = list(clip_batches(views, snippet, batch))
    expected = stacked(views, snippet)
    sizes = [len(clips) for clips in batches]
    assert sizes == [min(batch, len(expected) - first) for first in range(0, len(expected), batch)]
    found = [clip for clips in batches for clip in clips]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(("interval", "batch"), [(1, 1), (2, 4), (3, 5)])
def test_no_more_than_span_and_batch_frames_are_held(interval: int, batch: int) -> None:
    snippet = Snippet(4, interval, offset=0)
    buffer, held, most = ClipBuffer(snippet, batch), [], 0
    for view in video(60):
        pushed = view.clone()
        held.append(weakref.ref(pushed))
        buffer.push(pushed)
        del pushed
        most = max(most, sum(kept() is not None for kept in held))
    assert most == snippet.span + batch


def test_a_clip_is_given_out_as_soon_as_its_batch_is_full() -> None:
    snippet = Snippet(3, 2, offset=4)
    buffer = ClipBuffer(snippet, batch=2)
    full = [index for index, view in enumerate(video(12)) if buffer.push(view) is not None]
    assert full == [5, 7, 9, 11]
    assert buffer.flush() is None


def test_clips_do_not_change_when_more_frames_come() -> None:
    snippet, views = Snippet(2, 1, offset=0), video(6)
    buffer = ClipBuffer(snippet, batch=1)
    clips = [clip for view in views if (clip := buffer.push(view)) is not None]
    assert torch.equal(torch.cat(clips), torch.stack(stacked(views, snippet)))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_log_gives_back_what_it_was_given(shape: tuple[int, ...]) -> None:
    rng, log, batches = np.random.default_rng(0), ScoreLog(), []
    assert log.array().shape == (0,)
    for size in (1, 8, 8, 100, 3, 400):
        batches.append(rng.random((size, *shape)))
        log.add(batches[-1])
        assert np.array_equal(log.array(), np.concatenate(batches))
