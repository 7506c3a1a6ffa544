"""Which words stand out, in posts with known words."""

import gzip
import json
import random
from pathlib import Path

import pytest

from alerting.episodes.rising_terms import MIN_SEEN, MIN_USUAL, SHOWN, rising_terms
from brandpulse.text.terms import terms_of

WORDS = ["seat", "crew", "food", "price", "legroom", "app", "queue", "website", "coffee", "staff"]

SAMPLE = Path("brandpulse/sample/posts.jsonl.gz")


def usual_posts(many: int, seed: int = 1) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    return [terms_of(f"{' '.join(rng.sample(WORDS, 3))} number{n}") for n in range(many)]


def shown_terms(*texts: str, usual: int = 200, brand: str = "Acme Air") -> list[str]:
    terms, _ = rising_terms([terms_of(text) for text in texts], usual_posts(usual), brand=brand)
    return [one.term for one in terms]


def crisis(say: str, many: int = 12) -> list[str]:
    rng = random.Random(2)
    return [f"{say} {rng.choice(WORDS)} post{n}" for n in range(many)]


def test_a_rising_word_has_its_count_and_its_usual_share() -> None:
    usual = [*usual_posts(195), *(terms_of(f"luggage {n}x") for n in range(5))]
    [first, *_], missing = rising_terms([terms_of(t) for t in crisis("lost luggage")], usual, brand="Acme Air")
    assert (first.term, first.posts, first.of, missing) == ("lost luggage", 12, 12, None)
    assert first.usual_share == 0
    [alone], _ = rising_terms([terms_of(t) for t in crisis("luggage, ")], usual, brand="Acme Air")
    assert (alone.term, alone.usual_share) == ("luggage", 0.025)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (crisis(""), []),
        ([*crisis("boring,", 10), "strike today"], ["boring"]),
        ([*crisis("strike,", 2), *crisis("", 10)], []),
        (["strike at the gate"] * 50 + crisis(""), []),
        (crisis("Acme Air strike,"), ["strike"]),
        ([*crisis("lost luggage", 9), *crisis("lost bag", 2)], ["lost luggage"]),
        ([*crisis("refund, luggage,", 9)], ["luggage", "refund"]),
    ],
    ids=["usual", "one post", "two posts", "reposts", "brand's name", "pair over its words", "no pair across a comma"],
)
def test_which_terms_are_shown(texts: list[str], expected: list[str]) -> None:
    assert shown_terms(*texts) == expected


def test_at_most_five_terms_are_shown() -> None:
    many = [f"{w}a, {w}b, {w}c, {w}d, {w}e, {w}f, {w}g, x{n}y" for n in range(20) for w in ["qq"]]
    assert len(shown_terms(*many)) == SHOWN


@pytest.mark.parametrize(
    ("seen", "usual", "why"),
    [
        (MIN_SEEN - 1, 200, f"only {MIN_SEEN - 1} different negative posts"),
        (12, MIN_USUAL - 1, f"only {MIN_USUAL - 1} usual posts"),
        (12, 0, "only 0 usual posts"),
    ],
)
def test_a_small_sample_shows_no_terms_and_the_reason(seen: int, usual: int, why: str) -> None:
    terms, missing = rising_terms([terms_of(t) for t in crisis("strike", seen)], usual_posts(usual), brand="Acme")
    assert terms == []
    assert missing is not None
    assert why in missing


def test_usual_posts_have_hardly_any_rising_terms() -> None:
    found = [rising_terms(usual_posts(20, seed), usual_posts(400, seed + 999), brand="Acme")[0] for seed in range(200)]
    assert sum(map(bool, found)) <= 4


@pytest.mark.parametrize("many", [15, 40, 150])
def test_real_ordinary_posts_seldom_have_a_rising_term(many: int) -> None:
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        texts = dict.fromkeys(str(json.loads(line)["text"]) for line in lines)
    before_the_crisis = [terms_of(text) for text in list(texts)[:1_700]]
    rng, shown_terms = random.Random(1), 0
    for _ in range(100):
        some = rng.sample(before_the_crisis, many + 300)
        shown_terms += bool(rising_terms(some[:many], some[many:], brand="Aerolux")[0])
    assert shown_terms <= 10
