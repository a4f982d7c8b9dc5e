"""A migration with rows, undone and applied again on a real database, and what became of every row.

One case runs what `rollback` and `reapply` run around the scripts, without people: proofs, save, rollback scripts, COMMIT,
writes since, then saved rows around the forward scripts, COMMIT. It costs about 100 ms.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from core import postgres, schema, trial
from core.forward import Forward
from core.model import Json, Person, Request, Run, State
from core.redact import SecretStr
from core.runbook import Work
from core.save import archive, rights
from core.save.archive import Writer
from core.save.inventory import inventory
from core.save.put_back import Back, Save, putting_back
from core.script import read
from core.settings import Settings, Target
from core.steps.execute import begin, destroys_only_what_is_saved, run_all
from demo.postgres import Server

Rows = dict[str, Counter[str]]
"""Table -> its rows, each as `column=value` by the names of the columns, with how often it is there."""
ROLES = ("save_owner", "save_bot", "save_reader", "save_writer")
TABLES = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'rollback_bot')
       AND n.nspname !~ '^pg_'"""
COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname"
RESET = r"""
    DO $$ DECLARE one text; BEGIN
      FOR one IN SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication
           UNION ALL SELECT format('DROP EVENT TRIGGER %I', evtname) FROM pg_event_trigger
           UNION ALL SELECT format('DROP EXTENSION %I CASCADE', extname) FROM pg_extension WHERE extname <> 'plpgsql'
           UNION ALL SELECT format('DROP FOREIGN DATA WRAPPER IF EXISTS %I CASCADE', fdwname) FROM pg_foreign_data_wrapper
           UNION ALL SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
                      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE one;
      END LOOP;
      FOR one IN SELECT rolname FROM pg_roles WHERE rolname ~ '^save_' LOOP
        EXECUTE format('DROP OWNED BY %I', one);
      END LOOP;
      CREATE SCHEMA public; GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC; ALTER SCHEMA public OWNER TO pg_database_owner;
    END $$"""


@dataclass
class Case:
    """What became of a database. `aside`: (table, reason) -> rows as text, as they lie in the file."""

    before: Rows
    after: Rows
    schema: tuple[schema.Snapshot, schema.Snapshot]
    sequences: tuple[dict[str, tuple[int, bool]], dict[str, tuple[int, bool]]]
    back: Back
    saved: Json
    file: Path
    aside: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def differences(self) -> list[str]:
        """Harmful changes of the schema, owners and privileges included."""
        return [one.message for one in schema.difference(*self.schema) if one.severity == "harmful"]

    def same(self) -> None:
        """Everything is as it was: rows, schema, rights; and no sequence hands out anything twice."""
        assert not self.aside, self.kept_aside()
        assert self.after == self.before, differing(self.before, self.after)
        assert not self.differences()
        assert self.back.notes == []
        self.sequences_go_on()

    def sequences_go_on(self) -> None:
        for name, at in self.sequences[0].items():
            assert self.sequences[1].get(name, at) >= at, name

    def kept_aside(self) -> dict[tuple[str, str], int]:
        """How many rows of which table, and why."""
        assert {key: len(rows) for key, rows in self.aside.items()} == {
            (one["table"], one["why"]): sum(
                o["rows"] for o in self.back.aside if (o["table"], o["why"]) == (one["table"], one["why"])
            )
            for one in self.back.aside
        }
        return {key: len(rows) for key, rows in sorted(self.aside.items())}


def differing(before: Rows, after: Rows) -> dict[str, tuple[Counter[str], Counter[str]]]:
    """Rows of each table that are only in one of the two."""
    both = {name: (before.get(name, Counter()), after.get(name, Counter())) for name in before.keys() | after.keys()}
    return {name: (one - other, other - one) for name, (one, other) in both.items() if one != other}


class Bench:
    """One database, emptied for each case."""

    def __init__(self, server: Server, folder: Path, name: str = "save_bench") -> None:
        self.server, self.folder, self.name = server, folder, name
        with psycopg.connect(server.url(), autocommit=True) as conn:
            for role in ROLES:
                conn.execute(
                    f"DO 'BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END'".encode()
                )
            conn.execute("GRANT save_owner TO save_bot")
            conn.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
            conn.execute(f"GRANT CREATE, TEMPORARY ON DATABASE {name} TO save_owner, save_bot".encode())
        self.admin = self.connect()
        self.number = 0

    def connect(self, role: str = "postgres") -> postgres.Connection:
        return postgres.connect(self.server.url(self.name, role), "bench")

    def close(self) -> None:
        self.admin.close()
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {self.name} WITH (FORCE)".encode())

    def sql(self, *scripts: str) -> None:
        """By somebody else, committed."""
        for script in scripts:
            if script.strip():
                self.admin.execute(script.encode())

    def run(
        self,
        setup: str,
        rollback: str,
        forward: str,
        since: str = "",
        *,
        role: str = "postgres",
        unseen: str = "",
        seen: bool = False,
        between: str = "",
    ) -> Case:
        """One case. `setup`: schema and rows with the migration applied. `since`: writes after the rollback.

        `unseen`: written after the proofs and before execute. `seen`: what the trial on the copy learns of the way back is
        used too. `role` runs rollback and re-apply. `between`: after the rollback, before `since`.
        """
        self.clear()
        self.sql(setup)
        evidence = self.proofs(rollback, forward)
        if seen:
            evidence["test restore"]["way_back"] = self.trial(evidence, forward)
        self.sql(unseen)
        self.number += 1
        files = self.folder / f"{self.number}.saved", self.folder / f"{self.number}.aside"
        before, old, stood = self.rows(), schema.snapshot(self.admin), self.sequences()
        conn = self.admin if role == "postgres" else self.connect(role)
        try:
            saved = self.roll_back(conn, evidence, files[0], old)
            self.sql(between, since)
            back = self.reapply(conn, evidence, forward, saved, files)
        finally:
            if conn is not self.admin:
                conn.close()
        now = schema.snapshot(self.admin)
        case = Case(before, self.rows(), (old, now), (stood, self.sequences()), back, saved, files[0])
        if back.aside:
            case.aside = kept(files[1])
        return case

    # -- the parts of a case -----------------------------------------------------------------------------------

    def clear(self) -> None:
        """An empty database."""
        self.admin.execute(RESET.encode())
        self.admin.execute("RESET ALL")
        postgres.ours(self.admin)

    def proofs(self, rollback: str, forward: str) -> dict[str, Json]:
        """What the rehearsal (without rows) and the trial run (with them) see."""
        done, again = (
            [],
            Forward((("1", read("1.sql", forward.encode(), history_table="")),)) if forward.strip() else None,
        )
        todo = statements(rollback, "rollback.sql")
        for empty in (True, False):
            with self.admin.transaction(force_rollback=True):
                if empty:
                    names = ", ".join(row[0] for row in self.admin.execute(TABLES.encode()) if not self._view(row[0]))
                    if names:
                        self.admin.execute(f"TRUNCATE {names} CASCADE".encode())
                before = self.sequences()
                seen = trial.effects(self.admin, todo, "E-REHEARSAL", "fails")
                gone = sorted(before.keys() - self.sequences().keys())
                changes = tuple(schema.Change("sequence", name, "missing", "harmful", "", None) for name in gone)
                more = (
                    trial.Again(True, "", trial.seeded(self.admin, again), again.derived)
                    if empty and again
                    else trial.Again(None)
                )
                done.append(replace(seen, changes=changes, again=more))
        rehearsed, tried = done
        return {
            "identify": {"undo": [{"script": {"file": "rollback.sql", "statements": [one for _, one in todo]}}]},
            "rehearse": rehearsed.evidence(),
            "test restore": {
                "touched": tried.touched,
                "destroyed": tried.destroyed.told(),
                "emptied": list(tried.seen.emptied),
            },
        }

    def _view(self, name: str) -> bool:
        return bool(postgres.scalar(self.admin, "SELECT relkind = 'm' FROM pg_class WHERE oid = to_regclass(%s)", name))

    def work(self, evidence: Mapping[str, Json]) -> Work:
        """What the steps are given."""
        run = Run(
            "RB-7K3M",
            1,
            State.EXECUTING,
            "production",
            Request("latest"),
            Person("U0ANA", "Ana"),
            datetime.now(UTC),
            evidence=evidence,
        )
        target = Target("production", SecretStr(self.server.url(self.name)))
        return Work(run, target, Settings(backup_dir=self.folder, ledger=self.folder / "ledger.db"))

    def roll_back(
        self, conn: postgres.Connection, evidence: Mapping[str, Json], file: Path, before: schema.Snapshot
    ) -> Json:
        """Save and rollback scripts, committed; what is told of the save."""
        work = self.work(evidence)
        with conn.transaction(), file.open("wb") as out:
            held = inventory(conn)
            taking = begin(conn, evidence, held, Writer(out))
            run_all(conn, work, trial.statements(work.run.going), taking)
            destroys_only_what_is_saved(work, held, inventory(conn))
            return taking.finish("RB-7K3M", before, schema.snapshot(conn))

    def reapply(
        self,
        conn: postgres.Connection,
        evidence: Mapping[str, Json],
        forward: str,
        saved: Json,
        files: tuple[Path, Path],
    ) -> Back:
        """Forward scripts and saved rows, committed."""
        found = evidence["rehearse"]
        exact = evidence["test restore"].get("way_back", {}).get("exact", ())
        save = Save(files[0], found["seeds"], found["derived"], exact, tuple(saved["since"]))
        with conn.transaction(), opened(files[1]) as aside, putting_back(conn, save, aside) as back:
            for _, statement in statements(forward, "forward.sql"):
                conn.execute(statement["sql"].encode(), binary=True)
            for reset in ("RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"):
                conn.execute(reset.encode())
        with conn.transaction():
            back.notes += rights.give_back(conn, back.manifest["rights"], schema.snapshot(conn))
        return back

    def trial(self, evidence: Mapping[str, Json], forward: str) -> Json:
        """There and back before anything is changed, as on the restored copy; what is learnt of the way back."""
        self.number += 1
        files = self.folder / f"{self.number}.saved", self.folder / f"{self.number}.aside"
        with self.admin.transaction(force_rollback=True):
            saved = self.roll_back(self.admin, evidence, files[0], schema.snapshot(self.admin))
            back = self.reapply(self.admin, evidence, forward, saved, files)
        return {"exact": back.exact}

    # -- looking -------------------------------------------------------------------------------------------------

    def rows(self) -> Rows:
        """Every row of every table and materialized view."""
        with self.admin.transaction(force_rollback=True):
            postgres.settle(self.admin, postgres.PRINTED)
            return {name: self._rows(name) for (name,) in self.admin.execute(TABLES.encode()).fetchall()}

    def _rows(self, name: str) -> Counter[str]:
        columns = [row[0] for row in self.admin.execute(COLUMNS.encode(), [name]).fetchall()]
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        query = sql.SQL("COPY (SELECT {} FROM ONLY {}) TO STDOUT").format(listed, sql.SQL(name))  # type: ignore[arg-type]
        with self.admin.cursor().copy(query) as copy:
            lines = b"".join(bytes(block) for block in copy).decode().split("\n")[:-1]
        return Counter("\t".join(f"{c}={v}" for c, v in zip(columns, line.split("\t"), strict=False)) for line in lines)

    def sequences(self) -> dict[str, tuple[int, bool]]:
        """Where each sequence stands; the sign makes a descending one comparable."""
        found = {}
        query = """SELECT quote_ident(nspname) || '.' || quote_ident(relname), sign(seqincrement)::int FROM pg_sequence
            JOIN pg_class c ON c.oid = seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace"""
        for name, sign in self.admin.execute(query).fetchall():
            last, called = self.admin.execute(f"SELECT last_value, is_called FROM {name}".encode()).fetchall()[0]
            found[name] = (last * sign, called)
        return found


def statements(text: str, name: str) -> list[tuple[str, Json]]:
    """File and statement, as the runbook knows them."""
    if not text.strip():
        return []
    script = read(name, text.encode(), history_table="")
    return [(name, {"sql": one.sql, "line": one.line, "kind": one.kind}) for one in script.statements]


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """What opens the file for rows that do not fit."""
    with file.open("wb") as out:
        yield lambda: Writer(out)


def kept(file: Path) -> dict[tuple[str, str], list[str]]:
    """The rows of a file by table and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    with archive.reading(file) as saved:
        for part in saved.parts:
            found.setdefault((part["table"], part["why"]), []).extend(lines(saved.rows(part)))
    return found


def lines(blocks: Iterator[bytes]) -> list[str]:
    return io.BytesIO(b"".join(blocks)).read().decode().splitlines()


def parts(file: Path) -> dict[tuple[str, str], list[str]]:
    """The rows of a save by table and kind."""
    with archive.reading(file) as saved:
        return {(part["table"], part["kind"]): lines(saved.rows(part)) for part in saved.parts}


__all__: Sequence[str] = ["Bench", "Case", "Rows", "differing", "kept", "lines", "parts", "statements"]
