import asyncio

from ingest.webhook.confirmed_ids import ConfirmedIds


async def handle(ids: ConfirmedIds, identity: str, *, confirm: bool = True) -> bool:
    async with ids.delivery(identity) as delivery:
        await asyncio.sleep(0)
        delivery.confirmed = confirm and not delivery.repeated
        return delivery.repeated


async def test_id_is_repeated_only_after_it_was_confirmed() -> None:
    ids = ConfirmedIds()
    assert not await handle(ids, "a", confirm=False)
    assert not await handle(ids, "a")
    assert await handle(ids, "a")
    assert not await handle(ids, "b")


async def test_requests_with_one_id_at_once_wait_for_the_first() -> None:
    ids = ConfirmedIds()
    assert list(await asyncio.gather(*(handle(ids, "a") for _ in range(4)))) == [False, True, True, True]


async def test_failed_request_lets_the_next_with_its_id_try() -> None:
    ids = ConfirmedIds()
    results = await asyncio.gather(handle(ids, "a", confirm=False), handle(ids, "a"), handle(ids, "a"))
    assert list(results) == [False, False, True]


async def test_oldest_ids_are_forgotten() -> None:
    ids = ConfirmedIds(most=2)
    for identity in ("a", "b", "c"):
        await handle(ids, identity)
    assert [await handle(ids, "c"), await handle(ids, "b"), await handle(ids, "a")] == [True, True, False]
