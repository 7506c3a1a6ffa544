"""`python -m tests.faults.alerting.suspending_alerter`: an alerter that stops itself (SIGSTOP) right before its first
POST.

It has already checked its lease, so continuing it gives the worst case: a late POST of an old leader.
"""

import os
import signal
import sys

from alerting.notifications.delivery import SendResult
from alerting.notifications.receivers.pagerduty import PagerDuty
from alerting.run import main
from brandpulse.schema.episodes import Notification

deliver = PagerDuty.deliver
naps = iter([signal.SIGSTOP])


async def sleep_then_deliver(self: PagerDuty, notification: Notification) -> SendResult:
    for nap in naps:
        os.kill(os.getpid(), nap)
    return await deliver(self, notification)


if __name__ == "__main__":
    PagerDuty.deliver = sleep_then_deliver  # type: ignore[method-assign]
    sys.exit(main())
