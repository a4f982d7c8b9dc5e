"""`python -m demo.workspace [--port N] [--manifest FILE]`: a workspace alone, for any Bolt app."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

from . import Workspace, WorkspaceError
from .manifest import ANY, read


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Exit codes: 0 stopped, 2 wrong words or manifest, 69 the port is taken."""
    given = _words()
    try:
        app = read(given.manifest) if given.manifest else ANY
    except WorkspaceError as error:
        print(f"{error.error}: {'; '.join(error.messages)}", file=sys.stderr)
        return 2
    way = {"delivery": "http", "request_url": given.request_url} if given.request_url else {}
    try:
        workspace = Workspace(port=given.port, app=app, one_message_per_second=given.one_message_per_second, **way)
    except OSError as why:
        print(f"Port {given.port} cannot be used: {why.strerror}. Say --port with another one.", file=sys.stderr)
        return 69
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with workspace:
        print(f"SLACK_API_URL={workspace.api_url}")
        print(f"SLACK_BOT_TOKEN={workspace.bot_token}")
        print(f"SLACK_APP_TOKEN={workspace.app_token}")
        print(f"SLACK_SIGNING_SECRET={workspace.signing_secret}")
        print(f"# Open {workspace.page_url}", flush=True)
        stop.wait()
    return 0


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > 65_535:
        raise argparse.ArgumentTypeError(f"{word!r} is no port: 0 to 65535")
    return int(word)


def _address(word: str) -> str:
    try:
        there = urlsplit(word)
        good = there.scheme in ("http", "https") and there.hostname and there.port != 0
    except ValueError:  # of the port
        good = False
    if not good:
        raise argparse.ArgumentTypeError(f"{word!r} is no address: http://HOST:PORT/PATH")
    return word


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo.workspace", description="Slack on localhost, for any Bolt app."
    )
    parser.add_argument("--port", type=_port, default=8787, help="port on 127.0.0.1 (8787); 0 takes a free one")
    parser.add_argument(
        "--manifest", type=Path, help="the app's manifest, YAML or JSON: what people may use, and scopes"
    )
    parser.add_argument("--request-url", type=_address, help="deliver over signed HTTP to this address, not by socket")
    parser.add_argument("--one-message-per-second", action="store_true", help="keep Slack's limit for each channel")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
