"""Two ways to ask the model about a recorded post: towards each brand that it names, or about all of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from brandpulse.backtest.recorded_facets import Told, nothing_told
from brandpulse.backtest.recording import Answer, Looked
from brandpulse.backtest.score_file import score_key


class Matcher(Protocol):
    """The part of `brandpulse.text.brand_matcher.BrandMatcher` that is needed here."""

    def look(self, text: str) -> tuple[tuple[str, ...], frozenset[int]]: ...


class Marker(Protocol):
    """The part of `stream_workers.scoring.brand_marker.BrandMarker` that is needed here."""

    def mark(self, text: str, brands: Sequence[str]) -> Any:
        """A `model.inputs.target_marking.MarkedText`."""
        ...


class Scorer(Protocol):
    """The part of `model.inference.scorer.Scorer` that is needed here."""

    def score(self, posts: Sequence[Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class TowardsBrands:
    """As the workers do it."""

    matcher: Matcher
    marker: Marker
    scorer: Scorer
    told: Told = nothing_told

    def look(self, text: str) -> Looked:
        brands, worded = self.matcher.look(text)
        if not brands:
            return Looked(())
        post = self.marker.mark(text, brands)
        keys = tuple(score_key(post.text, post.mentions, target=number) for number in range(len(brands)))
        return Looked(brands, keys, post, len(post.text), worded)

    def score(self, posts: Sequence[Any]) -> Iterable[Answer]:
        scores = self.scorer.score(posts)
        return zip(scores.target, self.told(scores, posts), strict=False)


@dataclass(frozen=True, slots=True)
class WholePosts:
    """One verdict on the post counts for all its brands; nothing is irrelevant."""

    matcher: Matcher
    plain: Callable[[str], Any]
    scorer: Scorer

    def look(self, text: str) -> Looked:
        brands, worded = self.matcher.look(text)
        if not brands:
            return Looked(())
        post = self.plain(text)
        return Looked(brands, (score_key(post.text),) * len(brands), post, len(post.text), worded)

    def score(self, posts: Sequence[Any]) -> Iterable[Answer]:
        return [((*row, 0.0), ()) for row in self.scorer.score(posts).heads["sentiment"]]
