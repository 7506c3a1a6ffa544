"""The simplest program: consume, classify with the same weights in a Hugging Face pipeline, count in a dict."""

from confluent_kafka import Consumer

from brandpulse.bench.competitors.runner import Counts, Stopwatch, read_arguments
from brandpulse.bench.model.engines import hugging_face_pipeline
from brandpulse.kafka.client import client_config
from brandpulse.schema.posts import POST_DECODER


def main() -> None:
    arguments = read_arguments()
    classify = hugging_face_pipeline()
    classify(["warm"] * 32)
    counts, watch = Counts(arguments.brands), Stopwatch()
    counted: dict[tuple[tuple[str, int], str], int] = {}
    consumer = Consumer(
        client_config(arguments.bootstrap_servers)
        | {"group.id": "bench-plain", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([arguments.topic])
    while watch.posts < arguments.posts:
        values = [message.value() or b"" for message in consumer.consume(32, 1.0) if message.error() is None]
        if not values:
            continue
        posts = [POST_DECODER.decode(value) for value in values]
        for post, label in zip(posts, classify([post.text for post in posts]), strict=True):
            for brand, event_ms in counts.keys_of(post):
                cell = ((brand, event_ms // 60_000), label)
                counted[cell] = counted.get(cell, 0) + 1
        watch.add(len(values))
    watch.report()
    consumer.close()


if __name__ == "__main__":
    main()
