"""Threads of the process, which only the command line sets."""

from unittest.mock import Mock

import pytest
import torch

from twostream_vad.cli.process import set_up_process, with_cores
from twostream_vad.detector.engines.engine import Engine, installed


@pytest.mark.parametrize("threads", [None, 3])
def test_torch_gets_the_recipes_threads_and_opencv_one(threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    threaded, opencv = Mock(), Mock()
    monkeypatch.setattr("torch.set_num_threads", threaded)
    monkeypatch.setattr("cv2.setNumThreads", opencv)
    set_up_process(threads)
    assert [call.args for call in threaded.call_args_list] == ([] if threads is None else [(threads,)])
    opencv.assert_called_once_with(1)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnx"])
def test_torch_keeps_one_thread_where_another_engine_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "torch" and not installed(name):
        pytest.skip("not installed")
    told: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    assert with_cores(Engine(name)).threads == 3  # type: ignore[arg-type]
    assert told == ([] if name == "torch" else [1])
    assert with_cores(Engine(name), nets=2).threads == (3 if name == "torch" else 1)  # type: ignore[arg-type]
