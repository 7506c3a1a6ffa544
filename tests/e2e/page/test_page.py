"""The live page in a real browser, served by the real process from a real Redis."""

import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import redis
from playwright.sync_api import Browser, Page, ViewportSize, expect

from brandpulse.devstack.embedded_servers import EmbeddedStore
from brandpulse.runtime.child_process import Child, StartError
from brandpulse.runtime.service_registry import running
from brandpulse.schema.episodes import Episode, ExamplePost, Member, SourceCount, Term
from brandpulse.state.keys import MINUTE_MS
from brandpulse.state.operator_requests import OperatorRequestStore
from brandpulse.state.outcomes.language_counts import encode_language_counts, with_added_languages
from brandpulse.state.stored_posts import HourPost
from tests.support.dashboards.browser import a_browser
from tests.support.dashboards.stored_state import (
    ACME,
    BANK,
    BRANDS,
    END,
    JUICE,
    StoredStream,
    a_negative_post,
    an_episode,
    evidence,
    two_days_with_a_crisis,
)
from tests.support.patience import patience
from tests.support.repository import ROOT

DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


class Pages:
    """Starts `brandpulse dashboards page` processes and returns their addresses."""

    def __init__(self, folder: Path, redis_url: str, namespace: str) -> None:
        self._folder = folder
        self._env = {"BRANDPULSE_REDIS_URL": redis_url, "BRANDPULSE_NAMESPACE": namespace}
        self.children: list[Child] = []

    def start(self, **env: str) -> str:
        home = self._folder / f"home{len(self.children)}"
        command = [sys.executable, "-m", "brandpulse", "dashboards", "page"]
        env = {**self._env, "BRANDPULSE_HOME": str(home), **env}
        child = Child("page", command, log=home / "page.log", env=env, cwd=ROOT)
        self.children.append(child)
        child.wait_ready(lambda: bool(running(home, "page")))
        return str(running(home, "page")[0]["url"])

    def stop(self) -> None:
        for child in self.children:
            child.stop()


@pytest.fixture
def pages(redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Pages]:
    pages = Pages(tmp_path, redis_url, namespace)
    yield pages
    pages.stop()


class Steady(NamedTuple):
    """A page with a stream that no test changes."""

    url: str
    stream: StoredStream


@pytest.fixture(scope="module")
def steady(embedded_store: EmbeddedStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steady]:
    with redis.Redis.from_url(embedded_store.url) as client:
        pages = Pages(tmp_path_factory.mktemp("steady"), embedded_store.url, "steady-page")
        stream = two_days_with_a_crisis(client, "steady-page")
        yield Steady(pages.start(), stream)
        pages.stop()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a fresh profile; at the end the console must have no error."""
    contexts = []
    errors: list[str] = []

    def open_(url: str, *, viewport: ViewportSize = DESKTOP, scheme: Any = "light", forgive: str = "^$") -> Page:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                errors.append(message.text)
                if message.type in {"error", "warning"} and not re.search(forgive, message.text)
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def stream(redis_client: redis.Redis, namespace: str) -> StoredStream:
    return two_days_with_a_crisis(redis_client, namespace)


def card(page: Page, brand: str) -> Any:
    return page.get_by_role("group", name="Choose a brand").get_by_role("button").filter(has_text=brand)


def fetch(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=patience(10)) as answer:
        return json.load(answer)


def test_cards_show_the_stored_counts_of_every_brand(steady: Steady, open_page: OpenPage) -> None:
    page = open_page(steady.url)

    minute = int(END.timestamp()) * 1000 // MINUTE_MS
    for brand in BRANDS:
        hour = steady.stream.total(brand, minute - 59, minute)
        day = steady.stream.total(brand, minute - 1_439, minute)
        share = hour.negative_share * 100
        shown = f"{share:.0f}%" if share >= 9.95 else f"{share:.1f}".removesuffix(".0") + "%"
        expect(card(page, brand)).to_contain_text(f"{shown}negative")
        expect(card(page, brand)).to_contain_text(f"Last hour{hour.posts:,} posts")
        expect(card(page, brand)).to_contain_text(f"24 hours{day.posts:,} posts")
        expect(card(page, brand)).to_contain_text("% irrelevant" if day.irrelevant else "negative")
    expect(page.get_by_role("heading", level=1)).to_have_text("Acme Air needs attention")
    expect(page.locator("#clock")).to_have_text("Tue 18 Nov 2025, 14:32 UTC")
    expect(page.locator(".episode")).to_contain_text("309 of 498 people wrote negatively")
    expect(page.locator("#health-sentence")).to_have_text("All 4 partitions caught up.")
    expect(page.locator("#partitions li")).to_have_count(4)


def test_card_shows_languages_unless_all_posts_are_english(
    stream: StoredStream, pages: Pages, open_page: OpenPage
) -> None:
    counts = with_added_languages((), {(ACME, "en"): 92, (ACME, "de"): 6, (ACME, "other"): 2, (BANK, "en"): 9})
    stream.set_state(0, languages=encode_language_counts(counts).decode())
    page = open_page(pages.start())
    languages = card(page, ACME).locator(".card-foot").nth(2)
    expect(languages).to_have_text("Languagesen 92% · de 6% · other 2%")
    expect(languages).to_have_attribute("title", re.compile("German: 6 posts\nUnsupported languages, not counted: 2"))
    expect(card(page, BANK).locator(".card-foot").nth(2)).to_be_hidden()


def test_series_contain_every_stored_post_once(steady: Steady) -> None:
    url = steady.url
    minute = int(END.timestamp()) * 1000 // MINUTE_MS

    for hours, step in [(1, 1), (6, 5), (24, 15), (168, 60)]:
        series = fetch(f"{url}/api/brands/{quote(JUICE, safe='')}/series?hours={hours}")
        first = series["bars"][0][0] // MINUTE_MS
        stored = steady.stream.total(JUICE, first, minute)
        assert series["step_minutes"] == step
        assert [sum(bar[i] for bar in series["bars"]) for i in (1, 2, 3, 6)] == [
            stored.negative,
            stored.neutral,
            stored.positive,
            stored.irrelevant,
        ]


def test_page_updates_without_a_reload(stream: StoredStream, pages: Pages, open_page: OpenPage) -> None:
    page = open_page(pages.start())
    expect(card(page, BANK)).not_to_contain_text("Firing")
    page.evaluate("window.sameDocument = true")
    minute = int(END.timestamp()) * 1000 // MINUTE_MS
    before = stream.total(BANK, minute - 59, minute).posts

    stream.add(BANK, END, negative=40)
    stream.store(END)
    stream.write_open(an_episode(BANK, fired=END))
    stream.set_state(2, caught_up=0, lag=120)
    stream.set_state(3, paused="31 of the last 40 posts are invalid")

    expect(card(page, BANK)).to_contain_text(f"Last hour{before + 40} posts")
    expect(card(page, BANK)).to_contain_text("Firing")
    expect(page.get_by_role("heading", level=1)).to_have_text("2 brands need attention")
    expect(page.locator("#announce")).to_contain_text("New episode: Nordbank")
    expect(page.locator("#partitions li").nth(2)).to_contain_text("120 behind")
    expect(page.locator("#partitions li").nth(3)).to_contain_text("paused: 31 of the last 40 posts are invalid")
    assert page.title() == "(2) brandpulse"
    assert page.evaluate("window.sameDocument") is True


def a_storm() -> Episode:
    """40 brands at once; Nordbank is the most affected."""
    members = [
        Member(
            key=f"{brand}:negative_share:2025-11-18T14:00Z",
            brand=brand,
            rule="negative_share",
            severity="critical" if number == 0 else "error",
            state="firing",
            negative_share=0.5,
            baseline_share=0.11,
            extra_people=120 - number,
        )
        for number, brand in enumerate([BANK, *[f"A brand of a long name {number}" for number in range(39)]])
    ]
    proof = evidence(
        END,
        reason="40 brands at once: Nordbank and 39 more (1 critical). Worst: share rose.",
        terms=[
            Term(term="outage", posts=310, of=620, usual_share=0.01, brands=31),
            Term(term="cannot log in", posts=9, of=20, usual_share=0, brands=1),
        ],
        terms_missing="9 of 40 brands tell none, most often because no word stands out",
        sources=[SourceCount(source="bluesky", posts=300), SourceCount(source="forum", posts=41)],
    )
    return an_episode("*", rule="storm", members=members, members_total=40, latest=proof)


def test_resolved_episode_moves_to_the_resolved_list(stream: StoredStream, pages: Pages, open_page: OpenPage) -> None:
    page = open_page(pages.start())
    expect(page.locator("#firing .episode")).to_have_count(1)

    stream.client.delete(stream.alerting.episodes)
    stream.write_closed(an_episode(state="resolved", resolved_at=END))

    expect(page.locator("#firing .episode")).to_have_count(0)
    expect(page.get_by_text("No episodes firing.")).to_be_visible()
    expect(page.locator("#closed li")).to_have_count(3)
    expect(page.get_by_role("heading", level=1)).to_have_text("All clear")


def await_some(read: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    deadline = time.monotonic() + patience(10)
    while not (found := read()):
        assert time.monotonic() < deadline, "nothing came in ten seconds"
        time.sleep(0.05)
    return found


def test_episode_can_be_acknowledged_silenced_and_unsilenced(
    stream: StoredStream, pages: Pages, open_page: OpenPage, namespace: str
) -> None:
    requests = OperatorRequestStore(stream.client, namespace)
    page = open_page(pages.start())
    page.get_by_role("button", name="Acknowledge Acme Air").click()
    expect(page.get_by_role("button", name="Acknowledge Acme Air")).to_be_disabled()
    # The click disables the button; the request is still in flight.
    [asked] = await_some(lambda: requests.read(datetime.now(UTC)).acknowledgements)
    assert (asked.key, asked.by) == (an_episode().key, "live page")
    # The episode as the alerter stores it.
    stream.write_open(an_episode(acknowledged_at=END, acknowledged_by="kim"))
    expect(page.locator(".taken")).to_have_text("Acknowledged by kim")

    page.get_by_label("Silence duration for Acme Air").select_option("4h")
    page.get_by_role("button", name="Silence Acme Air", exact=True).click()
    expect(page.locator("#silences li")).to_have_count(1)
    expect(page.locator("#silences li")).to_contain_text("Acme Air · ")
    [silence] = requests.read(datetime.now(UTC)).silences
    assert (silence.brand, silence.rule, silence.ends_at - silence.starts_at) == (
        "Acme Air",
        an_episode().rule,
        timedelta(hours=4),
    )
    page.get_by_role("button", name="End silence of Acme Air").click()
    expect(page.locator("#silences-section")).to_be_hidden()
    assert not requests.read(datetime.now(UTC)).silences[0].is_active(datetime.now(UTC))


def test_facets_show_share_baseline_rules_and_firing_state(
    stream: StoredStream, pages: Pages, open_page: OpenPage
) -> None:
    page = open_page(pages.start())
    rows = page.locator("#facets tr")
    expect(rows).to_have_count(3)
    expect(page.locator("#facets-note")).to_contain_text("people in the last hour")
    refund = rows.filter(has_text="refund")
    expect(refund).to_contain_text("rule: refunds")
    expect(refund.locator(".facet-now")).to_have_text(re.compile(r"^▲ \d+%$"))
    expect(rows.first).to_contain_text("refund")
    expect(rows.filter(has_text="urgent")).to_contain_text("no rule")
    expect(page.locator("#facets")).not_to_contain_text("Firing")

    stream.write_open(an_episode(rule="refunds", severity="error", latest=evidence(END, facet="refund")))

    expect(refund).to_contain_text("Firing · error")
    card(page, BANK).click()
    expect(page.locator("#facets tr").first).to_contain_text("–")


def test_storm_shows_its_most_affected_brands_and_shared_terms(
    stream: StoredStream, pages: Pages, open_page: OpenPage
) -> None:
    stream.write_open(a_storm())
    page = open_page(pages.start())
    storm = page.locator(".episode").filter(has_text="Many brands")
    expect(storm).to_contain_text("outage at 31 brands: 310 of 620 posts, usually 1%")
    expect(storm).to_contain_text("9 of 40 brands tell none, most often because no word stands out.")
    expect(storm).to_contain_text(": bluesky 300, forum 41.")
    expect(storm.locator(".members li")).to_have_count(10)
    expect(storm.locator(".members li").first).to_have_text(
        "Nordbankcritical · negative share 50%, baseline 11% · 120 extra people"
    )
    expect(storm).to_contain_text("and 30 more, firing or resolved.")
    storm.get_by_role("button", name=BANK).click()
    expect(page.locator("#detail-title")).to_have_text(BANK)


def test_campaign_is_one_text_with_its_counts(
    redis_client: redis.Redis, namespace: str, pages: Pages, open_page: OpenPage
) -> None:
    stream = two_days_with_a_crisis(redis_client, namespace)
    stream.write_hour_posts(
        ACME,
        [
            HourPost(
                id=str(n),
                source="bluesky",
                text=f"RT @user: Boycott {ACME} now! https://t.co/{n}",
                created_ms=int(END.timestamp() * 1_000) - n * 60_000,
                author=f"{n:016x}",
                negative=0.7,
            )
            for n in range(21)
        ],
    )
    post = ExamplePost(id="1", source="x", text="Boycott now!", created_at=END, copies=21, accounts=21, new_accounts=19)
    surge = evidence(END, usual_authors=12.4, authors=60, posts=64, kept_posts=64, examples=[post])
    stream.write_open(an_episode(latest=evidence(END, examples=[post])), an_episode(BANK, rule="volume", latest=surge))
    page = open_page(pages.start())
    card(page, ACME).click()
    first = page.locator(".post").first
    expect(first).to_contain_text(f"RT @user: Boycott {ACME} now!")
    expect(first.locator(".copies")).to_have_text("posted at least 21 times by 21 accounts, all of them new")
    second = page.locator(".post").nth(1).locator(".copies")
    expect(second).to_have_text("posted at least 3 times by 1 account, a new one")
    episode = page.locator(".episode").filter(has_text=ACME).first
    episode.locator("summary").click()
    expect(episode.locator(".examples li")).to_have_text("Boycott now!posted 21 times by 21 accounts, 19 of them new")
    volume = page.locator(".episode").filter(has_text=BANK).first
    expect(volume.locator(".evidence")).to_contain_text("Baseline12")
    expect(volume.locator(".evidence")).to_contain_text("People now60")
    expect(volume).to_contain_text("Sources of all posts")


def test_script_in_a_post_is_shown_as_text_and_does_not_run(
    redis_client: redis.Redis, namespace: str, pages: Pages, open_page: OpenPage
) -> None:
    evil = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> \u202eevil"
    brand = "<b onclick=alert(1)>Evil</b>"
    stream = StoredStream(redis_client, namespace, partitions=1)
    stream.add(brand, END, negative=3, positive=1)
    stream.store(END)
    stream.write_negatives(brand, [a_negative_post(evil, url="javascript:window.hacked=3", source="<i>x</i>")])
    proof = evidence(
        END,
        terms=[Term(term=f"<i>{evil}</i>", posts=3, of=9, usual_share=0)],
        sources=[SourceCount(source="<i>x</i>", posts=3)],
    )
    stream.write_open(an_episode(brand, rule="<u>rule</u>", latest=proof))

    page = open_page(pages.start())

    expect(page.locator(".post-text")).to_have_text(evil)
    expect(card(page, brand)).to_be_visible()
    expect(page.locator(".terms b")).to_have_text(f"<i>{evil}</i>")
    expect(page.locator(".post").get_by_role("link")).to_have_count(0)
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("main script, main img, main i, main u, main [onclick]").count() == 0


def test_content_security_policy_blocks_injected_scripts(steady: Steady, open_page: OpenPage) -> None:
    page = open_page(steady.url, forgive="Content Security Policy|This document requires")
    expect(page.locator(".post").first).to_be_visible()

    page.evaluate(
        "const s = document.createElement('script'); s.setAttribute('nonce', 'x');"
        " s.append('window.hacked = 1'); document.body.append(s)"
    )

    assert page.evaluate("window.hacked === undefined")
    assert (
        page.evaluate("(() => { try { document.body.innerHTML = '<p>'; return 'taken' } catch { return 'no' } })()")
        == "no"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_layout_fits_and_axe_finds_no_violation(
    steady: Steady, open_page: OpenPage, viewport: ViewportSize, scheme: str
) -> None:
    page = open_page(steady.url, viewport=viewport, scheme=scheme)
    expect(page.locator(".post").first).to_be_visible()
    page.locator(".examples summary").click()
    page.locator(".as-table summary").click()
    expect(page.locator("#chart tbody tr").first).to_be_visible()
    whole_and_without_violations(page, viewport)


def whole_and_without_violations(page: Page, viewport: ViewportSize) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types

    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    found = [f"{v['impact']}: {v['id']}: {v['nodes'][0]['html'][:200]}" for v in Axe().run(page).response["violations"]]
    assert found == []


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_storm_and_firing_facet_fit_and_axe_finds_no_violation(
    stream: StoredStream, pages: Pages, open_page: OpenPage, viewport: ViewportSize
) -> None:
    stream.write_open(a_storm(), an_episode(rule="refunds", latest=evidence(END, facet="refund")))
    page = open_page(pages.start(), viewport=viewport, scheme="dark")
    expect(page.locator("#facets")).to_contain_text("Firing")
    whole_and_without_violations(page, viewport)


def test_theme_follows_the_system_until_one_is_selected(steady: Steady, open_page: OpenPage) -> None:
    page = open_page(steady.url, scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)

    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch to the light theme").or_(
        page.get_by_role("button", name="Switch to the dark theme")
    ).click()

    assert light != dark
    assert page.evaluate(ground) == dark
    page.reload()
    expect(page.locator(".card").first).to_be_visible()
    assert page.evaluate(ground) == dark


def test_page_is_usable_with_the_keyboard(steady: Steady, open_page: OpenPage) -> None:
    page = open_page(steady.url)
    expect(page.locator(".post").first).to_be_visible()

    card(page, BANK).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail-title")).to_have_text(BANK)
    expect(card(page, BANK)).to_be_focused()
    page.get_by_role("button", name="6 h", exact=True).focus()
    page.keyboard.press("Space")
    expect(page.locator(".plot")).to_have_attribute("aria-label", re.compile("^Nordbank, 6 hours: "))
    for _ in range(4):  # 24 h, 7 d, 30 d, the chart
        page.keyboard.press("Tab")
    expect(page.locator(".plot")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip")).to_contain_text("18 Nov, 14:30–14:35")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tip")).to_contain_text("18 Nov, 14:25–14:30")
    expect(page.locator("#chart [aria-live]")).to_contain_text(re.compile("negative over|no posts"))
    page.keyboard.press("Escape")
    expect(page.locator(".tip")).to_be_hidden()


def test_focus_and_open_details_survive_an_update(stream: StoredStream, pages: Pages, open_page: OpenPage) -> None:
    page = open_page(pages.start())
    page.locator(".examples summary").click()
    page.locator(".to-chart").focus()

    newer = an_episode()
    stream.write_open(newer.model_copy(update={"latest": newer.latest.model_copy(update={"reason": "It got worse."})}))

    expect(page.locator(".reason")).to_have_text("It got worse.")
    expect(page.locator(".to-chart")).to_be_focused()
    expect(page.locator(".examples li").first).to_be_visible()


def test_resolved_episode_opens_the_chart_of_its_time(steady: Steady, open_page: OpenPage) -> None:
    page = open_page(steady.url)

    page.locator("#closed button").filter(has_text=BANK).click()

    expect(page.locator("#detail-title")).to_have_text(BANK)
    expect(page.locator("#past-words")).to_have_text("Showing data until Mon 17 Nov 2025, 19:42 UTC.")
    expect(page.locator("svg .span")).to_have_count(1)
    address = page.url
    page.goto(address)
    expect(page.locator("#past-words")).to_have_text("Showing data until Mon 17 Nov 2025, 19:42 UTC.")
    page.get_by_role("button", name="Back to now").click()
    expect(page.locator("#past")).to_be_hidden()


def test_alert_link_opens_the_brand_at_the_time_it_fired(steady: Steady, open_page: OpenPage) -> None:
    old = int((END - timedelta(hours=22)).timestamp() * 1000)
    page = open_page(f"{steady.url}/?brand={BANK}&at={old}")
    expect(page.locator("#detail-title")).to_have_text(BANK)
    expect(page.locator("#past-words")).to_have_text("Showing data until Mon 17 Nov 2025, 17:32 UTC.")
    expect(page.locator(".plot")).to_have_attribute("aria-label", re.compile("^Nordbank, 6 hours: "))

    fresh = int((END - timedelta(minutes=5)).timestamp() * 1000)
    page = open_page(f"{steady.url}/?brand={quote(JUICE)}&at={fresh}")
    expect(page.locator("#detail-title")).to_have_text(JUICE)
    expect(page.locator("#past")).to_be_hidden()


def test_empty_namespace_shows_the_next_steps(pages: Pages, open_page: OpenPage) -> None:
    page = open_page(pages.start())

    expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the first post")
    expect(page.locator("#cards-empty")).to_contain_text("No posts yet: run brandpulse ingest file")
    expect(page.locator("#health-sentence")).to_contain_text("brandpulse worker")


def test_lost_server_is_reported_and_reconnected(stream: StoredStream, pages: Pages, open_page: OpenPage) -> None:
    first = pages.start()
    page = open_page(first, forgive="ERR_|Failed to load|net::")
    expect(page.locator("#link-words")).to_have_text("Live")

    pages.children[0].kill()
    expect(page.locator("#link-words")).to_have_text("Disconnected", timeout=patience(15_000))
    expect(page.locator("#trouble")).to_contain_text("No connection to the server")

    pages.start(BRANDPULSE_PAGE_PORT=first.rsplit(":", 1)[1])
    expect(page.locator("#link-words")).to_have_text("Live", timeout=patience(15_000))
    expect(page.locator("#trouble")).to_be_hidden()


def test_token_protects_the_page_and_leaves_the_address(
    stream: StoredStream, pages: Pages, open_page: OpenPage
) -> None:
    token = "correct horse battery"
    url = pages.start(BRANDPULSE_PAGE_TOKEN=token)

    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(f"{url}/api/overview")
    assert fetch(f"{url}/api/overview", Authorization=f"Bearer {token}")["brands"]
    page = open_page(f"{url}/?token={quote(token)}&brand={BANK}")
    expect(page.locator("#detail-title")).to_have_text(BANK)
    expect(page.locator("#link-words")).to_have_text("Live")
    assert "token" not in page.url
    [cookie] = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert token not in cookie["value"]


def test_read_only_token_hides_the_actions(stream: StoredStream, pages: Pages, open_page: OpenPage) -> None:
    viewing, operating = "correct horse battery", "staple-of-kim-16"
    url = pages.start(BRANDPULSE_PAGE_TOKEN=viewing, BRANDPULSE_PAGE_OPERATOR_TOKENS=f"kim={operating}")
    stream.write_open(an_episode())

    page = open_page(f"{url}/?token={quote(viewing)}")
    expect(page.locator("#link-words")).to_have_text("Live")
    expect(page.locator(".episode-actions").first).to_be_attached()
    expect(page.locator(".to-take").first).to_be_hidden()
    expect(page.locator(".to-silence").first).to_be_hidden()

    page.goto(f"{url}/?token={operating}")
    with page.expect_response("**/api/acknowledgements") as answer:
        page.locator(".to-take").first.click()
    assert answer.value.status == 202
    waiting = OperatorRequestStore(stream.client, stream.names.namespace).read(datetime.now(UTC)).acknowledgements
    assert [one.by for one in waiting] == ["kim"]


def test_page_reachable_by_others_needs_a_token_to_start(tmp_path: Path, redis_url: str) -> None:
    child = Child(
        "page",
        [sys.executable, "-m", "brandpulse", "dashboards", "page"],
        log=tmp_path / "page.log",
        env={
            "BRANDPULSE_HOME": str(tmp_path),
            "BRANDPULSE_REDIS_URL": redis_url,
            "BRANDPULSE_PAGE_HOST": "0.0.0.0",
        },
        cwd=ROOT,
    )

    assert child.wait(patience(20)) == 2
    assert child.log_tail().startswith("brandpulse: BRANDPULSE_PAGE_TOKEN: ")


def test_port_in_use_is_reported_in_one_sentence(pages: Pages) -> None:
    port = pages.start().rsplit(":", 1)[1]

    with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port} .Address already in use"):
        pages.start(BRANDPULSE_PAGE_PORT=port)
