"""EdgeNet frame by frame against the same net clip by clip."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from twostream_vad.detector.engines.nets import NetEdge
from twostream_vad.edge.flow import Flow, Known, foretold
from twostream_vad.nets.edge import EdgeNet
from twostream_vad.scores.stream import made
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.views import Views

SIZE, VALUES, FRAMES = 64, 12, 22


@pytest.fixture(scope="module")
def model() -> NetEdge:
    torch.manual_seed(1)
    net = EdgeNet(0.25, SIZE, VALUES)
    last = net.head.change[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.02)
    return NetEdge(net)


def film(seed: int, crops: int = 2) -> Tensor:
    return torch.randn(FRAMES, crops, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def flowing(flow: Flow, views: Tensor) -> Iterator[dict[str, Tensor]]:
    memory = flow.start()
    return ({name: made(clip) for name, clip in flow.see([(memory, view)])[0].items()} for view in views)


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_frame_by_frame_it_gives_what_whole_clips_give(model: NetEdge, interval: int) -> None:
    views = film(0)
    found = list(flowing(Flow(model, Views(SIZE), interval), views))
    predicting, encoding = Snippet.predicting(9, interval), Snippet.centred(8, interval)
    for tick, clips in enumerate(found):
        assert ("retrieval" in clips) == (tick >= encoding.span)
        assert ("recovery" in clips) == (tick >= predicting.span)
        if "retrieval" in clips:
            seen = torch.stack([views[at] for at in encoding.frames(tick - encoding.span)], dim=2)
            wanted = model.encoder()(seen.numpy()).reshape(1, 2, -1, VALUES)
            np.testing.assert_allclose(clips["retrieval"].numpy(), wanted, rtol=0, atol=1e-5)
        if "recovery" in clips:
            seen = torch.stack([views[at] for at in predicting.frames(tick - predicting.span)], dim=2)
            wanted = model.predictor(seen[:, :, :-1].numpy())
            np.testing.assert_allclose(clips["recovery"][0, :, :, 0].numpy(), wanted, rtol=0, atol=1e-5)
            assert torch.equal(clips["recovery"][0, :, :, 1], views[tick])


def test_cameras_seen_together_get_what_each_gets_alone(model: NetEdge) -> None:
    flow = Flow(model, Views(SIZE), 2)
    films, memories = [film(1), film(2, crops=3)], [flow.start(), flow.start()]
    alone = [list(flowing(flow, views)) for views in films]
    late = 5  # frames after the first camera's the second one's come
    for tick in range(FRAMES):
        ready = [0, 1] if tick >= late else [0]
        found = flow.see([(memories[camera], films[camera][tick - late * camera]) for camera in ready])
        for camera, clips in zip(ready, found, strict=True):
            wanted = alone[camera][tick - late * camera]
            assert clips.keys() == wanted.keys()
            for name, clip in clips.items():
                torch.testing.assert_close(made(clip), wanted[name], rtol=0, atol=1e-5)


def test_what_is_told_passes_as_it_is() -> None:
    clips = np.random.default_rng(0).standard_normal((2, 3, 1, SIZE, SIZE)).astype(np.float32)
    assert np.array_equal(foretold(clips), clips[:, :, 0])
    features = clips.reshape(2, -1, 4)
    assert np.array_equal(Known(4, 2)(features), features.reshape(-1, 4))
