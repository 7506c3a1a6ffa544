"""The alerter's pane reader: one namespace per evaluation, and a restart when readers are switched to another one."""

import redis

from alerting.store.alert_store import LostLeadershipError
from brandpulse.state.namespaces import live_namespace
from brandpulse.state.pane_reader import PaneReader
from brandpulse.state.partition_state import PartitionStatus


class LivePaneReader(PaneReader):
    """Looks up the live namespace once an evaluation, in `partitions`, so that no evaluation mixes two namespaces.

    After a switch it raises LostLeadershipError once, because cached minutes and baselines come from another model. The
    next leader reads them again; episodes and `evaluated_until` stay, so no page is sent twice.
    """

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        super().__init__(client, namespace)
        self._named = namespace
        self._live = ""

    def live(self) -> str:
        return self._live or super().live()

    def partitions(self) -> list[PartitionStatus]:
        before, self._live = self._live, live_namespace(self._client, self._named)
        if before not in ("", self._live):
            raise LostLeadershipError(f"readers were switched from namespace {before} to {self._live}")
        return super().partitions()
