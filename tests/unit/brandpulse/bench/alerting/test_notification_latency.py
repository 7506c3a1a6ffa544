import pytest

from alerting.notifications.delivery import SendResult
from alerting.notifications.receivers.webhook import Webhook
from brandpulse.bench.alerting import notification_latency
from brandpulse.errors import BrandpulseError
from brandpulse.schema.episodes import Notification


def test_every_alert_is_timed_from_decision_to_request(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = notification_latency.run(alerts=20, per_second=100, fsync="always")
    assert len(seconds) == 20
    assert all(0 < one < 5 for one in seconds)
    assert f"longest {max(seconds):.3f} s" in capsys.readouterr().out


def test_an_alert_without_a_request_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = Webhook.deliver

    async def forgetful(self: Webhook, notification: Notification) -> SendResult:
        if notification.episode.brand == "Brand 3":
            return SendResult(202)
        return await deliver(self, notification)

    monkeypatch.setattr(Webhook, "deliver", forgetful)
    monkeypatch.setattr(notification_latency, "PATIENCE_SECONDS", 2)
    with pytest.raises(BrandpulseError, match="1 of 5 alerts were not requested within 2 s"):
        notification_latency.run(alerts=5, per_second=100, fsync="always")
