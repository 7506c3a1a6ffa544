"""What is shown of the stored posts."""

from collections.abc import Mapping, Sequence

from alerting.detection.share_detector import WindowCounts
from alerting.episodes.example_posts import ENOUGH_NEGATIVE, MAX_DETAILS, MAX_READS, PostEvidenceReader, count_sources
from brandpulse.schema.episodes import SourceCount
from brandpulse.state.author_lookup import KnownAuthors
from brandpulse.state.author_sketches import Authors
from brandpulse.state.keys import MINUTE_MS, facet_series
from brandpulse.state.stored_posts import HourPost, SampledPost, WindowPosts
from brandpulse.text.terms import terms_of
from tests.support.alerting.post_streams import MONDAY

DAY = MONDAY // 1_440
WINDOW = WindowCounts(MONDAY + 59, 60)


def a_post(
    number: int,
    text: str,
    *,
    minute: int = MONDAY + 5,
    source: str = "x",
    author: int | None = None,
    negative: float = 0.9,
) -> HourPost:
    return HourPost(
        id=str(number),
        source=source,
        text=text,
        created_ms=minute * MINUTE_MS,
        author=f"{number if author is None else author:016x}",
        negative=negative,
    )


def a_sample(*texts: str, negative: bool = True) -> list[SampledPost]:
    return [SampledPost(f"{n:x}", negative, tuple(sorted(terms_of(text)))) for n, text in enumerate(texts)]


def shelf(
    samples: Mapping[int, Sequence[SampledPost]],
    posts: Sequence[HourPost] = (),
    *,
    others: Sequence[HourPost] = (),
    asked: list[tuple[str, int, int]] | None = None,
    before: Sequence[int] | None = None,
) -> PostEvidenceReader:
    """*posts*: stored negative ones; *before*: authors of the week before."""

    def usual(brand: str, first: int, last: int) -> Mapping[int, Sequence[SampledPost]]:
        if asked is not None:
            asked.append((brand, first, last))
        return samples

    def kept(_: str, first_ms: int, end_ms: int) -> WindowPosts:
        return WindowPosts(*([one for one in some if first_ms <= one.created_ms < end_ms] for some in (posts, others)))

    def known(_: str, before_ms: int) -> KnownAuthors:
        assert before_ms == WINDOW.first_minute * MINUTE_MS
        if before is None:
            return KnownAuthors([])
        met = Authors()
        met.add_many(list(before), negative=[])
        return KnownAuthors([met.encode()])

    return PostEvidenceReader(usual, kept, known)


USUAL = a_sample(*[f"late bus{n} again" for n in range(ENOUGH_NEGATIVE)])


def word(number: int) -> str:
    """A word for *number*: numbers at the end of a text do not make texts different."""
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


def test_terms_are_compared_with_the_week_before_the_window() -> None:
    asked: list[tuple[str, int, int]] = []
    full = shelf({DAY - 1: USUAL}, [a_post(n, f"strike number{n} again") for n in range(9)], asked=asked)
    assert [one.term for one in full.read("Acme", WINDOW).terms] == ["strike"]
    assert asked == [("Acme", DAY - 7, DAY - 1)]


def test_angry_words_stand_out_only_with_few_usual_negative_posts() -> None:
    calm = a_sample(*[f"nice view{n}" for n in range(300)], negative=False)
    angry = [a_post(n, f"late thing{n}") for n in range(9)]
    for samples, expected in (({DAY - 1: [*USUAL, *calm]}, []), ({DAY - 1: calm}, ["late"])):
        assert [one.term for one in shelf(samples, angry).read("Acme", WINDOW).terms] == expected


def test_an_author_counts_once_in_terms_and_examples() -> None:
    posts = [a_post(n, f"strike number{n} {word(n)}", author=7) for n in range(20)]
    posts += [a_post(50 + n, f"other{n} words{n} {word(n)}") for n in range(6)]
    shown = shelf({DAY - 1: USUAL}, posts).read("Acme", WINDOW)
    assert [one.term for one in shown.terms] == []
    assert shown.terms_missing == "no word stands out"
    assert len({post.text.split()[0] for post in shown.examples}) == len(shown.examples) == 3


def test_a_campaign_is_the_first_example_with_its_numbers() -> None:
    alone = [a_post(n, f"my own story {word(n)}", negative=0.99) for n in range(30)]
    campaign = [a_post(100 + n, f"@user Boycott Acme now! {n}", author=100 + n, negative=0.6) for n in range(21)]
    window = WindowCounts(WINDOW.last_minute, 60, posts=80, negative_posts=51)
    shown = shelf({}, [*alone, *campaign], before=[100, 101, 5]).read("Acme", window)
    first = shown.examples[0]
    assert first.text.startswith("@user Boycott Acme now!")
    assert (first.copies, first.accounts, first.new_accounts, first.at_least) == (21, 21, 19, False)
    assert [post.copies for post in shown.examples] == [21, 1, 1]
    assert shown.kept == 51


def test_a_text_repeated_by_one_account_is_one_example() -> None:
    posts = [a_post(n, f"awful https://t.co/{n}", author=7) for n in range(20)]
    posts += [a_post(50 + n, f"other {word(n)}", negative=0.7) for n in range(4)]
    shown = shelf({}, posts, before=[7]).read("Acme", WINDOW)
    assert [(post.copies, post.accounts, post.new_accounts) for post in shown.examples] == [
        (20, 1, 0),
        (1, 1, 1),
        (1, 1, 1),
    ]


def test_numbers_of_a_sample_are_marked_at_least() -> None:
    window = WindowCounts(WINDOW.last_minute, 60, posts=900, negative_posts=500)
    shown = shelf({}, [a_post(n, "Boycott Acme now!") for n in range(21)]).read("Acme", window)
    assert (shown.examples[0].at_least, shown.examples[0].new_accounts, shown.kept) == (True, None, 21)


def test_a_volume_alert_shows_posts_of_any_sentiment() -> None:
    news = [a_post(n, f"RT @x: Acme opens a new line {n}", source="rss", negative=0.1) for n in range(60)]
    full = shelf({}, [a_post(100, "awful")], others=news, before=[500])
    window = WindowCounts(WINDOW.last_minute, 60, posts=61, negative_posts=1)
    shown = full.read_all("Acme", window)
    assert [(post.copies, post.accounts, post.new_accounts) for post in shown.examples] == [(60, 60, 60), (1, 1, 1)]
    assert shown.sources[0] == SourceCount(source="rss", posts=60)
    assert [post.text for post in full.read("Acme", window).examples] == ["awful"]


def test_a_facet_alert_shows_posts_of_any_sentiment() -> None:
    full = shelf({}, [a_post(1, "awful refund")], others=[a_post(2, "nice refund", negative=0.1)])
    assert len(full.read(facet_series("Acme", "refund"), WINDOW).examples) == 2


def test_sources_are_counted_from_the_posts_of_the_window() -> None:
    posts = [a_post(n, "a", source="bluesky") for n in range(3)]
    posts += [a_post(9, "b", source="x"), a_post(10, "c", source="rss", minute=MONDAY + 60)]
    shown = shelf({}, posts).read("Acme", WINDOW)
    assert shown.sources == [SourceCount(source="bluesky", posts=3), SourceCount(source="x", posts=1)]
    assert shown.terms_missing is not None


def test_with_too_many_alerts_words_are_skipped_with_a_reason() -> None:
    asked: list[tuple[str, int, int]] = []
    full = shelf({DAY - 1: USUAL}, [a_post(n, f"strike number{n} again") for n in range(9)], asked=asked)
    shown = [full.read("Acme", WINDOW) for _ in range(MAX_DETAILS + 5)]
    assert len(asked) == MAX_DETAILS
    assert shown[-1].terms == []
    assert shown[-1].terms_missing == f"more than {MAX_DETAILS} alerts came at once"
    assert (len(shown[-1].examples), len(shown[-1].sources)) == (3, 1)
    full.reset_limits()
    assert full.read("Acme", WINDOW).terms == shown[0].terms


def test_with_far_too_many_alerts_no_posts_are_read() -> None:
    full = shelf({}, [a_post(1, "awful")])
    shown = [full.read("Acme", WINDOW) for _ in range(MAX_READS + 1)]
    assert len(shown[-2].examples) == 1
    assert shown[-1].terms_missing == f"more than {MAX_READS} alerts came at once"


def test_without_stored_posts_the_reason_is_given() -> None:
    assert shelf({}).read("Acme", WINDOW).terms_missing == "no negative posts are kept of the window"


def test_sources_are_five_and_the_rest_with_short_safe_names() -> None:
    posts = [a_post(n, "a", source=f"s{n:02}") for n in range(8)] + [
        a_post(99, "a", source="evil\r\n\x1b[2J" + "y" * 99)
    ] * 3
    counted = count_sources(posts)
    assert [one.posts for one in counted] == [3, 1, 1, 1, 1, 4]
    assert counted[-1].source == "others"
    assert counted[0].source.isprintable()
    assert len(counted[0].source) <= 64
