"""Past and open episodes as detection uses them: hours left out of baselines, and windows that are not evidence."""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain

from alerting.detection.share_baseline import Span
from alerting.episodes.episode_spans import PastSpan, span_of
from alerting.rules.models import RuleSet
from alerting.store.alert_store import AlerterState
from alerting.store.pending_commit import EpisodeSlot, PendingCommit, RuleDecision
from brandpulse.schema.episodes import Episode
from brandpulse.state.keys import MINUTE_MS


class PastEpisodes:
    """Kept up to date minute by minute. Rules about the same share use the same baseline."""

    def __init__(self, state: AlerterState, rules: RuleSet) -> None:
        self._state = state
        self._peers = _rules_of_same_share(rules)
        self._spans = {names: incidents(state, names) for names in set(self._peers.values())}
        self.ends = last_ends(state)
        """By slot: the minute from which windows are evidence again."""

    def incidents(self, brand: str, rule: str) -> Sequence[Span]:
        """Spans (ms) that are left out of the baseline of *brand* under *rule*."""
        return self._spans[self._peers[rule]].get(brand, ())

    def update(self, decisions: Sequence[RuleDecision], pending: PendingCommit, *, minute: int) -> None:
        """Take in the *decisions* of *minute*, after *pending* took them."""
        for one in decisions:
            closed = one.decision.closed is not None
            if closed:
                self.ends[one.slot] = minute + 1
            names = self._peers.get(one.rule)
            if names is not None and (closed or one.decision.transition == "triggered"):
                self._spans[names][one.brand] = spans_of(one.brand, pending, self._state, names)


def _rules_of_same_share(rules: RuleSet) -> dict[str, frozenset[str]]:
    """For each rule about a share: all rules about the same share."""
    shares: dict[str, set[str]] = {}
    for rule in rules.rules:
        if rule.tested_share is not None:
            shares.setdefault(rule.tested_share, set()).add(rule.name)
    return {name: frozenset(names) for names in shares.values() for name in names}


def incidents(state: AlerterState, rules: Set[str]) -> dict[str, Sequence[Span]]:
    """Event-time spans (ms) of each brand's episodes under *rules*: their hours are left out of baselines."""
    spans: dict[str, list[Span]] = {}
    for one in sorted(set(_all_spans(state, (opened.episode for opened in state.open.values())))):
        if one.rule in rules:
            spans.setdefault(one.brand, []).append((one.start_ms, one.end_ms))
    return dict(spans)


def spans_of(brand: str, pending: PendingCommit, state: AlerterState, rules: Set[str]) -> list[Span]:
    since = [*pending.closed, *(opened.episode for opened in pending.open.values())]
    found = {one for one in _all_spans(state, since) if one.brand == brand and one.rule in rules}
    return [(one.start_ms, one.end_ms) for one in sorted(found)]


def _all_spans(state: AlerterState, since: Iterable[Episode] = ()) -> Iterator[PastSpan]:
    """May repeat spans. A store that an earlier version wrote has part of its past in `closed` only."""
    return chain(state.spans, map(span_of, state.closed), map(span_of, since))


def last_ends(state: AlerterState) -> dict[EpisodeSlot, int]:
    """By slot: the minute of the end of the last episode. Windows that begin earlier are not evidence."""
    ends: dict[EpisodeSlot, int] = {}
    for span in _all_spans(state):
        minute = span.end_ms // MINUTE_MS
        slot = span.brand, span.rule
        ends[slot] = max(minute, ends.get(slot, minute))
    return ends
