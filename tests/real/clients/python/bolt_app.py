"""A Bolt for Python app, pointed at the proxy as the README says. It prints where it listens.

The slash command `/post` has it post a message and answer through `respond()` as many times as the
command's text says; a mention has it post a message. What `respond()` came to is posted in the end.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slack_bolt import App, BoltRequest
from slack_bolt.version import __version__
from slack_sdk import WebClient


def make(options: argparse.Namespace) -> App:
    app = App(
        client=WebClient(token=options.token, base_url=f"{options.proxy}/api/"),
        signing_secret=options.signing_secret,
    )

    @app.middleware
    def respond_through_slackwater(respond, next):
        if respond.response_url:
            respond.response_url = respond.response_url.replace("https://hooks.slack.com/", f"{options.proxy}/")
        next()

    @app.command("/post")
    def post(ack, command, client, respond):
        ack()
        client.chat_postMessage(channel=command["channel_id"], text="posted")
        said = [respond(f"answer {n}").status_code for n in range(int(command["text"]))]
        client.chat_postMessage(channel=command["channel_id"], text=json.dumps(said))

    @app.event("app_mention")
    def mentioned(event, say):
        say("you called")

    return app


def serve(app: App) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            answer = app.dispatch(BoltRequest(body=body, headers={k.lower(): [v] for k, v in self.headers.items()}))
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(json.dumps({"ready": f"slack_bolt {__version__}", "port": server.server_port}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--proxy", "--token", "--signing-secret"):
        parser.add_argument(name, required=True)
    serve(make(parser.parse_args()))
