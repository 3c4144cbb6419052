"""Several videos side by side, each by a core of its own: a small net leaves cores waiting for each other."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch

from .engine import Engine

MOST = 8  # videos at once: each holds the frames of a snippet and its reader
Item = TypeVar("Item")


def for_several(engine: Engine) -> Engine:
    """The engine for as many videos at once as there are cores; torch, whose threads are one pool, for one."""
    found, cores = engine.resolved(), torch.get_num_threads()
    if found.name != "openvino":
        return found
    sides = min(cores, MOST)
    return replace(found, threads=max(1, cores // sides), at_once=sides)


def side_by_side(items: Iterable[Item], work: Callable[[Item], object], engine: Engine) -> None:
    """``work`` of each item, by threads of one core each where the engine was made `for_several`.

    Raises what the first one to fail has raised; what has not begun by then never does.
    """
    if engine.at_once == 1:
        for item in items:
            work(item)
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(engine.at_once, "video", lambda: torch.set_num_threads(1)) as pool:
            waiting = [pool.submit(work, item) for item in items]
            try:
                for future in waiting:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)  # of products, which all threads share
