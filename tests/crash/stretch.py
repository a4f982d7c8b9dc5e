"""One process of the campaign, with a server of its own: `python -m tests.crash.stretch`, what is wanted as JSON on stdin."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from demo import postgres
from tests.conftest import in_memory
from tests.crash.campaign import Campaign


def main() -> None:
    """Prints one JSON object: what was found, where lives ended, and what did not hold."""
    order = json.loads(sys.stdin.readline())
    print(json.dumps(stretch(order["seed"], order["want"])))


def stretch(seed: int, want: dict[str, int]) -> dict[str, Any]:
    """Until everything that is wanted has happened, or something does not hold."""
    with ExitStack() as stack:
        memory = stack.enter_context(in_memory())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crash-", dir=memory and memory.parent)))
        folder.chmod(0o755)
        small = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
        server = stack.enter_context(postgres.start(folder / "pg", settings=small))
        campaign = Campaign(server, folder / "worlds", seed, want)
        broken = ""
        try:
            campaign.run()
        except Exception:  # noqa: BLE001 - whatever it is, it is the finding
            broken = traceback.format_exc()
        return {"seed": seed, "found": campaign.found, "ended": campaign.ended, "broken": broken}


if __name__ == "__main__":
    main()
