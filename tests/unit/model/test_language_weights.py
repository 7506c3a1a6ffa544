"""Which weights score which language."""

from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from model.language_weights import load_language_model, parse_languages
from tests.support.model.brand_weights import a_brand_folder


def test_languages_are_read_with_their_folders(tmp_path: Path) -> None:
    assert parse_languages("") == ({}, None)
    assert parse_languages("off") == ({}, False)
    assert parse_languages(f" de={tmp_path}, fr = {tmp_path} ,shipped,") == ({"de": tmp_path, "fr": tmp_path}, True)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("german=.", "got 'german=.'"),
        ("de", "got 'de'"),
        ("de=", "got 'de='"),
        ("DE=.", "got 'DE=.'"),
        ("de=/nowhere/german", "the folder of 'de=/nowhere/german' does not exist"),
        ("de=.,de=..", "language 'de' is given twice"),
    ],
)
def test_wrong_item_of_the_setting_is_named(setting: str, expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_languages(setting)
    assert "BRANDPULSE_MODEL_LANGUAGES" in str(raised.value)
    assert expected in str(raised.value)


def test_weights_of_a_language_score_its_posts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english = a_brand_folder(tmp_path / "english", name="english", languages=("en",))
    german = a_brand_folder(tmp_path / "german", name="german", seed=7, languages=("de",))
    monkeypatch.setenv("BRANDPULSE_MODEL_LANGUAGES", f"de={german}")
    model = load_language_model("openvino", english, 1, precision="fp32")
    assert model.identifier is not None
    assert model.identifier.languages == ("en", "de")
    assert model.facts_of("de").name.startswith("german@")
    assert model.facts_of("en").name == model.facts_of("other").name == model.default.name
    assert model.default.name.startswith("english@")
    assert model.facts_of("de").name.partition("@")[2] in model.scorer.version


@pytest.mark.parametrize(
    ("setting", "shipped_default", "expected"),
    [("", True, {"de", "fr"}), ("", False, set()), ("off", True, set()), ("shipped", False, {"de", "fr"})],
)
def test_shipped_multilingual_weights_are_used_as_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, shipped_default: bool, expected: set[str]
) -> None:
    english = a_brand_folder(tmp_path / "english", languages=("en",))
    monkeypatch.setattr("model.language_weights.MULTILINGUAL_WEIGHTS", several := tmp_path / "several")
    a_brand_folder(several, seed=7, languages=("de", "en", "fr"))
    if shipped_default:
        monkeypatch.setattr("model.language_weights.WEIGHTS", english)
    monkeypatch.setenv("BRANDPULSE_MODEL_LANGUAGES", setting)
    model = load_language_model("openvino", english, 1, precision="fp32")
    assert set(model.routed) == expected


def test_setting_that_names_missing_shipped_weights_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    english = a_brand_folder(tmp_path / "english", languages=("en",))
    monkeypatch.setattr("model.language_weights.MULTILINGUAL_WEIGHTS", tmp_path / "nowhere")
    monkeypatch.setenv("BRANDPULSE_MODEL_LANGUAGES", "shipped")
    with pytest.raises(ConfigError, match="BRANDPULSE_MODEL_LANGUAGES=shipped: this version ships no multilingual"):
        load_language_model("openvino", english, 1, precision="fp32")


def test_weights_of_a_language_replace_the_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english = a_brand_folder(tmp_path / "english", languages=("en",))
    german = a_brand_folder(tmp_path / "german", name="german", seed=5)
    monkeypatch.setattr("model.language_weights.MULTILINGUAL_WEIGHTS", several := tmp_path / "several")
    a_brand_folder(several, seed=7, name="several", languages=("de", "fr"))
    monkeypatch.setenv("BRANDPULSE_MODEL_LANGUAGES", f"shipped,de={german}")
    model = load_language_model("openvino", english, 1, precision="fp32")
    assert {code: facts.name.partition("@")[0] for code, facts in model.routed.items()} == {
        "de": "german",
        "fr": "several",
    }


def test_without_other_weights_there_is_one_scorer(tmp_path: Path) -> None:
    english = a_brand_folder(tmp_path / "english", languages=("en",))
    model = load_language_model("openvino", english, 1, precision="fp32")
    assert model.identifier is not None
    assert model.identifier.languages == ("en",)
    assert (type(model.scorer).__name__, model.routed) == ("OpenVinoScorer", {})


def test_default_weights_without_languages_take_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_brand_folder(tmp_path / "all")
    assert load_language_model("openvino", folder, 1, precision="fp32").identifier is None
    monkeypatch.setenv("BRANDPULSE_MODEL_LANGUAGES", f"de={folder}")
    with pytest.raises(ConfigError, match="declare their languages"):
        load_language_model("openvino", folder, 1, precision="fp32")


def test_engine_without_weights_ignores_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANDPULSE_MODEL_LANGUAGES", f"de={tmp_path}")
    model = load_language_model("null")
    assert (model.default.name, model.identifier, model.routed) == ("null@null-1", None, {})
