"""A post's text, and names, are text in every receiver: no link, no mention, no markup, nothing cut in two."""

import html
import html.parser
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from alerting.notifications.plain_text import cut, graphemes, one_line, utf16_units, without_links
from alerting.notifications.receivers.alertmanager import alerts
from alerting.notifications.receivers.apprise import Apprise
from alerting.notifications.receivers.email import mail
from alerting.notifications.receivers.message_text import lines, title
from alerting.notifications.receivers.pagerduty import MAX_EVENT_BYTES, encode, event
from alerting.notifications.receivers.slack import MAX_SECTION_CHARS, message
from brandpulse.schema.episodes import ExamplePost, Notification, SourceCount, Term
from tests.support.alerting.episode_builders import AT, a_notification, an_evidence

TELEGRAM = "tgram://123456789:abcdefg_hijklmnop-ABCDEFGHIJKLMNO/12315544/"
DISCORD = f"discord://123456789012345678/{'a' * 68}/"
LINK = "http://127.0.0.1:8080/?brand=Acme%20Air&at=1"
KEY = "Acme Air:negative_share:2026-03-02T10:00Z"
NASTY = [
    "I <3 it not",
    "<a href='https://evil.example/x'>refund</a>",
    "[refund](https://evil.example) *bold* _it_ ~~no~~ `code` ||spoiler||",
    "@everyone @here <!channel> <@U123> <@&77> <#C1> <https://evil.example|bank>",
    "visit www.evil.example or evil.com/login now",
    "a\x1b[31mred\u202eevil\u2066\x00\r\nBcc: x@y.example",
    "# heading :smile: :bank:",
]
SIGNS = st.sampled_from(
    ["&", "<", ">", '"', "*", "_", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "e\u0301", "word ", "\n"]
)
TEXTS = st.lists(SIGNS, max_size=400).map("".join)


def with_texts(*texts: str, brand: str = "Acme Air", **changes: Any) -> Notification:
    posts = [ExamplePost(id=str(n), source="test", text=text, created_at=AT) for n, text in enumerate(texts)]
    made = a_notification(key=KEY, brand=brand, latest=an_evidence(examples=posts, **changes))
    return made.model_copy(update={"link": LINK})


class Bot(html.parser.HTMLParser):
    """Telegram's HTML mode: a few tags, each closed; anything else is a 400. Counts 4,096 units after entities."""

    TAGS = frozenset({"b", "strong", "i", "em", "u", "s", "code", "pre", "a", "blockquote"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown, self.links, self.bad, self.open = "", 0, "", 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open += 1
        self.links += tag == "a"
        self.bad = self.bad or ("" if tag in self.TAGS else f"Unsupported start tag {tag}")

    def handle_endtag(self, tag: str) -> None:
        self.open -= 1

    def handle_data(self, data: str) -> None:
        self.shown += data

    def answer(self, body: dict[str, Any]) -> tuple[int, str]:
        text = body["text"]
        if re.search(r"<(?![a-z/])", text):
            return 400, "Bad Request: can't parse entities"
        self.feed(text)
        self.close()
        if self.bad or self.open:
            return 400, f"Bad Request: can't parse entities: {self.bad}"
        return (400, "Bad Request: message is too long") if utf16_units(self.shown) > 4_096 else (200, "ok")


async def sent_by_apprise(url: str, notification: Notification) -> tuple[dict[str, Any], int]:
    """What the service got, and the status that it answered with."""
    got: list[dict[str, Any]] = []
    statuses: list[int] = []

    def post(address: str, *_: Any, **named: Any) -> Any:
        body = json.loads(named["data"])
        status, why = Bot().answer(body) if "telegram" in address else (200, "ok")
        got.append(body)
        statuses.append(status)
        answer = mock.Mock(status_code=status, headers={}, text=why)
        answer.content = json.dumps({"ok": status == 200, "description": why}).encode()
        return answer

    with mock.patch("requests.post", post):
        outcome = await Apprise("any", url=SecretStr(url), min_severity="info", timeout_seconds=5).deliver(notification)
    assert len(got) == 1
    assert (outcome.status == 202) == (statuses == [200]), outcome
    return got[0], statuses[0]


@pytest.mark.parametrize("text", NASTY)
async def test_telegram_accepts_any_post_as_text(text: str) -> None:
    body, status = await sent_by_apprise(TELEGRAM, with_texts(text, brand="Acme <b>Air</b> & @all"))
    assert status == 200
    bot = Bot()
    bot.feed(body["text"])
    assert bot.links == 0
    assert KEY in bot.shown
    assert LINK in bot.shown
    assert not re.search(r"@\w|https://evil|www\.evil\.|evil\.com", bot.shown)


async def test_telegram_shows_the_words_of_a_post_unchanged() -> None:
    body, _ = await sent_by_apprise(TELEGRAM, with_texts("I <3 it not & a <b>bag</b>"))
    assert "> I <3 it not & a <b>bag</b>" in html.unescape(body["text"])
    assert "&lt;3" in body["text"]


@pytest.mark.parametrize("query", ["", "?format=markdown"])
@pytest.mark.parametrize("text", NASTY)
async def test_discord_finds_no_mention_link_or_style_in_a_post(text: str, query: str) -> None:
    body, _ = await sent_by_apprise(DISCORD + query, with_texts(text, brand="@everyone *Air*"))
    said = json.dumps(body, ensure_ascii=False).replace("https://github.com/caronc", "")
    assert not re.search(r"@(everyone|here)|<[@#!:a-z]|https?://evil|www\.evil\.|\]\(|\*\w+\*|:smile:", said), said
    assert "\\u202e" not in said
    assert "allow_mentions" not in body


@pytest.mark.parametrize("text", NASTY)
def test_slack_finds_no_markup_in_a_post(text: str) -> None:
    made = message(with_texts(text, brand="<!here> *Air*", sources=[SourceCount(source="<@U1>", posts=2)]))
    block = made["attachments"][0]["blocks"][0]["text"]
    said = block["text"]
    assert block["verbatim"] is True
    assert made["mrkdwn"] is False
    assert re.findall("<[^>]*>", said) == [f"<{LINK.replace('&', '&amp;')}>"]
    assert not re.search(r"\*\w+\*|_it_|~~|@\w|https?://evil|:smile:", said)
    assert f"`{KEY}`" in said


def test_a_mail_has_no_clickable_link_and_no_injected_header() -> None:
    made = mail(with_texts(*NASTY, brand="Acme\r\nBcc: all@x.example\x07"), sender="a@b.example", to=("c@d.example",))
    assert made["Bcc"] is None
    assert made.get_content_type() == "text/plain"
    content = made.get_content()
    assert not re.search(r"https?://evil|www\.evil\.|\x1b|\u202e|\x00", content)
    assert "> I <3 it not" in content
    assert LINK in content


def test_pagerduty_gets_examples_without_links_or_control_characters() -> None:
    made = event(with_texts(*NASTY, brand="Acme\x1b[2J Air"), routing_key="0" * 32)
    said = json.dumps(made, ensure_ascii=False)
    assert not re.search(r"https?://evil|www\.evil\.|\\u001b|\u202e", said)
    assert made["payload"]["custom_details"]["examples"][0] == "I <3 it not"


def test_alertmanager_annotations_have_no_markup_of_a_post() -> None:
    [made] = alerts(with_texts(*NASTY, brand="Acme Air"), labels={}, now=AT, alive_for=timedelta(minutes=4))
    said = json.dumps(made["annotations"], ensure_ascii=False)
    assert not re.search(r"<[!@#a-z]|@(everyone|here)|https?://evil|\]\(", said)
    assert LINK in made["annotations"]["description"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://evil.example/a.b?c=d", "see hxxps://evil[.]example/a.b?c=d"),
        ("HTTP://Evil.example", "hxxp://Evil[.]example"),
        ("tg://resolve?domain=x", "tg[:]//resolve?domain=x"),
        ("https://a.example/?next=https://b.example/x", "hxxps://a[.]example/?next=hxxps://b[.]example/x"),
        ("at t.me/chat, evil.me or x@evil.io", "at t[.]me/chat, evil[.]me or x@evil[.]io"),
        ("go to evil.com", "go to evil[.]com"),
        ("bit.ly/3x", "bit[.]ly/3x"),
        ("www.evil.example", "www[.]evil[.]example"),
        ("It was great.But then 3.5 stars at 12.30", "It was great.But then 3.5 stars at 12.30"),
        ("U.S. flights, e.g. UA12", "U.S. flights, e.g. UA12"),
    ],
)
def test_an_address_is_not_clickable_but_readable(text: str, expected: str) -> None:
    assert without_links(text) == expected


def test_one_line_retains_joined_emoji_and_drops_invisible_characters() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert one_line(f"a\x00b\u202ec\u2028d\ud800e {family}\ufeff") == f"abc de {family}"


@given(text=TEXTS, most=st.integers(1, 60))
def test_a_cut_never_splits_a_visible_character(text: str, most: int) -> None:
    shown = cut(text, most, utf16_units)
    assert utf16_units(shown) <= most
    kept = shown.removesuffix("…") if shown != text else shown
    parts = list(graphemes(text))
    assert kept in {"".join(parts[:n]).rstrip() for n in range(len(parts) + 1)} | {text}


@given(texts=st.lists(TEXTS, min_size=1, max_size=3), brand=TEXTS)
def test_slack_retains_key_link_and_whole_entities_at_any_length(texts: list[str], brand: str) -> None:
    made = message(with_texts(*(text * 5 for text in texts), brand=brand or "x", reason=f"{brand} rose" * 20))
    said = made["attachments"][0]["blocks"][0]["text"]["text"]
    assert utf16_units(said) <= MAX_SECTION_CHARS
    assert said.endswith(f"`{KEY}`\n<{LINK.replace('&', '&amp;')}>")
    assert not re.search("&(?!amp;|lt;|gt;)", said + made["text"])
    said.encode()


@given(texts=st.lists(TEXTS, min_size=3, max_size=3), brand=TEXTS)
async def test_telegram_and_discord_get_one_message_with_key_and_link(texts: list[str], brand: str) -> None:
    terms = [Term(term="&" * 60, posts=1, of=2, usual_share=0.1)] * 5
    loud = with_texts(*(text * 5 for text in texts), brand=(brand or "x") * 3, terms=terms, reason="&<>" * 400)
    body, status = await sent_by_apprise(TELEGRAM, loud)
    assert status == 200
    assert html.unescape(body["text"]).endswith(
        f"{KEY}\n{LINK}".replace("\n", "\r\n" if "\r\n" in body["text"] else "\n")
    )
    content = (await sent_by_apprise(DISCORD, loud))[0]["content"]
    assert utf16_units(content) <= 2_000
    assert content.endswith(f"\n{LINK}")


@given(brand=TEXTS, text=TEXTS)
def test_pagerduty_counts_bytes_and_a_summary_retains_people(brand: str, text: str) -> None:
    made = event(with_texts(text, brand="x" + brand), routing_key="0" * 32)
    assert len(encode(made)) <= MAX_EVENT_BYTES
    assert len(made["payload"]["summary"]) <= 1_024
    assert "30 of 50 authors" in made["payload"]["summary"]


@given(brand=TEXTS)
def test_alertmanagers_first_130_characters_have_brand_and_share(brand: str) -> None:
    [made] = alerts(with_texts("a", brand="Acme " + brand), labels={}, now=AT, alive_for=timedelta(minutes=4))
    begin = made["annotations"]["summary"][:130]
    assert begin.startswith("Acme")
    assert "30 of 50 people negative (60%)" in begin


def test_a_title_with_a_long_brand_name_retains_state_and_rule() -> None:
    said = title(a_notification(brand="Ä" * 300))
    assert said.endswith("fires: negative share")
    assert len(said) <= 200


def test_lines_of_the_plain_style_show_names_unchanged() -> None:
    said = lines(a_notification(brand="C*Star*", acknowledged_at=datetime(2026, 3, 2, tzinfo=UTC)))
    assert said[0] == "Negative share rose: 30 of 50 authors."


@pytest.mark.parametrize("text", ["a." * 20_000, ":" + "a" * 40_000, "<" * 40_000, "http://" * 6_000, "*_~`" * 10_000])
def test_a_hostile_post_of_any_length_is_written_quickly(text: str) -> None:
    made = message(with_texts(text, brand=text[:200]))
    assert len(made["attachments"][0]["blocks"][0]["text"]["text"]) <= MAX_SECTION_CHARS
