"""At a 429 the Node SDK stops its whole client: the clicks of its bot wait with the job that was refused.

One client floods until some calls are shed, and opens views meanwhile, one after the other. Told with status
200, it goes on; told with a 429, it does not. Where calls may wait for a while, only a client that has had clicks
lately is told with status 200: the job of any other is sent again by the SDK.
"""

import pytest
from sdk import Sdk
from stand import MINUTE, FakeSlack, Proxy, eventually

ROOM = 20  # tier 2
CALLS = 60
CLICKS = 10

VERSIONS = pytest.mark.parametrize("version", ["node", "node-7"])


def clicks_beside_a_flood(version: str, shed_as: str, max_wait: str = "500ms", click_before: bool = False) -> list[float]:
    """How many seconds each click took."""
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), more=f"shed_as: {shed_as}\n")
    # Its own retries are on, as they are by default.
    node = Sdk(version, proxy.base_url(lane=f"/@bot;max-wait={max_wait}"), retry=True)
    if click_before:
        assert node.call("views.open", trigger_id="1", view={"type": "modal"})["ok"]
    for n in range(CALLS):
        node.start("conversations.list", limit=100 + n)
    eventually("calls are shed", lambda: proxy.metric("slackwater_sheds_total", reason="deadline") >= CALLS - ROOM)
    clicks, last = [], None
    for n in range(CLICKS):
        last = node.start("views.open", after=last, trigger_id=f"{n}", view={"type": "modal"})
        clicks.append(last)
    answers = eventually(
        "every click is answered",
        lambda: (found := [a for a in node.answers() if a["id"] in clicks]) and len(found) == CLICKS and found,
        seconds=30,
    )
    assert all(answer["ok"] for answer in answers), answers
    assert slack.ledger()["violations"] == []
    return [(answer["end_ms"] - answer["start_ms"]) / 1000 for answer in answers]


@VERSIONS
@pytest.mark.parametrize("max_wait, click_before", [("500ms", False), ("4s", True)], ids=["at once", "4 s"])
def test_clicks_go_through_while_a_job_is_refused(version, max_wait, click_before):
    took = clicks_beside_a_flood(version, "auto", max_wait, click_before)
    assert max(took) < MINUTE / 3, took
    assert sorted(took)[CLICKS // 2] < 0.5, took


@VERSIONS
def test_with_a_429_they_wait_for_the_job(version):
    took = clicks_beside_a_flood(version, "429")
    # The refused calls were told to come back when the window has room again.
    assert max(took) > MINUTE / 2, took


@VERSIONS
@pytest.mark.parametrize("max_wait", ["0s", "4s"])
def test_a_job_without_clicks_or_without_haste_comes_through(version, max_wait):
    """However little its calls may wait, a job's come back until they go; others' do, unless it is for a click."""
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url))
    lane = f"/@job;max-wait={max_wait}" + (";class=background" if max_wait == "0s" else "")
    node = Sdk(version, proxy.base_url(lane), defaults_at=MINUTE)
    for n in range(CALLS):
        node.start("conversations.list", limit=100 + n)
    answers = node.finish(seconds=90)
    assert all(answer["ok"] for answer in answers), answers
    assert slack.ledger()["violations"] == []


@pytest.mark.parametrize("shed_as, status", [("auto", 200), ("429", 429)])
def test_the_job_is_told_that_it_was_refused(shed_as, status):
    slack = FakeSlack()
    proxy = Proxy(("/api/", slack.url), more=f"shed_as: {shed_as}\n")
    node = Sdk("node", proxy.base_url(lane="/@job;max-wait=0s"))
    for n in range(ROOM):
        node.start("conversations.list", limit=100 + n)
    assert all(answer["ok"] for answer in node.finish(seconds=10))
    answer = node.call("conversations.list", limit=200)
    assert (answer["ok"], answer["error"], answer["status"]) == (False, "ratelimited", status), answer
