"""Stretches of frames: as pairs of first and last, and in words."""

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""First and last frame of each stretch, counted from 0, both included."""
_SHOWN = 5


def ranges(frames: Iterable[int]) -> Ranges:
    """Ascending frames as stretches: 3, 4, 5, 9 is 3-5, 9-9."""
    stretches: list[tuple[int, int]] = []
    for frame in frames:
        if stretches and frame == stretches[-1][1] + 1:
            stretches[-1] = (stretches[-1][0], frame)
        else:
            stretches.append((frame, frame))
    return tuple(stretches)


def in_words(stretches: Ranges) -> str:
    """``frame 3``, ``frames 3-5, 9``, with no more than the first few stretches."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in stretches[:_SHOWN]]
    more = f" and {len(stretches) - _SHOWN} more stretches" if len(stretches) > _SHOWN else ""
    single = len(stretches) == 1 and stretches[0][0] == stretches[0][1]
    return f"frame{'' if single else 's'} {', '.join(shown)}{more}"
