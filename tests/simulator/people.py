"""Those who type and click: on what they see now, on what they saw before, twice, and late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot import messages
from core import glass
from core.errors import Refused
from core.model import Json
from tests.simulator.slack import APP, CHANNEL, TEAM

if TYPE_CHECKING:
    from tests.simulator.world import World

ANA, BOB, CHEN, DAN = "U0ANA", "U0BOB", "U0CHEN", "U0DAN"
OUTSIDER, GUEST, ALIAS, BY_ID = "U0EVE", "U0GUS", "U0ANA2", "U0FAY"
EVERYBODY = (ANA, ANA, BOB, BOB, BOB, CHEN, CHEN, CHEN, DAN, OUTSIDER, GUEST, ALIAS, BY_ID, BY_ID)
ON_CALL = (ANA, BOB, CHEN, DAN, ALIAS)
CONCERNED = (ANA, BOB, CHEN, DAN)
EAGER = {
    "rb.review": 14, "rb.deny": 1, "rb.withdraw": 0.4, "rb.unapprove": 0.6, "rb.notme": 0.7, "rb.stop": 0.8, "rb.resume": 6,
    "rb.verify": 3, "rb.keep": 2, "rb.reapply": 5, "rb.restore": 6, "rb.release": 1, "rb.look": 1, "rb.again": 1,
    "rb.plan": 0.1, "rb.timeline": 0.2, "rb.report": 0.2, "rb.breakglass": 10, "rb.owed": 15,
}  # fmt: skip
TYPED = ("approve", "break-glass", "deny {} not now", "withdraw", "stop", "resume", "verify", "keep", "release", "show", "report",
         "reapply {} --reason the old code does not run", "restore {} --reason the data is wrong")  # fmt: skip


class Crowd:
    """Everybody in the workspace."""

    def __init__(self, world: World) -> None:
        self.world, self.count = world, 0
        self.late: list[Json] = []

    def act(self) -> None:
        """One deed of one person."""
        world, rng = self.world, self.world.rng
        chance = rng.random()
        with_form = [user for user in world.slack.views if user in EVERYBODY]
        if self.late and chance < 0.04:
            world.count("delivered", "late")
            self.deliver(rng.choice(self.late))
        elif with_form and chance < 0.65:
            self.submit(rng.choice(with_form))
        elif chance < 0.09:
            self.ask(rng.choice(EVERYBODY))
        elif chance < 0.14:
            self.type(rng.choice(EVERYBODY))
        elif chance < 0.16:
            world.process.home(rng.choice(ON_CALL))
        elif world.slack.homes and chance < 0.20:
            self.at_home()
        elif world.slack.screens:
            self.click()

    def deliver(self, body: Json) -> None:
        """To the process that lives; sometimes Slack delivers twice, and keeps a copy for later."""
        self.world.note(
            "delivers", body.get("text") or body.get("type"), str(body.get("actions") or body.get("view"))[:80]
        )
        self.world.process.deliver(body)
        if self.world.odds("twice"):
            self.world.count("delivered", "twice")
            self.world.process.deliver(body)
        if len(self.late) < 6:
            self.late.append(body)

    def body(self, who: str) -> Json:
        self.count += 1
        return {
            "team": {"id": TEAM}, "team_id": TEAM, "api_app_id": APP, "user": {"id": who, "team_id": TEAM},
            "trigger_id": f"{who} {self.count}", "response_url": "https://hooks.slack.com/x",
        }  # fmt: skip

    def ask(self, who: str) -> None:
        """A new rollback, by words."""
        self.ask_for(who, self.world.rng.choice(list(self.world.bases)))

    def ask_for(self, who: str, on: str) -> None:
        why = self.world.rng.choice((" --reason checkout is down", " --reason checkout is down", ""))
        self.command(who, f"011_subscriptions --on {on}{why}")

    def command(self, who: str, text: str) -> None:
        more = {"command": "/rollback", "text": text, "user_id": who, "channel_id": CHANNEL}
        self.deliver({**self.body(who), **more, "user": {"id": who, "team_id": TEAM}})

    def type(self, who: str) -> None:
        """Any verb, on any run that was ever shown."""
        runs = self.world.process.ledger.runs(limit=3)
        if runs:
            verb, run = self.world.rng.choice(TYPED), self.world.rng.choice(runs).id
            self.command(who, verb.format(run) if "{}" in verb else f"{verb} {run}")

    def click(self) -> None:
        """A button that somebody sees, or saw before it was edited away; mostly by somebody whose business it is."""
        screens, rng = self.world.slack.screens, self.world.rng
        newest = rng.random() < 0.85
        message, blocks = rng.choice(screens[-4:] if newest else screens[-30:])
        shown = message.shown if newest else blocks
        buttons = [one for block in shown if block["type"] == "actions" for one in block["elements"]]
        buttons += [block["accessory"] for block in shown if "accessory" in block]
        if buttons:
            (button,) = rng.choices(buttons, [EAGER.get(one["action_id"], 0.1) for one in buttons])
            if button["action_id"] == "rb.stop" and rng.random() < 0.75:
                return  # who sees that something can be stopped lets it go on, mostly
            theirs = button["action_id"] in ("rb.review", "rb.deny", "rb.notme", "rb.unapprove", "rb.owed")
            who = rng.choice(
                EVERYBODY if rng.random() < 0.2 else self.world.slack.members or ON_CALL if theirs else CONCERNED
            )
            where = {"type": "message", "channel_id": message.channel, "message_ts": message.ts}
            self.clicked(who, button, {"container": where, "channel": {"id": message.channel}})

    def at_home(self) -> None:
        """A button of somebody's Home tab."""
        who = self.world.rng.choice(list(self.world.slack.homes))
        view = self.world.slack.homes[who]
        buttons = [block["accessory"] for block in view["blocks"] if "accessory" in block]
        buttons += [one for block in view["blocks"] if block["type"] == "actions" for one in block["elements"]]
        ours = [one for one in buttons if one["action_id"] in self.world.process.clicks]
        if ours:
            where = {"container": {"type": "view", "view_id": "V0HOME"}, "view": {"type": "home"}}
            self.clicked(who, self.world.rng.choice(ours), where)

    def clicked(self, who: str, button: Json, where: Json) -> None:
        action = {"action_id": button["action_id"], "value": button["value"], "action_ts": str(self.count)}
        self.deliver({**self.body(who), "type": "block_actions", "actions": [action], **where})

    def submit(self, who: str) -> None:
        """The form that is open before somebody."""
        view = self.world.slack.views.pop(who)
        if view["callback_id"] not in self.world.process.sent:
            return
        if view["callback_id"] == "rb.request":
            self.request(who, view)
            return
        values = {
            "note": "",
            "reason": "the old code does not run",
            "confirm": self.word(view),
            "text": "checkout was down",
        }
        state = {"values": {block: {"v": {"value": value}} for block, value in values.items()}}
        sent = {**view, "id": f"V{self.count}", "state": state}
        self.deliver({**self.body(who), "type": "view_submission", "view": sent})

    def request(self, who: str, view: Json) -> None:
        """The form of a request, sent off."""
        rng, choices = self.world.rng, {block["block_id"]: block["element"] for block in view["blocks"][1:]}
        typed = {name: {"value": "the old code does not run"} for name in ("reason", "incident")}
        chosen = {"migration": rng.choice(("002", "003")), "extent": rng.choice(("from", "to", "only"))}
        chosen["target"] = rng.choice(choices["target"]["options"])["value"]
        picked = {name: {"selected_option": {"value": value}} for name, value in chosen.items()}
        state = {"values": {block: {"v": value} for block, value in {**typed, **picked}.items()}}
        sent = {**view, "id": f"V{self.count}", "state": state}
        self.deliver({**self.body(who), "type": "view_submission", "view": sent})

    def word(self, view: Json) -> str:
        """What must be typed; hastily, now and then."""
        run = view["private_metadata"].partition('"run": "')[2][:7]
        try:
            at = self.world.process.ledger.run(run)
            word = glass.word(at) if view["callback_id"] == "rb.breakglass" else messages.confirm_word(at)
        except Refused:
            return ""
        return "" if self.world.odds("typed wrong") else word or ""
