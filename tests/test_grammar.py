"""One grammar for Slack and the shell: what is understood, what is forgiven, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.grammar import DIGITS, VERBS, Command, new_run_id, parse, parse_words, run_id
from core.model import Request


def refusal(line: str) -> Refused:
    with pytest.raises(Refused) as caught:
        parse(line)
    return caught.value


def undo(name: str, what: str = "from", only: bool = False) -> Request:
    return Request(what, name, only)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command("form")),
        ("  \n ", Command("form")),
        ("latest", Command("request", Request("latest"))),
        ("011_subscriptions", Command("request", undo("011_subscriptions"))),
        ("011_subscriptions.sql", Command("request", undo("011_subscriptions"))),
        ("to 010_rate_limits", Command("request", undo("010_rate_limits", "to"))),
        ("latest --only", Command("request", Request("latest", None, True))),
        (
            '011 --on staging --reason "checkout 500s" --incident INC-418 --only',
            Command("request", undo("011", only=True), "staging", "checkout 500s", "INC-418"),
        ),
        ("--on staging latest", Command("request", Request("latest"), "staging")),
        ("011 --on=staging", Command("request", undo("011"), "staging")),
        ("plan to 010 --on staging", Command("plan", undo("010", "to"), "staging")),
        ("help", Command("help")),
        ("help deny", Command("help", args=("deny",))),
        ("status", Command("status")),
        ("status RB-7K3M", Command("status", run="RB-7K3M")),
        ("history", Command("history")),
        (
            "history 20 --on staging --by <@U0ANA|ana>",
            Command("history", target="staging", count=20, by="U0ANA"),
        ),
        ("show RB-7K3M", Command("show", run="RB-7K3M")),
        ("report RB-7K3M", Command("report", run="RB-7K3M")),
        ("stats 3 --on staging —csv", Command("stats", target="staging", count=3, args=("csv",))),
        ("migrations --on staging", Command("migrations", target="staging")),
        ("check", Command("check")),
        ("approve RB-7K3M", Command("approve", run="RB-7K3M")),
        ("deny RB-7K3M the backup is old", Command("deny", run="RB-7K3M", text="the backup is old")),
        ("deny RB-7K3M", Command("deny", run="RB-7K3M")),
        ("withdraw RB-7K3M", Command("withdraw", run="RB-7K3M")),
        ("withdraw RB-7K3M wrong one", Command("withdraw", run="RB-7K3M", text="wrong one")),
        ("stop RB-7K3M", Command("stop", run="RB-7K3M")),
        ("cancel RB-7K3M", Command("stop", run="RB-7K3M")),
        ("reapply RB-7K3M --reason fixed the app", Command("reapply", reason="fixed the app", run="RB-7K3M")),
        ("restore RB-7K3M", Command("restore", run="RB-7K3M")),
        ("audit", Command("audit")),
        ("audit verify", Command("audit", args=("verify",))),
        ("audit export", Command("audit", args=("export",))),
        ("audit verify --witness", Command("audit", args=("verify",), witness="")),
        ("audit --witness channel.json", Command("audit", witness="channel.json")),
        ("audit RB-7K3M", Command("audit", run="RB-7K3M")),
        ("drill start --on staging", Command("drill", target="staging", args=("start",))),
        ("drill skip release week", Command("drill", args=("skip",), text="release week")),
        ("drill snooze 3", Command("drill", args=("snooze",), count=3)),
        ("backup --on staging", Command("backup", target="staging")),
        ("readiness", Command("readiness")),
        ("readiness now --on staging", Command("readiness", target="staging", args=("now",))),
        ("whoami", Command("whoami")),
        ("doctor", Command("doctor")),
        ("init db/migrations", Command("init", text="db/migrations")),
        ("completion bash", Command("completion", args=("bash",))),
    ],
)
def test_every_form_of_the_grammar_is_understood_in_both_doors(line: str, command: Command) -> None:
    assert parse(line) == command
    if '"' not in line and "<@" not in line:
        assert parse_words(line.split()) == command


@pytest.mark.parametrize(
    ("line", "same_as"),
    [
        ("APPROVE rb7k3m", "approve RB-7K3M"),
        ("Approve rb-7k3m", "approve RB-7K3M"),
        ("approve RB–7K3M", "approve RB-7K3M"),
        ("approve `RB-7K3M`", "approve RB-7K3M"),
        ("Latest —on staging", "latest --on staging"),
        ("latest –only", "latest --only"),
        ("`011_subscriptions`", "011_subscriptions"),
        ("“011_subscriptions”", "011_subscriptions"),
        ("TO 010", "to 010"),
        ("011 --reason “checkout is down”", "011 --reason checkout is down"),
        ("011 --reason „checkout ist kaputt“", "011 --reason checkout ist kaputt"),
        ("011 --reason «caisse en panne»", "011 --reason caisse en panne"),
        ("011 --reason 'checkout   is down' --only", "011 --only --reason checkout is down"),
    ],
)
def test_what_phones_and_habits_make_of_a_line_is_forgiven(line: str, same_as: str) -> None:
    assert parse(line) == parse(same_as)


def test_slack_entities_and_mentions_are_read_as_people_read_them() -> None:
    line = "011 --reason a &lt; b &amp;&amp; <@U1|ana> in <#C1|inc-418> says <https://x.example/a|so> &amp;lt;"
    assert parse(line).reason == "a < b && @ana in #inc-418 says https://x.example/a &lt;"


def test_an_apostrophe_opens_no_quote() -> None:
    assert parse("011 --reason we can't pay, don't ask --only").reason == "we can't pay, don't ask"
    assert parse("deny RB-7K3M it's 'too' big").text == "it's too big"


def test_a_dash_inside_a_text_is_text() -> None:
    assert parse("011 --reason broken — since 14:02").reason == "broken — since 14:02"
    assert parse("011 --reason “do not use --only here”").reason == "do not use --only here"


def test_a_reason_of_the_shell_comes_as_one_word_or_as_several() -> None:
    one = parse_words(["011", "--reason", "checkout 500s since --only", "--json"])
    assert one.reason == "checkout 500s since --only"
    assert one.json and one.request == undo("011")
    assert parse_words(["011", "--reason", "checkout", "500s"]).reason == "checkout 500s"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["status", "--jsn"], "I do not know the flag `--jsn`. Did you mean `--json`?"),
        (["--verson"], "I do not know the flag `--verson`. Did you mean `--version`?"),
        (["-x"], "I do not know the flag `-x`."),
    ],
)
def test_a_slip_in_a_flag_of_the_shell_is_told_with_the_near_one(words: list[str], says: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_words(words)
    assert (caught.value.code, caught.value.message) == ("E-USAGE", says)
    assert parse_words(["011", "--reason", "drop the -x flag"]).reason == "drop the -x flag"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("delet RB-7K3M", "I do not know `delet`. Did you mean `deny`?"),
        ("aprove RB-7K3M", "Did you mean `approve`?"),
        ("stauts", "Did you mean `status`?"),
        ("latst", "Did you mean `latest`?"),
        ("undo 011", "Leave `undo` out"),
        ("RB-7K3M", "`show RB-7K3M` shows it"),
        ("to 010 --only", "`to` and `--only` do not go together"),
        ("to", "Say which migration"),
        ("plan", "Say which migration"),
        ("011 checkout is down", "A reason goes after `--reason`"),
        ("011 --onn staging", "Did you mean `--on`?"),
        ("011 —onn staging", "Did you mean `--on`?"),
        ("011 --force", "I do not know the flag `--force`."),
        ("011 --on", "`--on` needs a word after it."),
        ("011 --on a --on b", "`--on` stands there twice."),
        ("011 --on a/b", "cannot be the name of a target"),
        ("011;drop", "cannot be the name of a migration"),
        ("../011", "cannot be the name of a migration"),
        ("0" * 201, "cannot be the name of a migration"),
        ("approve", "Say which run: `approve RUN`."),
        ("approve RB-7K3", "`RB-7K3` is no run id"),
        ("approve RB-0O1I", "is no run id"),
        ("approve RB-7\u212a3M", "is no run id"),  # the Kelvin sign, not a K
        ("approve RB-7K3M --only", "`approve` takes no `--only`."),
        ("approve RB-7K3M now", "`approve` takes no `now`."),
        ("history 21", "`21` is no number from 1 to 20."),
        ("stats 37", "`37` is no number from 1 to 36."),
        ("statistics", "Did you mean `stats`?"),
        ("whoami now", "`whoami` takes no `now`."),
        ("help delet", "Did you mean `deny`?"),
        ("drill snooze long", "`long` is no number from 1 to 366."),
        ("drill dance", "`drill` is typed"),
        ("--on staging", "Say first what to undo"),
        ("a" * 4001, "too long"),
    ],
)
def test_what_is_not_understood_says_so_and_what_to_do(line: str, words: str) -> None:
    no = refusal(line)
    assert no.code == "E-USAGE"
    assert words in no.text
    assert "Nothing was started." in no.text


def test_a_first_word_that_is_near_no_verb_is_a_migration() -> None:
    assert parse("users").request == undo("users")
    assert parse("2delet").request == undo("2delet")


def test_a_reason_that_says_nothing_is_refused() -> None:
    assert refusal("011 --reason foo").code == "E-REASON"
    assert refusal("011 --reason").code == "E-REASON"
    assert refusal("011 --reason " + "x" * 501).code == "E-REASON"


def test_a_refused_word_cannot_forge_a_message() -> None:
    no = refusal("approve a`b\u202e" + "c" * 100)
    assert no.message.startswith("`a?b?ccc")
    assert len(no.message) < 130


def test_new_run_ids_can_be_said_on_a_call_and_are_not_taken() -> None:
    seen: set[str] = set()
    for _ in range(500):
        new = new_run_id(lambda one: one in seen)
        assert re.fullmatch("RB-[2-9A-HJKMNP-TV-Z]{4}", new)
        assert any(s in DIGITS for s in new)
        assert new not in seen
        seen.add(new)


@given(st.text(max_size=80))
def test_any_text_is_understood_or_refused(text: str) -> None:
    for ask in (lambda: parse(text), lambda: parse_words(text.split(" ")), lambda: run_id(text)):
        try:
            ask()
        except Refused as no:
            assert no.code in ("E-USAGE", "E-REASON")


WORDS = [
    "latest",
    "to",
    "011",
    "deny",
    "approve",
    "RB-7K3M",
    "--on",
    "—on",
    "--reason",
    "--only",
    '"',
    "“",
    "”",
    "'",
    "`",
]
WORDS += [
    "x",
    "history",
    "5",
    "--by",
    "<@U1|a>",
    "&amp;",
    "drill",
    "skip",
    "<",
    "audit",
    "verify",
    "--on=a",
    "--reason=b",
]


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.sampled_from(["", " "]))
def test_any_order_of_our_words_is_understood_or_refused(words: list[str], between: str) -> None:
    asks: list[Callable[[], Command]] = [lambda: parse(between.join(words)), lambda: parse_words(words)]
    for ask in asks:
        try:
            assert ask().verb in VERBS.keys() | {"form"}
        except Refused as no:
            assert no.code in ("E-USAGE", "E-REASON")


NAMES = st.from_regex(r"[0-9]{3}_[a-z_]{1,20}", fullmatch=True)
REASONS = st.lists(st.from_regex(r"[A-Za-z0-9äé,.!?'-]{1,9}", fullmatch=True), min_size=3, max_size=8)


@given(NAMES, st.sampled_from(["", "production", "staging"]), REASONS.filter(lambda r: not any("-" in w for w in r)))
def test_a_request_written_out_is_read_back_the_same_in_both_doors(name: str, target: str, reason: list[str]) -> None:
    text = " ".join(reason)
    line = f'{name} {f"--on {target} " if target else ""}--reason "{text}"'
    words = [name, *(["--on", target] if target else []), "--reason", text]
    expected = Command("request", undo(name), target or None, text)
    assert parse(line) == expected
    assert parse_words(words) == expected


@given(st.from_regex(r"RB-[2-9A-HJKMNP-TV-Z]{4}", fullmatch=True), st.sampled_from(["approve", "deny", "show", "stop"]))
def test_a_run_id_is_read_back_the_same_in_any_case(run: str, verb: str) -> None:
    assert parse(f"{verb} {run.lower()}").run == run
    assert parse(f"{verb} {run.replace('-', '')}").run == run
