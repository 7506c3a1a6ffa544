"""People of a window who have no vote."""

from hypothesis import given
from hypothesis import strategies as st

from alerting.detection.votes.copied_votes import StoredVotes, Uncounted, VotePolicy
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.stored_posts import HourPost, WindowPosts

TEXT = "Acme Air lost my bag in Bergen again and nothing happens, so I want a refund"
END = 60 * MINUTE_MS


def a_post(number: int, text: str, *, author: int | None = None, minute: int = 0) -> HourPost:
    name = f"{number if author is None else author:016x}"
    return HourPost(id=f"{number}", source="forum", text=text, created_ms=minute * MINUTE_MS, author=name, negative=0.9)


def copies(number: int, *, begin: int = 0) -> list[HourPost]:
    return [a_post(begin + one, f"{TEXT} @user{one} {one}") for one in range(number)]


def different(number: int, *, begin: int = 1_000) -> list[HourPost]:
    words = ["river", "tower", "candle", "window", "garden", "pocket", "silver", "thunder", "marble", "velvet"]
    return [
        a_post(begin + one, f"{' '.join(words[(one * 7 + at * (one % 9 + 1)) % 10] for at in range(9))} {'xyzw' * one}")
        for one in range(number)
    ]


def uncounted(negative: list[HourPost], others: list[HourPost], policy: VotePolicy | None = None) -> Uncounted:
    votes = StoredVotes(WindowPosts(negative, others), policy or VotePolicy())
    bad = {post.author for post in negative}
    people = bad | {post.author for post in others}
    return votes.uncounted(0, END, people=len(people), negative_people=len(bad))


def test_one_text_has_at_most_its_number_of_votes() -> None:
    assert uncounted(copies(21), different(8)) == Uncounted(copied=16, copied_negative=16)
    assert uncounted(copies(21), [], VotePolicy(votes_per_text=1)) == Uncounted(copied=20, copied_negative=20)
    assert uncounted(copies(5), different(8)) == Uncounted()


def test_different_texts_all_have_a_vote() -> None:
    assert uncounted(different(12), []) == Uncounted()


def test_a_short_text_of_many_people_has_all_votes() -> None:
    assert uncounted([a_post(number, "Acme is down!") for number in range(40)], []) == Uncounted()


def test_an_author_of_another_text_has_a_vote() -> None:
    own = [
        a_post(100 + post, f"my own story number {'abcdefghijklmnopqrst'[post] * 30}", author=post)
        for post in range(10)
    ]
    found = uncounted([*copies(21), *own], [])
    # Ten of the 21 have texts of their own; five votes go to the others.
    assert found == Uncounted(copied=6, copied_negative=6)


def test_near_copies_share_the_votes_of_their_text() -> None:
    cities = ["Bergen", "Oslo", "Malmö", "Riga", "Turin", "Porto", "Split", "Basel", "Ghent", "Leeds"]
    texts = [a_post(number, TEXT.replace("Bergen", city)) for number, city in enumerate(cities)]
    assert uncounted(texts, []) == Uncounted(copied=5, copied_negative=5)


def test_a_sample_stands_for_all_people_of_the_window() -> None:
    votes = StoredVotes(WindowPosts([*copies(50), *different(25)], ()), VotePolicy())
    found = votes.uncounted(0, END, people=300, negative_people=300)
    assert found.copied == found.copied_negative == 195  # 50 stand for 200, five of which have a vote


def test_a_single_author_of_a_small_sample_is_no_copy() -> None:
    votes = StoredVotes(WindowPosts(different(10), ()), VotePolicy())
    assert votes.uncounted(0, END, people=500, negative_people=500) == Uncounted()


def test_a_bot_has_no_vote_and_is_counted() -> None:
    bot = [a_post(500 + one, f"{TEXT} {one}", author=99, minute=one) for one in range(12)]
    assert uncounted(bot, different(8)) == Uncounted(excluded=1, excluded_negative=1)
    assert uncounted(bot, different(8), VotePolicy(exclude_score=2)) == Uncounted()


def test_posts_outside_the_window_do_not_count() -> None:
    late = [a_post(post, TEXT, minute=100) for post in range(30)]
    assert uncounted(late, different(8)) == Uncounted()


@given(st.permutations(list(range(30))))
def test_the_order_of_the_posts_changes_nothing(order: list[int]) -> None:
    posts = [*copies(18), *different(12)]
    shuffled = [posts[at] for at in order]
    assert uncounted(shuffled, []) == uncounted(posts, [])
