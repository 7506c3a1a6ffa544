"""Whether a text is in a language that the model supports. If in doubt, it is.

Scripts are detected by Unicode ranges, languages of one script by their function words and, unless these show English,
by py3langid (BSD-3, an n-gram model of 4.5 MB). Names, hashtags, links and emoji are not evidence.
"""

import re
from collections.abc import Callable, Sequence

_SCRIPTS = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1e00-\u1eff"
    "\u2c60-\u2c7f\ua720-\ua7ff\ufb00-\ufb06",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "armenian": "\u0531-\u058f",
    "hebrew": "\u05d0-\u05f4\ufb1d-\ufb4f",
    "arabic": "\u0620-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u097f\ua8e0-\ua8ff",
    "bengali": "\u0980-\u09ff",
    "gurmukhi": "\u0a00-\u0a7f",
    "gujarati": "\u0a80-\u0aff",
    "tamil": "\u0b80-\u0bff",
    "telugu": "\u0c00-\u0c7f",
    "kannada": "\u0c80-\u0cff",
    "malayalam": "\u0d00-\u0d7f",
    "sinhala": "\u0d80-\u0dff",
    "thai": "\u0e00-\u0e7f",
    "lao": "\u0e80-\u0eff",
    "myanmar": "\u1000-\u109f",
    "georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "ethiopic": "\u1200-\u139f",
    "khmer": "\u1780-\u17ff",
    "kana": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}
_OF_LANGUAGE = {
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "sr", "kk", "ky", "mn"), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ug"), ("arabic",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("devanagari",)),
    **{"el": ("greek",), "he": ("hebrew",), "hy": ("armenian",), "ka": ("georgian",), "th": ("thai",), "lo": ("lao",)},
    **{"bn": ("bengali",), "pa": ("gurmukhi",), "gu": ("gujarati",), "ta": ("tamil",), "te": ("telugu",)},
    **{"kn": ("kannada",), "ml": ("malayalam",), "si": ("sinhala",), "my": ("myanmar",), "km": ("khmer",)},
    **{"am": ("ethiopic",), "ko": ("hangul", "han"), "ja": ("kana", "han"), "zh": ("han",)},
}
"""A language that is not listed here is written in Latin letters."""

_NO_EVIDENCE = re.compile(
    r"(?:https?://|www\.)\S+|\S*@\S+|#\w+|&#?\w+;|<[^<>]*>|\b(?:http|RT|via)\b|\b[\w-]+(?:\.[\w-]+)+(?:/\S*)?"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_ENGLISH_WORDS = (
    "the and but of for with by about is are were been does did have has had not you we they my your his her our their "
    "this that these those what who how why when where which there here just very can could will would should any some "
    "more than then them it its it's i'm im i'll i've don't dont can't cant won't isn't wasn't you're youre they're "
    "get got getting going out up down again still really never always because from been being after before only if or "
    "she him know think want need make good great thanks thank please hours today now love best new back"
)
"""Frequent in English, and not frequent in other languages with Latin letters."""
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
ENGLISH_SHARE = 0.15
"""Smallest share of English function words at which a text is English without a further test."""
FEWEST_LETTERS = 12
"""In shorter texts, languages of one script cannot be distinguished."""
SURE = 0.5
"""Smallest probability at which py3langid decides. Constants chosen on the training part of 8 languages' posts."""


class LanguageFilter:
    """Decides which texts a model supports, from the languages that it declares."""

    def __init__(self, languages: Sequence[str]) -> None:
        """*languages*: ISO 639-1 codes, at least one."""
        self._languages = frozenset(languages)
        scripts = {script for language in languages for script in _OF_LANGUAGE.get(language, ("latin",))}
        foreign = "".join(ranges for script, ranges in _SCRIPTS.items() if script not in scripts)
        self._foreign = re.compile(f"[{foreign}]")
        self._own = re.compile("[" + "".join(_SCRIPTS[script] for script in sorted(scripts)) + "]")
        self._classify: Callable[[str], tuple[str, float]] | None = None

    def reads(self, text: str, *, lang: str | None = None) -> bool:
        """Whether the model supports *text*. *lang*: the language given by the source, used unless the text contradicts
        it."""
        is_foreign = not text.isascii() and self._foreign.search(text) is not None
        if not is_foreign and self._plainly_english(text.lower().split()):
            return True
        declared = (lang or "").replace("_", "-").partition("-")[0].strip().lower()
        text = _NO_EVIDENCE.sub(" ", text)
        if is_foreign and (foreign := len(self._foreign.findall(text))) > len(self._own.findall(text)):
            # Letters of the model's script in a text mostly in another script are usually names.
            return foreign < 2
        words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
        if declared in self._languages or sum(map(len, words)) < FEWEST_LETTERS or self._plainly_english(words):
            return True
        if declared.isalpha() and len(declared) == 2:
            return False
        language, probability = self._language(" ".join(words))
        return language in self._languages or probability < SURE

    def _plainly_english(self, words: Sequence[str]) -> bool:
        english = sum(map(_ENGLISH.__contains__, words))
        return "en" in self._languages and english > 0 and english >= ENGLISH_SHARE * len(words)

    def _language(self, text: str) -> tuple[str, float]:
        if self._classify is None:
            # Takes half a second; only for posts that are not clearly English.
            from py3langid.langid import MODEL_FILE, LanguageIdentifier

            self._classify = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).classify
        language, probability = self._classify(text)
        return language, float(probability)
