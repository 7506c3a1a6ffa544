"""Environment of the services of `brandpulse up`, on real servers and with a real worker."""

from pathlib import Path

import pytest

from brandpulse.devstack.supervisor import Stack

VARIABLE = "BRANDPULSE_WORKER_SESSION_TIMEOUT_SECONDS"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes' environments are read from /proc")
@pytest.mark.parametrize(("set_by_user", "expected"), [(None, "3"), ("20", "20")])
def test_embedded_broker_shortens_the_session_timeout_unless_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by_user: str | None, expected: str
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if set_by_user is not None:
        monkeypatch.setenv(VARIABLE, set_by_user)
    stack = Stack(tmp_path, report=lambda _line: None)
    try:
        stack.start_servers()
        worker = stack.start_service("worker-1", "worker").child
        assert worker is not None
        facts = Path(f"/proc/{worker.pid}/environ").read_text().split("\0")
        assert [fact for fact in facts if fact.startswith(VARIABLE)] == [f"{VARIABLE}={expected}"]
    finally:
        stack.stop()
