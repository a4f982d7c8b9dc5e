"""The last step: compare with the rehearsal, ask the application."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request

from core import layouts, postgres, schema
from core.backups import dump
from core.config import Target
from core.model import Json
from core.runbook import Work


def verify(work: Work) -> Json:
    """History table, schema and health. `differences` is empty where all is as rehearsed."""
    identified, executed = work.run.evidence["identify"], work.run.evidence["execute"]
    layout = layouts.of(work.target)
    with postgres.target(work.target.database_url.get_secret_value(), work.run.id, work.target.name) as conn:
        applied = layout.history(conn).applied
        live = schema.snapshot(conn)
    there = {row.version for row in applied}
    if work.run.kind == "reapply":
        left = []
        differences = [
            f"`{version}` is not in the history table" for version in executed["versions"] if version not in there
        ]
    else:
        left = [version for version in executed["versions"] if version in there]
        differences = [f"`{version}` is still in the history table" for version in left]
    same = schema.fingerprint(live) == executed["schema"]
    if not same:
        differences += schema_differences(work, live)
    health = ask(work.target)
    if health and health["ok"] < health["tries"]:
        differences.append(
            f"`/health` answered {health['status'] or 'nothing'}, {health['ok']} of {health['tries']} good"
        )
    return {
        "newest": identified["stays"] if not left else left[0],
        "schema": "as rehearsed" if same else "differs",
        "differences": differences,
        "health": health,
    }


def schema_differences(work: Work, live: schema.Snapshot) -> list[str]:
    """What the schema has become since the commit, one sentence each, at most ten."""
    file = dump.archive_of(work).schema
    if not file.exists():
        return ["the schema is not the one that was committed"]
    committed = {schema.Key(kind, identity): text for kind, identity, text in json.loads(file.read_text())}
    return [change.message for change in schema.difference(committed, live)][:10]


def ask(target: Target) -> Json | None:
    """The application's health, a few times; None where no URL is set. Good: any 2xx within the time limit."""
    if not target.health_url:
        return None
    good, status, elapsed = 0, None, 0.0
    for attempt in range(target.health_tries):
        if attempt:
            time.sleep(0.5)
        started = time.monotonic()
        status = status_of(target.health_url, target.health_timeout.total_seconds())
        elapsed = time.monotonic() - started
        good += status is not None and 200 <= status < 300
    return {"ok": good, "tries": target.health_tries, "status": status, "ms": round(elapsed * 1000)}


def status_of(url: str, timeout: float) -> int | None:
    """The HTTP status of a GET; None where nothing answered. Loopback is asked directly, whatever proxy is set."""
    direct = urllib.parse.urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if direct else []))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return None
