"""An episode as text for people: chat, email, and the services of apprise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from alerting.notifications.plain_text import cut, one_line, utf16_units, without_links
from brandpulse.schema.episodes import Episode, Evidence, ExamplePost, Member, Notification, Term
from brandpulse.text.near_duplicates import MANY_ACCOUNTS

MAX_TITLE_CHARS = 200
MAX_EXAMPLE_CHARS = 300
SHOWN_MEMBERS = 20
ALL_BRANDS = "*"
LEAST_CHARS = 10
"""A line cut to less than this is dropped."""

_STATES = {"triggered": "fires", "updated": "still fires", "acknowledged": "acknowledged", "resolved": "is over"}
_STATES_OF_MANY = {"triggered": "fire", "updated": "still fire", "acknowledged": "acknowledged", "resolved": "are over"}


@dataclass(frozen=True, slots=True)
class Style:
    """How a receiver writes untrusted text. The defaults are for plain text that clients do not interpret."""

    post: Callable[[str], str] = without_links
    """For text of posts, their words and sources. Its input is one line."""
    name: Callable[[str], str] = str
    """For names of brands, rules, facets and people. Its input is one line."""
    key: Callable[[str], str] = str
    link: tuple[str, str] = ("", "")
    """Text before and after the link to the page."""
    escape: Callable[[str], str] = str
    """Applied last, after the text is cut."""
    expanded: Callable[[str], str] = str
    """What a library adds afterwards. Used only to count the length."""

    def size(self, text: str) -> int:
        """The number of UTF-16 units of *text* when it arrives."""
        return utf16_units(self.expanded(self.escape(text)))


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Line:
    """One line. *before* and *after* belong to the format and are not escaped."""

    text: str
    before: str = ""
    after: str = ""

    def written(self, style: Style) -> str:
        return f"{self.before}{style.escape(self.text)}{self.after}"


def title(notification: Notification, style: Style = PLAIN) -> str:
    """`[critical] Acme Air fires: negative share`, one line. Not escaped."""
    episode = notification.episode
    severity = "resolved" if notification.transition == "resolved" else episode.severity
    state = (_STATES_OF_MANY if episode.members_total else _STATES)[notification.transition]
    rule = episode.rule.replace("_", " ")
    named = style.name(one_line(subject(episode)))
    # A long name is cut, so that the state and the rule stay readable.
    room = MAX_TITLE_CHARS - utf16_units(f"[{severity}]  {state}: {rule}")
    return style.name(one_line(f"[{severity}] {cut(named, max(room, 40), utf16_units)} {state}: {rule}"))


def lines(notification: Notification, style: Style = PLAIN) -> list[str]:
    """The body as lines: the reason, the numbers, the posts, the link."""
    details, last = _parts(notification, style)
    return [line.written(style) for line in (*details, *last)]


def body(notification: Notification, style: Style, *, max_units: int) -> str:
    """The lines within *max_units* UTF-16 units. Text is cut before it is escaped; key and link are never cut."""
    details, last = _parts(notification, style)
    while len(last) > 1 and _size(last, style) > max_units // 2:
        last.pop()  # The link is as long as the message. The key identifies the episode as well.
    room = max_units - _size(last, style)
    shown: list[Line] = []
    for line in details:
        size = _size([line], style) + utf16_units(style.expanded("\n"))
        if size > room:
            around = utf16_units(style.expanded(line.before + line.after))
            text = cut(line.text, room - around - utf16_units(style.expanded("\n")), style.size)
            if len(text) > LEAST_CHARS:
                shown.append(replace(line, text=text))
            break
        shown.append(line)
        room -= size
    return "\n".join(line.written(style) for line in (*shown, *last))


def _size(some: Sequence[Line], style: Style) -> int:
    return utf16_units(style.expanded("\n".join(line.written(style) for line in some)))


def _parts(notification: Notification, style: Style) -> tuple[list[Line], list[Line]]:
    """The lines that may be cut, the most important first, and the lines at the end that never are."""
    episode, latest = notification.episode, notification.episode.latest
    over = notification.transition == "resolved"
    details = [_own(latest.reason, style)]
    if notification.transition == "acknowledged":
        details.append(_own(f"Acknowledged by {episode.acknowledged_by or 'an operator'}.", style))
    if latest.authors:
        details.append(_own(numbers(latest), style))
    if not over:
        # Before a group's members: chats cut long messages, and what the members share matters more.
        details += [Line(one) for one in post_evidence_lines(latest, style)]
    details += [Line(member_text(one, style=style), "- ") for one in episode.members[:SHOWN_MEMBERS]]
    if episode.members_total > SHOWN_MEMBERS:
        details.append(Line(f"and {episode.members_total - SHOWN_MEMBERS} more", "- "))
    if not over:
        details += [Line(example_text(post, style=style), "> ") for post in latest.examples]
    last = [Line(f"Since {_at(episode.started_at)} UTC. {style.key(one_line(episode.key))}")]
    if notification.link is not None:
        last.append(Line(one_line(notification.link), *style.link))
    return details, last


def _own(text: str, style: Style) -> Line:
    return Line(style.name(one_line(text)))


def numbers(latest: Evidence) -> str:
    """`30 of 50 people negative (60%), usually 20%; from to UTC.`; for a volume rule
    `60 people wrote, usually 12; 45 of them negative (75%); from to UTC.`"""
    window = f"{_at(latest.window_start)} to {_at(latest.window_end)} UTC"
    if latest.usual_authors is not None:
        negative = f"{latest.negative_authors} of them negative ({_share(latest.negative_share)})"
        return f"{latest.authors} people wrote, usually {_people(latest.usual_authors)}; {negative}; {window}."
    counted = f"in {latest.facet}" if latest.facet else "negative"
    return (
        f"{latest.negative_authors} of {latest.authors} people {counted} ({_share(latest.negative_share)}), "
        f"usually {_share(latest.baseline_share)}; {window}."
    )


def in_short(latest: Evidence) -> str:
    """`30 of 50 people negative (60%), usually 20%`; the whole reason if no people were counted."""
    return numbers(latest).split(";", 1)[0] if latest.authors else latest.reason


def post_evidence_lines(latest: Evidence, style: Style = PLAIN) -> list[str]:
    """What the stored posts of the window show: accounts, words that stand out, and sources."""
    shown = [text for text in (accounts_text(latest),) if text]
    if latest.terms:
        missing = f" ({latest.terms_missing})" if latest.terms_missing is not None else ""
        shown.append(
            "Words that stand out: " + ", ".join(term_text(one, style) for one in latest.terms) + f"{missing}."
        )
    elif latest.terms_missing is not None:
        shown.append(f"Words that stand out: none ({latest.terms_missing}).")
    if latest.sources:
        counted = ", ".join(f"{style.post(one_line(one.source))} {one.posts}" for one in latest.sources)
        shown.append(f"From ({style.name(_kept(latest))}): {counted}.")
    return shown


def accounts_text(latest: Evidence) -> str:
    """`Accounts: 21 posted one text; 19 of 46 are new; no vote for 16 with copies and 2 that behave like bots.`"""
    parts = []
    if latest.one_text_accounts is not None and latest.one_text_accounts >= MANY_ACCOUNTS:
        parts.append(f"{latest.one_text_accounts} posted one text")
    if latest.new_accounts is not None and latest.shown_accounts:
        parts.append(f"{latest.new_accounts or 'none'} of {latest.shown_accounts} are new")
    uncounted = []
    if latest.copied_authors:
        uncounted.append(f"{latest.copied_authors} with copies")
    if latest.excluded_authors:
        number = latest.excluded_authors
        uncounted.append(f"{number} that behave{'s' if number == 1 else ''} like {'a bot' if number == 1 else 'bots'}")
    if uncounted:
        parts.append(f"no vote for {' and '.join(uncounted)}")
    return f"Accounts: {'; '.join(parts)}." if parts else ""


def example_text(post: ExamplePost, *, most_chars: int = MAX_EXAMPLE_CHARS, style: Style = PLAIN) -> str:
    """The text on one line, and how many copies it has if there are several."""
    # A post may be very long: cut it roughly before it is processed.
    text, number = cut(style.post(one_line(post.text[: 8 * most_chars])), most_chars), copies(post)
    return f"{text} ({number})" if number else text


def copies(post: ExamplePost) -> str:
    """`posted 21 times by 21 accounts, 19 of them new`; empty for a text of one post."""
    if post.copies is None or post.accounts is None or post.copies < 2:
        return ""
    at_least = "at least " if post.at_least else ""
    accounts = f"{post.accounts} account{'' if post.accounts == 1 else 's'}"
    new = ""
    if post.new_accounts is not None:
        if post.accounts == 1:
            new = ", a new one" if post.new_accounts else ""
        else:
            new = f", {'all' if post.new_accounts == post.accounts else post.new_accounts or 'none'} of them new"
    return f"posted {at_least}{post.copies} times by {accounts}{new}"


def _kept(latest: Evidence) -> str:
    """Which posts the sources are counted from."""
    if latest.facet:
        kind, total = f"posts in {latest.facet}", latest.negative_posts
    elif latest.usual_authors is not None:
        kind, total = "posts", latest.posts
    else:
        kind, total = "negative posts", latest.negative_posts
    if latest.kept_posts is None:
        return f"{kind} kept, not all"
    return f"all {kind}" if latest.kept_posts >= total else f"{latest.kept_posts} of {total} {kind}, a sample"


def _people(people: float) -> str:
    """Whole numbers; one decimal below 10."""
    return f"{people:.0f}" if people >= 10 else f"{people:.1f}"


def term_text(one: Term, style: Style = PLAIN) -> str:
    """`lost luggage (8 of 20 posts, usually 1%)`; for a group `lost luggage (7 brands, 80 of 140 posts, usually 1%)`"""
    usual = "under 1%" if 0 < one.usual_share < 0.01 else f"{one.usual_share:.0%}"
    where = "" if one.brands is None else f"{one.brands} brand{'' if one.brands == 1 else 's'}, "
    return f"{style.post(one_line(one.term))} ({where}{one.posts} of {one.of} posts, usually {usual})"


def member_text(one: Member, *, most_chars: int = MAX_TITLE_CHARS, style: Style = PLAIN) -> str:
    """`Acme Air (negative share): critical, firing, 62%, usually 18%, 219 people more than usual`; for a volume
    rule `Acme Air (volume): error, firing, 60 people, usually 12`"""
    brand = cut(style.name(one_line(one.brand)), most_chars)
    if one.usual_people is not None:
        return (
            f"{brand} ({one.rule.replace('_', ' ')}): {one.severity}, {one.state}, "
            f"{one.people} people, usually {_people(one.usual_people)}"
        )
    return (
        f"{brand} ({one.rule.replace('_', ' ')}): {one.severity}, {one.state}, "
        f"{_share(one.negative_share)}, usually {_share(one.baseline_share)}, {one.extra_people} people more than usual"
    )


def _share(part: float) -> str:
    """Whole percents; one decimal for small shares."""
    return f"{part:.1%}" if 0 < part < 0.095 else f"{part:.0%}"


def subject(episode: Episode) -> str:
    if episode.members_total:
        return f"{episode.members_total} episodes at once"
    return "The stream" if episode.brand == ALL_BRANDS else episode.brand


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
