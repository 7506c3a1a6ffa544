"""What past and open episodes mean for detection: hours that are no baseline, and windows that prove nothing."""

from collections.abc import Sequence, Set

from alerting.baseline import Span
from alerting.store import AlerterState
from alerting.stretch import Place, Stretch
from brandpulse.episodes import Episode
from brandpulse.keys import MINUTE_MS

FOR_EVER_MS = 2**53


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
