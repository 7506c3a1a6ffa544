"""The text of HTML as people read it: for platforms that deliver posts as HTML."""

import re
from html.parser import HTMLParser

_BREAKS = frozenset({"br", "p", "div", "li", "tr", "blockquote", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "hr"})
_UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
_VOID = frozenset({"br", "hr"})
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")
CUT = ("…", "...")
"""A link's words end with one of these where the platform shortened its address."""


def html_text(html: str) -> str:
    """The visible text of *html*: blocks and `<br>` as new lines, entities decoded, shortened links whole.

    Mastodon hides the ends of an address in spans of class `invisible`, but they belong to the address, so they are
    kept. Broken HTML gives what can be read of it.
    """
    if "<" not in html and "&" not in html:
        return html.strip()
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    text = _SPACES.sub(" ", "".join(reader.parts))
    return _LINES.sub("\n", text).strip()


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._link: str | None = None
        self._link_at = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen += 1
        if tag in _BREAKS:
            self.parts.append("\n")
        if tag == "a":
            self._link, self._link_at = dict(attrs).get("href"), len(self.parts)
        if tag == "img" and (alt := dict(attrs).get("alt")):
            self.parts.append(alt)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        if tag in _BREAKS - _VOID:
            self.parts.append("\n")
        if tag == "a":
            words = "".join(self.parts[self._link_at :]).strip()
            if self._link and words.endswith(CUT) and self._link.startswith(("http://", "https://")):
                self.parts[self._link_at :] = [self._link]
            self._link = None

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)
