"""`make soak-alerts`: rounds of crises and kill -9 of alerters and store; after each, every page must be right.

    ALERT_ROUNDS=200 ALERT_KILLS=5 ALERT_SEED=1 ALERT_SECONDS=7200 python -m tests.faults.alerting.rounds

Two alerters, a Valkey, a broker, and a mock PagerDuty that fails at random. A round adds five hours of event time, with
a crisis in each of three brands, in the middle of it kills something and starts it again, some seconds later something
else, so many times, and waits until every notification is delivered.
Then: every closed episode has exactly one incident at the receiver, and it is resolved; nothing waits, nothing was set
aside; accepted = delivered + quarantined + waiting. One JSON line a round; exit code 1 at the first that is not so.
"""

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from alerting.store.redis_store import RedisAlertStore
from brandpulse.devstack.embedded_servers import EmbeddedBroker, EmbeddedStore
from brandpulse.devstack.mock_receiver import Fault, MockReceiver
from brandpulse.errors import TransientError
from brandpulse.runtime.child_process import Child
from brandpulse.state.keys import AlertingKeys
from tests.faults.alerting.processes import fetch, start_alerter
from tests.support.alerting.post_streams import MONDAY, PostStream
from tests.support.patience import patience

NAMESPACE = "rounds"
BRANDS = ("Acme Air", "Blue Bank", "Crunch")
HOURS = 5
KILLS = 5
"""Of a round: the later ones fall into takeovers, starts and repeats that the earlier ones caused."""
PATIENCE_SECONDS = 240.0
FAULTS = ("leader", "follower", "store", "leader and store", "both alerters")
RECEIVER_FAULTS = (Fault(status=500), Fault(status=503), Fault(reset="before"), Fault(reset="after"))


class World:
    """What runs, and what was seen of it."""

    def __init__(self, folder: Path, mock: MockReceiver) -> None:
        self.folder = folder
        self.mock = mock
        self.broker = EmbeddedBroker(folder / "broker")
        self.valkey = EmbeddedStore(folder / "store")
        self.client = redis.Redis.from_url(self.valkey.url, socket_timeout=5)
        self.store = RedisAlertStore(self.client, NAMESPACE)
        self.alerters: list[Child] = [self.start_alerter() for _ in range(2)]
        self.minute = MONDAY
        self.kills: Counter[str] = Counter()

    def start_alerter(self) -> Child:
        return start_alerter(
            self.folder,
            redis_url=self.valkey.url,
            kafka=self.broker.bootstrap_servers,
            namespace=NAMESPACE,
            receiver_url=f"{self.mock.url}/v2/enqueue",
            name=f"alerter-{time.monotonic_ns()}",
        )

    def close(self) -> None:
        for child in self.alerters:
            child.stop()
        self.client.close()
        self.valkey.stop()
        self.broker.stop()

    def add_hours(self, pick: random.Random, *, crisis: bool) -> None:
        """Hours of posts in the store; in the middle of them a bad one for each brand."""
        stream = PostStream()
        end = self.minute + HOURS * 60
        bad = range(self.minute + 60, self.minute + 120) if crisis else range(0)
        for brand in BRANDS:
            calm = [minute for minute in range(self.minute, end) if minute not in bad]
            stream.steady(brand, calm, per_minute=1.5, share=0.15, rng=pick)
            stream.steady(brand, bad, per_minute=4, share=0.85, rng=pick)
        # In batches, so that a kill falls between decisions as well as into one.
        for until in range(self.minute + 30, end + 1, 30):
            stream.write(self.client, NAMESPACE, until_minute=until, wall_ms=time.time_ns() // 1_000_000)
            time.sleep(0.02)
        self.minute = end

    def leader(self) -> Child:
        """The alerter with the lease; any alerter if there is none."""
        held: bytes | None = self.client.get(AlertingKeys(NAMESPACE).lease)  # type: ignore[assignment]
        pid = int(held.split(b":")[1]) if held else -1
        return next((child for child in self.alerters if child.pid == pid), self.alerters[0])

    def kill(self, what: str) -> None:
        leader = self.leader()
        follower = next(child for child in self.alerters if child is not leader)
        doomed = {
            "leader": [leader],
            "follower": [follower],
            "store": [],
            "leader and store": [leader],
            "both alerters": [leader, follower],
        }[what]
        for child in doomed:
            child.kill()
        if "store" in what:
            self.valkey.child.kill()
            self.valkey = EmbeddedStore(self.folder / "store", port=self.valkey.port)
        self.alerters = [self.start_alerter() if child in doomed else child for child in self.alerters]
        self.kills[what] += 1

    def settled(self) -> bool:
        try:
            state = self.store.load()
            return state.evaluated_until_ms == self.minute * 60_000 and not state.open and not self.store.pending()
        except TransientError:
            return False

    def wrong(self) -> list[str]:
        """What is lost, doubled, open or uncounted."""
        incidents = Counter(one.dedup_key for one in self.mock.incidents.all)
        closed = [episode.key for episode in self.store.load().closed]
        tally = self.store.tally()
        found = [f"lost: {key}" for key in closed if key not in incidents]
        found += [f"doubled: {key}" for key, number in incidents.items() if number > 1]
        found += [f"still open: {one.dedup_key}" for one in self.mock.incidents.open()]
        found += [f"set aside: {one.id}" for one in self.store.quarantined()]
        if tally.total("accepted") != tally.total("delivered") + tally.total("quarantined") + tally.waiting:
            found.append(f"uncounted: {tally}")
        return found

    def scraped_is_true(self) -> bool:
        """Whether the numbers of a scrape agree, taken at any moment."""
        text = fetch(self.folder, self.leader(), "/metrics")
        numbers: Counter[str] = Counter()
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("brandpulse_notifications{"):
                numbers[name.split('fate="')[1].split('"')[0]] += int(float(value))
            elif name == "brandpulse_outbox_pending":
                numbers["pending"] += int(float(value))
        return numbers["accepted"] == numbers["delivered"] + numbers["quarantined"] + numbers["pending"]


async def one_round(world: World, pick: random.Random, number: int, *, kills: int = KILLS) -> dict[str, Any]:
    began = time.monotonic()
    killed = pick.choices(FAULTS, k=kills)
    world.mock.faults.extend(pick.choice(RECEIVER_FAULTS) for _ in range(pick.randrange(4)))
    before = len(world.mock.incidents.all)
    adding = asyncio.create_task(asyncio.to_thread(world.add_hours, pick, crisis=True))
    scraped = True
    after: list[float] = []
    for what in killed:
        delay = pick.uniform(0, 2.0 if not after else 6.0)
        if "store" in what and not adding.done():
            await adding  # these writes replace the workers', which can repeat theirs
            delay = pick.uniform(0, 0.5)
        await asyncio.sleep(delay)
        await asyncio.to_thread(world.kill, what)
        after.append(round(delay, 2))
    await adding
    deadline = time.monotonic() + patience(PATIENCE_SECONDS)
    # Once: a new leader repeats the last resolves some seconds after its takeover, which then wait for a moment.
    while not (settled := await asyncio.to_thread(world.settled)) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        scraped = scraped and await asyncio.to_thread(_scraped, world)
    wrong = await asyncio.to_thread(world.wrong)
    new = world.mock.incidents.all[before:]
    if not settled:
        wrong.append(f"not settled within {PATIENCE_SECONDS:g} s")
    if len(new) < len(BRANDS):
        wrong.append(f"{len(new)} incidents of {len(BRANDS)} crises")
    if not scraped:
        wrong.append("a scrape whose numbers do not agree")
    return {
        "round": number,
        "killed": killed,
        "after": after,
        "incidents": len(new),
        "triggers": sum(one.triggers for one in new),
        "seconds": round(time.monotonic() - began, 1),
        "wrong": wrong,
    }


def _scraped(world: World) -> bool:
    try:
        return world.scraped_is_true()
    except (OSError, ValueError, redis.RedisError):
        return True  # the server is unavailable now


async def run(count: int, kills: int, seed: int, bound: float, folder: Path) -> list[dict[str, Any]]:
    deadline = time.monotonic() + patience(bound)
    seen: list[dict[str, Any]] = []
    async with MockReceiver() as mock:
        world = await asyncio.to_thread(World, folder, mock)
        try:
            pick = random.Random(seed)
            for _ in range(3):
                await asyncio.to_thread(world.add_hours, pick, crisis=False)
            for number in range(1, count + 1):
                seen.append(await one_round(world, random.Random(f"{seed}-{number}"), number, kills=kills))
                print(json.dumps(seen[-1]), flush=True)
                if seen[-1]["wrong"] or time.monotonic() > deadline:
                    break
        finally:
            await asyncio.to_thread(world.close)
    return seen


def main() -> int:
    count = int(os.environ.get("ALERT_ROUNDS", "200"))
    kills = int(os.environ.get("ALERT_KILLS", str(KILLS)))
    seed = int(os.environ.get("ALERT_SEED") or random.SystemRandom().randrange(1_000_000))
    bound = float(os.environ.get("ALERT_SECONDS", "7200"))
    print(f"ALERT_ROUNDS={count} ALERT_KILLS={kills} ALERT_SEED={seed} ALERT_SECONDS={bound:g}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="alert-rounds-"))
    seen = asyncio.run(run(count, kills, seed, bound, folder))
    wrong = [one for one in seen if one["wrong"]]
    if wrong:
        print(f"what was left for a look: {folder}")
    else:
        shutil.rmtree(folder)
    killed = Counter(what for one in seen for what in one["killed"])
    incidents = sum(one["incidents"] for one in seen)
    print(f"{len(seen)} rounds of {count}, seed {seed}: {killed.total()} kills, {dict(killed)}; {incidents} incidents")
    print(
        f"{sum(one['triggers'] for one in seen)} triggers processed; {len(wrong)} rounds with something lost, doubled, "
        "left open or uncounted"
    )
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
