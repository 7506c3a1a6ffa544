"""Scores each post with the weights of its language."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from brandpulse.text.languages import LanguageIdentifier
from model.inference.scorer import NOT_SCORED, Probabilities, Scorer, Scores, begin
from model.inputs.target_marking import MarkedText
from model.spec.heads import BY_NAME, TARGET


@dataclass(frozen=True, slots=True)
class _Part:
    """The posts of one call that one scorer scores."""

    scorer: Scorer
    rows: list[int]
    """Their indexes in the call."""


class RoutedScorer:
    """Posts in a language of *routes* go to its scorer, all others to *default*.

    A call identifies the languages of posts that have none (`MarkedText.language`) at once, and calls each scorer at
    most once. The heads are those of *default*: where another scorer lacks one, its rows are `NOT_SCORED`.
    """

    def __init__(self, default: Scorer, routes: Mapping[str, Scorer], identifier: LanguageIdentifier) -> None:
        """*routes*: language -> scorer; languages may share one. *identifier* knows their languages."""
        self._default = default
        self._routes = dict(routes)
        self._identifier = identifier

    @property
    def name(self) -> str:
        return " + ".join(dict.fromkeys(scorer.name for scorer in (self._default, *self._routes.values())))

    @property
    def version(self) -> str:
        """The versions of all scorers, each with its languages."""
        languages: dict[int, list[str]] = {}
        for language, scorer in self._routes.items():
            languages.setdefault(id(scorer), []).append(language)
        routed = {id(scorer): scorer.version for scorer in self._routes.values()}
        others = (f"{','.join(sorted(languages[number]))}:{version}" for number, version in routed.items())
        return "+".join((self._default.version, *sorted(others)))

    @property
    def heads(self) -> tuple[str, ...]:
        return self._default.heads

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        return self.begin(posts)()

    def begin(self, posts: Sequence[MarkedText]) -> Callable[[], Scores]:
        """As `model.inference.scorer.PipelinedScorer.begin`."""
        parts = self._split(posts)
        if len(parts) == 1 and parts[0].scorer is self._default:
            return begin(self._default, posts)
        finish = [begin(part.scorer, [posts[row] for row in part.rows]) for part in parts]
        return lambda: self._merge(posts, parts, [one() for one in finish])

    def _split(self, posts: Sequence[MarkedText]) -> list[_Part]:
        if missing := [row for row, post in enumerate(posts) if not post.language]:
            found = dict(zip(missing, self._identifier.identify([posts[row].text for row in missing]), strict=True))
            languages = [found.get(row, post.language) for row, post in enumerate(posts)]
        else:
            languages = [post.language for post in posts]
        parts: dict[int, _Part] = {}
        for row, language in enumerate(languages):
            scorer = self._routes.get(language, self._default)
            parts.setdefault(id(scorer), _Part(scorer, [])).rows.append(row)
        # No posts: the default gives arrays without rows.
        return list(parts.values()) or [_Part(self._default, [])]

    def _merge(self, posts: Sequence[MarkedText], parts: Sequence[_Part], scored: Sequence[Scores]) -> Scores:
        """*scored* of *parts* in the order of *posts*."""
        heads = {
            name: np.full((len(posts), len(BY_NAME[name].labels)), NOT_SCORED, np.float32)
            for name in self.heads
            if BY_NAME[name].reads == "post"
        }
        targets = np.array([post.targets for post in posts], np.intp)
        first = np.cumsum(targets) - targets
        target: Probabilities = np.empty((int(targets.sum()), len(TARGET)), np.float32)
        degraded: set[int] = set()
        for part, scores in zip(parts, scored, strict=True):
            rows = np.array(part.rows, np.intp)
            for name, table in heads.items():
                if name in scores.heads:
                    table[rows] = scores.heads[name]
            counts = targets[rows]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            target[np.repeat(first[rows], counts) + within] = scores.target
            degraded.update(part.rows[row] for row in scores.degraded)
        return Scores(heads, target, frozenset(degraded))
