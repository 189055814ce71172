"""Drives the Python SDK, sync or async, as the runner's lines on stdin ask for.

A line is one call: {"id": 1, "method": "chat.postMessage", "args": {…}, "after": 0}. It starts at
once, beside all others, or as soon as the call `after` has been answered. Each answer is a line on
stdout. At the end of stdin the driver waits for what is still under way and exits.

No retry handler is installed: what the proxy lets through to the SDK, the runner sees.
"""

import argparse
import asyncio
import json
import sys
import threading
import time

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.version import __version__
from slack_sdk.web.async_client import AsyncWebClient

PRINTING = threading.Lock()


def say(line: dict) -> None:
    with PRINTING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def now_ms() -> float:
    return round(time.time() * 1000, 1)


def method_of(client, call: dict):
    """The SDK's own function for a method: `chat.postMessage` is `client.chat_postMessage`."""
    return getattr(client, call["method"].replace(".", "_"))


def succeeded(response) -> dict:
    return {"ok": True, "error": None, "status": response.status_code}


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
    client = WebClient(token=options.token, base_url=options.base_url, timeout=options.timeout, retry_handlers=[])
    answered: dict[int, threading.Event] = {}
    threads = []

    def run(call: dict) -> None:
        if call.get("after") is not None:
            answered[call["after"]].wait()
        start = now_ms()
        try:
            outcome = succeeded(method_of(client, call)(**call["args"]))
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
    client = AsyncWebClient(token=options.token, base_url=options.base_url, timeout=options.timeout, retry_handlers=[])
    tasks: dict[int, asyncio.Task] = {}

    async def run(call: dict) -> None:
        if call.get("after") is not None:
            await tasks[call["after"]]
        start = now_ms()
        try:
            outcome = succeeded(await method_of(client, call)(**call["args"]))
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
    parser.add_argument("--timeout", type=int, default=30, help="seconds; the SDK's default is 30")
    options = parser.parse_args()
    say({"ready": f"slack_sdk {__version__}, {options.style}"})
    if options.style == "sync":
        drive_sync(options)
    else:
        asyncio.run(drive_async(options))


if __name__ == "__main__":
    main()
