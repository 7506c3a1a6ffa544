"""Posts of the X API v2 as events. Pure."""

import html
from collections.abc import Mapping
from typing import Any

import msgspec

from ingest.sources.event_time import zoned_time
from ingest.sources.events import Event, NewPost, Skip
from ingest.sources.source import SourceError

FIELDS = "created_at,author_id,lang,note_tweet,entities,edit_history_tweet_ids,referenced_tweets"
"""`tweet.fields` of each request. No expansions: X may bill the users that they bring."""
NO_LANGUAGE = ("und", "zxx", "art", "qam", "qct", "qht", "qme", "qst")
"""Codes of X for posts whose language it does not know, or that have no words."""


def decode_line(line: bytes) -> Event:
    """The event of a line of the stream. Raises SourceError for a message that ends the stream."""
    try:
        frame = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return Skip("not_json")
    if not isinstance(frame, dict):
        return Skip("not_an_object")
    post = frame.get("data")
    if isinstance(post, dict):
        return decode_post(post)
    if (problem := stream_problem(frame)) is not None:
        raise SourceError(f"X ended the stream: {problem}")
    return Skip("other_kind")


def stream_problem(frame: Mapping[str, Any]) -> str | None:
    """What a frame without a post reports, such as `operational-disconnect (UpstreamOperationalDisconnect)`."""
    errors = frame.get("errors")
    problem = errors[0] if isinstance(errors, list) and errors else frame
    title = problem.get("title") if isinstance(problem, dict) else None
    if not isinstance(problem, dict) or not isinstance(title, str):
        return "an error without a title" if errors else None
    kind = problem.get("disconnect_type") or problem.get("connection_issue")
    detail = problem.get("detail")
    return title + (f" ({kind})" if kind else "") + (f": {detail}" if isinstance(detail, str) else "")


def decode_post(post: Mapping[str, Any]) -> Event:
    """The event of a post as the API gives it."""
    number = post.get("id")
    if not isinstance(number, str) or not number:
        return Skip("no_id")
    references = post.get("referenced_tweets")
    kinds = [one.get("type") for one in references if isinstance(one, dict)] if isinstance(references, list) else []
    if "retweeted" in kinds:
        return Skip("repost")
    author, at, text = post.get("author_id"), zoned_time(post.get("created_at")), post_text(post)
    if not isinstance(author, str) or not author:
        return Skip("no_author")
    if at is None or not text.strip():
        return Skip("no_text" if at else "no_time")
    # An edit has a number of its own. Under the first version's number, the workers count both once.
    versions = post.get("edit_history_tweet_ids")
    first = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], str) else number
    lang = post.get("lang")
    lang = lang if isinstance(lang, str) and lang not in NO_LANGUAGE else None
    return NewPost(first, text, at, author, lang, f"https://x.com/i/status/{number}")


def post_text(post: Mapping[str, Any]) -> str:
    """The whole text of a post: long posts whole, links in full, entities decoded."""
    note = post.get("note_tweet")
    long = isinstance(note, dict) and isinstance(note.get("text"), str)
    holder: Mapping[str, Any] = note if long and isinstance(note, dict) else post
    text = holder.get("text")
    text = text if isinstance(text, str) else ""
    entities = holder.get("entities")
    links = entities.get("urls") if isinstance(entities, dict) else None
    for link in links if isinstance(links, list) else ():
        short, whole = (link.get("url"), link.get("expanded_url")) if isinstance(link, dict) else (None, None)
        if isinstance(short, str) and short and isinstance(whole, str):
            text = text.replace(short, whole)
    return html.unescape(text)
