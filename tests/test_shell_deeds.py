"""What somebody may say in the shell to a run that is there: as whom the bot's settings name, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import config, postgres
from core.desk import Desk
from core.errors import Refused
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.settings import Settings, policy
from core.shell import Shell, account_name
from tests.messages_story import IDENTIFY

BOB_APPROVES = 'database_url = "postgresql://"\napprovers = ["U0BOB"]\n'
CHEN = Person("U0CHEN", "Chen")
DEEDS = ("withdraw", "stop", "resume", "verify", "keep", "release", "restore --drop-old")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of the bot: who types here is Ana."""
    return settle(tmp_path, monkeypatch, f'[people]\n"{account_name()}" = "U0ANA"\n')


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch, people: str, target: str = BOB_APPROVES) -> Settings:
    """A settings file, used by whatever is typed from now on."""
    file = folder / "rollback.toml"
    head = f'ledger = "{folder}/l.db"\nbackup_dir = "{folder}/b"\n{people}[targets.production]\n'
    file.write_text(f'{head}migrations = "{folder}"\n{target}')
    monkeypatch.setenv("ROLLBACK_CONFIG", str(file))
    return config.load()


def asked(settings: Settings) -> Run:
    """A run that Chen has asked for."""
    desk = Desk(Ledger(settings.ledger), settings)
    run = desk.ask(Request("latest"), settings.target(), CHEN, channel="C0")
    desk.ledger.close()
    return run


def said(deed: str, run: Run) -> Refused:
    """Why the shell does not do it."""
    verb, *more = deed.split()
    shell = Shell([verb, run.id, *more])
    with pytest.raises(Refused) as no:
        shell.run()
    assert shell.ledger.run(run.id).state is State.PLANNING and len(shell.ledger.events()) == 1
    shell.ledger.close()
    return no.value


def test_a_settings_file_of_ones_own_makes_nobody_somebody_else(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, bot = asked(settings), Ledger(settings.ledger)
    assert said("withdraw", run).code == "E-NOT-YOURS"
    place = bot.hold("bot")
    assert place
    bot.declare(place, policy(settings))
    settle(tmp_path, monkeypatch, f'[people]\n"{account_name()}" = "U0CHEN"\n')
    for deed in DEEDS:
        no = said(deed, run)
        assert no.code == "E-CONFIG" and "other settings than this shell" in no.message, deed
    place.close()
    bot.close()


def test_an_account_that_is_nobody_drops_and_releases_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = asked(settings)
    settle(tmp_path, monkeypatch, "")
    for deed in ("release", "restore --drop-old"):
        assert "may only look" in said(deed, run).message, deed
    for deed in ("withdraw", "stop", "resume", "verify", "keep"):
        assert said(deed, run).code == "E-NOT-YOURS", deed


def test_what_a_shell_left_in_the_middle_is_asked_after_by_the_next_where_no_bot_is(
    app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = f'[people]\n"{account_name()}" = "U0ANA"\n'
    settings = settle(tmp_path, monkeypatch, people, f'database_url = "{app}"\napprovals = 0\n')
    ledger = Ledger(settings.ledger)
    run = Desk(ledger, settings).ask(Request("latest"), settings.target(), Person("U0ANA", "Ana"))
    with postgres.target(app, run.id, "production") as conn, ledger.transaction() as t:
        t.append(
            run.id, "step_done", {"step": "identify", "evidence": {**IDENTIFY, "database": postgres.identity(conn)}}
        )
        t.move(t.run(run.id), State.APPROVED, "opened", {"digest": "d"}, plan_digest="d")
        t.move(t.run(run.id), State.EXECUTING, "executing", {"step": "execute"})
    walker = ledger.hold(run.id)
    assert walker
    with pytest.raises(Refused, match="point of no return"):  # another shell is at it
        Shell(["stop", run.id]).run()
    walker.close()  # as it ends when its process is killed
    bot = ledger.hold("bot")
    assert bot
    with pytest.raises(Refused, match="point of no return"):
        Shell(["stop", run.id]).run()
    bot.close()
    assert Shell(["stop", run.id]).run() == 0
    assert [event.kind for event in ledger.events(run.id)][-2:] == ["interrupted", "stopped"]
    ledger.close()
