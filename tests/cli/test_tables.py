"""Tables on the terminal."""

import statistics
from collections.abc import Mapping

import pytest

from twostream_vad.cli.tables import print_aucs, print_selection, print_weights, spread
from twostream_vad.runs.record import Aucs
from twostream_vad.settings import Resolved


def candidate(window: int, ghosts: float, score_l1: float = 1.0) -> Resolved:
    aucs = {"ghosts": ghosts, "jumps": 0.5}
    return Resolved(window=window, score_l1=score_l1, channel_l2=False, crops="mean", per_place=False, aucs=aucs)


def lines_with(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


def test_each_window_has_its_best_row_and_the_first_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    print_selection([candidate(64, 0.9), candidate(32, 0.8), candidate(64, 0.7), candidate(32, 0.6, 0.0)])
    said = capsys.readouterr().out
    (chosen,) = lines_with(said, "chosen")
    assert "64" in chosen
    assert "0.9000" in chosen
    assert "0.7000" in chosen  # the mean
    assert "4 candidates" in said
    assert "0.6000" not in said


def test_weights_are_listed_with_their_aucs(capsys: pytest.CaptureFixture[str]) -> None:
    print_weights([(0.5, 0.91), (0.125, 0.9)])
    said = capsys.readouterr().out
    (chosen,) = lines_with(said, "chosen")
    assert "0.5" in chosen
    assert "0.9100" in chosen
    assert "0.125" in said


def test_a_fixed_weight_shows_no_auc(capsys: pytest.CaptureFixture[str]) -> None:
    print_weights([(1.0, None)])
    (row,) = lines_with(capsys.readouterr().out, "fixed by the recipe")
    assert "0.0" not in row


def test_one_run_has_its_own_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_aucs(
        "paper's protocol", [("runs/a", "MLE 64", {"MLE 64": (0.91, 0.8, 0.75), "fused": (0.95, 0.925, None)})], []
    )
    said = capsys.readouterr().out
    (chosen,), (fused,) = lines_with(said, "MLE 64"), lines_with(said, "fused")
    assert "91.00 *" in chosen
    assert "75.00" in chosen
    assert "92.50" in fused
    assert "*" not in fused
    assert "±" not in said


TWO: list[tuple[str, str, Mapping[str, Aucs]]] = [
    ("a", "", {"fused": (0.9, 0.8, 0.6)}),
    ("b", "", {"fused": (0.94, 0.8, None), "MLE 8": (0.5, 0.51, 0.52)}),
]


def test_several_runs_stand_side_by_side_with_mean_and_deviation(capsys: pytest.CaptureFixture[str]) -> None:
    print_aucs("paper's protocol", TWO, [("all", [0, 1])])
    said = capsys.readouterr().out
    (fused,) = lines_with(said, "fused")
    for text in ("90.00", "94.00", f"92.00 ± {statistics.stdev([90, 94]):.2f}", "80.00 ± 0.00"):
        assert text in fused
    assert fused.count("60.00") == 2  # an AUC that one run lacks has no deviation


def test_videos_of_one_class_are_told_once_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_aucs("paper's protocol", TWO, [], ["3 of 12 test videos are of one class"] * 2)
    assert capsys.readouterr().out.count("3 of 12 test videos are of one class") == 1


def test_a_row_that_one_run_lacks_stays_in_its_own_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_aucs("paper's protocol", TWO, [])
    said = capsys.readouterr().out
    (row,), (fused,) = lines_with(said, "MLE 8"), lines_with(said, "fused")
    assert row.index("50.00") == fused.index("94.00")


def test_runs_named_with_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_aucs("paper's protocol", [("runs/[b]", "", {"MLE [8]": (0.5, 0.5, 0.5)})], [])
    said = capsys.readouterr().out
    assert "runs/[b]" in said
    assert "MLE [8]" in said


@pytest.mark.parametrize(("values", "text"), [([0.5], "50.00"), ([], ""), ([0.5, 0.5], "50.00 ± 0.00")])
def test_spread_needs_two_values_for_a_deviation(values: list[float], text: str) -> None:
    assert spread(values) == text
