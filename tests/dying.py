"""A process that walks a run and is killed right before or after a function of ours: `python -m tests.dying`.

On stdin, pickled: settings, the run's id, `module:function` (or `module:Class.method`), and `before` or `after`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from functools import reduce
from importlib import import_module
from typing import Any

from core.driving import Nobody
from core.engine import Engine
from core.ledger import Ledger
from core.roll_back import RUNBOOKS


def main() -> None:
    settings, run_id, where, when = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own test
    module, _, path = where.partition(":")
    *way, name = path.split(".")
    owner = reduce(getattr, way, import_module(module))
    original = getattr(owner, name)

    def last(*args: Any, **more: Any) -> None:
        if when == "after":
            original(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, last)
    Engine(RUNBOOKS, Ledger(settings.ledger), settings, Nobody(), confirm=lambda run: True).walk(run_id)


if __name__ == "__main__":
    main()
