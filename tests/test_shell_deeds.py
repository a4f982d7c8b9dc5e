"""What somebody may say in the shell to a run that is there: as whom the bot's settings name, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import config
from core.desk import Desk
from core.errors import Refused
from core.ledger import Ledger
from core.model import Person, Request, Run, State
from core.settings import Settings, policy
from core.shell import Shell, account_name

CHEN = Person("U0CHEN", "Chen")
DEEDS = ("withdraw", "stop", "resume", "verify", "keep", "release", "restore --drop-old")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of the bot: who types here is Ana."""
    return settle(tmp_path, monkeypatch, f'[people]\n"{account_name()}" = "U0ANA"\n')


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch, people: str) -> Settings:
    """A settings file, used by whatever is typed from now on."""
    file = folder / "rollback.toml"
    file.write_text(f'ledger = "{folder}/l.db"\n{people}[targets.production]\ndatabase_url = "postgresql://"\n'
                    f'migrations = "{folder}"\napprovers = ["U0BOB"]\n')  # fmt: skip
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
