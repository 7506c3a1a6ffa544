"""Result of one check of `brandpulse doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """An observation; *remedy* is empty if nothing is wrong. A warning does not stop posts from flowing."""

    subject: str
    observation: str
    remedy: str = ""
    warning: bool = False
