"""`tsvad recipe`: shown, explained, listed."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from twostream_vad.recipes import load_recipe, recipe_names

Tsvad = Callable[..., CompletedProcess[str]]


def test_what_is_shown_is_a_recipe_file(tsvad: Tsvad, tmp_path: Path) -> None:
    said = tsvad("recipe", "show", "small", "--set", "recovery.lr=0.25", "--set", "seed=4")
    assert said.returncode == 0
    (tmp_path / "mine.yaml").write_text(said.stdout, "utf-8")
    assert load_recipe(tmp_path / "mine.yaml") == load_recipe("small", ["recovery.lr=0.25", "seed=4"])


def test_every_key_is_explained(tsvad: Tsvad) -> None:
    text = tsvad("recipe", "show", "demo", "--explain").stdout
    assert "recovery.window_stride = 4\n    step of the error window in crop pixels" in text
    assert "\n    \n" not in text


def test_the_shipped_ones_are_listed_with_what_they_are_for(tsvad: Tsvad) -> None:
    lines = tsvad("recipe", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(len(line.split()) > 4 for line in lines)


def test_an_unknown_name_lists_those_known(refused: Callable[..., str]) -> None:
    assert "give a YAML file or one of avenue, " in refused("recipe", "show", "smal")
