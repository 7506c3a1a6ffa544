"""`brandpulse bench stages`: CPU time a post of each text stage, against a worker without a model in the same run.

A stage is measured alone, in this process, over the records that the worker reads. A new stage is one entry of
`text_stages`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec

from brandpulse.bench import environment
from brandpulse.bench.environment import BRANDS
from brandpulse.bench.pipeline import measure
from brandpulse.config.brands_file import Brand, load_brands
from brandpulse.schema.identity import AuthorHasher
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import LanguageIdentifier
from brandpulse.text.near_copies import CopyIndex
from brandpulse.text.near_duplicates import normal_words
from stream_workers.decoding.batch_decoder import fastest_decoder
from stream_workers.decoding.post_decoder import decode_post
from stream_workers.decoding.records import Record, Records

LANGUAGES = ("en", "ar", "de", "es", "fr", "hi", "it", "pt")
BATCH = 8_192
"""Records per call of the decoder, as the worker of `bench pipeline` without a model."""
STAGE_POSTS = 20_000
"""Largest number of posts over which a stage is measured."""
HTML_EVERY = 10
"""One post in so many is HTML, as from a producer that does not read it as text; those are decoded in Python."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the text, measured alone."""

    name: str
    runs_in: str
    """`worker, always`: part of the worker without a model; `worker, with a model`; or another service."""
    run: Callable[[], None]
    """Does the stage's work for all posts once."""
    without: Callable[[], None] | None = None
    """The same work without the stage, whose time is subtracted."""

    def seconds(self) -> float:
        """CPU time of the stage for all posts."""
        return _cpu(self.run) - (0.0 if self.without is None else _cpu(self.without))


@dataclass(frozen=True, slots=True)
class StageReport:
    """Microseconds of CPU time a post, medians of the rounds."""

    posts: int
    worker: float
    """Of the worker without a model."""
    stages: dict[str, float]
    in_worker: frozenset[str]
    """Stages that are part of `worker`."""

    @property
    def before(self) -> float:
        """Of a worker without any of the stages."""
        return self.worker - sum(self.stages[name] for name in self.in_worker)

    def ratio(self, *names: str) -> float:
        """Cost of a worker with the stages *names* relative to one without any."""
        return (self.before + sum(self.stages[name] for name in names)) / self.before


def text_stages(plain: Sequence[bytes], records: Sequence[bytes]) -> list[Stage]:
    """The stages over *records*, which are *plain* with HTML in some."""
    forms = [decode_post(value).text for value in records]
    brands = load_brands(BRANDS)
    matcher = BrandMatcher(brands)
    named = [form for form in forms if matcher.match(form)]
    languages = LanguageIdentifier(LANGUAGES)
    languages.load()

    def identify() -> None:
        languages.identify(named)

    def find_copies() -> None:
        index = CopyIndex()
        for form in named:
            index.add(normal_words(form))

    return [
        Stage("text form", "worker, always", _decode(records, brands), _decode(plain, brands)),
        Stage("match", "worker, always", _decode(records, brands), _decode(records, [_unnamed()])),
        Stage("language", "worker, with a model", identify),
        Stage("copies", "alerter and page, of stored posts", find_copies),
    ]


def run(*, posts: int, broker: str, rounds: int, json_out: Path | None = None) -> StageReport:
    """Measure the worker and each stage in turn, *rounds* times, and print the medians."""
    from rich.table import Table

    from brandpulse.runtime.console import Console

    console = Console()
    plain = environment.records_of_posts(posts, seed=1)
    records = with_html(plain)
    measured_posts = min(posts, STAGE_POSTS)
    stages = text_stages(plain[:measured_posts], records[:measured_posts])
    of_worker: list[float] = []
    of_stage: dict[str, list[float]] = {stage.name: [] for stage in stages}
    with environment.servers(broker) as (folder, servers):
        for number in range(rounds):
            measured = measure(folder, servers, "null", records, number=number)
            of_worker.append(1e6 * measured.used["worker"].cpu_seconds / measured.posts)
            for stage in stages:
                of_stage[stage.name].append(1e6 * stage.seconds() / measured_posts)
    report = StageReport(
        posts,
        median(of_worker),
        {name: median(figures) for name, figures in of_stage.items()},
        frozenset(stage.name for stage in stages if stage.runs_in == "worker, always"),
    )
    table = Table("stage", "runs in", "CPU µs a post", "x worker without stages", title=f"{posts:,} posts")
    table.add_row("none", "worker without a model", f"{report.before:.2f}", "1.00")
    for stage in stages:
        cost = f"{report.stages[stage.name]:.2f}"
        table.add_row(stage.name, stage.runs_in, cost, f"{report.ratio(stage.name):.2f}")
    console.print(table)
    in_worker = [stage.name for stage in stages if stage.runs_in.startswith("worker")]
    console.print(
        f"stages of the worker together: {report.ratio(*in_worker):.2f} x; all stages: {report.ratio(*of_stage):.2f} x"
    )
    if json_out is not None:
        json_out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return report


def with_html(plain: Sequence[bytes]) -> list[bytes]:
    """*plain*, of which one in `HTML_EVERY` becomes HTML."""
    records = list(plain)
    for number in range(0, len(records), HTML_EVERY):
        post = msgspec.json.decode(records[number])
        records[number] = msgspec.json.encode(post | {"text": f"<p>{post['text']}<br>&amp; so on</p>"})
    return records


def _decode(records: Sequence[bytes], brands: Sequence[Brand]) -> Callable[[], None]:
    decoder = fastest_decoder(BrandMatcher(brands), AuthorHasher("bench"))
    batches = [
        Records.from_records(
            [Record(number, 0, None, value) for number, value in enumerate(records[start : start + BATCH])]
        )
        for start in range(0, len(records), BATCH)
    ]

    def decode() -> None:
        for batch in batches:
            decoder.decode(batch)

    return decode


def _unnamed() -> Brand:
    return Brand(name="Unnamed", terms=["no post names this"])


def _cpu(call: Callable[[], None]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
