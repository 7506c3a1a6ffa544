"""What the page of a group shows of its members."""

from typing import Any

import pytest

from alerting.dispatch.group_evidence import extra_people, group_evidence, worst_first
from brandpulse.schema.episodes import Episode, ExamplePost, SourceCount, Term
from tests.support.alerting.episode_builders import AT, an_episode, an_evidence

TOO_MANY = "more than 100 alerts came at once"
DULL = "no word stands out"


def term(word: str, posts: int = 4, of: int = 20, usual: float = 0.01) -> Term:
    return Term(term=word, posts=posts, of=of, usual_share=usual)


def member(brand: str, *terms: Term, rule: str = "negative_share", severity: Any = "error", **proof: Any) -> Episode:
    """Fifty people, thirty of them negative where ten are usual, unless changed."""
    latest = an_evidence(terms=list(terms), **proof)
    return an_episode(f"{brand}:{rule}", brand=brand, rule=rule, severity=severity, latest=latest)


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        ({"authors": 50, "negative_authors": 30, "baseline_share": 0.2}, 20),
        ({"authors": 50, "negative_authors": 5, "baseline_share": 0.2}, 0),
        ({"authors": 90, "negative_authors": 30, "baseline_share": 1 / 3, "usual_authors": 40.4}, 50),
    ],
)
def test_the_size_of_an_episode_is_its_extra_people(proof: dict[str, Any], expected: int) -> None:
    assert extra_people(an_evidence(**proof)) == expected


def test_episodes_are_sorted_by_severity_then_by_size() -> None:
    small: dict[str, Any] = {"authors": 30, "negative_authors": 27}
    large: dict[str, Any] = {"authors": 900, "negative_authors": 540}
    episodes = [member("a", **small), member("b", **large), member("c", severity="critical", **small), member("d")]
    assert [one.brand for one in worst_first(episodes)] == ["c", "b", "a", "d"]


def test_words_of_most_brands_come_first_with_summed_posts() -> None:
    outage, fee = term("outage", posts=3, of=10, usual=0.0), term("fee", posts=19, of=20, usual=0.1)
    members = [member("a", outage, fee), member("b", term("outage", posts=9, of=30, usual=0.04)), member("c", outage)]
    found = group_evidence(members, total=3)
    assert [(one.term, one.brands, one.posts, one.of) for one in found.terms] == [
        ("outage", 3, 15, 50),
        ("fee", 1, 19, 20),
    ]
    assert found.terms[0].usual_share == pytest.approx(0.024)
    assert found.terms_missing is None


def test_a_group_shows_at_most_five_words() -> None:
    found = group_evidence([member(f"b{n}", *[term(f"w{n}-{m}") for m in range(5)]) for n in range(200)], total=200)
    assert len(found.terms) == 5


def test_a_brand_with_two_rules_counts_once() -> None:
    sources = [SourceCount(source="bluesky", posts=20)]
    of_both: dict[str, Any] = {"sources": sources, "authors": 50, "negative_authors": 30}
    members = [member("a", term("outage"), **of_both), member("a", term("outage"), rule="surge", **of_both)]
    found = group_evidence(members, total=2)
    assert [(one.brands, one.posts) for one in found.terms] == [(1, 4)]
    assert (found.sources, found.authors) == (sources, 50)


@pytest.mark.parametrize(
    ("members", "terms", "why"),
    [
        (
            [member("a", terms_missing=DULL), member("b", terms_missing=TOO_MANY), member("c", terms_missing=TOO_MANY)],
            [],
            f"none of 3 brands has any, most often because {TOO_MANY}",
        ),
        (
            [member("a", term("fee")), member("b", terms_missing=DULL)],
            ["fee"],
            f"1 of 2 brands have none, most often because {DULL}",
        ),
        ([member("a")], [], "none of 1 brands has any, most often because they were not looked for"),
        (
            [member("a", term("fee")), member("a", rule="surge", terms_missing=DULL)],
            ["fee"],
            None,
        ),
    ],
)
def test_a_group_gives_the_reason_for_missing_words(members: list[Episode], terms: list[str], why: str | None) -> None:
    found = group_evidence(members, total=len(members))
    assert ([one.term for one in found.terms], found.terms_missing) == (terms, why)


def test_sources_are_summed_into_the_five_largest_and_the_rest() -> None:
    members = [
        member(f"b{n}", sources=[SourceCount(source=f"s{m}", posts=m) for m in range(1, 6)]) for n in range(2)
    ] + [member("c", sources=[SourceCount(source="forum", posts=9), SourceCount(source="others", posts=3)])]
    assert [(one.source, one.posts) for one in group_evidence(members, total=3).sources] == [
        ("s5", 10),
        ("forum", 9),
        ("s4", 8),
        ("s3", 6),
        ("s2", 4),
        ("others", 5),
    ]


def test_examples_are_of_the_worst_brands_without_repeats() -> None:
    def post(name: str) -> ExamplePost:
        return ExamplePost(id=name, source="test", text=name, created_at=AT)

    members = [member(brand, examples=[post(name)]) for brand, name in zip("abcde", "xxyzw", strict=True)]
    assert [one.text for one in group_evidence(members, total=5).examples] == ["x", "y", "z"]


def test_a_facet_group_names_facets_and_a_mixed_one_negative_people() -> None:
    refunds = [member(brand, rule="refunds", facet="refund", negative_authors=10) for brand in "ab"]
    assert group_evidence(refunds, total=2).facet == "refund"
    mixed = group_evidence([*refunds, member("c", negative_authors=30)], total=3)
    assert (mixed.facet, mixed.authors, mixed.negative_authors) == (None, 50, 30)
    many = [member("a", rule=f"r{n}", facet=f"f{n}") for n in range(5)]
    assert group_evidence(many, total=5).facet == "f0, f1, f2 and 2 more"
