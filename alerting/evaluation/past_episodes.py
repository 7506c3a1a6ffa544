"""What past and open episodes mean for detection: hours that are no baseline, and windows that prove nothing."""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain

from alerting.detection.share_baseline import Span
from alerting.episodes.episode_spans import PastSpan, span_of
from alerting.rules.models import FacetShareRule, NegativeShareRule, RuleSet
from alerting.store.alert_store import AlerterState
from alerting.store.pending_commit import EpisodeSlot, PendingCommit, RuleDecision
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import MINUTE_MS


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

    def follow(self, decided: Sequence[RuleDecision], stretch: PendingCommit, *, minute: int) -> None:
        """What was *decided* of *minute*, after *stretch* took it."""
        for one in decided:
            closed = one.decision.closed is not None
            if closed:
                self.ends[one.slot] = minute + 1
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
    for one in sorted(set(_all_spans(state, (opened.episode for opened in state.open.values())))):
        if one.rule in rules:
            spans.setdefault(one.brand, []).append((one.start_ms, one.end_ms))
    return dict(spans)


def spans_of(brand: str, stretch: PendingCommit, state: AlerterState, rules: Set[str]) -> list[Span]:
    since = [*stretch.closed, *(opened.episode for opened in stretch.open.values())]
    found = {one for one in _all_spans(state, since) if one.brand == brand and one.rule in rules}
    return [(one.start_ms, one.end_ms) for one in sorted(found)]


def _all_spans(state: AlerterState, since: Iterable[Episode] = ()) -> Iterator[PastSpan]:
    """Some twice: a store that an earlier version began knows part of its past by `closed` alone."""
    return chain(state.spans, map(span_of, state.closed), map(span_of, since))


def last_ends(state: AlerterState) -> dict[EpisodeSlot, int]:
    """The minute from which a brand's windows count again for a rule, after its last episode."""
    ends: dict[EpisodeSlot, int] = {}
    for span in _all_spans(state):
        minute = span.end_ms // MINUTE_MS
        place = span.brand, span.rule
        ends[place] = max(minute, ends.get(place, minute))
    return ends
