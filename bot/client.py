"""Slack's Web API as all of the bot calls it: what leaves passes the funnel, calls are counted, a no for good is noticed."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.vitals import Vitals
from core.errors import Refused
from core.redact import clean_all
from core.settings import Settings

FOR_GOOD = {
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "app_uninstalled",
    "app_not_installed", "not_allowed_token_type", "org_login_required", "team_access_not_granted", "user_removed_from_team",
}  # fmt: skip
"""Errors after which Slack takes nothing from this app until somebody mends it, whatever was asked.
Source: docs.slack.dev, the errors of auth.test, chat.postMessage and apps.connections.open."""
AGAIN = {"ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}


class Client(WebClient):
    """Sync, as all of us. What it sends is cleaned of known secrets. `no_more` is called with Slack's error when it is one of FOR_GOOD."""

    def __init__(self, token: str, base_url: str, vitals: Vitals, timeout: int = 10) -> None:
        # no retries of its own: a post that was answered too late must not become two
        super().__init__(token=token, base_url=base_url, timeout=timeout, retry_handlers=[])
        self.vitals = vitals
        self.no_more: Callable[[str], object] = lambda error: None

    def api_call(self, api_method: str, **more: Any) -> SlackResponse:
        """One call. Raises SlackApiError, OSError, http.client.HTTPException."""
        for name in ("json", "data", "params"):
            if isinstance(more.get(name), dict):  # `token` among them is what the SDK makes its header of
                more[name] = {key: one if key == "token" else clean_all(one) for key, one in more[name].items()}
        self.vitals.beat()
        outcome = "ok"
        try:
            return super().api_call(api_method, **more)
        except SlackApiError as error:
            outcome = outcome_of(error)
            if name_of(error) in FOR_GOOD:
                self.no_more(name_of(error))
            raise
        except (OSError, http.client.HTTPException):
            outcome = "unreachable"
            raise
        finally:
            self.vitals.called(api_method, outcome)
            self.vitals.beat()


class OddAnswer(OSError):
    """Slack says `ok`, and not what was asked: as good as no answer."""


def said(answer: Any, *names: str) -> str:
    """A text in an answer, by its names from outside in; empty where it is not there, whatever stands there instead."""
    for name in names:
        answer = answer.get(name) if hasattr(answer, "get") else None
    return answer if isinstance(answer, str) else ""


def outcome_of(error: SlackApiError) -> str:
    """`ratelimited`, `unavailable`, or `refused` where asking again would not help."""
    status, _ = status_of(error)
    if status == 429 or name_of(error) == "ratelimited":
        return "ratelimited"
    return "unavailable" if status >= 500 or name_of(error) in AGAIN else "refused"


def passing(error: Exception) -> bool:
    """Is it worth asking again: no answer, too many requests, or a fault of Slack's own?"""
    return not isinstance(error, SlackApiError) or status_of(error)[0] >= 429 or name_of(error) in AGAIN


def name_of(error: Exception) -> str:
    """Slack's name of its no; empty where it did not say one."""
    response: Any = getattr(error, "response", None)
    return str(response.get("error") or "") if hasattr(response, "get") else ""


def status_of(error: SlackApiError) -> tuple[int, float]:
    """HTTP status and the seconds of Retry-After (0: not said). An answer that is no JSON counts as 503."""
    response = error.response
    if isinstance(response, dict):
        status, headers = response.get("status", 503), response.get("headers") or {}
    else:
        status, headers = getattr(response, "status_code", 503), getattr(response, "headers", {})
    said = {str(name).lower(): str(value) for name, value in dict(headers).items()}.get("retry-after", "")
    return int(status), float(said) if said.isdecimal() and len(said) < 6 else 0.0


def client_of(settings: Settings, vitals: Vitals) -> Client:
    """The Web API client."""
    token = settings.slack.bot_token
    if token is None:
        raise Refused("E-CONFIG", "There is no bot token.", "Set SLACK_BOT_TOKEN; the README says where it comes from.")
    base = settings.slack.api_url.rstrip("/") + "/"
    client = Client(token.get_secret_value(), base, vitals)
    if urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1"):
        client.proxy = None
    return client
