"""A helpdesk's ticket in, tags out. Pure."""

from collections.abc import Mapping
from typing import Any

from brandpulse.text.normalization import MAX_CHARACTERS
from model.serve.api_models import Ticket
from model.serve.desk import words
from model.text_scoring import Asked

ALONE = ("complaint", "crisis", "sarcasm")
"""Flags that become a tag of the same name."""


def asked(ticket: Ticket) -> Asked:
    """The ticket as one text: its subject, as a sentence of its own, then its description.

    Brand and product are what it is judged towards; of two that are the same one counts, and a blank one does not.
    """
    subject = (ticket.subject or "").strip()
    stop = "" if not subject or subject[-1] in ".!?…" else "."
    text = f"{subject}{stop} {ticket.description or ''}".strip()
    named = dict.fromkeys(target for target in (ticket.brand, ticket.product) if target and target.strip())
    return Asked(text[:MAX_CHARACTERS], tuple(named))


def tags(score: Mapping[str, Any], ticket: Ticket) -> list[str]:
    """Tags of a `model.serve.api_models.Score`: lower case and underscores, so that helpdesks take them as they are.

    `sentiment_*`; `urgency_*`; `brand_*` and `product_*` where the ticket names them and says something of them;
    `emotion_*` in the desk's words; and the flags.
    """
    found = [f"sentiment_{score['sentiment']['label']}"]
    found += [f"urgency_{score['urgency']}"] if "urgency" in score else []
    towards = {target["target"]: target for target in score["targets"]}
    for role, name in (("brand", ticket.brand), ("product", ticket.product)):
        if name in towards and (label := towards[name]["label"]) != "irrelevant":
            found.append(f"{role}_{label}")
    found += [f"emotion_{word}" for word in words(score)]
    found += [flag for flag in ALONE if score.get(flag, {}).get("flag")]
    return found
