"""A stand-in for the command `age`, where it is not installed: the same format, by the library pyrage.

It knows what the bot asks for: `age -e -r RECIPIENT` and `age -d -i FILE`, from standard input to standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyrage


def main(words: list[str]) -> None:
    """Encrypt or decrypt; raises what pyrage and the system raise."""
    if words[:2] == ["-e", "-r"]:
        recipients = [pyrage.x25519.Recipient.from_str(words[2])]
        pyrage.encrypt_io(sys.stdin.buffer, sys.stdout.buffer, recipients)
    elif words[:2] == ["-d", "-i"]:
        key = next(line for line in Path(words[2]).read_text().splitlines() if not line.startswith("#"))
        pyrage.decrypt_io(sys.stdin.buffer, sys.stdout.buffer, [pyrage.x25519.Identity.from_str(key)])
    else:
        raise ValueError(f"unknown words: {words}")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError, pyrage.DecryptError, pyrage.EncryptError, pyrage.IdentityError) as error:
        sys.exit(f"age: error: {error}")
