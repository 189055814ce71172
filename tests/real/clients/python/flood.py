"""Sends as many calls at once with `requests` as it is told to, and writes what came of each, as a list of JSON."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

import requests


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--timeout", type=float, required=True, help="seconds, for each read")
    parser.add_argument("--header", default="", help="one more header")
    options = parser.parse_args()
    headers = {"Authorization": "Bearer xoxb-T1-A1-secret"}
    if options.header:
        name, _, value = options.header.partition(": ")
        headers[name] = value

    def call(_) -> str:
        try:
            answer = requests.post(options.url, headers=headers, timeout=options.timeout).json()
        except Exception as error:  # whatever it raises is a result
            return type(error).__name__
        return "ok" if answer["ok"] else answer["error"]

    with ThreadPoolExecutor(options.calls) as pool:
        print(json.dumps(list(pool.map(call, range(options.calls)))))


if __name__ == "__main__":
    main()
