"""In which language a text is: one that the model supports, or another.

Scripts are detected by Unicode ranges, English and romanised Hindi by their frequent words, and what remains by
py3langid (BSD-3, an n-gram model of 4.5 MB), with a prior for the supported languages. Names of accounts, hashtags,
links and emoji are not evidence. See docs/decisions/0030-language-routing.md for the choice and its figures.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import repeat

from brandpulse.text.language_evidence import ENGLISH_WEIGHTS, HINDI_PARTICLES, HINDI_WORDS, SCRIPTS, SCRIPTS_OF

OTHER = "other"
"""Every language that the model does not support."""

_NO_EVIDENCE = re.compile(
    r"(?:https?://|www\.)\S+|(?<!\S)\S*@\S+|@\S+|#\w+|&#?\w+;|<[^<>]*>|\b(?:http|RT|via)\b"
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++)+(?:/\S*)?"
)
"""Each alternative with a repetition has one place to begin in a run of characters. Otherwise a post of 20,000
characters without spaces, such as `a-a-a-` or Chinese, takes seconds."""
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0dff\u0e00-\u109f\u1780-\u17ff\u200c'’])*")
"""A letter, then letters and the signs that scripts of South Asia write between them."""
ENGLISH_WEIGHT = 0.4
"""Smallest mean weight of its words at which a text is English without a further test."""
HINDI_SHARE = 0.25
"""Smallest share of Hindi words, particles included, at which a text in Latin letters is Hindi."""
FEWEST_LETTERS = 12
"""In shorter texts, languages of one script cannot be distinguished."""
SURE, SURE_OTHER = 0.3, 0.4
"""Smallest probability at which py3langid decides that a text is in a language that is not supported, or not English.
Below it, the text is English if the model supports English."""
PRIOR = 8.0
"""Added to the logarithm of the probability of each supported language, which most posts are in."""
NEVER = -1e4
"""The same of a language that is not considered."""
LETTERS = {script: re.compile(f"[{ranges}]") for script, ranges in SCRIPTS.items()}
_NOT_LATIN = re.compile("[" + "".join(ranges for script, ranges in SCRIPTS.items() if script != "latin") + "]")
_ZEROS = repeat(0)
_ALIASES = {"arz": "ar", "ary": "ar", "nn": "no"}
"""Codes of py3langid -> codes of a language's posts."""
_RARE_CODES = (
    "an ace bcl br crh eo ext fo fuv fy gcf gcr gd gl gom grc gug guw hbo ia kab kik la lb lij ln ltg lg nso oc om pcm "
    "qu sa sdh se sn st uzs vec vo wa wuu zxx"
)
_RARE = frozenset(_RARE_CODES.split())
"""Classes of py3langid that attract short posts of larger languages, and are hardly ever right."""


Classify = Callable[[str], tuple[str, float]]
"""From a text to py3langid's code of its language, and the probability."""


def evidence(text: str) -> str:
    """The words of *text* that can show its language: without handles, links, hashtags, numbers and emoji."""
    return " ".join(_WORD.findall(_NO_EVIDENCE.sub(" ", text)))


class LanguageIdentifier:
    """Identifies the language of texts among those that the model supports."""

    def __init__(self, languages: Sequence[str]) -> None:
        """*languages*: ISO 639-1 codes of the supported languages, at least one."""
        self.languages = tuple(languages)
        self.names = (*self.languages, OTHER)
        """Everything that `identify` may return."""
        self._default = "en" if "en" in languages else languages[0]
        self._classify: Classify | None = None

    def load(self) -> Classify:
        """py3langid, which takes half a second to load; otherwise it is loaded for the first text that needs it."""
        if self._classify is None:
            self._classify = _load_classifier(self.languages)
        return self._classify

    def identify(self, texts: Sequence[str], declared: Sequence[str | None] | None = None) -> list[str]:
        """The language of each of *texts*: a supported one, or `OTHER`. In doubt, it is English if that is supported.

        *declared*: for each text the language given by its source, used unless the text contradicts it.
        """
        return list(map(self._identify, texts, repeat(None) if declared is None else declared))

    def _identify(self, text: str, declared: str | None) -> str:
        if self._plainly_english(text.lower().split()):
            return "en"
        text = _NO_EVIDENCE.sub(" ", text)
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        given = (declared or "").replace("_", "-").partition("-")[0].strip().lower()
        script = _main_script(text)
        return self._in_latin(text, given) if script == "latin" else self._in_script(script, text, given)

    def _in_latin(self, text: str, declared: str) -> str:
        """The language of a *text* in Latin letters. *declared*: two letters, or anything else if it is not known."""
        words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
        if self._plainly_english(words):
            return "en"
        if declared in self.languages and "latin" in SCRIPTS_OF.get(declared, ("latin",)):
            return declared
        if sum(map(len, words)) < FEWEST_LETTERS:
            return self._default
        if _is_hindi(words):
            return self._supported("hi")
        if len(declared) == 2 and declared.isalpha():
            return OTHER
        language, probability = self._by_ngrams(" ".join(words))
        found = self._supported(language)
        return found if probability >= (SURE_OTHER if found == OTHER else SURE) else self._default

    def _in_script(self, script: str, text: str, declared: str) -> str:
        """The language of a *text* that is mostly in a *script* other than Latin."""
        if len(LETTERS[script].findall(text)) < 2:
            return self._default
        ours = [language for language in self.languages if script in SCRIPTS_OF.get(language, ())]
        if not ours:
            return OTHER
        if script in SCRIPTS_OF.get(declared, ()):
            return self._supported(declared)
        language, probability = self._by_ngrams(" ".join(_WORD.findall(text)))
        return self._supported(language) if probability >= SURE else ours[0]

    def _supported(self, language: str) -> str:
        return language if language in self.languages else OTHER

    def _plainly_english(self, words: Sequence[str]) -> bool:
        weight = sum(map(ENGLISH_WEIGHTS.get, words, _ZEROS))
        return (
            weight >= max(2, ENGLISH_WEIGHT * len(words)) and "en" in self.languages and HINDI_WORDS.isdisjoint(words)
        )

    def _by_ngrams(self, text: str) -> tuple[str, float]:
        language, probability = self.load()(text)
        return _ALIASES.get(language, language), float(probability)


def _main_script(text: str) -> str:
    """The script of most letters of *text*; Latin if it has none."""
    if text.isascii() or (foreign := len(_NOT_LATIN.findall(text))) <= len(LETTERS["latin"].findall(text)):
        # Letters of another script in a text mostly in Latin letters are usually names, and the reverse.
        return "latin"
    counts = {script: len(pattern.findall(text)) for script, pattern in LETTERS.items() if script != "latin"}
    return max(counts, key=lambda script: counts[script]) if foreign else "latin"


def _is_hindi(words: Sequence[str]) -> bool:
    hindi = sum(map(HINDI_WORDS.__contains__, words))
    particles = sum(map(HINDI_PARTICLES.__contains__, words))
    return hindi > 0 and hindi + particles >= max(1.5, HINDI_SHARE * len(words))


def _load_classifier(languages: Sequence[str]) -> Classify:
    from py3langid.langid import MODEL_FILE
    from py3langid.langid import LanguageIdentifier as NgramModel

    model = NgramModel.from_model_file(MODEL_FILE, norm_probs=True)
    codes = [_ALIASES.get(code, code) for code in model.nb_classes]
    prior = [PRIOR if code in languages else NEVER if code in _RARE else 0.0 for code in codes]
    model.nb_pc = (model.nb_pc + prior).astype("float32")
    classify: Classify = model.classify
    return classify
