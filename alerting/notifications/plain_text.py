"""Makes untrusted text safe to show: on one line, without control characters, links or markup.

Nothing in a post may become a mention, a link, a picture or a heading in a receiver. Each format escapes what it can.
What it cannot escape, and what clients detect in plain text (bare addresses, `@everyone`), is replaced by a look-alike
character without meaning.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

_JOINERS = frozenset("\u200c\u200d")
"""Format characters that stay: emoji and several scripts need them."""
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_ADDRESS = re.compile(r"(?i)(?<![a-z0-9])([a-z][a-z0-9+.-]{1,20})://([^\s/?#]*)")
_COMMON_ENDS = (
    "com|net|org|edu|gov|info|biz|app|dev|xyz|top|site|online|shop|store|club|link|live|click|page|icu|vip|zip|mov|"
    "cloud|space|website|world|today|news|blog|fun|life|pro|host|tech|email|support|help|bank|loan|win|bid|work|media|"
    "zone|team|network|services|company|[a-z]{2}|xn--[a-z0-9-]+"
)
"""Endings that clients take for a bare host name. Two letters are a country code, or a missing space."""
_BARE = re.compile(
    r"(?<![\w.\-])(?:www\.(?:[\w-]+\.)*[\w-]+|(?:[\w-]+\.)+[^\W\d_]{2,24}(?=[/:?#]\S)"
    rf"|(?:[\w-]+\.)+(?:{_COMMON_ENDS}))(?![\w-])"
)
_MENTION = re.compile(r"@(?=\S)")
_TAG = re.compile(r"<(?=[A-Za-z/!?@#:$%])")
_LINK = re.compile(r"\](?=[(\[:])")
_TILDE = re.compile(r"~(?=[\w~])|(?<=[\w~])~")
_EDGE_UNDERSCORE = re.compile(r"(?<!\w)_|_(?!\w)|(?<=_)_|_(?=_)")
_EMOJI_CODE = re.compile(r":(?=[0-9]{0,64}[A-Za-z_+-])([A-Za-z0-9_+-]{1,64}):")
_FIRST = str.maketrans({"#": "\uff03", ">": "\u203a", "-": "\u2010", "=": "\ua78a", "+": "\uff0b"})
_PAIRED = {"*": "\u2217", "`": "\u02cb"}


def one_line(text: str) -> str:
    """*text* on one line, without control, direction, private or broken characters. White space becomes one blank."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    characters = (
        " " if one.isspace() else one
        for one in text
        if one.isspace() or one in _JOINERS or unicodedata.category(one) not in _DROPPED
    )
    return " ".join("".join(characters).split())


def without_links(text: str) -> str:
    """*text* without clickable addresses: `https://a.example` becomes `hxxps://a[.]example`."""
    return _BARE.sub(lambda found: found[0].replace(".", "[.]"), _ADDRESS.sub(_broken, text))


def _broken(found: re.Match[str]) -> str:
    scheme, host = found[1], found[2].replace(".", "[.]")
    if scheme.lower().startswith("http"):
        return f"{re.sub('(?i)^http', 'hxxp', scheme)}://{host}"
    return f"{scheme}[:]//{host}"


def without_mentions(text: str) -> str:
    """*text* without mentions: `@all` becomes `＠all`."""
    return _MENTION.sub("\uff20", text)


def without_styles(text: str) -> str:
    """*text* without chat markup: bold, code, strikethrough, emoji codes, links and headings."""
    for sign, alike in _PAIRED.items():
        if text.count(sign) > 1:
            text = text.replace(sign, alike)
    if "||" in text:
        text = text.replace("|", "\u00a6")
    text = _EDGE_UNDERSCORE.sub("\uff3f", _TILDE.sub("\u223c", _LINK.sub("\uff3d", text)))
    text = _EMOJI_CODE.sub("\ua789\\1\ua789", text)
    return text[:1].translate(_FIRST) + text[1:]


def without_tags(text: str) -> str:
    """*text* without `<@U1>`, `<!channel>`, `<url|words>` and tags; `<3` stays."""
    return _TAG.sub("\u2039", text)


def graphemes(text: str) -> Iterator[str]:
    """*text* in visible characters: a letter with its marks, a joined emoji, a flag."""
    part, flags = "", 0
    for one in text:
        is_flag = "\U0001f1e6" <= one <= "\U0001f1ff"
        joins = part and (
            one in _JOINERS
            or part.endswith("\u200d")
            or unicodedata.category(one) in ("Mn", "Mc", "Me")
            or "\U0001f3fb" <= one <= "\U0001f3ff"
            or (is_flag and flags % 2 == 1)
        )
        if part and not joins:
            yield part
            part, flags = "", 0
        part += one
        flags = flags + 1 if is_flag else 0
    if part:
        yield part


def utf16_units(text: str) -> int:
    """The length of *text* as most services count it: characters beyond the basic plane count twice."""
    return len(text) + sum(one > "\uffff" for one in text)


def cut(text: str, most: int, size: Callable[[str], int] = len) -> str:
    """*text* within *most*, measured by *size*. Longer text ends with `…`, and no visible character is split."""
    if size(text) <= most:
        return text
    room, shown = most - size("…"), []
    for sign in graphemes(text):
        room -= size(sign)
        if room < 0:
            break
        shown.append(sign)
    return "".join(shown).rstrip() + "…" if most >= size("…") else ""
