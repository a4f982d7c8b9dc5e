"""`python -m demo.app` serves the sample application's /health for DATABASE_URL on PORT (8000)."""

from __future__ import annotations

import os
import signal
import sys
import threading

from demo.app.health import serve


def main() -> int:
    """Serve until SIGTERM or Ctrl-C. Exit codes: 0 stopped, 2 wrong settings, 69 the port is taken."""
    url, port = os.environ.get("DATABASE_URL", ""), os.environ.get("PORT", "8000")
    if not url or not port.isdecimal() or int(port) > 65535:
        print("Set DATABASE_URL to the application's database, and PORT (0 to 65535) if not 8000.", file=sys.stderr)
        return 2
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        server = serve(url, int(port))
    except OSError as why:
        print(f"Port {port} cannot be used: {why.strerror}. Set PORT to another one.", file=sys.stderr)
        return 69
    with server:
        print(f"{server.url}/health", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
