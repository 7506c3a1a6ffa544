"""A program sends posts to the receiver of `up`, as with curl: each post counts once, whatever is repeated."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from brandpulse.runtime.child_process import free_port, port_answers
from tests.e2e.ingest.test_sent_once import Stack
from tests.e2e.test_first_use import brandpulse
from tests.support.patience import wait_until
from tests.support.webhook.sender import SECRETS, SOURCES, TOKEN, a_post, github

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path)
    yield stack
    stack.stop()


def post(port: int, posts: Sequence[dict[str, Any]], **headers: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/posts",
        data=json.dumps(posts).encode(),
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_posts_sent_to_the_receiver_count_once(stack: Stack) -> None:
    port = free_port()
    (stack.folder / "sources.yaml").write_text(SOURCES.replace("PORT", str(port)))
    checked = brandpulse("ingest", "check", cwd=stack.folder, env=SECRETS)
    assert f"webhook: POST /v1/posts at 127.0.0.1:{port}; senders: forum, desk, hub, shop, slow" in checked.stdout
    up = stack.up(**SECRETS)
    wait_until(lambda: port_answers(port), "the receiver listens", seconds=60)
    posts = [a_post(number) for number in range(50)]
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert post(port, posts, **bearer) == (200, {"taken": 50, "refused": []})
    assert post(port, posts, **bearer) == (200, {"taken": 50, "refused": []})
    more = [{**a_post("more"), "source": "forum"}]
    assert post(port, more, **github(json.dumps(more).encode()))[0] == 200
    assert post(port, posts) == (401, {"error": "unauthorized"})
    assert stack.wait_counted(51) == 51
    written = "".join(path.read_text() for path in (stack.folder / ".brandpulse").rglob("*.log")) + up.log_tail()
    assert "webhook request refused" in written
    assert not any(secret in written for secret in SECRETS.values())


def test_missing_secret_is_named_and_nothing_starts(stack: Stack) -> None:
    (stack.folder / "sources.yaml").write_text(SOURCES.replace("PORT", "0"))
    done = brandpulse("ingest", "run", cwd=stack.folder, env={**SECRETS, "HUB_SECRET": ""})
    assert done.returncode == 2
    assert "sender 'hub': the environment variable HUB_SECRET is not set" in done.stderr
