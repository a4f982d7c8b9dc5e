"""What is told of authenticators: who has one now, and that somebody tries codes. So that nobody's is changed unseen."""

from __future__ import annotations

from bot.messages.blocks import Message, audit, context, message, name, section
from bot.messages.text import data, utc
from core.model import Event
from core.second_factor import SHOWN, SPAN, TRIES

NOT_ME = "Was it not you? Somebody uses your account of that machine: tell your team."


def authenticator(event: Event) -> Message | None:
    """For the channels of all targets, and for the person. None: this event is not told in channels."""
    told, by = event.data, event.actor
    who, person = f"<@{told['person']}>", name(by)
    match event.kind:
        case "totp_enrolled" if told["replaces"]:
            rich, text = f"{who} *replaced their authenticator*, with a code of the old one.", f"{person} replaced it."
        case "totp_enrolled":
            rich = f"{who} *enrolled an authenticator*. It counts when {who} has confirmed it here."
            text = f"{person} enrolled one. It counts when it is confirmed in Slack."
        case "totp_confirmed":
            rich, text = (
                f"{who} *confirmed their authenticator*. From now on its codes count.",
                f"{person} confirmed one.",
            )
        case "totp_removed":
            rich = f"The authenticator of {who} *was removed*, by {f'<@{by.id}>' if by else 'nobody'}."
            text = f"{person} removed the one of {data(str(told['person']), 40)}."
        case _:
            return None
    account = f"Account `{data(str(told['account']), 60)}` of the bot's machine" if "account" in told else ""
    return message(
        f"Authenticators: {text}", [section(f":key: {rich}"), context(account, audit(event))], run="", event=event
    )


def confirm_yours(event: Event) -> Message:
    """To its person, directly: only who sees the terminal knows the word."""
    account = data(str(event.data["account"]), 60)
    how = f"Type `/rollback totp confirm` and the {SHOWN} characters that your terminal shows."
    rich = f":key: *An authenticator was enrolled for you* by the account `{account}` of the bot's machine.\n{how}\n{NOT_ME}"
    text = f"An authenticator was enrolled for you by the account {account}. Confirm it with /rollback totp confirm."
    return message(text, [section(rich), context(audit(event))], run="", event=event)


def tried(event: Event) -> Message:
    """To the person whose codes are not looked at any more."""
    until = utc(event.at + SPAN)
    rich = f":rotating_light: *{TRIES} wrong codes of your authenticator.* I look at none until {until}.\n"
    rich += "Was it not you? Somebody holds your Slack session or your account of the machine: tell your team."
    text = f"{TRIES} wrong codes of your authenticator. I look at none until {until}. Was it not you? Tell your team."
    return message(text, [section(rich), context(audit(event))], run="", event=event)
