"""Which people of a window have no vote: those who only copied a text that has its votes, and excluded authors.

Computed from the stored posts of the window. Above the limit of stored posts they are a sample; then each stored author
counts as many times as the window has people for each, negative ones and others apart.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from alerting.detection.votes.author_behaviour import BehaviourPost, noise_score
from brandpulse.state.stored_posts import WindowPosts
from brandpulse.text.near_copies import LEAST_LETTERS
from brandpulse.text.near_duplicates import MANY_ACCOUNTS, normal_words, posts_by_text


@dataclass(frozen=True, slots=True)
class VotePolicy:
    """Whose posts have a vote."""

    votes_per_text: int = 5
    """Votes of one text in a window. Fewer than `DetectPolicy.min_negative_authors`: one text alone never pages."""
    exclude_score: float = 0.85
    """From this `noise_score` on an author has no vote; above 1: no author is excluded."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """People of a window who have no vote. Each is in one of the two groups."""

    copied: int = 0
    """Their text has its votes already."""
    copied_negative: int = 0
    excluded: int = 0
    """Their behaviour is that of a bot, an advert or spam."""
    excluded_negative: int = 0

    @property
    def people(self) -> int:
        return self.copied + self.excluded

    @property
    def negative(self) -> int:
        return self.copied_negative + self.excluded_negative


@dataclass(frozen=True, slots=True)
class _Vote:
    """One stored post."""

    created_ms: int
    author: str
    text: int
    negative: bool


class StoredVotes:
    """The stored posts of one series, by text and author."""

    def __init__(self, posts: WindowPosts, policy: VotePolicy) -> None:
        negative = {(post.source, post.id) for post in posts.negative}
        behaviour: dict[str, list[BehaviourPost]] = defaultdict(list)
        self._policy = policy
        self._votes: list[_Vote] = []
        self._limited: set[int] = set()
        """Texts that are long enough to be no coincidence."""
        for text, copies in enumerate(posts_by_text(posts.all)):
            words = normal_words(copies[0].text)
            if sum(map(len, words)) >= LEAST_LETTERS:
                self._limited.add(text)
            for post in copies:
                self._votes.append(
                    _Vote(post.created_ms, post.author, text, negative=(post.source, post.id) in negative)
                )
                has_link = "http" in post.text or "www." in post.text
                behaviour[post.author].append(BehaviourPost(post.created_ms, text, len(words), has_link))
        self.excluded = frozenset(
            author for author, mine in behaviour.items() if noise_score(mine) >= policy.exclude_score
        )

    def uncounted(self, first_ms: int, end_ms: int, *, people: int, negative_people: int | None = None) -> Uncounted:
        """Of the posts from *first_ms* to before *end_ms*, where the sketches count *people* and *negative_people*.

        *negative_people* None: as many as in the stored posts, in proportion.
        """
        votes = [vote for vote in self._votes if first_ms <= vote.created_ms < end_ms]
        negative = {vote.author for vote in votes if vote.negative}
        others = {vote.author for vote in votes} - negative
        if negative_people is None:
            negative_people = round(people * len(negative) / max(1, len(negative) + len(others)))
        of_negative = max(1.0, negative_people / len(negative)) if negative else 1.0
        of_others = max(1.0, (people - negative_people) / len(others)) if others else 1.0
        weight = dict.fromkeys(negative, of_negative) | dict.fromkeys(others, of_others)
        free = [vote for vote in votes if vote.author not in self.excluded]
        return Uncounted(
            copied=self._copied(free, weight),
            copied_negative=self._copied([vote for vote in free if vote.negative], weight),
            excluded=round(sum(weight[author] for author in self.excluded & weight.keys())),
            excluded_negative=round(of_negative * len(self.excluded & negative)),
        )

    def _copied(self, votes: Collection[_Vote], weight: Mapping[str, float]) -> int:
        """How many of the authors of *votes* wrote only texts that have their votes already."""
        authors_of: dict[int, set[str]] = defaultdict(set)
        for vote in votes:
            authors_of[vote.text].add(vote.author)
        most = self._policy.votes_per_text
        # In a sample, one stored author counts as many people: that alone makes no text a copied one.
        least = min(MANY_ACCOUNTS, most + 1)
        full = {
            text
            for text in self._limited & authors_of.keys()
            if len(authors_of[text]) >= least and _total(authors_of[text], weight) > most
        }
        voted = {vote.author for vote in votes if vote.text not in full}
        uncounted = 0.0
        # An author of two such texts counts with the more frequent one.
        for text in sorted(full, key=lambda text: (-len(authors_of[text]), text)):
            uncounted += max(0.0, _total(authors_of[text] - voted, weight) - most)
            voted |= authors_of[text]
        return round(uncounted)


def _total(authors: Collection[str], weight: Mapping[str, float]) -> float:
    return sum(sorted(weight[author] for author in authors))
