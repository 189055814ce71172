"""Drives an HTTP client of Python that is no SDK, and curl, as the runner's lines on stdin ask for.

The lines are those of driver.py. Every call is a POST of a form, as a script that calls Slack without an SDK sends
it, and nothing but the time-out is set, where one is given. `webhook` posts its `text` as JSON.
"""

import argparse
import asyncio
import importlib.metadata
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

PRINTING = threading.Lock()


def say(line: dict) -> None:
    with PRINTING:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def now_ms() -> float:
    return round(time.time() * 1000, 1)


# === Clients: each sends bytes, and returns status and body. Without a time-out it has its own. ===


def of_requests(options):
    import requests

    session = requests.Session()
    # As many connections as there are threads.
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1000))

    def send(url, headers, data):
        answer = session.post(url, data, headers=headers, **options)
        return answer.status_code, answer.content

    return send


def of_urllib(options):
    def send(url, headers, data):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers), **options) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    return send


def of_urllib3(options):
    import urllib3

    pool = urllib3.PoolManager(maxsize=1000)

    def send(url, headers, data):
        answer = pool.request("POST", url, body=data, headers=headers, retries=False, **options)
        return answer.status, answer.data

    return send


def of_httpx(options):
    import httpx

    if "timeout" in options:
        # The one that a held call meets; the others, for connecting and for the pool, stay as they are.
        options = {"timeout": httpx.Timeout(5.0, read=options["timeout"])}
    client = httpx.Client(**options)

    def send(url, headers, data):
        answer = client.post(url, content=data, headers=headers)
        return answer.status_code, answer.content

    return send


def of_curl(options):
    command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", "--data-binary", "@-"]
    if "timeout" in options:
        command += ["--max-time", str(options["timeout"])]

    def send(url, headers, data):
        headed = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
        done = subprocess.run([*command, *headed, url], input=data, capture_output=True)
        if done.returncode != 0:
            raise OSError(done.stderr.decode())
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body

    return send


THREADED = {"requests": of_requests, "urllib": of_urllib, "urllib3": of_urllib3, "httpx": of_httpx, "curl": of_curl}


def version(client: str) -> str:
    if client == "curl":
        return " ".join(subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[:2])
    if client == "urllib":
        return f"urllib.request of Python {sys.version.split()[0]}"
    return f"{client} {importlib.metadata.version(client)}"


# === Calls ===


def request(options: argparse.Namespace, call: dict) -> tuple[str, dict, bytes]:
    """URL, headers and body of a call."""
    method, args, headers = call["method"], call["args"], dict(options.header)
    if method == "webhook":
        url = options.base_url.removesuffix("/api/") + args["path"]
        return url, headers | {"Content-Type": "application/json"}, json.dumps({"text": args["text"]}).encode()
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in args.items()}
    headers |= {"Authorization": f"Bearer {options.token}", "Content-Type": "application/x-www-form-urlencoded"}
    return options.base_url + method, headers, urllib.parse.urlencode(form).encode()


def outcome(status: int, body: bytes) -> dict:
    """Slack says ok in JSON, and a webhook by its status."""
    try:
        said = json.loads(body)
    except ValueError:
        said = {"ok": status == 200}
    return {"ok": said["ok"], "error": said.get("error"), "status": status, "kind": None, "detail": body.decode()[:200]}


def failed(error: Exception) -> dict:
    return {"ok": False, "error": None, "status": None, "kind": type(error).__name__, "detail": repr(error)}


def report(call: dict, start: float, came: dict) -> None:
    say({"id": call["id"], "method": call["method"], "args": call["args"]}
        | came | {"start_ms": start, "end_ms": now_ms()})


def drive_threads(options: argparse.Namespace, send) -> None:
    answered: dict[int, threading.Event] = {}
    threads = []

    def run(call: dict) -> None:
        if call.get("after") is not None:
            answered[call["after"]].wait()
        start = now_ms()
        try:
            came = outcome(*send(*request(options, call)))
        except Exception as error:  # whatever it raises is a result
            came = failed(error)
        report(call, start, came)
        answered[call["id"]].set()

    for line in sys.stdin:
        call = json.loads(line)
        answered[call["id"]] = threading.Event()
        threads.append(threading.Thread(target=run, args=(call,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()


async def drive_aiohttp(options: argparse.Namespace) -> None:
    import aiohttp

    tasks: dict[int, asyncio.Task] = {}
    settings = {} if options.timeout is None else {"timeout": aiohttp.ClientTimeout(total=options.timeout)}

    async with aiohttp.ClientSession(**settings) as session:

        async def run(call: dict) -> None:
            if call.get("after") is not None:
                await tasks[call["after"]]
            start = now_ms()
            try:
                url, headers, data = request(options, call)
                async with session.post(url, headers=headers, data=data) as answer:
                    came = outcome(answer.status, await answer.read())
            except Exception as error:  # whatever it raises is a result
                came = failed(error)
            report(call, start, came)

        stdin = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
        async for line in stdin:
            call = json.loads(line)
            tasks[call["id"]] = asyncio.create_task(run(call))
        await asyncio.gather(*tasks.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=[*THREADED, "aiohttp"])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--timeout", type=float, help="seconds")
    parser.add_argument("--header", type=lambda text: text.split(": ", 1), action="append", default=[], help="one more")
    options = parser.parse_args()
    say({"ready": version(options.client)})
    if options.client == "aiohttp":
        asyncio.run(drive_aiohttp(options))
    else:
        drive_threads(options, THREADED[options.client]({} if options.timeout is None else {"timeout": options.timeout}))


if __name__ == "__main__":
    main()
