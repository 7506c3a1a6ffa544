"""Episode and Notification: the alerter decides, stores and sends them. The page, the demo and receivers read them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from brandpulse.masking.mask import masked_again

Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")
"""The least severe first."""
Transition = Literal["triggered", "updated", "acknowledged", "resolved"]


class ExamplePost(BaseModel):
    """A post shown as evidence, with private data masked. Examples of one window are different texts.

    Copies of a text differ in user mentions, links, case, white space, punctuation, emoji, numbers at the end or a
    repost prefix, and in a tenth of their letters or words. Copies are counted among the window's retained posts.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    text: Annotated[str, AfterValidator(masked_again)]
    """Masked again when it is read: an older version may have masked less."""
    created_at: AwareDatetime
    copies: int | None = None
    """Posts of the window with this text, this one included; None: not counted (older versions)."""
    accounts: int | None = None
    """Different accounts among them."""
    new_accounts: int | None = None
    """Those of them that wrote nothing about the brand in the seven days before the window; None: not known,
    because nothing is retained of that time, or more than about 190 people wrote in an hour of a partition."""
    at_least: bool = False
    """Not all posts of the window are retained: the three numbers are lower bounds."""


class SourceCount(BaseModel):
    """How many of a window's retained posts come from one source."""

    model_config = ConfigDict(frozen=True)

    source: str
    posts: int


class Term(BaseModel):
    """A word, or two adjacent words, that more of a window's negative posts contain than usual."""

    model_config = ConfigDict(frozen=True)

    term: str
    posts: int
    """Different negative posts that contain it, one an author."""
    of: int
    """Posts that were searched."""
    usual_share: float
    """Share of the brand's usual posts that contain it, in a sample of the week before: of negative posts if there are
    a hundred of them, else of all."""
    brands: int | None = None
    """Of a group: the number of its brands for which the term is unusual; the other numbers are over their posts."""


class Evidence(BaseModel):
    """The numbers behind a decision, over the window that ended at `window_end`. Shares are in [0, 1]."""

    model_config = ConfigDict(frozen=True)

    window_start: AwareDatetime
    window_end: AwareDatetime
    posts: int
    """Posts relevant to the brand; irrelevant ones are in none of these numbers."""
    negative_posts: int
    authors: int
    """Different people who wrote them; each has one vote. Without `copied_authors` and `excluded_authors`."""
    negative_authors: int
    negative_share: float
    """negative_authors / authors."""
    baseline_share: float
    """The share expected from the brand's own past. If volume was tested, shares were not compared: negative_share."""
    p_value: float
    """Probability of so many negative authors if nothing had changed."""
    nats: float = 0.0
    """Evidence against "nothing changed": a log-likelihood ratio over all windows that were tested; 0 if none was."""
    usual_authors: float | None = None
    """Usual number of people in such a window, if volume was tested; else None. `examples`, `sources` and `terms` are
    then of all relevant posts, negative or not."""
    expected_delay_minutes: float | None = None
    """Detection delay of a rise by 25 points at this brand's usual volume; None: more than a day, or not known.
    Of a facet: of a share three times the usual one."""
    facet: str | None = None
    """Name of the facet, if the rule is about one. `negative_posts`, `negative_authors`, the shares and the posts shown
    are then of posts in the facet, negative or not."""
    reason: str
    """One sentence for a person: what rose, from what, to what."""
    examples: list[ExamplePost] = []
    sources: list[SourceCount] = []
    """Of the window's retained posts: negative ones; of a facet, those in it; if volume was tested, all."""
    terms: list[Term] = []
    """Terms more frequent in those posts than usual, the most surprising first, at most five."""
    kept_posts: int | None = None
    """Posts of the window from which `examples`, `sources` and `terms` come; None: not counted (older versions)."""
    copied_authors: int | None = None
    """People who have no vote because they only copied a text that has its votes; None: not counted."""
    excluded_authors: int | None = None
    """People who have no vote because they behave like a bot, an advert or spam; None: not counted."""
    one_text_accounts: int | None = None
    """Accounts of the text that most accounts wrote, among the retained posts that are shown here; None: not
    counted."""
    new_accounts: int | None = None
    """Accounts of those posts that wrote nothing about the brand in the seven days before; None: not known."""
    shown_accounts: int | None = None
    """All accounts of those posts; None: not counted."""
    terms_missing: str | None = None
    """Why there are no terms, if they were searched for. Of a group, also besides terms: why some brands have none."""


class Member(BaseModel):
    """One of the episodes of a group."""

    model_config = ConfigDict(frozen=True)

    key: str
    brand: str
    rule: str
    severity: Severity
    state: Literal["firing", "resolved"]
    negative_share: float
    baseline_share: float
    people: int | None = None
    """Authors in the window, if volume was tested; shares were then not compared."""
    usual_people: float | None = None
    """Usual number of authors in such a window, if volume was tested."""
    extra_people: int = 0
    """How many more than usual: negative ones, those in the facet, or all if volume was tested."""


class Episode(BaseModel):
    """One incident of one brand under one rule, from firing to resolved. Times are event time.

    Under brand `*` and rule `storm` it is a group of many episodes that fired at once.
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
    """Estimated start of the rise."""
    fired_at: AwareDatetime
    updated_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    """When a person acknowledged it, by the wall clock: from then on its severity does not rise with time."""
    acknowledged_by: str | None = None
    silent_since: AwareDatetime | None = None
    """Since when its brand has had no posts although some are usual: the episode then stays open."""
    first: Evidence
    """The window that fired it."""
    peak: Evidence
    """The worst window so far."""
    latest: Evidence
    members: list[Member] = []
    """Of a group: its episodes, at most 500: firing ones first, then the most severe, then the largest."""
    members_total: int = 0


class Notification(BaseModel):
    """One transition of an episode, for one receiver. Its id is deterministic: the same transition has the same id."""

    model_config = ConfigDict(frozen=True, title="Notification")

    schema_version: Literal[1] = 1
    id: str
    """`<episode key>:<transition>[:<number>]@<receiver>`."""
    receiver: str
    transition: Transition
    episode: Episode
    link: str | None = None
    """Address of the page or dashboard at that time."""
