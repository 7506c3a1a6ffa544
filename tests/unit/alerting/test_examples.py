"""What is shown of the posts that are kept."""

from collections.abc import Mapping, Sequence

from alerting.detect import WindowCounts
from alerting.examples import ENOUGH_NEGATIVE, MOST_LOOKS, ExampleShelf, count_sources
from brandpulse.episodes import SourceCount
from brandpulse.keys import MINUTE_MS
from brandpulse.pane_reader import NegativePost, SampledPost
from brandpulse.terms import terms_of
from tests.unit.alerting.builders import MONDAY

DAY = MONDAY // 1_440
WINDOW = WindowCounts(MONDAY + 59, 60)


def a_post(
    number: int, text: str, *, minute: int = MONDAY + 5, source: str = "x", author: int | None = None
) -> NegativePost:
    return NegativePost(
        id=str(number),
        source=source,
        text=text,
        created_ms=minute * MINUTE_MS,
        author=f"{number if author is None else author:016x}",
        negative=0.9,
    )


def a_sample(*texts: str, negative: bool = True) -> list[SampledPost]:
    return [SampledPost(f"{n:x}", negative, tuple(sorted(terms_of(text)))) for n, text in enumerate(texts)]


def shelf(
    samples: Mapping[int, Sequence[SampledPost]], asked: list[tuple[str, int, int]] | None = None
) -> ExampleShelf:
    def usual(brand: str, first: int, last: int) -> Mapping[int, Sequence[SampledPost]]:
        if asked is not None:
            asked.append((brand, first, last))
        return samples

    return ExampleShelf(usual)


USUAL = a_sample(*[f"late bus{n} again" for n in range(ENOUGH_NEGATIVE)])


def test_terms_are_held_against_the_week_before_the_window() -> None:
    asked: list[tuple[str, int, int]] = []
    full = shelf({DAY - 1: USUAL}, asked)
    full.put("Acme", [a_post(n, f"strike number{n} again") for n in range(9)])
    assert [one.term for one in full.show("Acme", WINDOW).terms] == ["strike"]
    assert asked == [("Acme", DAY - 7, DAY - 1)]


def test_angry_words_are_usual_in_negative_posts_and_stand_out_only_where_those_are_few() -> None:
    calm = a_sample(*[f"nice view{n}" for n in range(300)], negative=False)
    angry = [a_post(n, f"late thing{n}") for n in range(9)]
    for samples, expected in (({DAY - 1: [*USUAL, *calm]}, []), ({DAY - 1: calm}, ["late"])):
        full = shelf(samples)
        full.put("Acme", angry)
        assert [one.term for one in full.show("Acme", WINDOW).terms] == expected


def test_one_person_has_one_voice_in_terms_and_examples() -> None:
    full = shelf({DAY - 1: USUAL})
    full.put("Acme", [a_post(n, f"strike number{n}", author=7) for n in range(20)])
    full.put("Acme", [a_post(50 + n, f"other{n} words{n}") for n in range(6)])
    shown = full.show("Acme", WINDOW)
    assert [one.term for one in shown.terms] == []
    assert shown.terms_missing == "no word stands out"
    assert len({post.text.split()[0] for post in shown.examples}) == len(shown.examples) == 3


def test_sources_are_of_the_posts_of_the_window() -> None:
    full = shelf({})
    full.put("Acme", [a_post(n, "a", source="bluesky") for n in range(3)])
    full.put("Acme", [a_post(9, "b", source="x"), a_post(10, "c", source="rss", minute=MONDAY + 60)])
    shown = full.show("Acme", WINDOW)
    assert shown.sources == [SourceCount(source="bluesky", posts=3), SourceCount(source="x", posts=1)]
    assert shown.terms_missing is not None


def test_a_storm_is_not_held_up_by_words_and_says_so() -> None:
    asked: list[tuple[str, int, int]] = []
    full = shelf({DAY - 1: USUAL}, asked)
    full.put("Acme", [a_post(n, f"strike number{n} again") for n in range(9)])
    shown = [full.show("Acme", WINDOW) for _ in range(MOST_LOOKS + 5)]
    assert len(asked) == MOST_LOOKS
    assert shown[-1].terms == ()
    assert shown[-1].terms_missing == f"more than {MOST_LOOKS} alerts were told at once"
    assert (len(shown[-1].examples), len(shown[-1].sources)) == (3, 1)
    full.refill()
    assert full.show("Acme", WINDOW).terms == shown[0].terms


def test_a_brand_without_kept_posts_says_so() -> None:
    assert shelf({}).show("Acme", WINDOW).terms_missing == "no negative posts are kept of the window"


def test_many_sources_are_five_and_the_rest_and_a_hostile_name_is_one_short_line() -> None:
    posts = [a_post(n, "a", source=f"s{n:02}") for n in range(8)] + [
        a_post(99, "a", source="evil\r\n\x1b[2J" + "y" * 99)
    ] * 3
    counted = count_sources(posts)
    assert [one.posts for one in counted] == [3, 1, 1, 1, 1, 4]
    assert counted[-1].source == "others"
    assert counted[0].source.isprintable()
    assert len(counted[0].source) <= 64
