"""Recipes: shipped ones lie in ``recipes/``, others are YAML files; a value is overridden by its key."""

import reprlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import TsvadError
from ..settings import Recipe, explained

FAULTS = 5  # named in an error before the rest is only counted


class RecipeError(TsvadError):
    """A recipe that cannot be read; the message names the key and what would do."""


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("twostream_vad") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, or one from a YAML file, with ``section.key=value`` overrides.

    Raises:
        RecipeError: no such recipe, an unknown key, or a value that does not fit; names what would do.
    """
    return _overridden(_read(name), overrides, source=str(name))


def parse_recipe(values: Mapping[str, Any], source: str) -> Recipe:
    """A recipe from plain values; ``source`` is named in errors."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        faults = error.errors()
        more = f"; and {len(faults) - FAULTS} more" if len(faults) > FAULTS else ""
        raise RecipeError("; ".join(_explain(source, fault) for fault in faults[:FAULTS]) + more) from None


def override_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe with ``section.key=value`` overrides."""
    return _overridden(recipe.model_dump(mode="json"), overrides, source="--set")


def _overridden(values: dict[str, Any], overrides: Sequence[str], source: str) -> Recipe:
    for override in overrides:
        _apply(values, override)
    return parse_recipe(values, source)


def _read(name: str | Path) -> dict[str, Any]:
    shipped = str(name) in recipe_names()
    if not shipped and not Path(name).is_file():
        raise RecipeError(f"no recipe {str(name)!r}: give a YAML file or one of {', '.join(recipe_names())}")
    file = resources.files("twostream_vad") / "recipes" / f"{name}.yaml" if shipped else Path(name)
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file}: not a text file in UTF-8 ({error.reason}); give a YAML file") from None
    except OSError:
        raise
    except Exception as error:  # PyYAML's own, and what Python raises on its odd dates, numbers, tags and nesting
        raise RecipeError(f"{name}: not YAML ({' '.join(str(error).split())[:400]})") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{name}: a recipe is a mapping of sections; `tsvad recipe show small` prints one")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {override!r}: write section.key=value, such as recovery.lr=0.001")
    place = values
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise RecipeError(f"--set {override!r}: {key} is a value, not a section")
    try:
        place[keys[-1]] = yaml.safe_load(text)
    except Exception:  # as above
        raise RecipeError(f"--set {override!r}: the value is not YAML") from None


def _explain(source: str, problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_keys(problem["loc"][:-1]))
        key = " ".join(".".join(map(str, problem["loc"]))[:200].splitlines())
        return f"{source}: unknown key {key}; known there: {known}"
    # A few aliases of YAML can stand for more values than there is memory.
    return f"{source}: {explained(problem)} (got {reprlib.repr(problem['input'])})"[:400]


def _keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        model = annotation
    return list(model.model_fields)
