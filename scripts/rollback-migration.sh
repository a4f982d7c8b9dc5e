#!/bin/sh
# The runbook's own command: rolls back a migration and everything applied after it.
# It only finds the `rollback` command and hands everything over; output and exit codes are those of `rollback`.
set -eu

if [ $# -eq 0 ]; then
    cat >&2 <<'USAGE'
usage: scripts/rollback-migration.sh latest                the newest migration
       scripts/rollback-migration.sh 011_subscriptions     this one and everything applied after it
       scripts/rollback-migration.sh to 010_rate_limits    everything applied after this one

Add --on TARGET, --reason TEXT, --only; `plan` in front shows the plan and starts nothing.
Nothing was started.
USAGE
    exit 2
fi

self=$(readlink -f -- "$0" 2>/dev/null || printf '%s' "$0")
root=$(CDPATH='' cd -- "$(dirname -- "$self")/.." && pwd)

if [ -x "$root/.venv/bin/rollback" ]; then
    exec "$root/.venv/bin/rollback" "$@"
fi

# Only in a checkout of Rollback Bot: another project may have a package called `core` of its own.
if [ -f "$root/core/roll_back.py" ]; then
    python=$root/.venv/bin/python
    [ -x "$python" ] || python=python3
    if [ "$python" != python3 ] || PYTHONPATH=$root PYTHONSAFEPATH=1 python3 -c 'import core.cli' >/dev/null 2>&1; then
        export PYTHONPATH="$root" PYTHONSAFEPATH=1
        exec "$python" -m core "$@"
    fi
fi

if command -v rollback >/dev/null 2>&1; then
    exec rollback "$@"
fi

echo "rollback is not installed: run \`make demo\` once in the checkout, or install rollback-bot. Nothing was started." >&2
exit 127
