"""The page for trying a text, in a real browser."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from model.serve.request_guard import GuardRules
from model.serve.service import Service
from tests.support.dashboards.browser import a_browser
from tests.support.model.serve_builders import AllHeadsScorer, WatchedScorer, serving

DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
TOKEN = "t" * 16
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Service(scorer=AllHeadsScorer(), thresholds={"sarcasm": [0.4]})) as client:
        yield str(client.base_url)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a fresh profile; at the end: no console error, no request to another host."""
    contexts = []
    errors: list[str] = []
    strangers: list[str] = []

    def open_(url: str, *, viewport: ViewportSize = DESKTOP, scheme: Any = "light", forgive: str = "^$") -> Page:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith(url) else strangers.append(sent.url))
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
    assert strangers == []


def card(page: Page, title: str) -> Any:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=title, exact=True))


def test_text_is_scored_and_every_head_is_shown(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    expect(page.locator("#model")).to_contain_text("all heads all-heads-1")

    page.get_by_label("Text", exact=True).fill("0.7 the screen is lovely")
    page.get_by_label("Targets").fill("screen, , Acme ")
    page.get_by_role("button", name="Score").click()

    expect(card(page, "Sentiment")).to_contain_text("negative70%")
    expect(card(page, "Towards screen")).to_contain_text("positive60%")
    expect(card(page, "Towards Acme")).to_contain_text("does not name it: irrelevant by rule")
    expect(page.locator(".card")).to_have_count(6)
    expect(card(page, "Signals")).to_contain_text("complaint, sarcasm")
    expect(card(page, "Mood")).to_contain_text("anger")
    expect(card(page, "Emotions")).to_contain_text("admiration")
    expect(page.locator("#urgency")).to_have_text("Urgency: medium")
    expect(page.locator("#status")).to_have_text(re.compile(r"^Scored in \d+ ms$"))
    card(page, "Emotions").get_by_text("All 28").click()
    expect(card(page, "Emotions").locator(".bar-row:visible")).to_have_count(28)


def test_missing_head_is_not_shown(open_page: OpenPage) -> None:
    with serving(Service(scorer=WatchedScorer())) as client:
        page = open_page(str(client.base_url))
        page.get_by_role("button", name="The screen is gorgeous").click()

        expect(page.locator(".card h3")).to_have_text(["Sentiment", "Towards screen", "Towards battery life"])
        expect(page.locator("#urgency")).to_be_hidden()


def test_shown_command_sends_the_same_request_quoted(url: str, open_page: OpenPage) -> None:
    text = """it's "awful" $HOME `id` \\ 😡 <b>&amp;"""
    page = open_page(url)
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Score").click()
    expect(page.locator("#curl")).to_be_visible()

    command = page.locator("#command").text_content() or ""

    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["curl", f"{url}/v1/score"]
    assert json.loads(words[-1]) == {"text": text, "all_emotions": True}
    answered = subprocess.run(["sh", "-c", f"{command} -s"], capture_output=True, check=True).stdout
    assert json.loads(answered)["model"]["name"] == "all heads"


def test_command_can_be_copied(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Switched from").click()
    page.get_by_role("button", name="Copy").click()

    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#command").text_content()


def test_markup_in_a_text_or_target_is_shown_as_text(url: str, open_page: OpenPage) -> None:
    evil = "<img src=x onerror='window.hacked = 1'>"
    page = open_page(url)
    page.get_by_label("Text", exact=True).fill(f"0.5 {evil}")
    page.get_by_label("Targets").fill(evil)
    page.get_by_role("button", name="Score").click()

    expect(card(page, f"Towards {evil}")).to_be_visible()
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("main img").count() == 0


def test_browser_blocks_markup_made_of_strings(url: str, open_page: OpenPage) -> None:
    page = open_page(url, forgive="Content Security Policy|This document requires")

    taken = "(() => { try { document.body.innerHTML = '<p>'; return 'taken' } catch { return 'no' } })()"
    assert page.evaluate(taken) == "no"


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_layout_fits_and_axe_finds_no_violation(
    url: str, open_page: OpenPage, viewport: ViewportSize, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types

    page = open_page(url, viewport=viewport, scheme=scheme)
    page.get_by_label("Text", exact=True).fill("0.9 " + "x" * 300)
    page.get_by_label("Targets").fill("y" * 100 + ", x")
    page.get_by_role("button", name="Score").click()
    page.get_by_text("All 28").click()
    expect(page.locator(".card")).to_have_count(6)

    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    found = [f"{v['impact']}: {v['id']}: {v['nodes'][0]['html'][:200]}" for v in Axe().run(page).response["violations"]]
    assert found == []


def test_result_scrolls_into_view_on_a_phone(url: str, open_page: OpenPage) -> None:
    page = open_page(url, viewport=PHONE)
    page.get_by_role("button", name="Switched from").click()

    expect(page.get_by_role("heading", name="Scores", exact=True)).to_be_in_viewport()


def test_page_is_usable_with_the_keyboard(url: str, open_page: OpenPage) -> None:
    page = open_page(url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the text")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.type("0.6 typed")
    page.keyboard.press("Tab")
    page.keyboard.type("typed")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")

    expect(card(page, "Towards typed")).to_be_visible()
    expect(page.locator("#command")).to_contain_text('"keep_words":true')
    for _ in range(6):  # Score, four examples, all emotions
        page.keyboard.press("Tab")
    expect(page.locator("summary")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Copy")).to_be_focused()


def test_required_token_is_requested_and_hidden(open_page: OpenPage) -> None:
    with serving(Service(scorer=AllHeadsScorer()), GuardRules(token=TOKEN)) as client:
        page = open_page(str(client.base_url), forgive="401")
        expect(page.get_by_label("Token")).to_be_visible()
        page.get_by_label("Text", exact=True).fill("0.7 guarded")
        page.get_by_role("button", name="Score").click()
        expect(page.locator("#trouble")).to_have_text("This service needs a token.")
        expect(page.get_by_label("Token")).to_be_focused()

        page.keyboard.type(TOKEN)
        page.keyboard.press("Enter")

        expect(card(page, "Sentiment")).to_be_visible()
        expect(page.locator("#trouble")).to_be_hidden()
        expect(page.locator("#command")).to_contain_text("Bearer $BRANDPULSE_SERVE_TOKEN")
        assert TOKEN not in page.content()


def test_rejection_and_lost_service_are_reported(open_page: OpenPage) -> None:
    with serving(Service(scorer=AllHeadsScorer())) as client:
        page = open_page(str(client.base_url), forgive="422|ERR_|Failed to load")
        page.get_by_role("button", name="Score").click()
        expect(page.locator("#trouble")).to_have_text("Write a text first.")

        page.get_by_label("Text", exact=True).fill("a")
        page.get_by_label("Targets").fill(",".join("abcdefghijklmnopq"))
        page.get_by_role("button", name="Score").click()
        expect(page.locator("#trouble")).to_have_text("targets: has 17 entries, at most 16 are allowed")
    page.get_by_role("button", name="Score").click()

    expect(page.locator("#trouble")).to_have_text("The service does not answer. Is it still running?")


def test_theme_follows_the_system_until_one_is_selected(url: str, open_page: OpenPage) -> None:
    page = open_page(url, scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)

    page.get_by_role("button", name="Switch to the dark theme").click()

    assert light != dark
    assert page.evaluate(ground) == dark
    page.reload()
    assert page.evaluate(ground) == dark
