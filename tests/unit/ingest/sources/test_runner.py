"""What one source stores: never a position after posts that the broker has not confirmed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brandpulse.runtime.metric_definitions import INGEST_METRICS
from brandpulse.runtime.metrics import Telemetry
from brandpulse.state.applied_logs import AppliedLogs
from ingest.sources import brand_filter
from ingest.sources.brand_filter import BrandFilter
from ingest.sources.delivery import BrokenProducer, Sending
from ingest.sources.events import Batch, Cursor, Delete, Edit, Gap, NewPost, Reject, Skip
from ingest.sources.position_store import MemoryPositionStore, Position
from ingest.sources.runner import Destination, SourceRunner
from ingest.sources.service import source_context
from ingest.sources.source import SourceContext, SourceSettings
from tests.support.patience import wait_until_async
from tests.support.sources.source_runs import a_brands_file

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Numbers(SourceSettings):
    kind: str = "numbers"


class NumberedSource:
    """Posts 0, 1, 2, … of which the cursor is the next."""

    def __init__(self, count: int, gap_before: int | None = None) -> None:
        self.settings = Numbers(name="numbers")
        self._count, self._gap_before = count, gap_before
        self.started_at: list[int] = []

    async def check(self, context: SourceContext) -> str:
        raise NotImplementedError

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        at = int(cursor["next"]) if cursor else 0
        self.started_at.append(at)
        while at < self._count:
            gap = Gap(NOON, NOON + timedelta(hours=1), "it is gone") if at == self._gap_before else None
            post = NewPost(str(at), "acme", NOON, "ann", time_replaced=at == 0)
            at += 1
            yield Batch((post, Skip("other")), {"next": at}, gap)
        await context.stop.wait()


class Delivery:
    """A broker that does not take the posts *refused*, once each; it confirms all others at once."""

    def __init__(self, refused: Iterable[str] = ()) -> None:
        self.refused, self.taken = set(refused), list[str]()

    async def send(self, posts: Iterable[tuple[str, bytes]], rejects: Sequence[Reject] = ()) -> Sending:
        rows = list(posts)
        sending = Sending(len(rows), asyncio.get_running_loop(), BrokenProducer())
        for key, _ in rows:
            if key in self.refused:
                self.refused.remove(key)
                sending.give_up(1, "the broker is away")
                continue
            self.taken.append(key)
            sending.delivered(None, Confirmed(len(self.taken) - 1))
        return sending


class Confirmed:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


def run(
    source: NumberedSource, delivery: Delivery, folder: Path, *, last: int, store: MemoryPositionStore | None = None
) -> tuple[MemoryPositionStore, Telemetry]:
    """Runs *source* until the position *last* is stored."""
    store, telemetry = store or MemoryPositionStore(), Telemetry(INGEST_METRICS)

    async def main() -> None:
        brands, stop = BrandFilter(a_brands_file(folder)), asyncio.Event()
        destination = Destination(delivery, store, lambda: "log", AppliedLogs)  # type: ignore[arg-type]
        async with source_context(brands, stop) as context:
            runner = SourceRunner(
                source, destination, context, brands, telemetry, first_pause_seconds=0.001, save_seconds=0.005
            )
            task = asyncio.create_task(runner.run())
            await wait_until_async(lambda: stored(store) == last, "the last position")
            stop.set()
            await task
            runner.forget()

    asyncio.run(main())
    return store, telemetry


def stored(store: MemoryPositionStore) -> int:
    return int(next((one.cursor["next"] for one in store.positions().values()), 0))


@pytest.mark.parametrize("refused", [{"0"}, {"3"}, {"3", "7"}, {"9"}])
def test_no_position_is_stored_after_a_failed_post(refused: set[str], tmp_path: Path) -> None:
    source, delivery = NumberedSource(10), Delivery(refused)
    store, _ = run(source, delivery, tmp_path, last=10)
    assert set(delivery.taken) == {str(number) for number in range(10)}
    assert source.started_at[1] <= int(min(refused))
    assert store.positions()["numbers"].next == {"0": len(delivery.taken)}


def test_a_gap_is_stored_once_although_its_batch_is_sent_again(tmp_path: Path) -> None:
    source, delivery = NumberedSource(6, gap_before=4), Delivery({"4"})
    store, _ = run(source, delivery, tmp_path, last=6)
    assert [gap.reason for gap in store.gaps()] == ["it is gone"]


class ForgetfulSource(NumberedSource):
    """Deletes each post after the next one, and changes post 1."""

    async def read(self, cursor: Cursor | None, context: SourceContext) -> AsyncIterator[Batch]:
        async for batch in super().read(cursor, context):
            number = int(batch.cursor["next"])
            more = [Delete(id=str(number - 2))] if number >= 2 else []
            yield Batch((*batch.events, *more, *([Edit("1")] if number == 2 else [])), batch.cursor, batch.gap)


class OrderedStore(MemoryPositionStore):
    """Notes how many deletions were stored before each position."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[int, set[str | None]] = {}

    def save(self, source: str, position: Position, gaps: Sequence[Gap] = ()) -> None:
        self.before[int(position.cursor["next"])] = {deletion.id for deletion in self.deletions}
        super().save(source, position, gaps)


def test_deletions_are_stored_before_the_position_moves_past_them(tmp_path: Path) -> None:
    store = OrderedStore()
    run(ForgetfulSource(9), Delivery({"4"}), tmp_path, last=9, store=store)
    assert {deletion.source for deletion in store.deletions} == {"numbers"}
    for position, stored_before in store.before.items():
        assert stored_before >= {str(number) for number in range(position - 1)}


class SlowStore(MemoryPositionStore):
    """Answers 50 ms after it has stored."""

    def save(self, source: str, position: Position, gaps: Sequence[Gap] = ()) -> None:
        super().save(source, position, gaps)
        time.sleep(0.05)


def test_a_gap_is_stored_once_if_the_source_stops_in_a_save(tmp_path: Path) -> None:
    store, _ = run(NumberedSource(3, gap_before=1), Delivery(), tmp_path, last=3, store=SlowStore())
    assert [gap.reason for gap in store.gaps()] == ["it is gone"]


def test_outcomes_and_replaced_times_are_counted(tmp_path: Path) -> None:
    _, telemetry = run(NumberedSource(3), Delivery(), tmp_path, last=3)
    text = telemetry.expose().decode()
    assert 'brandpulse_source_events_total{name="numbers",outcome="sent"} 3.0' in text
    assert 'brandpulse_source_events_total{name="numbers",outcome="other"} 3.0' in text
    assert 'brandpulse_source_times_replaced_total{name="numbers"} 1.0' in text
    assert "brandpulse_source_up{" not in text  # the gauges of a source that is gone are removed


def test_the_brand_filter_follows_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(brand_filter, "RELOAD_SECONDS", 0.01)

    async def main() -> None:
        path, stop = a_brands_file(tmp_path), asyncio.Event()
        brands = BrandFilter(path)
        task = asyncio.create_task(brands.follow(stop))
        path.write_text("brands: 5")
        await wait_until_async(lambda: "brands file invalid: the brands before stay" in caplog.messages)
        assert brands.names_a_brand("acme")
        path.write_text("brands:\n  - {name: Bolt, terms: [bolt]}\n")
        await wait_until_async(lambda: brands.names_a_brand("bolt"))
        assert list(brands.names) == ["Bolt"]
        stop.set()
        await task

    asyncio.run(main())
