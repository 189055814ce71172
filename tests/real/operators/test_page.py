"""The live page in a real Chromium: it shows what /status says, changes what an operator clicks, says
when the line is cut, and asks no other host for anything. Screenshots are in target/tests/screenshots."""

import contextlib
import json
import os
import re
import statistics
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect, sync_playwright
from stand import REPO, FakeSlack, Proxy, eventually, free_port, http_get

CHROMIUM = os.environ.get("SLACKWATER_CHROMIUM", "/usr/bin/chromium")
# The page's files, to try them without a build: SLACKWATER_PAGE=src/admin/page.
FILES = os.environ.get("SLACKWATER_PAGE")
SCREENSHOTS = REPO / "target/tests/screenshots"
TOKEN = "0123456789abcdef-not-a-slack-token"
SCRIPT = "<script>alert(1)</script>"
STILL = "admin.apps.uninstall"
# As long as the name of a method is.
LONGEST = "admin.conversations.ekm.listOriginalConnectedChannelInfo"
QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# Milliseconds: a picture comes each second, on a machine that does other things, too.
SOON = 15_000
expect.set_options(timeout=SOON)
# Of a frame's time on a slow machine; a page that is drawn anew takes many times as much.
RENDER_MS = 50


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


class Watched:
    """A page, all that went wrong in it, and all hosts that it asked."""

    def __init__(self, browser, admin: str, line: str, **options):
        self.admin = admin
        self.wrong, self.hosts = [], set()
        # Whether the test makes requests fail.
        self.may_fail = line != "open"
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.context.set_default_timeout(SOON)
        # Every time the page is drawn is noted by the page itself.
        self.context.add_init_script(
            "window.renders = []; new PerformanceObserver((list) => {"
            " for (const one of list.getEntriesByName('render')) window.renders.push(one.duration);"
            "}).observe({ entryTypes: ['measure'] });")
        if FILES:
            self.context.route(re.compile(r"/$|/page/"), self.from_disk)
        self.page = self.context.new_page()
        self.page.on("console", lambda said: self.note(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.hosts.add(urllib.parse.urlsplit(request.url).netloc))

    @staticmethod
    def from_disk(route) -> None:
        """The page as it is in the source now, under the binary's own headers."""
        name = urllib.parse.urlsplit(route.request.url).path.rpartition("/")[2] or "index.html"
        with contextlib.suppress(PlaywrightError):
            route.fulfill(response=route.fetch(), body=(Path(FILES) / name).read_bytes())

    def note(self, text: str) -> None:
        # A browser writes failed requests into the console by itself.
        if not (self.may_fail and text.startswith("Failed to load resource")):
            self.wrong.append(text)

    def open(self, line: str) -> "Watched":
        self.page.goto(f"http://{self.admin}/", wait_until="domcontentloaded")
        expect(self.page.locator("body")).to_have_attribute("data-line", line)
        return self

    def total(self, name: str) -> int:
        return int(self.page.locator(f"[data-total={name}]").inner_text().replace(",", ""))

    def row(self, table: str, name: str):
        return self.page.locator(f"#{table} tbody tr", has=self.page.get_by_role("rowheader", name=name))

    def drawn(self, times: int) -> list[float]:
        """How long the page took each time, as soon as it was drawn so often. Its policy forbids that a
        condition is evaluated in it, as Playwright's own wait would."""
        return eventually(
            f"drawn {times} times",
            lambda: self.page.wait_for_timeout(100) or (
                renders if len(renders := self.page.evaluate("window.renders")) >= times else None),
            times * 3 + 10)

    def confirm(self, does: str) -> None:
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name=does, exact=True).click()

    def shoot(self, name: str) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        return SCREENSHOTS / f"{name}.png"

    def close(self) -> None:
        self.context.close()
        assert self.wrong == []
        assert self.hosts == {self.admin}


@pytest.fixture
def opened(browser):
    """Opens pages; whatever a test does with them, nothing goes wrong in them."""
    pages = []

    def open_page(proxy: Proxy, line: str = "open", **options) -> Watched:
        pages.append(Watched(browser, proxy.admin, line, **options))
        return pages[-1].open(line)

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture
def slack():
    return FakeSlack(latency="0ms")


@pytest.fixture
def proxy(slack):
    return Proxy(("/api/", slack.url), more="on_429: { default_retry_after: 40s }\n")


class Load:
    """Calls that wait, until the test ends."""

    def __init__(self, proxy: Proxy):
        self.proxy = proxy
        self.pool = ThreadPoolExecutor(200)
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, caller: str, lane: str = "max-wait=50s", data: bytes = b"") -> int:
        # A name in the path may have no slash.
        headers = {"Authorization": "Bearer xoxb-T1-A1-secret", "Slackwater-Caller": caller}
        request = urllib.request.Request(f"http://{self.proxy.listen}/@x;{lane}/api/{method}", data, headers)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def go(self, calls: int, *of, **more):
        return [self.pool.submit(self.call, *of, **more) for _ in range(calls)]

    def end(self):
        # What still waits ends with the proxy.
        self.proxy.kill()
        self.pool.shutdown(cancel_futures=True)


@pytest.fixture
def load(proxy):
    load = Load(proxy)
    yield load
    load.end()


@pytest.fixture
def still(slack):
    """A proxy with a limit that gives nothing back while a test runs."""
    proxy = Proxy(("/api/", slack.url), minute=60, more="tiers: { tier1: { limit: 1, per: 2m } }\n"
                  "on_429: { default_retry_after: 40s }\n")
    load = Load(proxy)
    yield proxy, load
    load.end()


def test_a_newcomer_is_told_what_to_do(proxy, opened):
    """Red when the address is the configured one, whose port is 0 here."""
    page = opened(proxy)
    expect(page.page.get_by_role("heading", name="Nothing has called yet")).to_be_visible()
    expect(page.page.locator("#state")).to_have_text("Nobody waits.")
    expect(page.page.locator("#start code").last).to_contain_text("slackwater demo")
    assert page.page.locator("#start").inner_text().count(f"http://{proxy.listen}/api/") == 3
    expect(page.page.locator("#history")).to_be_hidden()
    page.shoot("empty")


def test_it_shows_what_status_says(still, slack, opened):
    """Red when a figure is another one than that of /status, and when a name is taken for markup."""
    proxy, load = still
    assert load.call("team.info", "people") == 200
    assert load.call(STILL, "job") == 200
    load.go(20, STILL, "job", lane="max-wait=59m")
    load.go(3, STILL, SCRIPT, lane="class=background;max-wait=59m")
    eventually("all wait", lambda: proxy.held(STILL) == 23)
    page = opened(proxy)
    # Nothing moves but time: what the page shows and what /status says are of one state.
    expect(page.page.locator("[data-total=held]")).to_have_text("23")
    status = proxy.status()
    totals = status["totals"]
    for name in ("held", "places", "frozen", "answered", "refused_by_slack"):
        expect(page.page.locator(f"[data-total={name}]")).to_have_text(str(totals[name]))
    assert page.total("shed") == sum(totals["shed"].values())
    queues = {(queue["class"], queue["caller"]): queue for queue in status["queues"]}
    assert set(queues) == {("normal", "job"), ("background", SCRIPT)}
    rows = page.page.locator("#waits tbody tr")
    expect(rows).to_have_count(2)
    for (kind, caller), queue in queues.items():
        row = rows.filter(has_text=f"{kind}, of {caller}")
        expect(row.get_by_role("cell").nth(0)).to_have_text(str(queue["depth"]))
        expect(row).to_contain_text(queue["waits_for"])
    method = page.row("methods", STILL)
    expect(method.get_by_role("cell").nth(0)).to_have_text("23 20 normal, 3 background")
    expect(method).to_contain_text("1 of 1")
    expect(method).to_contain_text("full")
    shown = page.page.locator("#buckets tbody tr").count()
    assert shown == len(status["buckets"]) == totals["buckets"]
    for bucket in status["buckets"]:
        row = page.page.locator(f"#buckets tr[data-key={json.dumps(bucket['limit'] + ':' + bucket['key'])}]")
        expect(row).to_contain_text(f"{bucket['used']} of {bucket['quota']}")
    callers = {row.get_by_role("rowheader").inner_text(): row for row in page.page.locator("#callers tbody tr").all()}
    assert set(callers) == {"job", "people", SCRIPT}, "a name is text"
    expect(callers["job"].get_by_role("cell").nth(0)).to_have_text("20")
    assert page.page.locator("main script").count() == 0


def test_it_says_when_the_same_lesson_shows_in_many_workspaces(opened):
    """Red when three workspaces are many, when four are not, and when what was forgotten is still told."""
    minute, method = 4.0, "conversations.list"
    slack = FakeSlack(limits=[f"{method}=10"], minute=minute)
    proxy = Proxy(("/api/", slack.url), minute=minute)

    def flood(workspace: str) -> None:
        url = proxy.base_url(lane="/@job;max-wait=50s") + method
        data = f"token=xoxb-{workspace}-A1-x".encode()
        with ThreadPoolExecutor(25) as pool:
            done = list(pool.map(lambda _: http_get(url, seconds=55, data=data)[0], range(25)))
        assert done == [200] * 25, workspace

    def learnt() -> dict:
        return next(it for it in json.loads(proxy.admin_get("/learnt")[1])["lessons"] if it["method"] == method)

    for workspace in ("T1", "T2", "T3"):
        flood(workspace)
    assert (learnt()["buckets"], learnt()["several"]) == (3, False)
    page = opened(proxy)
    tag = page.page.locator("#buckets tbody tr", has_text=method).filter(has_text="learnt:")
    expect(tag).to_have_count(3)
    expect(page.page.locator("#notices")).not_to_contain_text("fewer calls than configured")

    flood("T4")
    lesson = learnt()
    assert (lesson["lower"], lesson["several"]) == (4, True)
    notice = page.page.locator("#notices li", has_text="Slack accepts fewer calls than configured for tier2")
    expect(notice).to_contain_text(f"tier2 of {method}: 4 of 4 buckets learnt about ")
    expect(notice).to_contain_text("instead of 20. Slack may have changed it: `slackwater limits --learnt`")
    page.shoot("learnt")

    request = urllib.request.Request(
        f"http://{proxy.admin}/forget", json.dumps({"method": method}).encode(), {"Content-Type": "application/json"})
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).read()
    expect(notice).to_have_count(0)


def test_a_page_that_is_opened_late_has_the_last_minutes(still, opened):
    """Red when the history begins with the page."""
    # Its minutes are long: the method is in use until the end.
    proxy, load = still
    for _ in range(3):
        assert load.call("team.info", "job") == 200
    eventually("a sample has them", lambda: any(s["answered"] for s in history(proxy)), 10)
    page = opened(proxy)
    expect(page.page.locator("#plot canvas")).to_be_visible()
    page.page.get_by_role("combobox", name="of").select_option("team.info")
    expect(page.page.locator("#plot")).to_have_attribute("aria-label", re.compile("^team.info, the last"))
    # What it has not is somewhere else.
    longer = page.page.locator("#history #longer")
    expect(longer).to_contain_text("Grafana")
    assert http_get(f"http://{proxy.admin}{longer.get_by_role('link').get_attribute('href')}")[0] == 200
    page.shoot("history")
    page.drawn(2)
    assert page.row("methods", "team.info").locator("path.answered").get_attribute("d").startswith("M")


def history(proxy: Proxy) -> list:
    """What a newcomer is told first."""
    host, port = proxy.admin.rsplit(":", 1)
    connection = HTTPConnection(host, int(port), timeout=5)
    connection.request("GET", "/events")
    with contextlib.closing(connection), connection.getresponse() as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = iter(answer.readline, b"")
        return json.loads(next(line for line in lines if line.startswith(b"data: "))[6:])


def test_pause_resume_and_shadow_by_clicking(proxy, load, opened):
    """Red when something changes without a confirmation, and when a click changes nothing."""
    page = opened(proxy)
    assert load.call("team.info", "job") == 200
    pause = page.page.get_by_role("button", name="Pause caller job")
    pause.click()
    expect(page.page.get_by_role("dialog", name="Pause caller job?")).to_be_visible()
    page.confirm("Cancel")
    assert proxy.status()["paused"] == []
    pause.click()
    page.confirm("Pause")
    expect(page.page.get_by_role("status")).to_contain_text("caller job is paused: its calls wait")
    held = load.go(2, "team.info", "job")
    expect(page.page.locator("#paused")).to_contain_text("wait: 2")
    expect(page.row("waits", "team.info")).to_contain_text("paused by an operator")
    page.shoot("paused")
    page.page.get_by_role("button", name="Resume caller job").click()
    page.confirm("Resume")
    assert [one.result() for one in held] == [200, 200]
    expect(page.page.locator("#paused-section")).to_be_hidden()

    page.page.get_by_role("button", name="Change method team.info").click()
    page.page.get_by_label("refuse its calls at once").check()
    page.confirm("Change")
    expect(page.page.locator("#paused")).to_contain_text("are refused")
    assert load.call("team.info", "job") == 429
    assert proxy.status()["paused"][0]["shed"] is True

    page.page.get_by_role("button", name="Shadow mode…").click()
    page.confirm("Switch to shadow mode")
    expect(page.page.locator("#notices")).to_contain_text("Shadow mode is on")
    assert proxy.status()["mode"]["proxy"] == "shadow"
    page.page.get_by_role("button", name="Keep limits…").click()
    page.confirm("Keep limits")
    expect(page.page.locator("#notices")).not_to_contain_text("Shadow mode is on")
    assert proxy.status()["mode"]["proxy"] == "enforce"


def test_a_change_asks_for_the_token_and_forgets_it(slack, opened):
    """Red when the token is kept anywhere but in memory, or is sent in a URL."""
    proxy = Proxy(("/api/", slack.url), admin="{ listen: 127.0.0.1:0, token: '${ADMIN}' }", variables={"ADMIN": TOKEN})
    page = opened(proxy)
    page.may_fail = True
    urls = []
    page.page.on("request", lambda request: urls.append(request.url))
    page.page.get_by_role("button", name="Pause…").click()
    page.page.get_by_label("name").fill("chat.update")
    page.confirm("Pause")
    field = page.page.get_by_label("token", exact=True)
    expect(field).to_be_focused()
    field.fill("wrong")
    page.confirm("Pause")
    expect(page.page.get_by_role("alert").filter(has_text="not the token")).to_be_visible()
    assert proxy.status()["paused"] == []
    field.fill(TOKEN)
    page.confirm("Pause")
    expect(page.page.locator("#paused")).to_contain_text("chat.update")
    page.page.get_by_role("button", name="Resume method chat.update").click()
    page.confirm("Resume")
    expect(page.page.locator("#paused-section")).to_be_hidden()
    kept = page.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert TOKEN not in kept + page.page.content() + " ".join(urls)
    assert TOKEN not in "\n".join(proxy.process.said())


def test_the_keyboard_is_enough(proxy, load, opened):
    """Red when something can only be clicked, and when a picture takes the focus away."""
    assert load.call("team.info", "job") == 200
    page = opened(proxy)
    expect(page.row("callers", "job")).to_be_visible()
    keys = page.page.keyboard
    keys.press("Tab")
    expect(page.page.get_by_role("link", name="Skip to what goes on")).to_be_focused()
    keys.press("Enter")
    for _ in range(40):
        keys.press("Tab")
        if page.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Pause caller job":
            break
    focused = page.page.get_by_role("button", name="Pause caller job")
    expect(focused).to_be_focused()
    page.drawn(len(page.drawn(1)) + 2)
    expect(focused).to_be_focused()
    keys.press("Enter")
    expect(page.page.get_by_role("button", name="Cancel")).to_be_focused()
    keys.press("Escape")
    expect(page.page.get_by_role("dialog")).to_be_hidden()
    expect(focused).to_be_focused()
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.page.locator("#paused")).to_contain_text("job")


def test_it_says_that_the_line_is_cut_and_comes_back(slack, opened):
    """Red when a page of yesterday looks like one of now."""
    proxy = Proxy(("/api/", slack.url), admin=f"{{ listen: 127.0.0.1:{free_port()} }}")
    load = Load(proxy)
    assert load.call("team.info", "before") == 200
    page = opened(proxy)
    page.may_fail = True
    expect(page.row("callers", "before")).to_be_visible()
    proxy.kill()
    expect(page.page.locator("#cut")).to_contain_text("What you see is of")
    expect(page.page.locator("#line")).to_have_text("cut off")
    assert page.page.title().startswith("cut off")
    page.shoot("disconnected")
    page.page.get_by_role("button", name="Pause caller before").click()
    page.confirm("Pause")
    expect(page.page.get_by_role("dialog")).to_contain_text("does not answer")
    page.confirm("Cancel")
    again = Proxy.of(proxy.config)
    expect(page.page.locator("#cut")).to_be_hidden(timeout=30_000)
    load.proxy = again
    assert load.call("team.info", "after") == 200
    expect(page.row("callers", "after")).to_be_visible()
    expect(page.row("callers", "before")).to_have_count(0)
    load.end()


def test_a_shut_limit_has_a_countdown(proxy, slack, load, opened):
    slack.fault("conversations.list", "429-no-header", 3)
    load.go(30, "conversations.list", "cleanup", lane="class=background;max-wait=50s")
    load.go(4, "conversations.list", "people", lane="class=interactive;max-wait=50s")
    for n in range(12):
        load.go(3, "chat.postMessage", "news", data=f"channel=C{n}&text=x".encode())
    eventually("it is shut", lambda: proxy.status()["totals"]["frozen"] > 0, 15)
    page = opened(proxy)
    tag = page.row("methods", "conversations.list").locator(".tag")
    expect(tag).to_have_text(re.compile(r"shut, \d+ s more"))
    seconds = lambda: int(re.search(r"\d+", tag.inner_text())[0])  # noqa: E731
    first = seconds()
    eventually("it goes down", lambda: page.page.wait_for_timeout(100) or seconds() < first, 10)
    expect(page.page.locator("#state")).to_contain_text("Slack asked for a pause")
    page.shoot("frozen")
    dark = opened(proxy, color_scheme="dark")
    expect(dark.row("methods", "conversations.list")).to_be_visible()
    dark.shoot("frozen-dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_down_only(proxy, load, opened, scheme):
    """Red when a table, a long name or the choice of methods is wider than a phone."""
    load.go(40, "conversations.list", "a" * 64)
    load.go(1, LONGEST, "a")
    eventually("some wait", lambda: proxy.held("conversations.list") > 0)
    page = opened(proxy, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    expect(page.row("methods", "conversations.list")).to_be_visible()
    expect(page.page.locator(f"#plot-of option[value='{LONGEST}']")).to_be_attached()
    page.shoot(f"phone-{scheme}")
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
    page.page.get_by_role("button", name="Change method conversations.list").click()
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.page.evaluate("document.querySelector('dialog').getBoundingClientRect().right") <= 360


def test_five_thousand_limits_are_drawn_quickly_and_found(opened):
    """Red when the page draws all of them, or draws anew what has not changed."""
    slack = FakeSlack(latency="0ms", limits=["chat.update=100000"])
    proxy = Proxy(("/api/", slack.url), minute=60, more="identity: { resolve: false }\n"
                  "methods: { chat.update: { tier: none, limits: [ { name: by_channel, limit: 100, per: 10m, "
                  "scope: [app, workspace, channel] } ] } }\n")
    host, port = proxy.listen.rsplit(":", 1)

    def some(numbers):
        connection = HTTPConnection(host, int(port), timeout=30)
        for n in numbers:
            headers = {"Authorization": "Bearer xoxb-T1-A1-secret", "Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/api/chat.update", f"channel=C{n:05}&ts=1&text=x", headers)
            connection.getresponse().read()
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, [range(first, 5000, 8) for first in range(8)]))
    assert proxy.status()["totals"]["buckets"] >= 5000
    page = opened(proxy)
    expect(page.page.locator("#buckets-rest")).to_contain_text("the 100 most pressing of 5,0")
    # The first one makes all the elements.
    renders = page.drawn(8)[1:]
    assert statistics.median(renders) < RENDER_MS, renders
    event = picture(proxy)
    assert len(event) < 64 << 10, len(event)
    page.page.get_by_role("searchbox", name="find").fill("c04999 by_channel")
    expect(page.page.locator("#buckets tbody tr")).to_have_count(1)
    expect(page.page.locator("#buckets-rest")).to_have_text("1 limit found")
    expect(page.page.locator("#buckets tbody tr")).to_contain_text("C04999")
    page.page.get_by_role("searchbox", name="find").fill("C0499")
    expect(page.page.locator("#buckets-rest")).to_have_text("10 limits found")
    page.page.get_by_role("combobox", name="that are").select_option("full")
    expect(page.page.get_by_text("No limit in use is like that.")).to_be_visible()


def picture(proxy: Proxy) -> bytes:
    """The first picture that a watcher is told."""
    host, port = proxy.admin.rsplit(":", 1)
    connection = HTTPConnection(host, int(port), timeout=5)
    connection.request("GET", "/events")
    with contextlib.closing(connection), connection.getresponse() as answer:
        lines = iter(answer.readline, b"")
        next(line for line in lines if line == b"event: picture\n")
        return next(lines)


def test_so_many_may_watch_and_one_more_is_told_so(proxy, opened):
    """Red when watchers have no bound, and when the page does not say why it is refused."""
    host, port = proxy.admin.rsplit(":", 1)
    watchers = []
    for _ in range(16):
        connection = HTTPConnection(host, int(port), timeout=5)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.status == 200
        watchers.append((connection, answer))
    status, said = http_get(f"http://{proxy.admin}/events")
    assert status == 503 and json.loads(said)["error"] == "too_many_watchers"

    page = opened(proxy, line="cut")
    expect(page.page.locator("#cut")).to_contain_text("16 live pages are open already")
    for connection, answer in watchers:
        answer.close()
        connection.close()
    expect(page.page.locator("#line")).to_have_text("live")


def test_the_drain_ends_an_open_page(proxy, opened):
    """Red when an open event stream keeps the process alive."""
    page = opened(proxy)
    page.may_fail = True
    proxy.process.signal(15)
    assert proxy.process.exit_code(10) == 0
    expect(page.page.locator("#line")).to_have_text("cut off")


def test_browsers_may_do_little(proxy):
    """Red when an answer, a refusal too, leaves out what keeps other pages away from it."""
    for path, host in (("/", None), ("/status", None), ("/nothing", None), ("/", "evil.example")):
        connection = HTTPConnection(*proxy.admin.rsplit(":", 1), timeout=5)
        connection.request("GET", path, headers={"Host": host} if host else {})
        with contextlib.closing(connection), connection.getresponse() as answer:
            headers = answer.headers
            policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
            assert policy["frame-ancestors"] == "'none'" and "unsafe" not in str(policy)
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert answer.status == (403 if host else 404 if path == "/nothing" else 200)


@pytest.mark.parametrize("query, says", [("fnid=a", "no parameter here"), ("stands=frozen", "any, shut, full or waiting")])
def test_a_search_that_is_not_understood_is_said(proxy, query, says):
    status, said = http_get(f"http://{proxy.admin}/buckets?{query}")
    assert status == 400 and says in json.loads(said)["message"]
