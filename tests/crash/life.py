"""One life of a bot whose end is planned: `python -m tests.crash.life PLAN`, the file of a plan. Else the product's own main()."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bot.__main__
from tests.crash.boundaries import Boundaries, Plan

if __name__ == "__main__":
    Boundaries(Plan(**json.loads(Path(sys.argv[1]).read_text()))).install()
    sys.exit(bot.__main__.main([]))
