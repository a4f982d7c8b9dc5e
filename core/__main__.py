"""`python -m core`: the shell command."""

import sys

from core.cli import main

sys.exit(main())
