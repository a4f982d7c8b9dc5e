"""Which migrations a request undoes: the table of the grammar, and every refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.layouts import Applied, Migration, Part
from core.model import Request
from core.plan import Selection, select

NAMES = ["001_initial", "002_masks", "003_narratives", "004_checks", "010_rate_limits", "011_subscriptions"]
NAMES += ["012_stripe_events"]
FILES = [Migration(n[:3], n, Part(f"{n}.sql", b""), Part(f"rollback/{n}.sql", b"")) for n in NAMES]
ROWS = [Applied(n[:3]) for n in NAMES]


def chosen(what: str, migration: str | None = None, only: bool = False) -> Selection:
    return select(Request(what, migration, only), FILES, ROWS)  # type: ignore[arg-type]


def names(selection: Selection) -> list[str]:
    return [migration.name for _, migration in selection.undo]


def refusal(request: Request, files: list[Migration] = FILES, rows: list[Applied] = ROWS) -> Refused:
    with pytest.raises(Refused) as caught:
        select(request, files, rows)
    return caught.value


@pytest.mark.parametrize(
    ("what", "word", "only", "versions", "stays"),
    [
        ("latest", None, False, ["012"], "011_subscriptions"),
        ("latest", None, True, ["012"], "011_subscriptions"),
        ("from", "012_stripe_events", False, ["012"], "011_subscriptions"),
        ("from", "011_subscriptions", False, ["012", "011"], "010_rate_limits"),
        ("from", "011", False, ["012", "011"], "010_rate_limits"),
        ("from", "011_sub", False, ["012", "011"], "010_rate_limits"),
        ("from", "011_subscriptions.sql", False, ["012", "011"], "010_rate_limits"),
        ("to", "010_rate_limits", False, ["012", "011"], "010_rate_limits"),
        ("from", "011_subscriptions", True, ["011"], "012_stripe_events"),
        ("from", "001", False, ["012", "011", "010", "004", "003", "002", "001"], None),
    ],
)
def test_the_table_of_the_grammar_holds(
    what: str, word: str | None, only: bool, versions: list[str], stays: str | None
) -> None:
    selection = chosen(what, word, only)
    assert [row.version for row, _ in selection.undo] == versions
    assert (selection.stays.name if selection.stays else None) == stays


def test_the_others_that_go_are_named_beside_the_one_asked_for() -> None:
    assert chosen("from", "011").also == ("012_stripe_events",)
    assert chosen("to", "010").also == ("012_stripe_events", "011_subscriptions")
    assert chosen("latest").also == ()


def test_only_says_what_stays_applied_after_it() -> None:
    assert chosen("from", "010", only=True).kept_after == ("011_subscriptions", "012_stripe_events")


def test_an_exact_version_wins_over_the_beginning_of_another_name() -> None:
    files = [*FILES, Migration("0110", "0110_more", Part("0110_more.sql", b""), Part("rollback/0110_more.sql", b""))]
    rows = [*ROWS, Applied("0110")]
    assert [m.name for _, m in select(Request("from", "011"), files, rows).undo][-1] == "011_subscriptions"


def test_after_means_the_order_of_the_history_and_not_of_the_numbers() -> None:
    out_of_order = [*ROWS[:4], ROWS[5], ROWS[6], ROWS[4]]
    assert names(select(Request("from", "012"), FILES, out_of_order)) == ["010_rate_limits", "012_stripe_events"]


def test_a_beginning_of_several_lists_them_with_commands() -> None:
    no = refusal(Request("from", "01"))
    assert no.code == "E-MIGRATION-AMBIGUOUS"
    assert no.message == "3 migrations begin with `01`: `010_rate_limits`, `011_subscriptions`, `012_stripe_events`."
    assert no.options[1] == "/rollback 011_subscriptions"
    assert refusal(Request("to", "01")).options[1] == "/rollback to 011_subscriptions"


def test_a_misspelt_name_is_suggested_and_never_run() -> None:
    no = refusal(Request("from", "011_subscriptons"))
    assert no.code == "E-MIGRATION-UNKNOWN"
    assert no.message == "I know no migration `011_subscriptons`. Did you mean `011_subscriptions`?"
    assert "`012_stripe_events`" in refusal(Request("from", "stripe_event")).message
    assert "`001_initial`" in refusal(Request("from", "1")).message


def test_a_migration_that_is_not_applied_is_refused_with_the_newest() -> None:
    no = refusal(Request("from", "011"), rows=ROWS[:5])
    assert (no.code, no.message) == (
        "E-NOT-APPLIED",
        "`011_subscriptions` is not applied; newest is `010_rate_limits`.",
    )
    assert refusal(Request("to", "011"), rows=ROWS[:5]).code == "E-NOT-APPLIED"


def test_nothing_after_the_newest_is_refused() -> None:
    no = refusal(Request("to", "012"))
    assert (no.code, no.message) == ("E-NOTHING", "Nothing is applied after `012_stripe_events`.")
    assert refusal(Request("latest"), rows=[]).code == "E-NOTHING"


def test_all_that_lack_a_rollback_script_are_named_at_once() -> None:
    files = [replace(m, rollback=None) if m.version > "010" else m for m in FILES]
    no = refusal(Request("from", "010"), files)
    assert no.code == "E-NO-SCRIPT"
    assert "`012_stripe_events`, `011_subscriptions` have no rollback scripts" in no.message
    assert refusal(Request("latest"), files).message.startswith("`012_stripe_events` has no rollback script.")


def test_a_rollback_script_without_its_forward_file_is_enough_and_is_told() -> None:
    files = [replace(m, forward=None) if m.version == "012" else m for m in FILES]
    assert select(Request("latest"), files, ROWS).no_forward == ("012_stripe_events",)


def test_rows_without_any_file_are_refused_by_name() -> None:
    rows = [*ROWS, Applied("013"), Applied("014")]
    no = refusal(Request("from", "012"), rows=rows)
    assert no.code == "E-FILE-MISSING"
    assert "`014`, `013` are applied" in no.message
    assert refusal(Request("from", "014"), rows=rows).code == "E-FILE-MISSING"


def test_two_files_with_one_version_are_refused() -> None:
    files = [*FILES, Migration("012", "012_other", None, Part("rollback/012_other.sql", b""))]
    assert refusal(Request("latest"), files).code == "E-HISTORY"
    assert len(select(Request("latest"), files, [Applied(n) for n in NAMES]).undo) == 1


@pytest.mark.parametrize("form", ["{}", "{}.sql"])
def test_rows_may_say_the_whole_name(form: str) -> None:
    assert names(select(Request("from", "011"), FILES, [Applied(form.format(n)) for n in NAMES])) == NAMES[:4:-1]


def test_rows_may_say_a_number_without_zeros() -> None:
    assert names(select(Request("from", "011"), FILES, [Applied(str(int(n[:3]))) for n in NAMES])) == NAMES[:4:-1]


@given(st.sampled_from(["latest", "from", "to"]), st.text(max_size=12), st.integers(0, 7), st.booleans())
def test_any_words_select_the_newest_rows_or_are_refused(what: str, word: str, applied: int, only: bool) -> None:
    rows = ROWS[:applied]
    try:
        selection = select(Request(what, word, only), FILES, rows)  # type: ignore[arg-type]
    except Refused:
        return
    gone = [row for row, _ in selection.undo]
    assert gone and len(set(gone)) == len(gone)
    if not only:
        assert gone == rows[::-1][: len(gone)]
        assert selection.stays == (FILES[applied - len(gone) - 1] if applied > len(gone) else None)
