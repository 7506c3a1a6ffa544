"""What one would write first: consume, the same weights in a Hugging Face pipeline, count in a dict."""

from importlib import import_module

from confluent_kafka import Consumer

from brandpulse.bench.competitors.runner import Counts, Stopwatch, job
from brandpulse.kafka.client import client_config
from brandpulse.schema.posts import POST_DECODER


def main() -> None:
    given = job()
    classify = import_module("brandpulse.bench.model.engines").hugging_face_pipeline()
    classify(["warm"] * 32)
    counts, watch = Counts(given.brands), Stopwatch()
    tally: dict[tuple[tuple[str, int], str], int] = {}
    consumer = Consumer(
        client_config(given.bootstrap_servers)
        | {"group.id": "bench-plain", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([given.topic])
    while watch.seen < given.posts:
        values = [message.value() or b"" for message in consumer.consume(32, 1.0) if message.error() is None]
        if not values:
            continue
        posts = [POST_DECODER.decode(value) for value in values]
        for post, label in zip(posts, classify([post.text for post in posts]), strict=True):
            for brand, moment in counts.keys_of(post):
                cell = ((brand, moment // 60_000), label)
                tally[cell] = tally.get(cell, 0) + 1
        watch.saw(len(values))
    watch.tell()
    consumer.close()


if __name__ == "__main__":
    main()
