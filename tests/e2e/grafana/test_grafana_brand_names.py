"""The brands dashboard with any brand name selected: Grafana's interpolation according to its documentation, and a
real Prometheus that parses and answers the result."""

import http.server
import json
import re
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from brandpulse.ops.doctor.grafana_checks import check_brand_names
from dashboards.grafana.files import built
from tests.support.grafana.servers import Prometheus
from tests.support.patience import patience

NAMES = [
    'Say "Hi"', "Bob's Burgers", "C++", "A|B", "(x)", "a.b*c?", "back\\slash", "[beta]", "{curly}", "$5 & up^",
    "Acme Air", "acme", "/slash/", "Ünïcode 🏦", "a{{b}}", "comma, colon: semi;", "tab's \"both\"", "\\d+",
    "#1", "100%",
]  # fmt: skip
ALL = "$__all"
METRICS = (
    "brandpulse_window_negative_ratio",
    "brandpulse_baseline_negative_ratio",
    "brandpulse_window_posts",
    "brandpulse_episodes_open",
    "brandpulse_expected_delay_seconds",
)


def interpolated(expr: str, chosen: str | Sequence[str]) -> str:
    """*expr* as Grafana sends it, with a multi-value variable `brand` whose custom value for All is `.*`.

    `${brand:regex}`: each value with regular-expression characters escaped by one backslash, several as `(a|b)`.
    `$brand` (the Prometheus data source's own): backslashes fourfold, these characters after two, quotes unchanged.
    """
    values = [chosen] if isinstance(chosen, str) else list(chosen)

    def joined(escaped: list[str]) -> str:
        return escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"

    plain = ".*" if values == [ALL] else None
    regex = plain or joined([re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", one) for one in values])
    own = plain or joined([re.sub(r"[$^*{}\[\]+?.()|]", r"\\\\\g<0>", one.replace("\\", "\\\\\\\\")) for one in values])
    made = expr.replace("${brand:regex}", regex).replace("$brand", own)
    return made.replace("$__rate_interval", "5m")


def label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not shutil.which("prometheus"):
        pytest.skip("no Prometheus here: install Debian's `prometheus`")
    lines = ["brandpulse_alerter_leader 1"]
    lines += [f'{metric}{{brand="{label(name)}"}} 1' for metric in METRICS for name in NAMES]
    body = ("\n".join(lines) + "\n").encode()

    class Exporter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    started = Prometheus(tmp_path_factory.mktemp("prometheus"), {"alerter": f"127.0.0.1:{server.server_port}"})
    try:
        started.wait_scraped()
        yield started.url
    finally:
        started.child.stop()
        server.shutdown()


def answer(url: str, expr: str) -> Any:
    data = urllib.parse.urlencode({"query": expr}).encode()
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query", data=data, timeout=patience(10)) as got:
            return json.load(got)["data"]["result"]
    except urllib.error.HTTPError as error:
        pytest.fail(f"{expr}: {error.read().decode()}")


def expressions() -> list[str]:
    return [
        target["expr"]
        for panel in built()["brandpulse-brands"]["panels"]
        for target in panel.get("targets", ())
        if "brand" in target["expr"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_query_works_with_one_brand(prometheus: str, name: str) -> None:
    for expr in expressions():
        answer(prometheus, interpolated(expr, name))
    seen = answer(prometheus, interpolated("brandpulse_window_posts{brand=~`${brand:regex}`}", name))
    assert [one["metric"]["brand"] for one in seen] == [name]
    [posts] = [expr for expr in expressions() if expr.startswith("sum by (brand) (brandpulse_window_posts")][:1]
    assert [one["metric"]["brand"] for one in answer(prometheus, interpolated(posts, name))] == [name]


def test_each_panel_query_works_with_several_and_all_brands(prometheus: str) -> None:
    [posts] = [expr for expr in expressions() if expr.startswith("sum by (brand) (brandpulse_window_posts")][:1]
    for chosen, expected in ((NAMES[:5], NAMES[:5]), (ALL, NAMES)):
        for expr in expressions():
            answer(prometheus, interpolated(expr, chosen))
        got = answer(prometheus, interpolated(posts, chosen))
        assert sorted(one["metric"]["brand"] for one in got) == sorted(expected)


def test_default_variable_format_does_not_parse(prometheus: str) -> None:
    """Why the format is explicit: with the default, a quote ended the string."""
    with pytest.raises(pytest.fail.Exception, match="parse error"):
        answer(prometheus, interpolated('brandpulse_window_posts{brand=~"$brand"}', 'Say "Hi"'))


def test_doctor_reports_a_brand_that_no_panel_can_select() -> None:
    [found] = check_brand_names([*NAMES, "back`quote"])
    assert "back`quote" in found.observation
    assert found.warning
