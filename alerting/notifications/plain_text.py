"""Text of strangers and of files, made fit to be shown: as one line, without control characters, links or markup.

A post's text is text in every receiver, so nothing in it may become a mention, a link, a picture or a heading there.
Each format escapes what it can. What a format cannot escape, or what a client reads into plain text by itself (a link
in a bare address, `@everyone`), is replaced by a character that looks like it and means nothing.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

_JOINERS = frozenset("\u200c\u200d")
"""Kept among the format characters: emoji and several scripts need them."""
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_ADDRESS = re.compile(r"(?i)(?<![a-z0-9])([a-z][a-z0-9+.-]{1,20})://([^\s/?#]*)")
_COMMON_ENDS = (
    "com|net|org|edu|gov|info|biz|app|dev|xyz|top|site|online|shop|store|club|link|live|click|page|icu|vip|zip|mov|"
    "cloud|space|website|world|today|news|blog|fun|life|pro|host|tech|email|support|help|bank|loan|win|bid|work|media|"
    "zone|team|network|services|company|[a-z]{2}|xn--[a-z0-9-]+"
)
"""What clients take for the end of a bare host name; two letters are a country's, or a forgotten space."""
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
    """*text* as one line: no control, direction, private or broken characters; all white space is one blank."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = (
        " " if one.isspace() else one
        for one in text
        if one.isspace() or one in _JOINERS or unicodedata.category(one) not in _DROPPED
    )
    return " ".join("".join(kept).split())


def without_links(text: str) -> str:
    """*text* whose addresses no client makes a link of: `https://a.example` becomes `hxxps://a[.]example`."""
    return _BARE.sub(lambda found: found[0].replace(".", "[.]"), _ADDRESS.sub(_broken, text))


def _broken(found: re.Match[str]) -> str:
    scheme, host = found[1], found[2].replace(".", "[.]")
    if scheme.lower().startswith("http"):
        return f"{re.sub('(?i)^http', 'hxxp', scheme)}://{host}"
    return f"{scheme}[:]//{host}"


def without_mentions(text: str) -> str:
    """*text* with which no client calls a person: `@all` becomes `＠all`."""
    return _MENTION.sub("\uff20", text)


def without_styles(text: str) -> str:
    """*text* in which no chat finds bold, code, struck out, an emoji's code, a link or a heading."""
    for sign, alike in _PAIRED.items():
        if text.count(sign) > 1:
            text = text.replace(sign, alike)
    if "||" in text:
        text = text.replace("|", "\u00a6")
    text = _EDGE_UNDERSCORE.sub("\uff3f", _TILDE.sub("\u223c", _LINK.sub("\uff3d", text)))
    text = _EMOJI_CODE.sub("\ua789\\1\ua789", text)
    return text[:1].translate(_FIRST) + text[1:]


def without_tags(text: str) -> str:
    """*text* in which no chat finds `<@U1>`, `<!channel>`, `<url|words>` or a tag; `<3` stays."""
    return _TAG.sub("\u2039", text)


def graphemes(text: str) -> Iterator[str]:
    """*text* in parts that are one sign to a reader: a letter with its marks, an emoji with its joined ones, a flag."""
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
    """The length of *text* as most services count it: a sign beyond the basic plane is two."""
    return len(text) + sum(one > "\uffff" for one in text)


def cut(text: str, most: int, size: Callable[[str], int] = len) -> str:
    """*text* within *most*, as *size* counts it; what is longer ends with `…`, and never within one sign."""
    if size(text) <= most:
        return text
    room, kept = most - size("…"), []
    for sign in graphemes(text):
        room -= size(sign)
        if room < 0:
            break
        kept.append(sign)
    return "".join(kept).rstrip() + "…" if most >= size("…") else ""
