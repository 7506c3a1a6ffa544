"""Every kind of fault, how it is caused and how it is repaired. `World.mend` restarts what a kind leaves stopped."""

import random
import signal
import time
from collections.abc import Callable

from tests.support.faults.environment import World
from tests.support.kafka_broker import NODES, ApacheKafka, KafkaCluster
from tests.support.patience import patience

Fault = Callable[[World, random.Random], None]
SESSION_SECONDS = 6.0
TAIL_BYTES = 200_000


def nothing(_world: World, _pick: random.Random) -> None:
    """Poison and codecs alone."""


def worker_killed(world: World, pick: random.Random) -> None:
    pick.choice(world.workers).kill()


def all_workers_killed(world: World, _pick: random.Random) -> None:
    for worker in world.workers:
        worker.kill()


def worker_terminated(world: World, pick: random.Random) -> None:
    worker = pick.choice(world.workers)
    worker.signal(signal.SIGTERM)
    code = worker.wait(patience(40))
    assert code in (0, -signal.SIGTERM), f"a worker asked to end ended with {code}:\n{worker.log_tail()}"


def worker_frozen(world: World, pick: random.Random) -> None:
    """Beyond its session, so that others own its partitions when it wakes with batches in its hands."""
    worker = pick.choice(world.workers)
    worker.signal(signal.SIGSTOP)
    time.sleep(SESSION_SECONDS + pick.uniform(1, 3))
    worker.signal(signal.SIGCONT)


def workers_come_and_go(world: World, pick: random.Random) -> None:
    """Rebalances while batches are under way."""
    third = world.pipeline.service("worker")
    world.wait_assigned(third)
    time.sleep(pick.uniform(0, 3))
    third.signal(signal.SIGTERM)
    third.wait(patience(40))


def two_owners(world: World, pick: random.Random) -> None:
    impostor = world.impostor()
    world.wait_assigned(impostor)
    time.sleep(pick.uniform(2, 4))
    impostor.kill()


def store_killed(world: World, pick: random.Random) -> None:
    world.store.kill()
    time.sleep(pick.uniform(0, 2))
    world.store.start()


def store_tail_cut(world: World, pick: random.Random) -> None:
    """It restarts with an older state, while the workers keep theirs."""
    world.store.kill()
    world.store.cut_tail(pick.randrange(1, TAIL_BYTES))
    world.store.start()


def store_slow(world: World, pick: random.Random) -> None:
    world.store_proxy.delay_seconds = pick.uniform(0.02, 0.2)
    time.sleep(4)
    world.store_proxy.delay_seconds = 0


def store_disk_full(world: World, pick: random.Random) -> None:
    world.store.fill_disk()
    time.sleep(pick.uniform(2, 5))
    world.store.free_disk()


def store_connections_cut(world: World, pick: random.Random) -> None:
    for _ in range(pick.randrange(1, 5)):
        world.store_proxy.cut()
        time.sleep(pick.uniform(0, 0.5))


def broker_connections_cut(world: World, pick: random.Random) -> None:
    assert world.broker_proxy is not None
    for _ in range(pick.randrange(1, 5)):
        world.broker_proxy.cut()
        time.sleep(pick.uniform(0, 0.5))


def broker_killed(world: World, pick: random.Random) -> None:
    assert isinstance(world.broker, ApacheKafka)
    world.broker.kill()
    time.sleep(pick.uniform(0, 2))
    world.broker.start()


def each_broker_killed(world: World, _pick: random.Random) -> None:
    """One after the other, the next once all replicas are in sync again."""
    assert isinstance(world.broker, KafkaCluster)
    for number in NODES:
        world.broker.kill(number)
        world.broker.restart(number)
        world.broker.wait_in_sync([world.pipeline.topic, world.pipeline.dlq_topic])


def alerter_killed(world: World, _pick: random.Random) -> None:
    world.alerter.kill()


EVERYWHERE: tuple[Fault, ...] = (
    nothing,
    worker_killed,
    all_workers_killed,
    worker_terminated,
    worker_frozen,
    workers_come_and_go,
    two_owners,
    store_killed,
    store_tail_cut,
    store_slow,
    store_disk_full,
    store_connections_cut,
    alerter_killed,
)


def kinds_for(world: World) -> tuple[Fault, ...]:
    """The kinds that this broker supports: the embedded one loses its records when it is killed."""
    match world.kind:
        case "embedded":
            return (*EVERYWHERE, broker_connections_cut)
        case "kafka":
            return (*EVERYWHERE, broker_connections_cut, broker_killed)
        case _:
            return (*EVERYWHERE, each_broker_killed)
