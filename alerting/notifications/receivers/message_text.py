"""An episode in plain words, for people who read: chat, mail, and whatever apprise speaks to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from alerting.notifications.plain_text import cut, one_line, utf16_units, without_links
from brandpulse.schema.episodes import Episode, Evidence, ExamplePost, Member, Notification, Term

MAX_TITLE_CHARS = 200
MAX_EXAMPLE_CHARS = 300
SHOWN_MEMBERS = 20
ALL_BRANDS = "*"
LEAST_CHARS = 10
"""A line that is cut to less says nothing."""

_STATES = {"triggered": "fires", "updated": "still fires", "acknowledged": "taken on", "resolved": "is over"}
_STATES_OF_MANY = {"triggered": "fire", "updated": "still fire", "acknowledged": "taken on", "resolved": "are over"}


@dataclass(frozen=True, slots=True)
class Style:
    """How a receiver writes what is not its own. The defaults are of plain text that no client reads markup into."""

    post: Callable[[str], str] = without_links
    """Of posts: their texts, words and sources. Gets one line."""
    name: Callable[[str], str] = str
    """Of brands, rules, facets and people; likewise."""
    key: Callable[[str], str] = str
    link: tuple[str, str] = ("", "")
    """What is written before and behind the link to the page."""
    escape: Callable[[str], str] = str
    """Comes last, after a cut."""
    grown: Callable[[str], str] = str
    """What a library adds afterwards: counted here, done there."""

    def size(self, text: str) -> int:
        """How many UTF-16 units *text* has where it arrives."""
        return utf16_units(self.grown(self.escape(text)))


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Line:
    """One line; *before* and *behind* are the format's own and not escaped."""

    text: str
    before: str = ""
    behind: str = ""

    def written(self, style: Style) -> str:
        return f"{self.before}{style.escape(self.text)}{self.behind}"


def title(notification: Notification, style: Style = PLAIN) -> str:
    """`[critical] Acme Air fires: negative share`, one line. Not escaped."""
    episode = notification.episode
    severity = "resolved" if notification.transition == "resolved" else episode.severity
    state = (_STATES_OF_MANY if episode.members_total else _STATES)[notification.transition]
    rule = episode.rule.replace("_", " ")
    named = style.name(one_line(subject(episode)))
    # The name gives way: what happened, and by which rule, is read at any length.
    room = MAX_TITLE_CHARS - utf16_units(f"[{severity}]  {state}: {rule}")
    return style.name(one_line(f"[{severity}] {cut(named, max(room, 40), utf16_units)} {state}: {rule}"))


def lines(notification: Notification, style: Style = PLAIN) -> list[str]:
    """The rest, line by line: the sentence, the numbers, the posts, the link."""
    said, last = _parts(notification, style)
    return [line.written(style) for line in (*said, *last)]


def body(notification: Notification, style: Style, *, most: int) -> str:
    """The lines within *most* UTF-16 units: what is cut is cut before it is escaped, and key and link stay."""
    said, last = _parts(notification, style)
    while len(last) > 1 and _size(last, style) > most // 2:
        last.pop()  # An address as long as the message: the key finds the episode too.
    room = most - _size(last, style)
    kept: list[Line] = []
    for line in said:
        size = _size([line], style) + utf16_units(style.grown("\n"))
        if size > room:
            around = utf16_units(style.grown(line.before + line.behind))
            text = cut(line.text, room - around - utf16_units(style.grown("\n")), style.size)
            if len(text) > LEAST_CHARS:
                kept.append(replace(line, text=text))
            break
        kept.append(line)
        room -= size
    return "\n".join(line.written(style) for line in (*kept, *last))


def _size(some: Sequence[Line], style: Style) -> int:
    return utf16_units(style.grown("\n".join(line.written(style) for line in some)))


def _parts(notification: Notification, style: Style) -> tuple[list[Line], list[Line]]:
    """What may be cut, the most important first; and what ends the message, however long it is."""
    episode, latest = notification.episode, notification.episode.latest
    over = notification.transition == "resolved"
    said = [_own(latest.reason, style)]
    if notification.transition == "acknowledged":
        said.append(_own(f"Taken on by {episode.acknowledged_by or 'somebody'}.", style))
    if latest.authors:
        said.append(_own(numbers(latest), style))
    if not over:
        # Before a group's members: chat cuts what is long, and what they have in common is news.
        said += [Line(one) for one in post_evidence_lines(latest, style)]
    said += [Line(member_text(one, style=style), "- ") for one in episode.members[:SHOWN_MEMBERS]]
    if episode.members_total > SHOWN_MEMBERS:
        said.append(Line(f"and {episode.members_total - SHOWN_MEMBERS} more", "- "))
    if not over:
        said += [Line(example_text(post, style=style), "> ") for post in latest.examples]
    last = [Line(f"Since {_at(episode.started_at)} UTC. {style.key(one_line(episode.key))}")]
    if notification.link is not None:
        last.append(Line(one_line(notification.link), *style.link))
    return said, last


def _own(text: str, style: Style) -> Line:
    return Line(style.name(one_line(text)))


def numbers(latest: Evidence) -> str:
    """`30 of 50 people negative (60%), usually 20%; from to UTC.`; of a volume
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
    """`30 of 50 people negative (60%), usually 20%`; the whole sentence where no people were counted."""
    return numbers(latest).split(";", 1)[0] if latest.authors else latest.reason


def post_evidence_lines(latest: Evidence, style: Style = PLAIN) -> list[str]:
    """What the kept posts show beyond themselves: words that stand out, and sources."""
    said = []
    if latest.terms:
        but = f" ({latest.terms_missing})" if latest.terms_missing is not None else ""
        said.append("Words that stand out: " + ", ".join(term_text(one, style) for one in latest.terms) + f"{but}.")
    elif latest.terms_missing is not None:
        said.append(f"Words that stand out: none told ({latest.terms_missing}).")
    if latest.sources:
        counted = ", ".join(f"{style.post(one_line(one.source))} {one.posts}" for one in latest.sources)
        said.append(f"From ({style.name(_kept(latest))}): {counted}.")
    return said


def example_text(post: ExamplePost, *, most_chars: int = MAX_EXAMPLE_CHARS, style: Style = PLAIN) -> str:
    """The text in one line, and behind it how many said it, if more than one post did."""
    # A post may be long: what is certainly cut is not looked through.
    text, number = cut(style.post(one_line(post.text[: 8 * most_chars])), most_chars), copies(post)
    return f"{text} ({number})" if number else text


def copies(post: ExamplePost) -> str:
    """`said 21 times by 21 accounts, 19 of them new`; empty of a text that one post says."""
    if post.copies is None or post.accounts is None or post.copies < 2:
        return ""
    least = "at least " if post.at_least else ""
    accounts = f"{post.accounts} account{'' if post.accounts == 1 else 's'}"
    new = ""
    if post.new_accounts is not None:
        if post.accounts == 1:
            new = ", a new one" if post.new_accounts else ""
        else:
            new = f", {'all' if post.new_accounts == post.accounts else post.new_accounts or 'none'} of them new"
    return f"said {least}{post.copies} times by {accounts}{new}"


def _kept(latest: Evidence) -> str:
    """Of which posts sources are counted."""
    if latest.facet:
        kind, total = f"posts in {latest.facet}", latest.negative_posts
    elif latest.usual_authors is not None:
        kind, total = "posts", latest.posts
    else:
        kind, total = "negative posts", latest.negative_posts
    if latest.kept_posts is None:
        return f"{kind} kept, not all"
    return f"all {kind}" if latest.kept_posts >= total else f"{latest.kept_posts} of {total} {kind}, a sample"


def _people(many: float) -> str:
    """Whole numbers, but of few people."""
    return f"{many:.0f}" if many >= 10 else f"{many:.1f}"


def term_text(one: Term, style: Style = PLAIN) -> str:
    """`lost luggage (8 of 20 posts, usually 1%)`; of a group `lost luggage (7 brands, 80 of 140 posts, usually 1%)`"""
    usual = "under 1%" if 0 < one.usual_share < 0.01 else f"{one.usual_share:.0%}"
    where = "" if one.brands is None else f"{one.brands} brand{'' if one.brands == 1 else 's'}, "
    return f"{style.post(one_line(one.term))} ({where}{one.posts} of {one.of} posts, usually {usual})"


def member_text(one: Member, *, most_chars: int = MAX_TITLE_CHARS, style: Style = PLAIN) -> str:
    """`Acme Air (negative share): critical, firing, 62%, usually 18%, 219 people more than usual`; where volume was
    tested `Acme Air (volume): error, firing, 60 people, usually 12`"""
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
    """Whole percents, but of a facet's small shares."""
    return f"{part:.1%}" if 0 < part < 0.095 else f"{part:.0%}"


def subject(episode: Episode) -> str:
    if episode.members_total:
        return f"{episode.members_total} episodes at once"
    return "The stream" if episode.brand == ALL_BRANDS else episode.brand


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
