"""The alerter's view of the panes: one namespace at a time, and a fresh start when readers are swapped to another."""

import redis

from alerting.store.alert_store import LostLeadershipError
from brandpulse.state.namespaces import live_namespace
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus


class LivePaneReader(PaneReader):
    """Looks where to read once a tick, with `partitions`, so that no tick mixes two namespaces.

    After a swap it raises LostLeadershipError once: minutes and baselines kept in memory are of another model. Whoever
    leads next reads them anew; episodes and `evaluated_until` stay, so nobody is paged twice.
    """

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        super().__init__(client, namespace)
        self._named = namespace
        self._now = ""

    def live(self) -> str:
        return self._now or super().live()

    def partitions(self) -> list[PartitionStatus]:
        before, self._now = self._now, live_namespace(self._client, self._named)
        if before not in ("", self._now):
            raise LostLeadershipError(f"readers were swapped from namespace {before} to {self._now}")
        return super().partitions()
