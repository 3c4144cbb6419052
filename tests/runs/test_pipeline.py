"""The stages fit together, and no setting of a recipe is read by none of them."""

from importlib import import_module

import pytest

from twostream_vad.recipes import load_recipe, recipe_names
from twostream_vad.runs.pipeline import ENCODING_KEYS, HASHING_KEYS, STAGES, TRAINING_KEYS, Stage
from twostream_vad.settings import Recipe, RecoverySettings, RetrievalSettings, Section


def settings() -> set[str]:
    """Every key of a recipe, section.key."""
    keys = set()
    for key, value in load_recipe("demo"):
        keys |= {f"{key}.{inner}" for inner, _ in value} if isinstance(value, Section) else {key}
    return keys


def test_a_change_of_any_setting_is_seen_by_a_stage() -> None:
    forms = [load_recipe("demo", [f"retrieval.by_place={by_place}"]) for by_place in ("false", "true")]
    read = {key for form in forms for stage in STAGES.values() for key in stage.reads(form)}
    assert read - {"pretrained bytes"} == settings() - {"name", "about"}


def test_the_keys_are_those_of_the_recipe() -> None:
    assert set(RecoverySettings.model_fields) > TRAINING_KEYS
    assert set(RetrievalSettings.model_fields) == ENCODING_KEYS | HASHING_KEYS | {"centres"}
    assert not ENCODING_KEYS & HASHING_KEYS
    assert "recovery" in Recipe.model_fields


def test_fit_runs_every_stage_after_those_that_it_stands_on() -> None:
    order = list(STAGES)
    for name in recipe_names():
        for stage in STAGES.values():
            assert all(order.index(earlier) < order.index(stage.name) for earlier in stage.after(load_recipe(name)))


def test_no_two_stages_write_the_same_file() -> None:
    outputs = [output for stage in STAGES.values() for output in stage.outputs]
    assert len(outputs) == len(set(outputs))


@pytest.mark.parametrize(
    ("encoder", "after"),
    [("pretrained", ("prepare",)), ("recovery", ("prepare", "train-recovery"))],
)
def test_features_wait_for_the_trained_encoder_only_where_they_take_it(encoder: str, after: tuple[str, ...]) -> None:
    assert STAGES["features"].after(load_recipe("demo", [f"retrieval.encoder={encoder}"])) == after


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_every_stage_names_a_function_and_says_what_it_does(stage: Stage) -> None:
    module, _, function = stage.work.partition(":")
    assert callable(getattr(import_module(f"twostream_vad.runs.{module}"), function))
    assert stage.help.endswith(".")
