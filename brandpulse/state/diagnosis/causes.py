"""Likely causes of dead, late and uncounted posts, and what to do about them. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from brandpulse.state.outcomes.near_misses import NearMisses
from brandpulse.state.outcomes.post_outcomes import EXTRA_COUNTS, LATE, NO_OFFSET, ON_TIME, READABLE, Cell, offset_hours

_SAME_CLOCK = 0.6
"""From this share of posts within half an hour of one clock offset, the clock is wrong. Else the posts are just old."""
_FAR_HOURS = 14
_SINCE_1970_HOURS = 16_384 * 24
"""44 years: the shortest distance between 1970 and the present."""

_LOCAL_TIME_OF = {
    -10: "Honolulu",
    -9: "Anchorage",
    -8: "Los Angeles",
    -7: "Los Angeles in summer, or Denver",
    -6: "Chicago",
    -5: "New York, or Chicago in summer",
    -4: "New York in summer",
    -3: "São Paulo",
    1: "London in summer, or Berlin",
    2: "Berlin in summer",
    3: "Moscow or Istanbul",
    4: "Dubai",
    5: "Karachi",
    5.5: "India",
    7: "Bangkok",
    8: "Singapore or China",
    9: "Tokyo",
    9.5: "Adelaide",
    10: "Sydney",
    11: "Sydney in summer",
    12: "Auckland",
    13: "Auckland in summer",
}

_DEAD_CAUSES: Mapping[str, tuple[str, str]] = {
    "wrong_field": ("a field is missing or wrong", "`brandpulse dlq list` names the field: fix the producer"),
    "not_json": ("the records are not JSON objects", "produce JSON as in schemas/post.v1.schema.json"),
    "not_utf8": ("the records are not in UTF-8", "encode the JSON in UTF-8"),
    "empty": ("the records have no value", "produce the post as the record's value"),
    "too_large": ("the records are larger than 256 KiB", "send posts, not documents"),
    "unmatchable": ("the matcher fails on their texts", "`brandpulse dlq list` shows them: report the error"),
    "unscorable": ("the model fails on their texts", "`brandpulse dlq list` shows them: report the error"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why posts are dead, late or not counted, and what to do."""

    reason: str
    remedy: str


UNREAD_CAUSE = Cause(
    "they are in a language or script that the model was not trained on",
    "name weights of these languages (BRANDPULSE_MODEL_LANGUAGES); until then only posts in supported languages count",
)
REPEATED_CAUSE = Cause(
    "a producer sends posts again, or gives one id to many posts",
    "compare ids with `brandpulse dlq list` and the source; harmless if it is a resend",
)
NO_KEY_CAUSE = Cause(
    "the same id may lie in two partitions, and then counts in each",
    "produce with the post's id as the record's key",
)


def unmatched_cause(near_misses: NearMisses) -> Cause:
    if near_misses:
        words = ", ".join(f"{word} ({posts:,})" for word, posts in near_misses[:5])
        return Cause(f"common near misses are {words}", "add these spellings to the brand in the brands file")
    return Cause(
        "they contain no term, handle or hashtag of the brands file",
        "compare the brands file with the posts; docs/reference/matching.md describes how words are matched",
    )


def dead_cause(cells: Iterable[Cell]) -> Cause:
    """The likely cause of dead letters, from the most frequent reason among *cells*."""
    dead = [cell for cell in cells if cell.outcome not in READABLE and cell.outcome not in EXTRA_COUNTS]
    reasons = Counter[str]()
    for cell in dead:
        reasons[cell.outcome] += cell.posts
    if not reasons:
        return Cause("the cause is not known", "see `brandpulse dlq list`")
    reason = max(reasons, key=lambda one: (reasons[one], one))
    if reason in _DEAD_CAUSES:
        return Cause(*_DEAD_CAUSES[reason])
    hours = _dominant(cell for cell in dead if cell.outcome == reason)
    if reason == "from_the_future":
        return _ahead_cause(hours)
    return _old_cause(hours, dead=True)


def late_cause(cells: Iterable[Cell]) -> Cause:
    return _old_cause(_dominant(cell for cell in cells if cell.outcome == LATE), dead=False)


def _ahead_cause(hours: float | None) -> Cause:
    again = "then `brandpulse dlq allow`, and `brandpulse dlq redrive` once their time has come"
    if hours is not None and hours >= _SINCE_1970_HOURS:
        return Cause(
            "the Kafka timestamps of the records are near 1970: they are in seconds, but Kafka's unit is milliseconds",
            "send timestamps in milliseconds, or none at all; then `brandpulse dlq allow` and `brandpulse dlq redrive`",
        )
    if hours is None:
        return Cause("created_at is after the record's timestamp, by varying times", f"set its clock; {again}")
    if hours > _FAR_HOURS:
        days = hours / 24
        return Cause(f"its clock is {days:.0f} days ahead, or more", f"set the clock or fix created_at; {again}")
    place = _LOCAL_TIME_OF.get(hours)
    zone = f", or it writes local times as UTC ({place})" if place else ""
    return Cause(f"its clock is {_hours(hours)} ahead{zone}", f"set the clock, or give created_at its zone; {again}")


def _old_cause(hours: float | None, *, dead: bool) -> Cause:
    if hours is not None and hours <= -_SINCE_1970_HOURS:
        return Cause(
            "created_at is near 1970: seconds since 1970 were read as milliseconds",
            "multiply the source's seconds by 1,000 before they become a date",
        )
    if hours is not None and -_FAR_HOURS <= hours <= -0.5:
        place = _LOCAL_TIME_OF.get(hours)
        if place:
            return Cause(
                f"its clock is {_hours(-hours)} behind, or its times are local times without a zone ({place})",
                "give created_at its zone, for example -05:00; or set the clock of the source",
            )
        return Cause(
            f"its clock is {_hours(-hours)} behind, or its posts arrive {_hours(-hours)} after they were written",
            "set the clock of the source; posts that arrive so late count, but cause no alerts",
        )
    into = "put a backfill into a namespace of its own (BRANDPULSE_NAMESPACE, BRANDPULSE_POSTS_TOPIC)"
    if dead:
        return Cause("they are older than the retained counts: a backfill, or wrong dates", into)
    if hours is not None and -0.5 < hours < 0.5:
        return Cause(
            "other sources are ahead of it, or its posts are not in order of time",
            "send posts in order of created_at; late posts count, but cause no alerts",
        )
    return Cause(
        "it is a backfill: the posts are older than earlier ones, or not in order of time",
        f"sort the posts by created_at, or {into}",
    )


def clock_cause(cells: Iterable[Cell]) -> Cause | None:
    """Of a source whose posts are on time only because no other source sets the watermark."""
    on_time = [cell for cell in cells if cell.outcome == ON_TIME]
    hours = _dominant(on_time)
    if hours is None or not -_FAR_HOURS <= hours <= -1:
        return None
    cause = _old_cause(hours, dead=False)
    return Cause(
        f"{cause.reason}; or they are a file of that time", f"{cause.remedy}; their counts appear at those times"
    )


def _dominant(cells: Iterable[Cell]) -> float | None:
    """The clock offset in hours of most posts; None if most posts share none."""
    posts = Counter[int]()
    for cell in cells:
        if cell.offset != NO_OFFSET:
            posts[cell.offset] += cell.posts
    if not posts:
        return None
    near = {number: posts[number - 1] + posts[number] + posts[number + 1] for number in posts}
    best = max(near, key=lambda number: (near[number], posts[number], -number))
    if near[best] >= _SAME_CLOCK * posts.total():
        return offset_hours(best)
    hours = {number: offset_hours(number) or 0.0 for number in posts}
    for sign in (1, -1):
        # Seconds taken for milliseconds may fall into two numbers of the same sign, years apart.
        far = sum(posts[number] for number, value in hours.items() if sign * value >= _SINCE_1970_HOURS)
        if far >= _SAME_CLOCK * posts.total():
            return float(sign * _SINCE_1970_HOURS)
    return None


def _hours(hours: float) -> str:
    return f"{hours:g} hour{'' if hours == 1 else 's'}"
