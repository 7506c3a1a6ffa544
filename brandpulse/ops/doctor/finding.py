"""What one of `brandpulse doctor`'s checks saw."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """*remedy* is empty when all is well; a warning does not keep posts from flowing."""

    subject: str
    saw: str
    remedy: str = ""
    warning: bool = False
