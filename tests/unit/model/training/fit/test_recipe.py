from pathlib import Path

import pytest
import yaml

from brandpulse.errors import ConfigError
from model.training.fit.recipe import RECIPES, FewShotRecipe, HeadsRecipe, MlmRecipe, Settings, find_recipe, read_recipe

FORMS: dict[str, type[Settings]] = {"mlm": MlmRecipe, "fewshot": FewShotRecipe}


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_each_shipped_recipe_is_complete(name: str) -> None:
    recipe = read_recipe(find_recipe(name), FORMS.get(name, HeadsRecipe))
    assert not isinstance(recipe, HeadsRecipe) or recipe.lora is not None or "en" in recipe.languages


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"nothing.*brand, brand-distilled, brand-polish, fewshot, lora"):
        find_recipe("nothing")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": None}, r"epochs is missing, e\.g\. `epochs: 2`"),
        ({"dropuot": 0.1}, r"dropuot is not a setting of this file; the settings are .*learning_rate"),
        ({"learning_rate": "fast"}, r"learning_rate: .*number.*'fast', e\.g\. `learning_rate: 2\.0e-4`"),
        ({"learning_rate": 2}, r"learning_rate: .*less than 1"),
        ({"sources": []}, r"sources: set at least one"),
        ({"sources": [{"share": 2}]}, r"sources\.0\.names is missing, e\.g\. `names: \['sentiment_semeval'\]`"),
        (
            {"sources": [{"names": ["a"], "shares": 2}]},
            r"sources\.0\.shares is not a setting .*the settings are names, share",
        ),
        ({"weights": {"mod": 1.0}}, r"weights\.mod: unknown head; known heads are sentiment"),
        ({"lora": {"rank": 0}}, r"lora\.rank: .*more than 0, got 0, e\.g\. `rank: 16`"),
    ],
)
def test_an_invalid_recipe_names_the_setting(tmp_path: Path, change: dict[str, object], told: str) -> None:
    settings = yaml.safe_load((RECIPES / "brand.yaml").read_text()) | change
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in settings.items() if value is not None}))
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{told}"):
        read_recipe(path, HeadsRecipe)


@pytest.mark.parametrize("text", ["- one\n- two\n", "a: [\n", ""])
def test_a_file_that_is_not_a_recipe_is_a_config_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_recipe(path, HeadsRecipe)
