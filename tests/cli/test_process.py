"""Threads of the process, which only the command line sets."""

from unittest.mock import Mock

import pytest

from twostream_vad.cli.process import set_up_process


@pytest.mark.parametrize("threads", [None, 3])
def test_torch_gets_the_recipes_threads_and_opencv_one(threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch, opencv = Mock(), Mock()
    monkeypatch.setattr("torch.set_num_threads", torch)
    monkeypatch.setattr("cv2.setNumThreads", opencv)
    set_up_process(threads)
    assert [call.args for call in torch.call_args_list] == ([] if threads is None else [(threads,)])
    opencv.assert_called_once_with(1)
