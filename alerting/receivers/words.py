"""An episode in plain words, for people who read: chat, mail, and whatever apprise speaks to."""

from datetime import UTC, datetime

from brandpulse.episodes import Episode, Evidence, Member, Notification, Term

MAX_TITLE_CHARS = 200
MAX_EXAMPLE_CHARS = 300
SHOWN_MEMBERS = 20
ALL_BRANDS = "*"

_STATES = {"triggered": "fires", "updated": "still fires", "acknowledged": "taken on", "resolved": "is over"}
_STATES_OF_MANY = {"triggered": "fire", "updated": "still fire", "acknowledged": "taken on", "resolved": "are over"}


def title(notification: Notification) -> str:
    """`[critical] Acme Air fires: negative share`, one line."""
    episode = notification.episode
    severity = "resolved" if notification.transition == "resolved" else episode.severity
    state = (_STATES_OF_MANY if episode.members_total else _STATES)[notification.transition]
    said = f"[{severity}] {subject(episode)} {state}: {episode.rule.replace('_', ' ')}"
    return cut(" ".join(said.split()), MAX_TITLE_CHARS)


def lines(notification: Notification) -> list[str]:
    """The rest, line by line: the sentence, the numbers, the posts, the link."""
    episode, latest = notification.episode, notification.episode.latest
    said = [latest.reason]
    if notification.transition == "acknowledged":
        said.append(f"Taken on by {episode.acknowledged_by or 'somebody'}.")
    if latest.authors:
        counted = f"in {latest.facet}" if latest.facet else "negative"
        said.append(
            f"{latest.negative_authors} of {latest.authors} people {counted} ({_share(latest.negative_share)}), "
            f"usually {_share(latest.baseline_share)}; {_at(latest.window_start)} to {_at(latest.window_end)} UTC."
        )
    if notification.transition != "resolved":
        # Before a group's members: chat cuts what is long, and what they have in common is news.
        said += of_posts(latest)
    said += [f"- {told_member(one)}" for one in episode.members[:SHOWN_MEMBERS]]
    if episode.members_total > SHOWN_MEMBERS:
        said.append(f"- and {episode.members_total - SHOWN_MEMBERS} more")
    if notification.transition != "resolved":
        said += [f"> {cut(' '.join(post.text.split()), MAX_EXAMPLE_CHARS)}" for post in latest.examples]
    said.append(f"Since {_at(episode.started_at)} UTC. {episode.key}")
    if notification.link is not None:
        said.append(notification.link)
    return said


def of_posts(latest: Evidence) -> list[str]:
    """What the kept posts show beyond themselves: words that stand out, and sources."""
    said = []
    if latest.terms:
        but = f" ({latest.terms_missing})" if latest.terms_missing is not None else ""
        said.append("Words that stand out: " + ", ".join(told_term(one) for one in latest.terms) + f"{but}.")
    elif latest.terms_missing is not None:
        said.append(f"Words that stand out: none told ({latest.terms_missing}).")
    if latest.sources:
        counted = ", ".join(f"{one.source} {one.posts}" for one in latest.sources)
        kept = f"posts in {latest.facet}" if latest.facet else "negative posts"
        said.append(f"From ({kept} kept, not all): {counted}.")
    return said


def told_term(one: Term) -> str:
    """`lost luggage (8 of 20 posts, usually 1%)`; of a group `lost luggage (7 brands, 80 of 140 posts, usually 1%)`"""
    usual = "under 1%" if 0 < one.usual_share < 0.01 else f"{one.usual_share:.0%}"
    where = "" if one.brands is None else f"{one.brands} brand{'' if one.brands == 1 else 's'}, "
    return f"{one.term} ({where}{one.posts} of {one.of} posts, usually {usual})"


def told_member(one: Member, *, most_chars: int = MAX_TITLE_CHARS) -> str:
    """`Acme Air (negative share): critical, firing, 62%, usually 18%, 219 people more than usual`"""
    return (
        f"{cut(one.brand, most_chars)} ({one.rule.replace('_', ' ')}): {one.severity}, {one.state}, "
        f"{_share(one.negative_share)}, usually {_share(one.baseline_share)}, {one.extra_people} people more than usual"
    )


def _share(part: float) -> str:
    """Whole percents, but of a facet's small shares."""
    return f"{part:.1%}" if 0 < part < 0.095 else f"{part:.0%}"


def subject(episode: Episode) -> str:
    if episode.members_total:
        return f"{episode.members_total} episodes at once"
    return "The stream" if episode.brand == ALL_BRANDS else episode.brand


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
