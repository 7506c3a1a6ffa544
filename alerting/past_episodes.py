"""What past and open episodes mean for detection: hours that are no baseline, and windows that prove nothing."""

from collections.abc import Sequence, Set

from alerting.baseline import Span
from alerting.rules import FacetShareRule, NegativeShareRule, RuleSet
from alerting.store import AlerterState
from alerting.stretch import Decided, Place, Stretch
from brandpulse.episodes import Episode
from brandpulse.keys import MINUTE_MS

FOR_EVER_MS = 2**53


class PastEpisodes:
    """Both, as they stand at the minute that is evaluated. Rules about one share learn from one past."""

    def __init__(self, state: AlerterState, rules: RuleSet) -> None:
        self._state = state
        self._alike = _alike(rules)
        self._spans = {names: incidents(state, names) for names in set(self._alike.values())}
        self.ends = last_ends(state)
        """Brand and rule -> the minute from which windows count again."""

    def incidents(self, brand: str, rule: str) -> Sequence[Span]:
        """Spans (ms) that teach *rule* nothing of what is usual for *brand*."""
        return self._spans[self._alike[rule]].get(brand, ())

    def follow(self, decided: Sequence[Decided], stretch: Stretch, *, minute: int) -> None:
        """What was *decided* of *minute*, after *stretch* took it."""
        for one in decided:
            closed = one.decision.closed is not None
            if closed:
                self.ends[one.place] = minute + 1
            names = self._alike.get(one.rule)
            if names is not None and (closed or one.decision.transition == "triggered"):
                self._spans[names][one.brand] = spans_of(one.brand, stretch, self._state, names)


def _alike(rules: RuleSet) -> dict[str, frozenset[str]]:
    """Rule about a share -> all rules about the same share."""
    shares: dict[str, set[str]] = {}
    for rule in rules.rules:
        if isinstance(rule, NegativeShareRule | FacetShareRule):
            shares.setdefault(rule.facet if isinstance(rule, FacetShareRule) else "", set()).add(rule.name)
    return {name: frozenset(names) for names in shares.values() for name in names}


def incidents(state: AlerterState, rules: Set[str]) -> dict[str, Sequence[Span]]:
    """Event-time spans (ms) of each brand's episodes under *rules*: their hours are no baseline."""
    spans: dict[str, list[Span]] = {}
    for episode in (*state.closed, *(one.episode for one in state.open.values())):
        if episode.rule in rules:
            spans.setdefault(episode.brand, []).append(_span(episode))
    return dict(spans)


def spans_of(brand: str, stretch: Stretch, state: AlerterState, rules: Set[str]) -> list[Span]:
    episodes = [*state.closed, *stretch.closed, *(one.episode for one in stretch.open.values())]
    return [_span(episode) for episode in episodes if episode.brand == brand and episode.rule in rules]


def _span(episode: Episode) -> Span:
    end = FOR_EVER_MS if episode.resolved_at is None else int(episode.resolved_at.timestamp() * 1_000)
    return int(episode.started_at.timestamp() * 1_000), end


def last_ends(state: AlerterState) -> dict[Place, int]:
    """The minute from which a brand's windows count again for a rule, after its last episode."""
    ends: dict[Place, int] = {}
    for episode in state.closed:
        if episode.resolved_at is not None:
            minute = int(episode.resolved_at.timestamp() * 1_000) // MINUTE_MS
            place = episode.brand, episode.rule
            ends[place] = max(minute, ends.get(place, minute))
    return ends
