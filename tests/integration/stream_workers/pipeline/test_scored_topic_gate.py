"""Which namespace writes scored posts before, during and after a switch, on a real store."""

import redis

from brandpulse.state.keys import NamespaceKeys, PartitionKeys
from stream_workers.pipeline.scored_topic_gate import ALL, CHECK_SECONDS, NOTHING, OVERLAP_SECONDS, ScoredTopicGate


class World:
    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self.client, self.main, self.shadow = client, namespace, f"{namespace}-better"
        self.now = 100.0

    def turn(self, namespace: str) -> ScoredTopicGate:
        return ScoredTopicGate(self.client, namespace, self.main, "posts", monotonic=lambda: self.now)

    def swap(self, namespace: str) -> None:
        self.client.set(NamespaceKeys(self.main).live, namespace)
        self.now += CHECK_SECONDS

    def set_offset(self, namespace: str, partition: int, offset: int) -> None:
        self.client.hset(PartitionKeys(namespace, "posts", partition).state, "next", offset)


def test_only_the_live_namespace_writes_scored_posts(redis_client: redis.Redis, namespace: str) -> None:
    world = World(redis_client, namespace)
    main, better = world.turn(world.main), world.turn(world.shadow)
    assert (main.end_offset(0), better.end_offset(0)) == (ALL, NOTHING)
    for live, other, name, its in (
        (better, main, world.shadow, 70),
        (main, better, world.main, 90),
        (better, main, world.shadow, 95),
    ):
        world.swap(name)
        assert (live.end_offset(0), other.end_offset(0)) == (ALL, ALL), (
            "both, for a while: neither knows what the other holds"
        )
        world.set_offset(name, 0, its)
        world.now += OVERLAP_SECONDS
        assert (live.end_offset(0), other.end_offset(0)) == (ALL, its)
        world.set_offset(name, 0, its + 1_000)
        assert other.end_offset(0) == its, "from there the other namespace wrote"


def test_replaced_namespace_stops_at_the_offset_of_the_live_one(redis_client: redis.Redis, namespace: str) -> None:
    world = World(redis_client, namespace)
    main = world.turn(world.main)
    assert main.end_offset(0) == ALL
    world.set_offset(world.shadow, 0, 40)
    world.swap(world.shadow)
    assert main.end_offset(0) == ALL
    world.set_offset(world.shadow, 0, 60)  # started before the switch, and not written by the shadow
    world.now += OVERLAP_SECONDS
    assert main.end_offset(0) == 60
    assert main.end_offset(1) == ALL, "the other namespace does not count this partition yet"


def test_worker_of_a_replaced_namespace_writes_nothing(redis_client: redis.Redis, namespace: str) -> None:
    world = World(redis_client, namespace)
    world.swap(world.shadow)
    main = world.turn(world.main)
    assert main.end_offset(0) == NOTHING
    world.now += OVERLAP_SECONDS + CHECK_SECONDS
    assert main.end_offset(0) == NOTHING
    world.swap(world.main)
    assert main.end_offset(0) == ALL
