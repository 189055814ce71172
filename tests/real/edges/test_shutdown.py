"""SIGTERM: traffic is sent elsewhere, held calls are still worked off, and each gets an answer."""

import signal

from sdk import SDKS, Sdk, refused
from stand import FakeSlack, Proxy, eventually

ROOM = 20  # tier 2
HELD = 30


def test_held_calls_are_answered_before_the_end():
    slack = FakeSlack()
    # Long enough for the next window, too short for the one after that.
    proxy = Proxy(("/api/", slack.url), more="drain_timeout: 8s\n")
    sdks = [Sdk(name, proxy.base_url("/@bot;max-wait=50s"), timeout=55) for name in SDKS]
    assert proxy.admin_get("/readyz")[0] == 200
    for sdk in sdks:
        for _ in range(ROOM + HELD):
            sdk.start("conversations.list", limit=200)
    eventually("what has no slot is held", lambda: proxy.held("conversations.list") == HELD * len(sdks))

    proxy.process.signal(signal.SIGTERM)
    eventually("readiness fails, said by the draining proxy itself", lambda: proxy.admin_get("/readyz")[0] == 503)
    assert proxy.admin_get("/healthz")[0] == 200, "it is not restarted while it drains"

    for sdk in sdks:
        answers = sdk.finish(seconds=20)
        shed = refused(answers)
        assert {answer["error"] for answer in shed} <= {"ratelimited"}, shed
        assert len(answers) - len(shed) >= 2 * ROOM, "the window that opened while it drained was used"
        arrived = [c for c in slack.calls("conversations.list") if c["workspace"] == sdk.workspace]
        assert len(arrived) == len(answers) - len(shed), "what was shed was not sent"
    assert proxy.process.exit_code(seconds=10) == 0
    assert slack.ledger()["violations"] == []
