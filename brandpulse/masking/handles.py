"""User names, e-mail addresses and links to profiles, in the forms that networks and people write them."""

import re
from collections.abc import Callable, Iterator, Sequence

USER = "@user"
EMAIL = "[email]"
PROFILE = "[profile link]"
Found = tuple[int, int, str]
"""Begin, end, placeholder."""

_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0971-\u0dff\u0e31\u0e34-\u0e4e"
)
_W = rf"[\w{_MARKS}]"
_NAME = rf"{_W}++(?:[.\-·]{_W}++)*+"
_HOST = r"[^\W_](?:[\w\-]*+)(?:\.[\w\-]++)++"
_TAGS = r"(?:<[^<>]{0,100}>)"
_AT = r"(?:@|&#0{0,4}64;|&#[xX]0{0,4}40;|&commat;)"

_ANCHOR = re.compile(rf"<a\b[^<>]{{0,1000}}>\s?{_TAGS}{{0,4}}{_AT}{_TAGS}{{0,4}}({_NAME})(?:@{_HOST})?{_TAGS}{{0,4}}")
_SIGN = re.compile(rf"@(?:{_TAGS}{{0,4}}|[ ]?(?={_W}*_))({_NAME})((?:@{_HOST})?)")
_ANY_SIGN = re.compile(rf"{_AT}(?:{_TAGS}{{0,4}}|[ ]?(?={_W}*_))({_NAME})((?:@{_HOST})?)")
_LOCAL = re.compile(r"[\w.+%'\-!#$&*/=?^`{|}~]{0,64}")
_CLOCK = re.compile(r"\d{1,4}(?:[.:]\d\d)?|\d{1,2}(?:[.:]?\d\d)?(?:am|pm|h|hrs?|uhr|ish|k|x)", re.IGNORECASE)

_DOT_WORDS = ("dot", "punkt", "punto", "ponto", "point", "punt")
_AT_WORDS = r"(?:at|arroba|chiocciola|arobase|arobas|klammeraffe|ät|ett|a|@)"
_BRACKETED_AT = rf"[\[({{<]\s?{_AT_WORDS}\s?[\])}}>]"
_BARE_AT = r"(?<=\w)\s(?:at|arroba|chiocciola|arobase|klammeraffe|ät)\s(?=\w)|(?<=\w)_at_(?=\w)"
_SPELT_AT = re.compile(rf"(?P<sure>{_BRACKETED_AT})|(?P<word>{_BARE_AT})", re.IGNORECASE)
_SPELT = "|".join(_DOT_WORDS)
_SPELT_DOT = rf"(?:\s?[\[({{<]\s?(?:{_SPELT}|\.)\s?[\])}}>]\s?|\s(?:{_SPELT})\s|_(?:dot)_)"
_DOMAIN = re.compile(
    rf"\s{{0,2}}(?P<mail>[a-zA-Z0-9\-À-ɏ]{{1,63}}+(?:(?:\.|{_SPELT_DOT})[a-zA-Z0-9\-À-ɏ]{{1,63}}+){{1,4}}+)",
    re.IGNORECASE,
)
_BACKWARDS = "|".join(word[::-1] for word in _DOT_WORDS)
_NAME_BACKWARDS = re.compile(
    rf"\s{{0,2}}[\w.+%\-]{{1,64}}+(?:(?:\s?[\])}}>]\s?(?:{_BACKWARDS}|\.)\s?[\[({{<]\s?|"
    rf"\s(?:{_BACKWARDS})\s)[\w+%\-]{{1,64}}+){{0,3}}",
    re.IGNORECASE,
)
_SPELT_HINT = re.compile(_SPELT_DOT, re.IGNORECASE)

_ENDINGS = frozenset(
    """
    com net org edu gov info biz io co me eu de at ch fr es it br in uk us ca au nl be pl se pt mx ar cl ru jp cn dev
    app mail online example test
    """.split()  # noqa: SIM905
)
"""Top-level domains that are recognized in addresses spelt out without brackets."""

_REDDIT = re.compile(r"(?<![\w/.])/?(?:u|U|user)/([\w\-]{2,32})(?![\w/])")
_BARE_BLUESKY = re.compile(r"(?<![\w.\-])([\w\-]{1,63}+)\.bsky\.(?:social|team)(?![\w])", re.IGNORECASE)
_DID = re.compile(r"\bdid:(?:plc:[a-z2-7]{8,32}|web:[\w.\-%:]{3,128})", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:ig|insta(?:gram)?|telegram|tiktok|snap(?:chat)?|twitter|discord|skype|facebook|threads|mastodon|bluesky)"
    r"(?:[ ](?:is|name|handle|user|id|ist|es|è|é))?\s?:\s?@?([\w][\w.\-]{2,31})(?![\w/@])",
    re.IGNORECASE,
)

_URL = re.compile(
    r"(?<![\w.\-@])(?:https?://|tg://|//)?(?:[\w\-]{1,63}+\.)++[a-z]{2,12}(?::\d{2,5})?/[^\s<>\"'`\])}\0]++",
    re.IGNORECASE,
)
_PARTS = re.compile(r"(?:https?://|tg://|//)?([^/:]+)(?::\d+)?/(.*)", re.IGNORECASE | re.DOTALL)
_TAIL = ".,;:!?…"

_FIRST_IS_NAME = frozenset(
    """
    x.com twitter.com nitter.net fxtwitter.com vxtwitter.com instagram.com instagr.am threads.net threads.com
    facebook.com fb.com fb.me m.me t.me telegram.me telegram.dog twitch.tv vk.com pinterest.com soundcloud.com
    linktr.ee paypal.me venmo.com ko-fi.com patreon.com onlyfans.com github.com tumblr.com medium.com last.fm
    tiktok.com youtube.com truthsocial.com gab.com ask.fm cash.app weibo.com about.me keybase.io substack.com
    """.split()  # noqa: SIM905
)
_NAME_BEHIND = {
    "linkedin.com": ("in", "pub"),
    "youtube.com": ("c", "user", "channel"),
    "bsky.app": ("profile",),
    "reddit.com": ("u", "user"),
    "snapchat.com": ("add",),
    "xing.com": ("profile",),
    "ok.ru": ("profile",),
    "vk.com": ("id",),
    "facebook.com": ("people",),
    "venmo.com": ("u",),
    "flickr.com": ("people", "photos"),
    "strava.com": ("athletes",),
    "tripadvisor.com": ("profile", "members"),
    "t.me": ("s",),
    "instagram.com": ("stories",),
    "yelp.com": ("user_details",),
}
_NAME_ANYWHERE = frozenset(("u", "user", "users", "profile", "profiles", "member", "members", "people", "author"))
_NO_NAMES = frozenset(
    """
    i search hashtag explore home intent share sharer sharer.php login signup settings about privacy tos terms
    help jobs p reel reels tv stories events groups watch watch.php story.php photo.php photo permalink.php
    media pages marketplace gaming hashtags s c r channel user feed playlist shorts live embed results
    directory topics trending notifications messages explore.php status v joinchat proxy addstickers iv dialog
    plugins business legal discover tag tags music download features pricing blog company school learning
    pulse posts profile.php l.php messages.php developers
    """.split()  # noqa: SIM905
)
_REDDIT_HOSTS = ("old.", "new.", "np.", "www.", "m.", "mobile.", "web.", "l.", "mbasic.")


def find_handles(view: str, keep: Callable[[str], bool]) -> Iterator[Found]:
    """Each `@name` of *view* that `keep` rejects, and e-mail addresses, from left to right."""
    end = 0
    for found in (_ANY_SIGN if "&" in view else _SIGN).finditer(view):
        at, stop = found.span()
        if at < end:
            continue
        name = found.group(1)
        if at > end and (view[at - 1].isalnum() or view[at - 1] in "_+-%"):
            before = view[max(end, at - 64) : at]
            local = _LOCAL.match(before[::-1])
            length = len(before[len(before) - local.end() :].lstrip("./#!&*'|")) if local else 0
            if _CLOCK.fullmatch(name):
                continue
            whole = _mail(before[len(before) - length :], name, found.group(2))
            if whole is not None:
                yield (at - length if whole else at), stop, EMAIL if whole else USER
                end = stop
            continue
        end = stop
        if not keep(name) and not keep(name.removesuffix(".bsky.social")) and not _CLOCK.fullmatch(name):
            yield at, stop, USER


def find_mentions(view: str, keep: Callable[[str], bool]) -> Iterator[Found]:
    """Mastodon's mentions in HTML, each with its link."""
    for found in _ANCHOR.finditer(view):
        if not keep(found.group(1)):
            yield found.start(), _closed(view, found.end()), USER


def _closed(view: str, end: int) -> int:
    """The end of the `</a>` at *end*, if there is one."""
    close = view.find("</a>", end, end + 120)
    return end if close < 0 or "@" in view[end:close] else close + 4


def _mail(before: str, name: str, server: str) -> bool | None:
    """Whether the text *before* the @ belongs to an e-mail address; False: it is a handle; None: neither."""
    if "." in name or server:
        return True
    if not before or not before[-1].isascii():
        return False
    if len(before) >= 3 and any(c in "._" or c.isdigit() for c in before):
        # India's payment addresses (kim.r@okbank) and mail within a company have no dot after the @.
        return True
    if any(c.isdigit() or c == "_" for c in name) or (len(before) >= 3 and len(name) >= 3):
        return False
    return None


def find_spelt_mail(view: str) -> Iterator[Found]:
    """Spelt-out addresses such as `name [at] mail [dot] com`."""
    spelt = bool(_SPELT_HINT.search(view))
    end = 0
    for found in _SPELT_AT.finditer(view):
        sure = found.group("sure") is not None
        if found.start() < end or (not sure and not spelt):
            continue
        domain = _DOMAIN.match(view, found.end())
        if domain is None or not (sure or _is_spelt_out(found.group(), domain.group("mail"))):
            continue
        before = view[max(end, found.start() - 100) : found.start()]
        name = _NAME_BACKWARDS.match(before[::-1])
        if name is None:
            continue
        written = before[len(before) - name.end() :]
        begin = found.start() - len(written.lstrip(" .-\n\t"))
        if begin >= found.start():
            continue
        end = domain.end()
        while view[end - 1] in "-.":
            end -= 1
        yield begin, end, EMAIL


def _is_spelt_out(at: str, domain: str) -> bool:
    """Whether spelt-out words form an address; `bread at this point in my life` does not."""
    labels = _SPELT_HINT.split(domain)
    if len(labels) < 2 or labels[-1].casefold() not in _ENDINGS:
        return False
    return " point " not in domain.casefold() or at.strip().casefold().startswith("arobas")


def find_profiles(view: str, keep: Callable[[str], bool]) -> Iterator[Found]:
    """Links to a person's page or to one of their posts; links to brands stay."""
    for found in _URL.finditer(view):
        url = found.group().rstrip(_TAIL)
        name = profile_name(url)
        if name and not keep(name):
            yield found.start(), found.start() + len(url), PROFILE


def find_named(view: str, keep: Callable[[str], bool]) -> Iterator[Found]:
    """Reddit's `u/name`, Bluesky's names and ids without an @."""
    for pattern in (_REDDIT, _BARE_BLUESKY):
        for found in pattern.finditer(view):
            if not keep(found.group(1)):
                yield *found.span(), USER
    for found in _DID.finditer(view):
        yield *found.span(), USER
    for found in _NAMED.finditer(view):
        if not keep(found.group(1).rstrip(".-")):
            yield found.start(1), found.end(1), USER


def profile_name(url: str) -> str | None:
    """The name of the person to whose page *url* leads, if its form shows it."""
    parts = _PARTS.fullmatch(url)
    if parts is None:
        return None
    host, path = parts.group(1).casefold(), parts.group(2)
    for prefix in _REDDIT_HOSTS:
        host = host.removeprefix(prefix)
    path, _, query = path.partition("?")
    segments = [segment for segment in path.split("#")[0].split("/") if segment]
    if not segments:
        return None
    for segment in segments:
        if segment[0] == "@" and len(segment) > 1:
            return segment[1:].split("@")[0]
    # `pic.twitter.com` and `help.x.com` are not pages of persons; a country's subdomain does not matter.
    head, _, rest = host.partition(".")
    return _name_on(rest if len(head) == 2 and "." in rest else host, segments, query)


def _name_on(host: str, segments: Sequence[str], query: str) -> str | None:
    first, second = segments[0].casefold(), segments[1] if len(segments) > 1 else None
    if first in _NAME_BEHIND.get(host, ()):
        return segments[-1] if first == "people" else second
    if host == "facebook.com" and first == "profile.php":
        return query or None
    if host == "linkedin.com" and first == "posts" and second:
        return second.split("_")[0]
    if host in _FIRST_IS_NAME:
        repository = host == "github.com" and second is not None
        return None if repository or first in _NO_NAMES or first.startswith(("hashtag", "+")) else segments[0]
    return second if first in _NAME_ANYWHERE else None
