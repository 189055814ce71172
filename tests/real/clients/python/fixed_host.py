"""Floods Slack by a client that is told no host: `fixed_host.py CLIENT CALLS TOKEN`. Each outcome is a line of JSON."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor


def by_slack_sdk(token: str):
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

    client = WebClient(token=token)

    def call(_: int) -> dict:
        try:
            return {"ok": client.conversations_list()["ok"]}
        except SlackApiError as error:
            return {"ok": False, "error": error.response["error"], "message": error.response.get("message")}

    return call


def by_slackclient(token: str):
    from slackclient import SlackClient

    client = SlackClient(token)

    def call(_: int) -> dict:
        answer = client.api_call("conversations.list")
        return {"ok": answer["ok"], "error": answer.get("error"), "retry_after": answer["headers"].get("retry-after")}

    return call


def by_slacker(token: str):
    from slacker import Slacker

    client = Slacker(token)
    return lambda _: {"ok": client.users.list().successful}


def by_apprise(url: str):
    import apprise
    from apprise.plugins.slack import NotifySlack

    # It paces itself below what Slack allows.
    NotifySlack.request_rate_per_sec = 0
    notifier = apprise.Apprise()
    assert notifier.add(url)
    return lambda n: {"ok": bool(notifier.notify(body=f"message {n}"))}


CLIENTS = {"slack_sdk": by_slack_sdk, "slackclient": by_slackclient, "slacker": by_slacker, "apprise": by_apprise}


def main() -> None:
    client, calls, token = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    call = CLIENTS[client](token)
    with ThreadPoolExecutor(calls) as pool:
        for outcome in pool.map(call, range(calls)):
            print(json.dumps(outcome))


if __name__ == "__main__":
    main()
