"""Drives the Python SDK, sync or async, as the runner's lines on stdin ask for.

A line is one call: {"id": 1, "method": "chat.postMessage", "args": {…}, "after": 0}. It starts at
once, beside all others, or as soon as the call `after` has been answered. Each answer is a line on
stdout. At the end of stdin the driver waits for what is still under way and exits.

`form` says how the arguments travel, where it is not to be the SDK's choice. The methods `webhook`,
`scim.…` and `audit.…` are those of the SDK's other clients.

Without `--retry` no retry handler is installed: what the proxy lets through to the SDK, the runner
sees. With `--defaults` all is as the SDK has it, but that its time-out is shorter as `--minute` says.
"""

import argparse
import asyncio
import io
import json
import sys
import threading
import time

from slack_sdk import WebClient
from slack_sdk.audit_logs import AuditLogsClient
from slack_sdk.audit_logs.async_client import AsyncAuditLogsClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.scim import SCIMClient
from slack_sdk.scim.async_client import AsyncSCIMClient
from slack_sdk.version import __version__
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook import WebhookClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

DEFAULT_TIMEOUT = 30  # seconds, of slack_sdk

PRINTING = threading.Lock()


def say(line: dict) -> None:
    with PRINTING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def now_ms() -> float:
    return round(time.time() * 1000, 1)


class Clients:
    """The SDK's clients of one style, all of them pointed at the proxy."""

    def __init__(self, options: argparse.Namespace, web, webhook, scim, audit, handler):
        handlers = [handler(max_retry_count=3)] if options.retry else []
        self.more = {"timeout": options.timeout, "retry_handlers": handlers}
        if options.defaults:
            # Its time-out is a whole number of seconds.
            self.more = {} if options.minute == 60 else {"timeout": max(1, round(DEFAULT_TIMEOUT * options.minute / 60))}
        self.origin = options.base_url.removesuffix("/api/")
        self.webhook = webhook
        self.web = web(token=options.token, base_url=options.base_url, **self.more)
        self.scim = scim(token=options.token, base_url=f"{self.origin}/scim/v1/", **self.more)
        self.audit = audit(token=options.token, base_url=f"{self.origin}/audit/v1/", **self.more)

    def start(self, call: dict):
        """The SDK's own function for a method, called: `chat.postMessage` is `client.chat_postMessage`."""
        method, args = call["method"], call["args"]
        if method == "webhook":
            path, message = args["path"], {k: v for k, v in args.items() if k != "path"}
            return self.webhook(f"{self.origin}{path}", **self.more).send(**message)
        family, _, name = method.partition(".")
        if family in ("scim", "audit"):
            return getattr(getattr(self, family), name)(**args)
        if form := call.get("form"):
            return self.web.api_call(method, **FORMS[form](args))
        return getattr(self.web, method.replace(".", "_"))(**args)


# How arguments travel.
FORMS = {
    "json": lambda args: {"json": args},
    "form": lambda args: {"data": args},
    "query": lambda args: {"params": args},
    "get": lambda args: {"params": args, "http_verb": "GET"},
    "multipart": lambda args: {"data": args, "files": {"file": io.BytesIO(b"channel=C0&text=a+file")}},
}


def result(response) -> dict:
    """The other clients tell of a refusal by its status alone."""
    ok = 200 <= response.status_code < 300
    detail = getattr(response, "body", None)
    return {"ok": ok, "error": None, "status": response.status_code, "detail": str(detail)[:200]}


def failed(error: Exception) -> dict:
    if isinstance(error, SlackApiError):
        response = error.response
        data = getattr(response, "data", response)
        return {
            "ok": False,
            "kind": "SlackApiError",
            "error": data.get("error") if isinstance(data, dict) else None,
            "status": getattr(response, "status_code", None),
            "detail": f"{error} {data}",
        }
    return {"ok": False, "kind": type(error).__name__, "error": None, "status": None, "detail": repr(error)}


def report(call: dict, start: float, outcome: dict) -> None:
    say({"id": call["id"], "method": call["method"], "args": call["args"]}
        | outcome | {"start_ms": start, "end_ms": now_ms()})


def drive_sync(options: argparse.Namespace) -> None:
    """A thread for each call, as in a WSGI bot under load; all share one client."""
    clients = Clients(options, WebClient, WebhookClient, SCIMClient, AuditLogsClient, RateLimitErrorRetryHandler)
    answered: dict[int, threading.Event] = {}
    threads = []

    def run(call: dict) -> None:
        if call.get("after") is not None:
            answered[call["after"]].wait()
        start = now_ms()
        try:
            outcome = result(clients.start(call))
        except Exception as error:  # whatever the SDK raises is a result
            outcome = failed(error)
        report(call, start, outcome)
        answered[call["id"]].set()

    for line in sys.stdin:
        call = json.loads(line)
        answered[call["id"]] = threading.Event()
        threads.append(threading.Thread(target=run, args=(call,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()


async def drive_async(options: argparse.Namespace) -> None:
    """A task for each call on one event loop."""
    clients = Clients(
        options, AsyncWebClient, AsyncWebhookClient, AsyncSCIMClient, AsyncAuditLogsClient,
        AsyncRateLimitErrorRetryHandler,
    )
    tasks: dict[int, asyncio.Task] = {}

    async def run(call: dict) -> None:
        if call.get("after") is not None:
            await tasks[call["after"]]
        start = now_ms()
        try:
            outcome = result(await clients.start(call))
        except Exception as error:  # whatever the SDK raises is a result
            outcome = failed(error)
        report(call, start, outcome)

    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async for line in stdin:
        call = json.loads(line)
        tasks[call["id"]] = asyncio.create_task(run(call))
    await asyncio.gather(*tasks.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("style", choices=["sync", "async"])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--timeout", type=int, default=DEFAULT_TIMEOUT, help="seconds")
    parser.add_argument("--defaults", action="store_true", help="set nothing but the base URL")
    parser.add_argument("--minute", type=float, default=60, help="how long one of Slack's minutes takes, in seconds")
    parser.add_argument("--retry", action="store_true", help="let the SDK come back after a 429")
    options = parser.parse_args()
    say({"ready": f"slack_sdk {__version__}, {options.style}"})
    if options.style == "sync":
        drive_sync(options)
    else:
        asyncio.run(drive_async(options))


if __name__ == "__main__":
    main()
