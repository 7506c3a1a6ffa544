"""The text of HTML as people read it: for platforms that deliver posts as HTML."""

import re

from brandpulse.text.html_entities import unescape

_BREAKS = frozenset({"br", "p", "div", "li", "tr", "blockquote", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "hr"})
_UNSEEN = frozenset({"script", "style", "head", "title", "template", "noscript"})
_VOID = frozenset({"br", "hr"})
_EMPTY = frozenset({*_VOID, "img", "input", "wbr", "area", "col", "embed", "link", "meta", "source", "track"})
"""Elements without an end tag."""
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")
_NAME = "(/?)([a-zA-Z][a-zA-Z0-9:-]*)"
# Takes linear time on any text; `html.parser` takes seconds for 20,000 characters of tags without an end.
_TOKEN = re.compile(
    rf"""<(?:{_NAME}((?:[^<>"']|"[^"]{{0,2000}}"|'[^']{{0,2000}}')*)>|{_NAME}([^<>]*)>|(!--)|[!?][^<>]*>)"""
)
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'<>=]+))?""")
_UNSEEN_STYLE = re.compile(
    r"(?:display:none|visibility:hidden|font-size:0(?:px|em|pt|%)?|opacity:0)(?:!important)?(?:;|$)"
)
CUT = ("…", "...")
"""A link's words end with one of these where the platform shortened its address."""


def html_text(html: str) -> str:
    """The visible text of *html*: blocks and `<br>` as new lines, entities decoded, shortened links whole.

    Elements with the attribute `hidden`, or a style that hides them, are left out with all that is inside them.
    Mastodon hides the ends of an address in spans of class `invisible`, but they belong to the address, so they are
    kept. Broken HTML gives what can be read of it.
    """
    if "<" not in html and "&" not in html:
        return html.strip()
    text = _SPACES.sub(" ", "".join(_TextReader().read(html)))
    return _LINES.sub("\n", text).strip()


class _TextReader:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._unseen = 0
        self._hidden = ""
        """Tag of the outermost hidden element."""
        self._hidden_depth = 0
        self._link: str | None = None
        self._link_at = 0

    def read(self, html: str) -> list[str]:
        at = 0
        last_comment = html.rfind("-->")
        while (found := _TOKEN.search(html, at)) is not None:
            slash, tag, attributes, slash_2, tag_2, attributes_2, comment = found.groups()
            end = found.end()
            if comment and last_comment < end:
                self._data(html[at:end])
                at = end
                continue
            self._data(html[at : found.start()])
            at = html.index("-->", end) + 3 if comment else end
            name = (tag or tag_2 or "").lower()
            if name and (slash or slash_2):
                self._end(name)
            elif name:
                self._start(name, attributes or attributes_2 or "")
        self._data(html[at:])
        return self.parts

    def _start(self, tag: str, written: str) -> None:
        if self._hidden:
            self._hidden_depth += tag == self._hidden
            return
        attributes = _attributes(written)
        if tag not in _EMPTY and _is_hidden(attributes):
            self._hidden, self._hidden_depth = tag, 1
            return
        if tag in _UNSEEN:
            self._unseen += 1
        if tag in _BREAKS:
            self.parts.append("\n")
        if tag == "a":
            self._link, self._link_at = attributes.get("href"), len(self.parts)
        if tag == "img" and (alt := attributes.get("alt")):
            self.parts.append(alt)

    def _end(self, tag: str) -> None:
        if self._hidden:
            self._hidden_depth -= tag == self._hidden
            if self._hidden_depth == 0:
                self._hidden = ""
            return
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        if tag in _BREAKS - _VOID:
            self.parts.append("\n")
        if tag == "a" and self._link:
            words = "".join(self.parts[self._link_at :]).strip()
            if words.endswith(CUT) and self._link.startswith(("http://", "https://")):
                self.parts[self._link_at :] = [self._link]
            self._link = None

    def _data(self, data: str) -> None:
        if data and not self._unseen and not self._hidden:
            self.parts.append(unescape(data))


def _attributes(written: str) -> dict[str, str]:
    """The first value of each attribute; empty for one without."""
    found: dict[str, str] = {}
    if "=" not in written and "hidden" not in written.lower():
        return found
    for name, value in _ATTRIBUTE.findall(written):
        found.setdefault(name.lower(), unescape(value.strip("\"'")))
    return found


def _is_hidden(attributes: dict[str, str]) -> bool:
    style = "".join(attributes.get("style", "").lower().split())
    return "hidden" in attributes or _UNSEEN_STYLE.search(style) is not None
