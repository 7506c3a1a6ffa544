import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from model.data.gold_labels import read_gold
from model.evaluation.comparison import compare
from model.evaluation.evaluator import Evaluation, evaluate
from model.evaluation.model_answers import HeadSettings
from model.evaluation.predictions_file import predictions_of
from model.report.page import page
from model.spec.options import Task
from tests.support.dashboards.browser import a_browser
from tests.support.model.keyword_scorer import WordScorer

HOSTILE = '<script>document.title = "owned"</script><img src="https://example.org/a.png"> & negative'

ROWS: dict[Task, list[dict[str, Any]]] = {
    "sentiment": [
        {"text": f"RT @user positive about the delay of {number} #irony 😡", "sentiment": label}
        for number, label in enumerate(["neg", "neu", "pos"] * 12)
    ],
    "target_sentiment": [
        {
            "text": f"NOT a good day with Aerolux negative and Nordbank positive {number}",
            "target": ["Aerolux", "Nordbank"][number % 2],
            "target_sentiment": ["neg", "pos", "neu", "irr"][number % 4],
        }
        for number in range(40)
    ],
    "emotion": [{"text": f"joy number {number}", "emotions": ["joy", "fear"][number % 2 :]} for number in range(30)],
    "complaint": [{"text": f"a complaint, {number}", "complaint": number % 2} for number in range(30)],
}


def an_evaluation(folder: Path, task: Task, *, text: str = HOSTILE) -> Evaluation:
    """An evaluation with a comparison, and a row with a hostile *text*."""
    rows = [ROWS[task][-1] | {"text": text}, *ROWS[task]]
    path = folder / "posts & more.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    gold = read_gold(path, task)
    one, other = (evaluate(WordScorer(fans=fans), gold, HeadSettings(temperature=1.4)) for fans in ("", "nordbank"))
    answers = [predictions_of(f"model <{at}>", gold, found.answers) for at, found in enumerate((one, other))]
    found = compare(answers[0], answers[1], net=task == "sentiment")
    return replace(one, report=one.report | {"against": found})


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "srcset") and not (value or "").startswith(
                ("#", "data:")
            ):
                self.outside.append(f"{tag} {name}={value}")


@pytest.mark.parametrize("task", list(ROWS))
def test_a_page_is_self_contained(tmp_path: Path, task: Task) -> None:
    written = page(an_evaluation(tmp_path, task), texts=True)
    seen = _Seen()
    seen.feed(written)
    assert seen.outside == []
    assert not seen.tags & {"script", "iframe", "img"}
    assert len(set(seen.ids)) == len(seen.ids)
    assert set(re.findall(r"url\(#([\w.-]+)\)", written)) <= set(seen.ids)
    assert "#0a0b" not in written


def test_the_page_shows_the_report(tmp_path: Path) -> None:
    evaluation = an_evaluation(tmp_path, "target_sentiment")
    written = page(evaluation, texts=True)
    for figure in ("macro_recall", "ece", "swap_rate", "second_target_accuracy"):
        value = evaluation.report[figure]
        assert value is None or f"{value:.3f}" in written
    assert "passes by design" in written
    assert "McNemar" in written


def test_without_texts_the_page_contains_no_posts(tmp_path: Path) -> None:
    evaluation = an_evaluation(tmp_path, "target_sentiment", text="Nordbank positive, a secret")
    assert "secret" in page(evaluation, texts=True)
    without = page(evaluation, texts=False)
    assert "secret" not in without
    assert "Nordbank" not in without


def test_the_same_answers_give_the_same_page(tmp_path: Path) -> None:
    evaluation = an_evaluation(tmp_path, "sentiment")
    assert page(evaluation, texts=True) == page(evaluation, texts=True)


WIDE, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)


@contextlib.contextmanager
def opened(browser: Browser, url: str, viewport: ViewportSize, scheme: Literal["light", "dark"]) -> Iterator[Page]:
    """The page at *url*; it made no other request and logged no error."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    shown = context.new_page()
    said: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: said.append(request.url))
    shown.goto(url)
    yield shown
    assert said == [url]
    context.close()


def test_a_real_browser_shows_it_without_a_complaint(tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types

    path = tmp_path / "report.html"
    path.write_text(page(an_evaluation(tmp_path, "sentiment"), texts=True), encoding="utf-8")
    with a_browser() as browser:
        with opened(browser, path.as_uri(), WIDE, "light") as shown:
            assert shown.title() == "sentiment on posts & more.jsonl"
            assert shown.get_by_text(HOSTILE).count() == 1
            assert _violations(Axe().run(shown)) == []
        with opened(browser, path.as_uri(), PHONE, "dark") as shown:
            assert shown.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            assert _violations(Axe().run(shown)) == []


def _violations(found: Any) -> list[str]:
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found.response["violations"]]
