"""The engine alone: the texts of a file, marked beforehand and held in memory, in batches of a worker's size."""

import gzip
import json
import sys
from importlib import import_module
from pathlib import Path

from brandpulse.bench.competitors.runner import Stopwatch
from brandpulse.config.brands_file import load_brands

BATCH = 512


def main() -> None:
    brands, texts, engine = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    matcher = import_module("brandpulse.text.brand_matcher").BrandMatcher(load_brands(brands))
    marker = import_module("stream_workers.scoring.brand_marker").BrandMarker(matcher)
    with gzip.open(texts, "rt", encoding="utf-8") as lines:
        named = [marker.name(json.loads(line)["text"]) for line in lines]
    posts = [marked for _, marked, _ in named if marked is not None]
    name, _, tiers = engine.partition(":")
    scorer = import_module("model.loader").load_scorer(name, None, None, exit_policy=tiers or "full")
    scorer.score(posts[:BATCH])
    watch = Stopwatch()
    watch.start()
    for at in range(0, len(posts), BATCH):
        scorer.score(posts[at : at + BATCH])
        watch.saw(len(posts[at : at + BATCH]))
    watch.tell()


if __name__ == "__main__":
    main()
