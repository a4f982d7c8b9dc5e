"""The secrets of authenticators, in a file of their own beside the ledger, which is exported and read by others.

JSON: the fingerprint of each secret (SHA-256, hex) and the secret in base32. Whose it is stands in the ledger.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from core.errors import Refused


class SecretsFile:
    """`LEDGER.totp`, mode 0600. Written whole, under the ledger's transaction: one writer at a time."""

    def __init__(self, ledger: Path) -> None:
        real = ledger.resolve()  # one file is one ledger, by whatever link it is reached
        self.ledger, self.path = real, real.with_name(f"{real.name}.totp")

    def read(self) -> dict[str, str]:
        """Fingerprint -> secret; empty where there is no file. Raises Refused(E-TOTP), also where others may read it."""
        try:
            with self.path.open() as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise Refused(
                        "E-TOTP", "Others can read the file of secrets.", "`chmod 600` it, then remove and enroll anew."
                    )
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            why = os.strerror(error.errno or 0).lower() if isinstance(error, OSError) else "it is damaged"
            raise Refused(
                "E-TOTP", f"I cannot read the file of secrets ({why}).", "`rollback doctor` looks at it."
            ) from None
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise Refused("E-TOTP", "I cannot read the file of secrets (it is damaged).", "Put its backup back.")
        return found

    def keep(self, secrets: Mapping[str, str]) -> None:
        """Replace the file: the old one or the new one is there, whatever happens. Raises Refused(E-TOTP)."""
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                if os.geteuid() == 0:  # the bot must be able to read what root has enrolled
                    owner = self.ledger.stat()
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                json.dump(dict(secrets), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise Refused("E-TOTP", f"I cannot write the file of secrets ({why}).", "Nothing was enrolled.") from None
