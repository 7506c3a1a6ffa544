"""Runs the queries of the panels in a Grafana, and renders the panels in a browser."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser

from dashboards.grafana.files import built
from tests.support.grafana.servers import ADMIN, DATASOURCE_UID, call

ROW_PIXELS = 38


class Target(NamedTuple):
    """One query of one panel."""

    dashboard: str
    panel: str
    query: dict[str, Any]


def targets() -> list[Target]:
    """Every query of both dashboards."""
    return [
        Target(uid, panel["title"], query)
        for uid, content in built().items()
        for panel in content["panels"]
        for query in panel.get("targets", [])
    ]


def numbers(grafana: str, target: Target, start: datetime, end: datetime, *, step: timedelta) -> list[float]:
    """Every number that Grafana returns, without NaN and gaps. Fails if it returns an error."""
    query = target.query | {
        "expr": target.query["expr"].replace("${brand:regex}", ".*"),
        "datasource": {"type": "prometheus", "uid": DATASOURCE_UID},
        "intervalMs": int(step.total_seconds() * 1_000),
        "maxDataPoints": 720,
    }
    body = {"queries": [query], "from": _ms(start), "to": _ms(end)}
    answer = call(f"{grafana}/api/ds/query", body)["results"][query["refId"]]
    assert "error" not in answer, (target.dashboard, target.panel, answer["error"])
    values = [v for frame in answer["frames"] for column in frame["data"]["values"][1:] for v in column]
    return [value for value in values if isinstance(value, int | float)]


def without_least_steps(content: dict[str, Any]) -> dict[str, Any]:
    """*content* for a run of seconds: without minimum steps, because a panel with five-minute steps would be empty."""
    panels = [{key: value for key, value in panel.items() if key != "interval"} for panel in content["panels"]]
    return content | {"panels": panels}


def draw(browser: Browser, grafana: str, uid: str, path: Path, *, span: str, most_pixels: int = 1_420) -> list[str]:
    """A picture of the upper *most_pixels* of a published dashboard. Returns problems that no panel should have.

    *span* is a time range such as `from=now-6h&to=now`. The README shows these pictures, so they must be small.
    """
    panels = built()[uid]["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW_PIXELS + 16
    # The whole dashboard in view: Grafana loads a panel's data only when it is visible.
    context = browser.new_context(
        viewport={"width": 1440, "height": height}, extra_http_headers=ADMIN, color_scheme="dark"
    )
    try:
        page = context.new_page()
        page.goto(f"{grafana}/d/{uid}?kiosk&theme=dark&{span}&refresh=")
        for panel in (panel for panel in panels if panel["type"] != "row"):
            page.get_by_text(panel["title"], exact=True).first.wait_for()
        page.wait_for_load_state("networkidle")
        page.wait_for_function("!document.querySelector('[aria-label=\"Panel loading bar\"]')")
        page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1440, "height": min(height, most_pixels)})
        wrong = {
            "No data": page.get_by_text("No data", exact=True),
            "an error": page.locator('[data-testid="data-testid Panel status error"]'),
            "a status": page.locator('[aria-label="Panel status"]'),
        }
        return [f"{what}, {found.count()} times" for what, found in wrong.items() if found.count()]
    finally:
        context.close()


def between(start: datetime, end: datetime) -> str:
    """Grafana's query parameters for an absolute time range."""
    return f"from={_ms(start)}&to={_ms(end)}"


def _ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1_000))
