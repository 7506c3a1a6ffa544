"""The kinds of sources: those of this package, and those that other packages register."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from brandpulse.errors import ConfigError
from ingest.sources.connectors.bluesky import BlueskySettings, BlueskySource
from ingest.sources.connectors.feeds import FeedSettings, FeedSource
from ingest.sources.connectors.hacker_news import HackerNewsSettings, HackerNewsSource
from ingest.sources.connectors.kafka_topics import KafkaSettings, KafkaSource
from ingest.sources.connectors.mastodon import MastodonSettings, MastodonSource
from ingest.sources.connectors.x.settings import XSettings
from ingest.sources.connectors.x.source import XSource
from ingest.sources.connectors.youtube import YouTubeSettings, YouTubeSource
from ingest.sources.source import Source, SourceSettings

ENTRY_POINTS = "brandpulse.sources"
"""Group of the entry points: kind -> `package.module:KIND`, a `SourceKind`."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind: its settings, and the class of its sources, which takes them."""

    settings: type[SourceSettings]
    source: type[Any]

    def create(self, settings: SourceSettings) -> Source:
        return cast(Source, self.source(settings))


BUILT_IN: Mapping[str, SourceKind] = {
    "bluesky": SourceKind(BlueskySettings, BlueskySource),
    "feed": SourceKind(FeedSettings, FeedSource),
    "hacker-news": SourceKind(HackerNewsSettings, HackerNewsSource),
    "kafka": SourceKind(KafkaSettings, KafkaSource),
    "mastodon": SourceKind(MastodonSettings, MastodonSource),
    "x": SourceKind(XSettings, XSource),
    "youtube": SourceKind(YouTubeSettings, YouTubeSource),
}


@cache
def source_kinds() -> Mapping[str, SourceKind]:
    """Every kind by name. Raises ConfigError that names the package whose entry point is wrong."""
    kinds = dict(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in BUILT_IN:
            raise ConfigError(f"{_owner(entry)} registers the source kind {entry.name!r}, which brandpulse has itself")
        try:
            kind = entry.load()
        except Exception as error:
            raise ConfigError(f"the source kind {entry.name!r} of {_owner(entry)} cannot be loaded: {error}") from error
        if not isinstance(kind, SourceKind):
            raise ConfigError(f"the source kind {entry.name!r} of {_owner(entry)}: {entry.value} is no SourceKind")
        kinds[entry.name] = kind
    return kinds


def _owner(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name!r}" if entry.dist is not None else "a package"
