"""What published sets have, and which one is meant."""

import pytest

from twostream_vad.datasets.layouts import LAYOUTS
from twostream_vad.datasets.published import PUBLISHED, nearest


def test_every_set_that_has_a_layout_is_known() -> None:
    assert {each.layout for each in PUBLISHED} == set(LAYOUTS) - {"folder"}


@pytest.mark.parametrize(
    ("videos", "name"), [(16, "UCSD Ped2"), (14, "UCSD Ped2"), (34, "UCSD Ped1"), (33, "UCSD Ped1")]
)
def test_of_two_sets_that_lie_alike_the_nearer_one_is_meant(videos: int, name: str) -> None:
    known = nearest("ped2", "training", videos, 1)
    assert known is not None
    assert known.name == name


def test_a_folder_of_ones_own_is_no_known_set() -> None:
    assert nearest("folder", "training", 16, 2550) is None
