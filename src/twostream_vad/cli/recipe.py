"""`tsvad recipe`: what a run's settings are."""

from typing import Annotated

from cyclopts import Parameter


def show(name: str, *, set: Annotated[tuple[str, ...], Parameter(negative=())] = (), explain: bool = False) -> None:
    """Print a recipe as YAML, whole: a file to start your own from.

    Args:
        name: A shipped recipe or a YAML file.
        set: Change a setting first: section.key=value.
        explain: Say what each key means instead.
    """
    from ..recipes import load_recipe
    from ..settings import Recipe, Section

    recipe = load_recipe(name, set)
    if not explain:
        print(recipe.to_yaml(), end="")
        return
    for key, field in Recipe.model_fields.items():
        value = getattr(recipe, key)
        if isinstance(value, Section):
            for inner, inner_field in type(value).model_fields.items():
                print(f"{key}.{inner} = {getattr(value, inner)!r}\n    {inner_field.description}")
        else:
            print(f"{key} = {value!r}\n    {field.description or ''}")


def list_() -> None:
    """Print the shipped recipes and what each is for."""
    from ..recipes import load_recipe, recipe_names

    for name in recipe_names():
        print(f"{name:14} {load_recipe(name).about}")
