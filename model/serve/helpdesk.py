"""A helpdesk's ticket in, tags out. Pure functions."""

from collections.abc import Mapping
from typing import Any

from brandpulse.text.normalization import MAX_CHARACTERS
from model.serve.api_models import Ticket
from model.text_scoring import TextRequest

FLAG_TAGS = ("complaint", "crisis", "sarcasm")
"""Flags that become a tag of the same name."""

EMOTION_TAGS: Mapping[str, tuple[str, ...]] = {
    "angry": ("anger", "annoyance", "disgust"),
    "disappointed": ("disappointment", "disapproval", "sadness", "grief"),
    "worried": ("fear", "nervousness"),
    "confused": ("confusion",),
    "asking": ("curiosity", "desire"),
    "grateful": ("gratitude",),
    "happy": (
        "admiration",
        "amusement",
        "approval",
        "caring",
        "excitement",
        "joy",
        "love",
        "optimism",
        "pride",
        "relief",
    ),
}
"""Tag -> labels of the head `emotion` (GoEmotions, 28 of them). Few tags: support desks act on each of them."""

MOOD_TAGS: Mapping[str, str] = {"anger": "angry", "joy": "happy", "sadness": "disappointed"}
"""Label of the head `mood` (TweetEval) -> tag. `optimism` has none: every text has a likeliest mood, and in a neutral
text that is mild hope."""

UNTAGGED_EMOTIONS = ("embarrassment", "realization", "remorse", "surprise", "neutral")
"""Labels that support desks do not sort by."""

MIN_MOOD_PROBABILITY = 0.5
"""At which a mood becomes a tag; the four moods exclude each other, so the likeliest may have only a third."""


def ticket_request(ticket: Ticket) -> TextRequest:
    """The ticket as one text: the subject as a sentence of its own, then the description.

    The targets are brand and product, without blank and repeated ones.
    """
    subject = (ticket.subject or "").strip()
    stop = "" if not subject or subject[-1] in ".!?…" else "."
    text = f"{subject}{stop} {ticket.description or ''}".strip()
    named = dict.fromkeys(target for target in (ticket.brand, ticket.product) if target and target.strip())
    return TextRequest(text[:MAX_CHARACTERS], tuple(named))


def tags(score: Mapping[str, Any], ticket: Ticket) -> list[str]:
    """Tags of a `model.serve.api_models.Score`, in lower case with underscores, as helpdesks accept them.

    `sentiment_*`; `urgency_*`; `brand_*` and `product_*` if the ticket names them and they are relevant in it;
    `emotion_*`; and the flags.
    """
    found = [f"sentiment_{score['sentiment']['label']}"]
    found += [f"urgency_{score['urgency']}"] if "urgency" in score else []
    by_target = {target["target"]: target for target in score["targets"]}
    for role, name in (("brand", ticket.brand), ("product", ticket.product)):
        if name in by_target and (label := by_target[name]["label"]) != "irrelevant":
            found.append(f"{role}_{label}")
    found += [f"emotion_{tag}" for tag in emotion_tags(score)]
    found += [flag for flag in FLAG_TAGS if score.get(flag, {}).get("flag")]
    return found


def emotion_tags(score: Mapping[str, Any]) -> list[str]:
    """Tags of `EMOTION_TAGS` for a `model.serve.api_models.Score`, in that order.

    A tag is given when one of its emotions reaches that emotion's threshold, or its mood `MIN_MOOD_PROBABILITY`.
    """
    emotions = set(score["emotions"]["labels"]) if "emotions" in score else set()
    found = {tag for tag, labels in EMOTION_TAGS.items() if not emotions.isdisjoint(labels)}
    for mood, probability in score["mood"]["probabilities"].items() if "mood" in score else ():
        if mood in MOOD_TAGS and probability >= MIN_MOOD_PROBABILITY:
            found.add(MOOD_TAGS[mood])
    return [tag for tag in EMOTION_TAGS if tag in found]
