"""Episode and Notification: what the alerter decides, stores and sends. The page, the demo and receivers read these."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from brandpulse.masking.mask import masked_again

Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")
"""From the least grave on."""
Transition = Literal["triggered", "updated", "acknowledged", "resolved"]


class ExamplePost(BaseModel):
    """A post that stands as evidence, with private things masked. Examples of one window are different texts.

    Copies of a text differ by user mentions, links, case, white space, punctuation, emoji, numbers at the end or a
    repost prefix. Copies are counted among the window's posts that were kept.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    text: Annotated[str, AfterValidator(masked_again)]
    """Masked here too: an older version may have stored it with what it did not mask."""
    created_at: AwareDatetime
    copies: int | None = None
    """Posts of the window that say this text, this one included; None: not counted (older versions)."""
    accounts: int | None = None
    """Different accounts among them."""
    new_accounts: int | None = None
    """Those among them that wrote nothing about the brand in the seven days before the window; None: not known,
    because nothing is kept of that time, or more than some 190 people wrote in an hour of a partition."""
    at_least: bool = False
    """Not all posts of the window are kept: the three numbers are at least these."""


class SourceCount(BaseModel):
    """How many of a window's kept posts one source brought."""

    model_config = ConfigDict(frozen=True)

    source: str
    posts: int


class Term(BaseModel):
    """A word, or two that stand side by side, that more of a window's negative posts hold than usual."""

    model_config = ConfigDict(frozen=True)

    term: str
    posts: int
    """Different negative posts that hold it, one an author."""
    of: int
    """Among so many that were looked at."""
    usual_share: float
    """Share of the brand's usual posts that hold it, of a sample of the week before: negative ones where it has a
    hundred of them, else all."""
    brands: int | None = None
    """Of a group: at so many of its brands it stands out; the other numbers are of their posts together."""


class Evidence(BaseModel):
    """The numbers that made us say so, over the window that ended at `window_end`. Shares are in [0, 1]."""

    model_config = ConfigDict(frozen=True)

    window_start: AwareDatetime
    window_end: AwareDatetime
    posts: int
    """Posts that say something about the brand: what is irrelevant to it counts nowhere here."""
    negative_posts: int
    authors: int
    """Different people who wrote them: each has one vote."""
    negative_authors: int
    negative_share: float
    """negative_authors / authors."""
    baseline_share: float
    """What the brand's own past makes us expect. Where volume was tested no shares were compared: negative_share."""
    p_value: float
    """Chance of so many negative authors if nothing had changed."""
    nats: float = 0.0
    """Evidence against "nothing changed", as a log-likelihood ratio of all that was weighed; 0 where none was."""
    usual_authors: float | None = None
    """People usual in such a window, where volume was tested; None elsewhere. `examples`, `sources` and `terms` are
    then of all relevant posts, negative or not."""
    expected_delay_minutes: float | None = None
    """How long a rise by 25 points goes untold at this brand's usual volume; None: more than a day, or not known.
    Of a facet: how long a share three times the usual one."""
    facet: str | None = None
    """Of a rule about a facet its name. `negative_posts`, `negative_authors`, the shares and the posts shown are then
    of those in the facet, negative or not."""
    reason: str
    """One sentence for a person: what rose, from what, to what."""
    examples: list[ExamplePost] = []
    sources: list[SourceCount] = []
    """Of the window's posts that were kept: negative ones, of a facet those in it, where volume was tested all."""
    terms: list[Term] = []
    """What those posts speak of more than usual, the most surprising first, at most five."""
    kept_posts: int | None = None
    """Posts of the window that `examples`, `sources` and `terms` are of; None: not counted (older versions)."""
    terms_missing: str | None = None
    """Why there are no terms, where they were looked for. Of a group, also beside terms: why some brands tell none."""


class Member(BaseModel):
    """One of the episodes that a group stands for."""

    model_config = ConfigDict(frozen=True)

    key: str
    brand: str
    rule: str
    severity: Severity
    state: Literal["firing", "resolved"]
    negative_share: float
    baseline_share: float
    people: int | None = None
    """Who wrote in the window, where volume was tested: its shares were not compared with anything."""
    usual_people: float | None = None
    """Usual in such a window, likewise."""
    extra_people: int = 0
    """How many more than usual: negative ones, those in the facet, or all where volume was tested."""


class Episode(BaseModel):
    """One incident of one brand under one rule, from firing to resolved. Times are event time.

    Under brand `*` and rule `storm` it stands for the many that fired at once.
    """

    model_config = ConfigDict(frozen=True, title="Episode")

    schema_version: Literal[1] = 1
    key: Annotated[str, Field(max_length=255)]
    """`brand:rule:start`, from event time, so that a replay makes the same key. The receivers' dedup key."""
    brand: str
    rule: str
    severity: Severity
    state: Literal["firing", "resolved"]
    started_at: AwareDatetime
    """When the rise began, as far as the data tells."""
    fired_at: AwareDatetime
    updated_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    """When a person took it on, by the wall clock: from then on it does not grow graver by time."""
    acknowledged_by: str | None = None
    silent_since: AwareDatetime | None = None
    """Since when its brand has had no posts, though some are usual: until then nothing says that it is over."""
    first: Evidence
    """What fired it."""
    peak: Evidence
    """The worst window so far."""
    latest: Evidence
    members: list[Member] = []
    """Of a group: those it stands for, at most 500: firing ones first, then the gravest, then the largest."""
    members_total: int = 0


class Notification(BaseModel):
    """One transition of an episode, for one receiver. Its id is deterministic: the same transition is the same id."""

    model_config = ConfigDict(frozen=True, title="Notification")

    schema_version: Literal[1] = 1
    id: str
    """`<episode key>:<transition>[:<number>]@<receiver>`."""
    receiver: str
    transition: Transition
    episode: Episode
    link: str | None = None
    """The page or dashboard at that time."""
