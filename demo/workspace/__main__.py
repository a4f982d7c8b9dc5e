"""`python -m demo.workspace [--port N]`: a workspace alone, for any Bolt app."""

from __future__ import annotations

import argparse
import threading

from . import Workspace


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo.workspace", description="Slack on localhost.")
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--request-url", default="", help="deliver over signed HTTP to this address, not by socket")
    given = parser.parse_args()
    with Workspace(
        port=given.port, delivery="http" if given.request_url else "socket", request_url=given.request_url
    ) as workspace:
        print(f"SLACK_API_URL={workspace.api_url}")
        print(f"SLACK_BOT_TOKEN={workspace.bot_token}")
        print(f"SLACK_APP_TOKEN={workspace.app_token}")
        print(f"SLACK_SIGNING_SECRET={workspace.signing_secret}")
        print(f"Open {workspace.page_url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
