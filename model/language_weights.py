"""Which weights score which language, and the scorer that routes posts to them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from brandpulse.errors import ConfigError
from model.loader import label_thresholds, languages_of, load_scorer
from model.spec.options import Engine, ExitPolicy, Precision
from model.spec.weights import MULTILINGUAL_WEIGHTS, WEIGHTS

if TYPE_CHECKING:
    from brandpulse.text.languages import LanguageIdentifier
    from model.inference.scorer import Scorer

VARIABLE = "BRANDPULSE_MODEL_LANGUAGES"
OFF, SHIPPED = "off", "shipped"
EXAMPLE = f"{VARIABLE}=de=/models/german,fr=/models/french"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is written beside a score: which weights gave it, and their thresholds."""

    name: str
    """`name@version` of the weights."""
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """As `model.loader.label_thresholds`."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A scorer for all supported languages."""

    scorer: "Scorer"
    default: ModelFacts
    """Of the weights that score every language without weights of its own."""
    routed: Mapping[str, ModelFacts] = field(default_factory=dict)
    """Language -> its weights, if they are not the default ones."""
    identifier: "LanguageIdentifier | None" = None
    """Of all supported languages; None if the weights declare none: then every text is scored by the default ones."""

    def facts_of(self, language: str) -> ModelFacts:
        """Of the weights that score posts in *language*."""
        return self.routed.get(language, self.default)


def load_language_model(
    engine: Engine = "auto",
    weights: Path | None = None,
    threads: int | None = None,
    *,
    precision: Precision = "auto",
    exit_policy: ExitPolicy = "full",
    overloaded: Callable[[], bool] | None = None,
) -> LanguageModel:
    """As `model.loader.load_scorer`, with weights for other languages beside *weights*.

    These are those of BRANDPULSE_MODEL_LANGUAGES, and the shipped ones unless *weights* are other than the shipped
    default, or the setting says otherwise. Raises ConfigError if that setting is wrong, names shipped weights that this
    version lacks, or needs weights that declare their languages.
    """
    # Imports are local: a command that only shows its help must not wait for numpy.
    from brandpulse.config.settings import load_settings
    from brandpulse.text.languages import LanguageIdentifier
    from model.settings import ModelSettings

    setting = load_settings(ModelSettings).languages
    own = languages_of(engine, weights)
    folders = _folders(setting, own, shipped=weights in (None, WEIGHTS)) if engine not in ("keyword", "null") else {}
    default = load_scorer(engine, weights, threads, precision=precision, exit_policy=exit_policy, overloaded=overloaded)
    facts = _facts(default, engine, weights)
    if not own:
        return LanguageModel(default, facts)
    # Other weights may have no early heads: then all their posts pass all layers.
    policy: ExitPolicy = "full" if exit_policy == "full" else "auto"
    scorers = {
        folder: load_scorer(engine, folder, threads, precision=precision, exit_policy=policy, overloaded=overloaded)
        for folder in dict.fromkeys(folders.values())
    }
    languages = tuple(dict.fromkeys((*own, *folders)))
    identifier = LanguageIdentifier(languages)
    if not scorers:
        return LanguageModel(default, facts, identifier=identifier)
    from model.inference.routed_scorer import RoutedScorer

    names = {folder: _facts(scorer, engine, folder) for folder, scorer in scorers.items()}
    return LanguageModel(
        RoutedScorer(default, {language: scorers[folder] for language, folder in folders.items()}, identifier),
        facts,
        {language: names[folder] for language, folder in folders.items()},
        identifier,
    )


def _folders(setting: str, own: Sequence[str], *, shipped: bool) -> dict[str, Path]:
    """Language -> folder of its weights, of those that the default weights with languages *own* do not score."""
    given, wanted = parse_languages(setting)
    if (given or wanted) and not own:
        raise ConfigError(
            f"{VARIABLE}={setting} needs default weights that declare their languages (`languages` in model.json); "
            "these declare none and score every text. Unset it, or use weights that declare them"
        )
    if wanted and not MULTILINGUAL_WEIGHTS.is_dir():
        raise ConfigError(
            f"{VARIABLE}={setting}: this version ships no multilingual weights. Remove `{SHIPPED}`, and name folders "
            f"of your own: {EXAMPLE}"
        )
    folders: dict[str, Path] = {}
    if (shipped if wanted is None else wanted) and MULTILINGUAL_WEIGHTS.is_dir():
        others = languages_of("auto", MULTILINGUAL_WEIGHTS)
        folders = {language: MULTILINGUAL_WEIGHTS for language in others if language not in own}
    return folders | given


def parse_languages(setting: str) -> tuple[dict[str, Path], bool | None]:
    """`de=/models/german,fr=/models/french` as language -> folder, and whether the shipped multilingual weights are
    used for the others: the item `shipped` or `off`; None without either.

    Raises ConfigError that names the wrong item.
    """
    folders: dict[str, Path] = {}
    shipped: bool | None = None
    for item in filter(None, map(str.strip, setting.split(","))):
        if item in (OFF, SHIPPED):
            shipped = item == SHIPPED
            continue
        language, equals, folder = (part.strip() for part in item.partition("="))
        if not equals or not folder or not re.fullmatch("[a-z]{2}", language):
            raise ConfigError(
                f"{VARIABLE}: expected `off`, `shipped`, or a language of two letters and a folder as CODE=FOLDER, "
                f"got {item!r}. For example: {EXAMPLE}"
            )
        if language in folders:
            raise ConfigError(f"{VARIABLE}: language {language!r} is given twice, the second time as {item!r}")
        if not Path(folder).is_dir():
            raise ConfigError(f"{VARIABLE}: the folder of {item!r} does not exist. For example: {EXAMPLE}")
        folders[language] = Path(folder)
    return folders, shipped


def _facts(scorer: "Scorer", engine: Engine, weights: Path | None) -> ModelFacts:
    return ModelFacts(f"{_weights_name(scorer, engine, weights)}@{scorer.version}", label_thresholds(engine, weights))


def _weights_name(scorer: "Scorer", engine: Engine, weights: Path | None) -> str:
    if not label_thresholds(engine, weights):
        return scorer.name
    from model.checkpoints.multi_head import read_heads_manifest

    return read_heads_manifest(weights or WEIGHTS).name
