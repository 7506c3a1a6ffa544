"""The exports that are recognised."""

from collections.abc import Sequence

from ingest.files.presets.preset import First, Joined, Preset, Recognised, apply, missing_columns

OWN_COLUMNS = frozenset({"id", "text", "created_at", "author_id"})

PRESETS = (
    Preset(
        "brandwatch",
        "an export of Brandwatch",
        needs=(("Query Name", "Query Id"), ("Date",), ("Url",), ("Full Text", "Snippet")),
        fields={
            "id": First(("Url", "Resource Id")),
            "text": Joined(("Title",), ("Full Text", "Snippet")),
            "created_at": First(("Date",)),
            "author_id": First(("X Author ID", "Twitter Author ID", "Bluesky Author Id", "Author", "Domain")),
            "lang": First(("Language",)),
            "url": First(("Url",)),
        },
    ),
    Preset(
        "meltwater",
        "an export of Meltwater",
        needs=(("Date",), ("URL",), ("Hit Sentence", "Opening Text"), ("Headline", "Title")),
        fields={
            "id": First(("Tweet Id", "Document ID", "URL")),
            "text": Joined(("Headline", "Title"), ("Opening Text", "Hit Sentence")),
            "created_at": First(("Date",)),
            "author_id": First(("Twitter Id", "Twitter Screen Name", "Influencer", "Source Name", "Source")),
            "lang": First(("Language",)),
            "url": First(("URL",)),
        },
        verified=False,
    ),
    Preset(
        "talkwalker",
        "an export of Talkwalker",
        needs=(("published",), ("content",), ("url",), ("source_type", "indexed", "lang")),
        fields={
            "id": First(("url",)),
            "text": Joined(("title",), ("content",)),
            "created_at": First(("published",)),
            "author_id": First(
                ("extra_author_attributes.id", "extra_author_attributes.name", "author", "domain_url", "source_type")
            ),
            "lang": First(("lang",)),
            "url": First(("url",)),
        },
        verified=False,
    ),
    Preset(
        "sprinklr",
        "an export of Sprinklr",
        needs=(
            ("Message", "Conversation"),
            ("Permalink",),
            ("Created Time", "CreatedTime", "SnCreatedTime"),
            ("Sender Screen Name", "SenderScreenName", "Sender", "Sender Id", "From User"),
        ),
        fields={
            "id": First(("Universal Message Id", "Message Id", "Permalink")),
            "text": Joined(("Title",), ("Message", "Conversation")),
            "created_at": First(("Created Time", "CreatedTime", "SnCreatedTime")),
            "author_id": First(("Sender Id", "Sender Screen Name", "SenderScreenName", "Sender", "From User")),
            "lang": First(("Language",)),
            "url": First(("Permalink",)),
        },
        verified=False,
    ),
    Preset(
        "x-archive",
        "tweets of an X archive, all of the account's owner",
        needs=(("tweet.id_str",), ("tweet.full_text",), ("tweet.created_at",)),
        fields={
            "id": First(("tweet.id_str",)),
            "text": First(("tweet.full_text",)),
            "created_at": First(("tweet.created_at",)),
            "lang": First(("tweet.lang",)),
        },
        constants={"author_id": "archive-owner"},
    ),
    Preset(
        "x-v1",
        "tweets of the X API v1.1",
        needs=(("id_str",), ("full_text", "text"), ("created_at",), ("user.id_str",)),
        fields={
            "id": First(("id_str",)),
            "text": First(("extended_tweet.full_text", "full_text", "text")),
            "created_at": First(("created_at",)),
            "author_id": First(("user.id_str",)),
            "lang": First(("lang",)),
        },
        rare=("extended_tweet.full_text",),
    ),
    Preset(
        "x-v2",
        "posts of the X API v2",
        needs=(
            ("id",),
            ("text",),
            ("created_at",),
            ("author_id",),
            ("edit_history_tweet_ids", "conversation_id", "public_metrics", "referenced_tweets"),
        ),
        fields={
            "id": First(("id",)),
            "text": First(("note_tweet.text", "text")),
            "created_at": First(("created_at",)),
            "author_id": First(("author_id",)),
            "lang": First(("lang",)),
        },
        rare=("note_tweet.text",),
    ),
    Preset(
        "reddit-comments",
        "comments of Reddit",
        needs=(("id",), ("body",), ("author",), ("created_utc",), ("link_id", "parent_id")),
        fields={
            "id": First(("id",), prefix="t1_"),
            "text": First(("body",)),
            "created_at": First(("created_utc",)),
            "author_id": First(("author_fullname", "author")),
        },
        rare=("author_fullname", "_meta.was_deleted_later"),
        gone="_meta.was_deleted_later",
    ),
    Preset(
        "reddit-posts",
        "posts of Reddit",
        needs=(("id",), ("title",), ("selftext",), ("author",), ("created_utc",)),
        fields={
            "id": First(("id",), prefix="t3_"),
            "text": Joined(("title",), ("selftext",)),
            "created_at": First(("created_utc",)),
            "author_id": First(("author_fullname", "author")),
            "url": First(("url",)),
        },
        rare=("author_fullname", "_meta.was_deleted_later"),
        gone="_meta.was_deleted_later",
    ),
    Preset(
        "bluesky",
        "posts of Bluesky",
        needs=(("uri", "post.uri"), ("record.text", "post.record.text"), ("author.did", "post.author.did")),
        fields={
            "id": First(("uri", "post.uri")),
            "text": First(("record.text", "post.record.text")),
            "created_at": First(("record.createdAt", "post.record.createdAt")),
            "author_id": First(("author.did", "post.author.did")),
        },
    ),
)
NAMES = tuple(preset.name for preset in PRESETS)


def preset_named(name: str) -> Preset:
    """Raises KeyError."""
    return {preset.name: preset for preset in PRESETS}[name]


def recognise(columns: Sequence[str], *, is_json: bool = False) -> Recognised | None:
    """The preset whose columns the file has; None for other files, and for brandpulse's own posts."""
    if "schema_version" in columns:
        return None
    found = next((preset for preset in PRESETS if not missing_columns(preset, columns)), None)
    return None if found is None else apply(found, columns, is_json=is_json)


def is_header(cells: Sequence[str]) -> bool:
    """Whether *cells* are the columns of posts or of a known export."""
    names = [cell.strip() for cell in cells]
    return set(names) >= OWN_COLUMNS or recognise(names) is not None
