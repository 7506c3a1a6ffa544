"""The decisions of a batch of minutes, collected until they are committed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from alerting.episodes.lifecycle import Decision, OpenEpisode
from alerting.notifications.delivery import Delivery
from alerting.notifications.routing import SuppressionKey
from alerting.store.alert_store import AlerterState, Commit
from brandpulse.schema.episodes import Episode, Transition

EpisodeSlot = tuple[str, str]
"""(brand, rule): each has at most one open episode."""
NO_SUPPRESSIONS: Mapping[SuppressionKey, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RuleDecision:
    """One decision about one brand and rule."""

    brand: str
    rule: str
    decision: Decision

    @property
    def slot(self) -> EpisodeSlot:
        return self.brand, self.rule


class PendingCommit:
    """The open episodes as they are now, and all changes since *state*."""

    def __init__(self, state: AlerterState) -> None:
        self.open: dict[EpisodeSlot, OpenEpisode] = {
            (one.episode.brand, one.episode.rule): one for one in state.open.values()
        }
        self.touched: set[EpisodeSlot] = set()
        self.closed: list[Episode] = []
        self.deliveries: list[Delivery] = []
        self.transitions: list[tuple[Episode, Transition, str]] = []
        self.suppressed: Counter[SuppressionKey] = Counter()

    @property
    def changed(self) -> bool:
        return bool(self.touched or self.closed or self.deliveries)

    def apply(
        self,
        decided: RuleDecision,
        deliveries: Sequence[Delivery],
        suppressed: Mapping[SuppressionKey, int] = NO_SUPPRESSIONS,
    ) -> None:
        self.suppressed.update(suppressed)
        slot, decision = decided.slot, decided.decision
        if decision.after is not None:
            if decision.after is not self.open.get(slot):
                self.touched.add(slot)
            self.open[slot] = decision.after
        else:
            self.open.pop(slot, None)
        if decision.closed is not None:
            self.closed.append(decision.closed)
        self.deliveries += deliveries
        episode = decision.closed or (decision.after.episode if decision.after else None)
        if decision.transition is not None and episode is not None:
            self.transitions.append((episode, decision.transition, decision.reason))

    def commit(self, state: AlerterState, until_ms: int | None) -> Commit:
        return Commit(
            expected_ms=state.evaluated_until_ms,
            until_ms=until_ms,
            open={self.open[slot].episode.key: self.open[slot] for slot in sorted(self.touched) if slot in self.open},
            closed=self.closed,
            deliveries=self.deliveries,
            suppressed={(receiver, str(why)): number for (receiver, why), number in self.suppressed.items()},
        )
