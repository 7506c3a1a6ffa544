"""Names of all keys in Redis, defined only here. File names below are under brandpulse/state/ unless they have a path.

All state of one partition shares the hash tag `{namespace:topic:partition}`, so one Lua call reaches it in a cluster:

    {ns:topic:p}:state                hash   partition_state.py: next, topic_id, clock, counters, owner
    {ns:topic:p}:m:<hour>:<brand>     hash   minute of the hour -> Pane             kept 48 h of event time
    {ns:topic:p}:ms:<hour>:<brand>    hash   minute of the hour -> Authors          kept 3 h
    {ns:topic:p}:h:<day>:<brand>      hash   hour of the day -> Pane                kept 90 d
    {ns:topic:p}:hs:<day>:<brand>     hash   hour of the day -> Authors             as long as the hour pane
    {ns:topic:p}:ids:<generation>     set    digests of (source, id)                to find duplicates; few generations
    {ns:topic:p}:logs                 list   earlier logs of the partition: "<topic id> <next>", the newest 1,000
                                             (applied_logs.py)
    {ns:topic:p}:redriven             zset   identities of processed redriven posts -> offset; 1,000,000
    {ns:topic:p}:neg:<brand>          zset   negative posts, JSON -> event time; the newest 20
    {ns:topic:p}:s:<day>:<brand>      zset   sampled posts, JSON -> minus their digest; 30, kept 8 d of event time
    {ns:topic:p}:kn:<hour>:<brand>    zset   negative posts, JSON -> minus their digest; 100, kept 4 h of event time
    {ns:topic:p}:ko:<hour>:<brand>    zset   neutral and positive ones, likewise; 60   (stored_posts.py)
    {ns:topic:p}:erased               set    posts and authors whose text was erased (erasure/erased_posts.py)
    {ns:topic:p}:index                zset   name of each key with <hour> or <day> -> event hour at which it may go

    {ns}:partitions                   set    topic:p of every partition that ever had state
    {ns}:brands                       set    brands that ever had a pane
    {ns}:origins                      hash   topic id -> offset of each partition where the namespace began to read it,
                                             if not at its beginning: "12,0,7"
    {ns:topic:sent}:windows           list   posts sent by `brandpulse ingest file`, in windows
                                             (ingest/files/sent/ledger.py)
    {ns:topic:sent}:about             hash   the ledger's identity, and how many windows and posts were dropped from it
    {ns:topic:sent}:run:<id>          string a run that sends now, PX
    {ns:sources}:positions            hash   live source -> its position and last event, JSON
                                             (ingest/sources/position_store.py)
    {ns:sources}:history:<source>     list   newest first: earlier positions with the offsets sent until then; 900
    {ns:sources}:gaps                 list   newest first: periods that sources could not read, JSON; 1,000
    {ns:erasure}:posts                zset   erased posts -> wall ms, for all namespaces (erasure/erased_posts.py)
    {ns:erasure}:authors              set    erased authors, keyed hashes
    {ns:erasure}:letters              set    erased dead letters
    {ns:erasure}:namespaces           set    ns and its shadows
    {ns:sources}:deletions            zset   deletions of the platforms, JSON -> second at which to apply them; 500,000
    {ns}:live                         string namespace that readers of ns follow, if another (namespaces.py)
    {ns}:replay                       string what ns recomputes, if it is a shadow (namespaces.py)

The alerter's state shares one tag, so that episodes, outbox and evaluated_until move in one transaction:

    {ns:alerting}:lease               string holder of the leader lease, PX
    {ns:alerting}:fence               string fencing token, INCR at each takeover
    {ns:alerting}:evaluated_until     string event-time minute (ms) below which nothing is evaluated again
    {ns:alerting}:detector            hash   episode key -> Memory of an open episode, with notified receivers
    {ns:alerting}:episodes            hash   episode key -> Episode, the open ones
    {ns:alerting}:closed              list   newest closed Episodes, at most 500
    {ns:alerting}:spans               zset   end:start:rule:brand of closed Episodes -> end (event time, ms); 100 days
    {ns:alerting}:outbox              hash   delivery id -> Delivery, not yet delivered
    {ns:alerting}:outbox:order        zset   delivery id -> sequence number: FIFO
    {ns:alerting}:outbox:seq          string last sequence number given
    {ns:alerting}:quarantine          hash   delivery id -> Delivery refused for good
    {ns:alerting}:delivered           list   newest successful deliveries, at most 500
    {ns:alerting}:late                hash   delivery id -> Delivery that an alerter sent after it lost the lease
    {ns:alerting}:tally               hash   <receiver>|<outcome> -> number of notifications since the state began
    {ns:alerting}:silences            hash   silence id -> Silence
    {ns:alerting}:acknowledgements    hash   episode key -> Acknowledgement that the leader has not processed yet
    {ns:alerting}:delays              hash   brand -> detection delay of a rise by 25 points in seconds, or inf; a hint
    {ns:alerting}:uncounted           hash   <hour>|<series> -> people of the hour who have no vote: copied and negative
                                             ones, excluded and negative ones; 48 hours
                                             (alerting/detection/vote_review.py)
    {ns:alerting}:facets              string the facets that rules watch (watched_facets.py); a hint
    {ns:alerting}:hours:<live>:<day>  hash   series -> summary of the day's hours in namespace live; a hint, 95 d
                                             (alerting/evaluation/hour_summary_cache.py)
    {ns:alerting}:erasures            string number of erased texts: data read before an erasure is not written back
    {ns:alerting}:durable             string counter written before WAITAOF: once it is on disk, all before it is

Hours and days are whole numbers since 1970, UTC. Brand names come last, unescaped: only U+001F is not allowed.

Where a key has <brand>, a facet of a brand (brandpulse/config/facets.py) has `<brand>U+001F<facet>`: its posts and
people are a series of panes like a brand's, dropped at the same time. {ns}:brands does not list facets. The neg: of a
facet holds its newest posts of any sentiment.
"""

from dataclasses import dataclass

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

FACET_MARK = "\x1f"
"""Separates brand and facet in the name of a series. Names of brands must not contain it."""


def facet_series(brand: str, facet: str) -> str:
    """The name of the series of *facet* of *brand*."""
    return f"{brand}{FACET_MARK}{facet}"


def brand_of(series: str) -> str:
    """The brand of a brand's or a facet's *series*."""
    return series.partition(FACET_MARK)[0]


def facet_of(series: str) -> str:
    """The facet of a *series*; empty for a brand's own."""
    return series.partition(FACET_MARK)[2]


@dataclass(frozen=True, slots=True)
class PartitionKeys:
    """Keys of one partition's state."""

    namespace: str
    topic: str
    partition: int

    @property
    def tag(self) -> str:
        return f"{{{self.namespace}:{self.topic}:{self.partition}}}"

    @property
    def state(self) -> str:
        return f"{self.tag}:state"

    @property
    def index(self) -> str:
        return f"{self.tag}:index"

    def minute_panes(self, brand: str, hour: int) -> str:
        return f"{self.tag}:m:{hour}:{brand}"

    def minute_authors(self, brand: str, hour: int) -> str:
        return f"{self.tag}:ms:{hour}:{brand}"

    def hour_panes(self, brand: str, day: int) -> str:
        return f"{self.tag}:h:{day}:{brand}"

    def hour_authors(self, brand: str, day: int) -> str:
        return f"{self.tag}:hs:{day}:{brand}"

    def sample(self, brand: str, day: int) -> str:
        return f"{self.tag}:s:{day}:{brand}"

    def hour_posts(self, series: str, hour: int, *, negative: bool) -> str:
        return f"{self.tag}:{'kn' if negative else 'ko'}:{hour}:{series}"

    def ids(self, generation: int) -> str:
        return f"{self.tag}:ids:{generation}"

    @property
    def erased(self) -> str:
        return f"{self.tag}:erased"

    @property
    def logs(self) -> str:
        return f"{self.tag}:logs"

    @property
    def redriven(self) -> str:
        return f"{self.tag}:redriven"

    def negatives(self, brand: str) -> str:
        return f"{self.tag}:neg:{brand}"


@dataclass(frozen=True, slots=True)
class NamespaceKeys:
    """Keys of a namespace over all its partitions: hints that only grow, written outside the Lua call."""

    namespace: str

    @property
    def partitions(self) -> str:
        return f"{{{self.namespace}}}:partitions"

    @property
    def brands(self) -> str:
        return f"{{{self.namespace}}}:brands"

    @property
    def origins(self) -> str:
        return f"{{{self.namespace}}}:origins"

    @property
    def live(self) -> str:
        return f"{{{self.namespace}}}:live"

    @property
    def replay(self) -> str:
        return f"{{{self.namespace}}}:replay"


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """Keys of the ledger of posts sent from files into one topic."""

    namespace: str
    topic: str

    @property
    def tag(self) -> str:
        return f"{{{self.namespace}:{self.topic}:sent}}"

    @property
    def windows(self) -> str:
        return f"{self.tag}:windows"

    @property
    def about(self) -> str:
        return f"{self.tag}:about"

    def run(self, run_id: str) -> str:
        return f"{self.tag}:run:{run_id}"


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """Keys of the live sources of a namespace."""

    namespace: str

    @property
    def tag(self) -> str:
        return f"{{{self.namespace}:sources}}"

    @property
    def positions(self) -> str:
        return f"{self.tag}:positions"

    @property
    def gaps(self) -> str:
        return f"{self.tag}:gaps"

    @property
    def states(self) -> str:
        """Hash: source -> `SourceRecord`."""
        return f"{self.tag}:states"

    @property
    def deletions(self) -> str:
        return f"{self.tag}:deletions"

    @property
    def limits(self) -> str:
        """Hash: source -> the most that it may use up in a day."""
        return f"{self.tag}:limits"

    def history(self, source: str) -> str:
        return f"{self.tag}:history:{source}"

    def spent(self, source: str) -> str:
        """Hash: day -> what the source used up."""
        return f"{self.tag}:spent:{source}"


@dataclass(frozen=True, slots=True)
class ErasureKeys:
    """Keys of what was erased in a namespace and its shadows."""

    namespace: str

    @property
    def tag(self) -> str:
        return f"{{{self.namespace}:erasure}}"

    @property
    def posts(self) -> str:
        return f"{self.tag}:posts"

    @property
    def authors(self) -> str:
        return f"{self.tag}:authors"

    @property
    def letters(self) -> str:
        return f"{self.tag}:letters"

    @property
    def namespaces(self) -> str:
        return f"{self.tag}:namespaces"


@dataclass(frozen=True, slots=True)
class AlertingKeys:
    """Keys of the alerter's state."""

    namespace: str

    @property
    def tag(self) -> str:
        return f"{{{self.namespace}:alerting}}"

    @property
    def lease(self) -> str:
        return f"{self.tag}:lease"

    @property
    def fence(self) -> str:
        return f"{self.tag}:fence"

    @property
    def evaluated_until(self) -> str:
        return f"{self.tag}:evaluated_until"

    @property
    def detector(self) -> str:
        return f"{self.tag}:detector"

    @property
    def episodes(self) -> str:
        return f"{self.tag}:episodes"

    @property
    def closed(self) -> str:
        return f"{self.tag}:closed"

    @property
    def spans(self) -> str:
        return f"{self.tag}:spans"

    @property
    def outbox(self) -> str:
        return f"{self.tag}:outbox"

    @property
    def outbox_order(self) -> str:
        return f"{self.tag}:outbox:order"

    @property
    def outbox_sequence(self) -> str:
        return f"{self.tag}:outbox:seq"

    @property
    def quarantine(self) -> str:
        return f"{self.tag}:quarantine"

    @property
    def delivered(self) -> str:
        return f"{self.tag}:delivered"

    @property
    def late(self) -> str:
        return f"{self.tag}:late"

    @property
    def tally(self) -> str:
        return f"{self.tag}:tally"

    @property
    def silences(self) -> str:
        return f"{self.tag}:silences"

    @property
    def acknowledgements(self) -> str:
        return f"{self.tag}:acknowledgements"

    @property
    def delays(self) -> str:
        return f"{self.tag}:delays"

    @property
    def uncounted(self) -> str:
        return f"{self.tag}:uncounted"

    @property
    def facets(self) -> str:
        return f"{self.tag}:facets"

    @property
    def erasures(self) -> str:
        return f"{self.tag}:erasures"

    def hours(self, live: str, day: int) -> str:
        return f"{self.tag}:hours:{live}:{day}"

    @property
    def durable(self) -> str:
        return f"{self.tag}:durable"
