"""The engine alone: texts of a file, marked in advance and held in memory, in batches of a worker's size."""

import gzip
import json
import sys
from pathlib import Path
from typing import cast

from brandpulse.bench.competitors.runner import Stopwatch
from brandpulse.config.brands_file import load_brands
from brandpulse.text.brand_matcher import BrandMatcher
from model.loader import load_scorer
from model.spec.options import Engine, ExitPolicy
from stream_workers.scoring.brand_marker import BrandMarker

BATCH = 512


def main() -> None:
    brands, texts, engine = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    matcher = BrandMatcher(load_brands(brands))
    marker = BrandMarker(matcher)
    posts = []
    with gzip.open(texts, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            if names := matcher.match(text):
                posts.append(marker.mark(text, names))
    name, _, exit_policy = engine.partition(":")
    scorer = load_scorer(cast("Engine", name), None, None, exit_policy=cast("ExitPolicy", exit_policy or "full"))
    scorer.score(posts[:BATCH])
    watch = Stopwatch()
    watch.start()
    for at in range(0, len(posts), BATCH):
        scorer.score(posts[at : at + BATCH])
        watch.add(len(posts[at : at + BATCH]))
    watch.report()


if __name__ == "__main__":
    main()
