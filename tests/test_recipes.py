"""Recipes: every shipped one loads, and what cannot be meant is refused with what would do."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from twostream_vad.recipes import RecipeError, load_recipe, override_recipe, parse_recipe, recipe_names
from twostream_vad.settings import (
    CalibrationSettings,
    EdgeSettings,
    FusionSettings,
    JointSettings,
    PaceSettings,
    PseudoSettings,
    Recipe,
    RecoverySettings,
    RetrievalSettings,
    ViewSettings,
)

SECTIONS: dict[str, type[BaseModel]] = {
    "view": ViewSettings,
    "recovery": RecoverySettings,
    "pseudo": PseudoSettings,
    "retrieval": RetrievalSettings,
    "pace": PaceSettings,
    "joint": JointSettings,
    "edge": EdgeSettings,
    "calibration": CalibrationSettings,
    "fusion": FusionSettings,
}
PAPER = Recipe(name="paper")
NAMES = {"True": "yes", "False": "no"}


def test_the_four_datasets_have_recipes() -> None:
    assert {"ped2", "avenue", "shanghaitech", "corridor"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_the_manuals_table_tells_the_recipes_values(name: str) -> None:
    lines = (Path(__file__).parents[1] / "docs/recipes.md").read_text("utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head = next(row for row in table if row[1:2] == ["ped2"])
    recipe = load_recipe(name).model_dump()
    told = 0
    for row in table:
        section, dot, key = row[0].split(" ")[0].strip("`").partition(".")
        if dot and len(row) == len(head) and (cell := row[head.index(name)]) not in {"–", "same"}:
            value = recipe[section][key]
            values = value if isinstance(value, list | tuple) else [value]
            assert cell.split(", ") == [
                f"{part:g}" if isinstance(part, float) else NAMES.get(str(part), str(part)) for part in values
            ]
            told += 1
    assert told >= 10


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_loads_under_its_own_name_and_says_what_it_is_for(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_printed_as_yaml_reads_back_equal(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "mine.yaml").write_text(recipe.to_yaml(), "utf-8")
    assert load_recipe(tmp_path / "mine.yaml") == recipe


@pytest.mark.parametrize(
    ("name", "draws", "l1", "channel_l2", "crops"),
    [("avenue", 320, 0.0, False, "max"), ("shanghaitech", 32, 1.0, True, "mean")],
)
def test_published_settings_are_shipped(name: str, draws: int, l1: float, channel_l2: bool, crops: str) -> None:
    recovery = load_recipe(name).recovery
    assert (recovery.draws, recovery.score_l1, recovery.channel_l2) == (draws, l1, channel_l2)
    assert recovery.crops == crops
    assert recovery.windows == (256, 128, 64, 32, 16)


def test_the_defaults_are_the_papers() -> None:
    assert (PAPER.seed, PAPER.view.size) == (2021, 256)
    net, hashes = PAPER.recovery, PAPER.retrieval
    assert (net.lr, net.decay_epochs, net.epochs, net.batch, net.l1) == (0.01, (40,), 60, 32, 1.0)
    assert not net.trains_encoder
    assert (hashes.bits, hashes.tables, hashes.gap, hashes.mutual) == (32, 8, 150, 0.64)
    assert (hashes.lr, hashes.momentum, hashes.weight_decay, hashes.batch) == (0.003125, 0.9, 1e-4, 256)
    assert (PAPER.pseudo.videos, PAPER.pseudo.angle, PAPER.pseudo.reach) == (5, (2, 5), 20)


def test_by_default_a_fifth_of_normal_video_is_held_out_and_raises_no_alarm() -> None:
    assert (PAPER.calibration.held_out, PAPER.calibration.quantile) == (0.2, 1.0)


def test_the_extremes_that_mean_something_are_taken() -> None:
    recipe = load_recipe("ped2", ["calibration.held_out=0", "pace.sides=[1, 1]", "pace.speeds=[2, 1]"])
    assert recipe.calibration.held_out == 0
    assert (recipe.pace.sides, recipe.pace.speeds) == ((1.0, 1.0), (2, 1))


@pytest.mark.parametrize(("section", "model"), SECTIONS.items())
def test_an_unknown_key_is_refused_with_the_known_ones(section: str, model: type[BaseModel]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("ped2", [f"{section}.lear=1"])
    known = ", ".join(model.model_fields)
    assert f"unknown key {section}.lear; known there: {known}" in str(caught.value)


def test_an_unknown_section_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"unknown key recover; known there: name, about, .*recovery, "):
        load_recipe("ped2", ["recover.lr=1"])


@pytest.mark.parametrize("model", [Recipe, *SECTIONS.values()])
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    fields = {name: field for name, field in model.model_fields.items() if name not in SECTIONS}
    assert all(field.description for field in fields.values())


@pytest.mark.parametrize("number", ["1e-3", "0.001", "1.0e-3"])
def test_a_number_in_any_notation_is_a_number(number: str, tmp_path: Path) -> None:
    assert load_recipe("ped2", [f"recovery.lr={number}"]).recovery.lr == 0.001
    (tmp_path / "mine.yaml").write_text(f"name: mine\nrecovery: {{lr: {number}, score_l1: {number}}}", "utf-8")
    recovery = load_recipe(tmp_path / "mine.yaml").recovery
    assert (recovery.lr, recovery.score_l1) == (0.001, 0.001)


def test_overrides_reach_numbers_lists_words_and_nothing() -> None:
    recipe = load_recipe(
        "avenue",
        [
            "seed=3",
            "recovery.windows=[64, 32]",
            "recovery.window=64",
            "recovery.score_l1=select",
            "recovery.encoder_reinit=true",
            "recovery.encoder_rate=1",
            "view.regions=[[0, 0, 480, 480]]",
            "retrieval.pretrained=a=b.safetensors",
            "recovery.pretrained=",
        ],
    )
    assert recipe.seed == 3
    assert (recipe.recovery.windows, recipe.recovery.window) == ((64, 32), 64)
    assert (recipe.recovery.score_l1, recipe.recovery.encoder_reinit) == ("select", True)
    assert recipe.view.regions == ((0, 0, 480, 480),)
    assert (recipe.retrieval.pretrained, recipe.recovery.pretrained) == ("a=b.safetensors", None)
    assert recipe.recovery.draws == 320


def test_the_last_of_two_overrides_counts() -> None:
    assert load_recipe("ped2", ["seed=1", "seed=2"]).seed == 2


def test_override_recipe_changes_a_copy() -> None:
    changed = override_recipe(PAPER, ["recovery.lr=1e-4", "recovery.windows=[64]"])
    assert (changed.recovery.lr, changed.recovery.windows) == (1e-4, (64,))
    assert PAPER.recovery.lr == 0.01
    assert changed.retrieval == PAPER.retrieval


def test_override_recipe_without_overrides_is_the_recipe() -> None:
    recipe = load_recipe("corridor")
    assert override_recipe(recipe, []) == recipe


@pytest.mark.parametrize("override", ["recovery.lr", "=1", "recovery.=1", ".lr=1", "recovery..lr=1"])
def test_an_override_of_another_form_is_refused_with_an_example(override: str) -> None:
    with pytest.raises(RecipeError, match=r"section\.key=value, such as"):
        load_recipe("ped2", [override])


def test_an_override_below_a_value_is_refused() -> None:
    with pytest.raises(RecipeError, match="draws is a value, not a section"):
        load_recipe("ped2", ["recovery.draws.more=1"])


def test_an_override_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(RecipeError, match="not YAML"):
        load_recipe("ped2", ["recovery.windows=[64"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recovery.lr=0", "recovery.lr"),
        ("recovery.lr=.inf", "recovery.lr"),
        ("fusion.recovery=.nan", "fusion.recovery"),
        ("fusion.retrieval=-1", "fusion.retrieval"),
        ("recovery.score_l1=-1", "recovery.score_l1"),
        ("recovery.batch=1", "recovery.batch"),
        ("recovery.epochs=many", "recovery.epochs"),
        ("recovery.window=48", "window 48 is not among windows"),
        ("recovery.windows=[]", "recovery.windows"),
        ("recovery.length=8", "recovery.length: Input should be 9"),
        ("retrieval.length=9", "retrieval.length: Input should be 8"),
        ("view.size=200", "view.size: Input should be a multiple of 128"),
        ("view.size=0", "view.size: Input should be greater than or equal to 128"),
        ("view.size=128", "exceed view.size 128"),
        ("pseudo.angle=[5, 2]", "write the least first"),
        ("pseudo.ghosting=1", "pseudo.ghosting"),
        ("retrieval.bits=65", "retrieval.bits"),
        ("retrieval.tables=1", "retrieval.tables"),
        ("pseudo.kinds=[]", "pseudo.kinds"),
        ("pseudo.kinds=[haste]", "pseudo.kinds"),
        ("pseudo.rushing=1", "pseudo.rushing"),
        ("pseudo.speed=1", "pseudo.speed"),
        ("pace.speeds=[1, 1]", "give 1 and something faster, such as [1, 2]"),
        ("pace.speeds=[2, 3]", "give 1 and something faster, such as [1, 2]"),
        ("pace.speeds=[0, 1, 2]", "pace.speeds"),
        ("pace.speeds=[1, 1.5]", "pace.speeds"),
        ("pace.sides=[0.5, 0.2]", "write the least first"),
        ("pace.sides=[0, 0.2]", "both above 0 and at most 1"),
        ("pace.sides=[0.5, 1.5]", "both above 0 and at most 1"),
        ("pace.batch=1", "pace.batch"),
        ("pace.boxes=0", "pace.boxes"),
        ("joint.steps=0", "joint.steps"),
        ("joint.steps=400", "set retrieval.encoder=pace and retrieval.by_place=true"),
        ("edge.width=1", "set retrieval.by_place=true"),
        ("edge.width=0", "edge.width"),
        ("edge.size=100", "edge.size: Input should be a multiple of 32"),
        ("edge.size=128", "exceed edge.size 128"),
        ("edge.batch=1", "edge.batch"),
        ("calibration.held_out=1", "calibration.held_out"),
        ("calibration.held_out=-0.1", "calibration.held_out"),
        ("calibration.quantile=0", "calibration.quantile"),
        ("calibration.quantile=1.1", "calibration.quantile"),
        ("retrieval.encoder=none", "retrieval.encoder"),
        ("rate=0", "rate"),
        ("threads=0", "threads"),
        ("seed=-1", "seed"),
        ("layout=avenu", "layout"),
        ("recovery=3", "recovery"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("ped2", [override])
    assert message in str(caught.value)
    assert str(caught.value).startswith("ped2: ")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"x\.yaml: seed.*x\.yaml: unknown key speed") as caught:
        parse_recipe({"name": "x", "speed": 1, "seed": "soon"}, source="x.yaml")
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_refused_with_the_shipped_names() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("ped3")
    assert "'ped3'" in str(caught.value)
    assert ", ".join(recipe_names()) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not YAML"),
        (b"- 1\n- 2", "mapping of sections"),
        (b"", "mapping of sections"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=rf"odd\.yaml: .*{message}"):
        load_recipe(tmp_path / "odd.yaml")


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PAPER.recovery.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ["rate: " + "9" * 5000, "about: 2026-99-99", "seed: !!bool a", "seed: !!int ''", "a: " + "[" * 5000, "*a"]
)
def test_what_yaml_cannot_build_is_refused_in_a_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"a\.yaml: not YAML \(") as refusal:
        load_recipe(tmp_path / "a.yaml")
    assert len(str(refusal.value).splitlines()) == 1


def test_aliases_that_stand_for_more_than_there_is_memory_are_refused(tmp_path: Path) -> None:
    lists = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    (tmp_path / "a.yaml").write_text(f"a: &a [1, 2]\n{lists}seed: *i\n")  # 9 ** 8 lists
    with pytest.raises(RecipeError, match="and 6 more") as refusal:
        load_recipe(tmp_path / "a.yaml")
    assert len(str(refusal.value)) < 3000
