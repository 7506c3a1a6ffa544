"""User names leave no trace in what we keep for people to read."""

import re
from collections.abc import Iterable

_HANDLE = re.compile(r"(?<![\w.])@(\w{1,64})(?:@[\w.-]+\.\w+)?|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}")


class NameMask:
    """Replaces each @handle (Mastodon's with a server, too) and e-mail address by `@user`.

    *keep* are the brands' own handles, without the @: they name no person, and tell the reader whom the post is about.
    """

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self._keep = frozenset(handle.casefold() for handle in keep)

    def __call__(self, text: str) -> str:
        return _HANDLE.sub(self._replacement, text) if "@" in text else text

    def _replacement(self, found: re.Match[str]) -> str:
        handle = found.group(1)
        return found.group(0) if handle is not None and handle.casefold() in self._keep else "@user"
