"""Files of every form through `brandpulse ingest file`: resume, standard input, and texts that look like HTML."""

import gzip
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ingest.files.forms.standard_input import stored
from ingest.files.send_task import Destination, RunResult
from tests.e2e.ingest.test_ingest_file import (
    BEGIN,
    command,
    once_each,
    send,
    stop_after,
    times_sent,
    to,
    topic_of,
    write_posts,
)
from tests.support.patience import patience, wait_until
from tests.support.workbooks import write_workbook

__all__ = ["send", "to"]
COLUMNS = ["id", "text", "created_at", "author_id"]
LOOKS_LIKE_HTML = "I <3 you & me"


def posts(folder: Path, count: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in write_posts(folder / "all.jsonl", count).read_text().splitlines()]


def in_form(path: Path, objects: list[dict[str, Any]]) -> Path:
    """The posts as a file of the form that the name says."""
    form = path.name.split(".", 1)[1]
    lines = "".join(json.dumps(one) + "\n" for one in objects).encode()
    if form == "xlsx":
        return write_workbook(path, {"Posts": [[*COLUMNS], *([one[column] for column in COLUMNS] for one in objects)]})
    contents = {
        "jsonl": lines,
        "json": json.dumps(objects, indent=1).encode(),
        "js": b"window.posts = " + json.dumps(objects).encode(),
        "jsonl.gz": gzip.compress(lines),
        "jsonl.zst": zstandard.compress(lines),
        "csv": "\n".join(
            [",".join(COLUMNS), *(",".join(f'"{one[column]}"' for column in COLUMNS) for one in objects)]
        ).encode(),
    }
    path.write_bytes(contents[form])
    return path


FORMS = ["a.xlsx", "a.json", "a.js", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.csv"]


@pytest.mark.parametrize("name", ["a.xlsx", "a.jsonl.zst", "a.json"])
def test_stopped_run_of_each_form_is_resumed(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path, name: str
) -> None:
    path = in_form(tmp_path / name, posts(tmp_path, 500))
    first = send(path, stop_after(200))
    assert first.stopped
    assert 0 < first.counts.sent < 500
    assert send(path).counts.read == 500
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(500)


@pytest.mark.parametrize("name", FORMS)
def test_text_that_only_looks_like_html_stays_as_it_is(
    send: Callable[..., RunResult], to: Destination, tmp_path: Path, name: str
) -> None:
    post = {"id": "p0", "text": LOOKS_LIKE_HTML, "created_at": BEGIN.isoformat(), "author_id": "ann"}
    assert send(in_form(tmp_path / name, [post])).counts.sent == 1
    ((_, sent),) = topic_of(to.bootstrap_servers, to.topic)
    assert sent.text == LOOKS_LIKE_HTML


def open_input(to: Destination, tmp_path: Path, *options: str) -> "subprocess.Popen[bytes]":
    line, env = command(to.bootstrap_servers, to.topic, Path("-"), *options, home=tmp_path / "home")
    pipe = subprocess.PIPE
    return subprocess.Popen(line, env=env, cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe)


def test_standard_input_stopped_while_sending_is_resumed(to: Destination, tmp_path: Path) -> None:
    content = in_form(tmp_path / "a.jsonl.zst", posts(tmp_path, 2_000)).read_bytes()
    process = open_input(to, tmp_path, "--rate", "1000")
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.close()
    wait_until(lambda: times_sent(to.bootstrap_servers, to.topic).total() >= 100)
    process.send_signal(signal.SIGTERM)
    process.stdin = None
    out, err = process.communicate(timeout=patience(20))
    assert process.returncode == 128 + signal.SIGTERM, err
    sent = json.loads(out)["sent"]
    assert 0 < sent < 2_000

    out, err = open_input(to, tmp_path).communicate(content, timeout=patience(60))
    assert json.loads(out)["sent"] == 2_000 - sent, err
    assert times_sent(to.bootstrap_servers, to.topic) == once_each(2_000)
    assert list((tmp_path / "home" / "ingest" / "stdin").iterdir()) == []


def test_standard_input_that_stays_open_is_stopped_by_sigterm(to: Destination, tmp_path: Path) -> None:
    process = open_input(to, tmp_path)
    assert process.stdin is not None
    process.stdin.write(b'{"id": "p0", "text"')
    process.stdin.flush()
    folder = tmp_path / "home" / "ingest" / "stdin"
    wait_until(lambda: folder.exists() and any(folder.iterdir()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(patience(10)) == 128 + signal.SIGTERM
    assert list(folder.iterdir()) == []
    process.communicate()


def test_same_standard_input_twice_at_once_is_refused(tmp_path: Path) -> None:
    from ingest.files.forms.opening import FormError

    def piped() -> io.BufferedReader:
        read_end, write_end = os.pipe()
        os.write(write_end, b"content")
        os.close(write_end)
        return os.fdopen(read_end, "rb")

    with piped() as first, piped() as second, stored(first, tmp_path, lambda: False) as path:
        assert path is not None
        with pytest.raises(FormError, match="is sending now"), stored(second, tmp_path, lambda: False):
            pass
        assert path.read_bytes() == b"content"
