"""Forms that we opened: what a form carries for itself is sealed to the person it was opened for."""

from __future__ import annotations

import hashlib
import hmac
import json

from core.model import Json


class Forms:
    """Seals forms, and knows its own again, also after a restart. A new bot token voids the forms that are open."""

    def __init__(self, token: str) -> None:
        self._key = hashlib.sha256(b"rollback-bot forms\0" + token.encode()).digest()

    def sealed(self, view: Json, user: str) -> Json:
        """The form, fit to be opened for this person: what `private_metadata` says cannot be changed or moved."""
        if view.get("type") != "modal" or not view.get("private_metadata"):
            return view
        carried = json.loads(view["private_metadata"])
        seal = self._seal(str(view.get("callback_id")), carried, user)
        return {**view, "private_metadata": json.dumps({**carried, "seal": seal})}

    def carried(self, view: Json, user: str) -> Json | None:
        """What a form of ours carries, as it was opened for this person; None: it is none of ours."""
        try:
            found = json.loads(view["private_metadata"])
            seal = found.pop("seal")
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
        expected = self._seal(str(view.get("callback_id")), found, user)
        return found if isinstance(seal, str) and hmac.compare_digest(expected.encode(), seal.encode()) else None

    def _seal(self, callback: str, carried: Json, user: str) -> str:
        text = json.dumps([user, callback, carried], sort_keys=True)
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
