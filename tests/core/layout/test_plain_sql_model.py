"""Histories of calls and of plain SQL, at random, against a model of what both mean."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import invariants
import pytest
from conftest import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from kycli import Kycore

SCOPES = ("default", "s.t")
KEYS = ("a", "b", "C")
NAMES = st.tuples(st.sampled_from(SCOPES), st.sampled_from(KEYS))
PLAIN = (0, 1, 1.0, "x", "", b"x", None, "[1]", "L" * 600, "M" * 600, b"N" * 600)
ANY = (*PLAIN, True, False, [1], {"a": "L" * 600})
INLINE_MAX = 512

# Executes scripts that it is given, one JSON a line, and answers with an error or null.
PROGRAM = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute(f"PRAGMA recursive_triggers = {sys.argv[2]}")
for line in sys.stdin:
    error = None
    for statement in json.loads(line):
        try:
            connection.execute(statement)
        except sqlite3.Error as failure:
            error = str(failure)
            break
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    print(json.dumps(error), flush=True)
"""

Name = tuple[str, str]


class RefusedError(Exception):
    """SQLite is to refuse a statement."""


class Item(NamedTuple):
    """A key in the model.

    Attributes:
        in_log: whether the value is kept in the log.
        shown: whether other programs see it all the same, as one of them has written it.
    """

    value: Any
    version: int
    expires_at: float
    in_log: bool
    shown: bool = False


class Model:
    """What there is and what was.

    Attributes:
        left: the version that each key that is gone had.
        log: what happened to each key, oldest first: operation, version, value.
    """

    def __init__(self, recursive: bool) -> None:
        self.recursive = recursive
        self.items: dict[Name, Item] = {}
        self.left: dict[Name, int] = {}
        self.log: dict[Name, list[tuple[str, int, Any]]] = {}

    def note(self, name: Name, op: str, version: int, value: Any) -> None:
        self.log.setdefault(name, []).append((op, version, value))

    def put(self, name: Name, value: Any, expires_at: float, in_log: bool) -> None:
        before = self.items.get(name)
        version = (self.left.get(name, 0) if before is None else before.version) + 1
        self.note(name, "created" if before is None else "overwritten", version, value)
        self.items[name] = Item(value, version, expires_at, in_log)

    def renew(self, name: Name, expires_at: float) -> None:
        item = self.items[name]
        if item.expires_at != expires_at:
            self.note(name, "lifetime", item.version, item.value)
            self.items[name] = item._replace(expires_at=expires_at, shown=False)

    def remove(self, name: Name) -> None:
        item = self.items.pop(name, None)
        if item is not None:
            self.left[name] = item.version
            self.note(name, "deleted", item.version, None)

    # -- calls

    def save(self, name: Name, value: Any, expires_at: float) -> None:
        item = self.items.get(name)
        if item is not None and same(item.value, value):
            self.renew(name, expires_at)
        else:
            self.put(name, value, expires_at, size(value) > INLINE_MAX)

    def move(self, name: Name, to: Name) -> None:
        item = self.items[name]
        self.save(to, item.value, item.expires_at)
        self.remove(name)

    # -- statements

    def insert(self, name: Name, value: Any, conflict: str) -> str:
        if name in self.items:
            if conflict == "":
                raise RefusedError
            if conflict == "OR IGNORE":
                return insert(conflict, name, value)
            if self.recursive:
                self.remove(name)
        self.put(name, value, math.inf, False)
        return insert(conflict, name, value)

    def upsert(self, name: Name, value: Any) -> str:
        sql = f"{insert('', name, value)} ON CONFLICT DO UPDATE SET value = excluded.value"
        if name in self.items:
            self.overwrite(name, value)
        else:
            self.put(name, value, math.inf, False)
        return sql

    def update(self, name: Name, value: Any) -> str:
        if name in self.items:
            self.overwrite(name, value)
        return f"UPDATE kvstore SET value = {literal(value)} WHERE {where(name)}"

    def overwrite(self, name: Name, value: Any) -> None:
        item = self.items[name]
        if item.in_log and value is None:
            raise RefusedError
        if type(item.value) is bool and type(value) is int:
            value = bool(value)
        if type(item.value) in (list, dict) and type(value) is str and value[:1] == "[":
            value = json.loads(value)
        if not same(item.value, value):
            self.put(name, value, item.expires_at, False)
        elif item.in_log:
            self.items[name] = item._replace(shown=True)

    def expire(self, name: Name, expires_at: float) -> str:
        item = self.items.get(name)
        if item is not None and item.expires_at != expires_at:
            self.renew(name, expires_at)
            in_log = item.in_log and not item.shown
            self.items[name] = self.items[name]._replace(in_log=in_log)
        at = "NULL" if expires_at == math.inf else str(expires_at)
        return f"UPDATE kvstore SET expires_at = {at} WHERE {where(name)}"

    def rename(self, name: Name, to: Name, conflict: str) -> str:
        sql = (
            f"UPDATE {conflict} kvstore SET scope = '{to[0]}', key = '{to[1]}' WHERE {where(name)}"
        )
        if name not in self.items or name == to:
            return sql
        if to in self.items:
            if conflict == "":
                raise RefusedError
            if conflict == "OR IGNORE":
                return sql
            if self.recursive:
                self.remove(to)
        item = self.items[name]
        self.put(to, item.value, item.expires_at, item.in_log and not item.shown)
        self.remove(name)
        return sql

    def delete(self, name: Name) -> str:
        self.remove(name)
        return f"DELETE FROM kvstore WHERE {where(name)}"

    def clear(self, scope: str) -> str:
        for name in sorted(self.items):
            if name[0] == scope:
                self.remove(name)
        return f"DELETE FROM kvstore WHERE scope = '{scope}'"

    def copy(self, scope: str, to_scope: str) -> str:
        for (key_scope, key), item in sorted(self.items.items()):
            if key_scope == scope:
                if self.recursive:
                    self.remove((to_scope, key))
                value = int(item.value) if type(item.value) is bool else item.value
                value = json.dumps(value, separators=(",", ":")) if kind(value) == "doc" else value
                value = None if item.in_log and not item.shown else value
                self.put((to_scope, key), value, math.inf, False)
        return (
            f"INSERT OR REPLACE INTO kvstore (scope, key, value) "
            f"SELECT '{to_scope}', key, value FROM kvstore WHERE scope = '{scope}'"
        )


def kind(value: Any) -> str:
    return "doc" if type(value) in (list, dict) else type(value).__name__


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def size(value: Any) -> int:
    return len(json.dumps(value)) if kind(value) == "doc" else len(value or "") if isinstance(
        value, (str, bytes, type(None))) else 8  # fmt: skip


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return f"'{value}'" if isinstance(value, str) else repr(value)


def where(name: Name) -> str:
    return f"scope = '{name[0]}' AND key = '{name[1]}'"


def insert(conflict: str, name: Name, value: Any) -> str:
    return (
        f"INSERT {conflict} INTO kvstore (scope, key, value) "
        f"VALUES ('{name[0]}', '{name[1]}', {literal(value)})"
    )


# When keys expire: long after the test, and never in a namespace that is no cache.
LATER = st.sampled_from([math.inf, (round(time.time()) + 10**6) * 1000])
CONFLICTS = st.sampled_from(["", "OR IGNORE", "OR REPLACE"])
VALUES = st.sampled_from(PLAIN)
STEP = st.one_of(
    st.tuples(st.just("insert"), NAMES, VALUES, CONFLICTS),
    st.tuples(st.just("upsert"), NAMES, VALUES),
    st.tuples(st.just("update"), NAMES, VALUES),
    st.tuples(st.just("expire"), NAMES.filter(lambda name: name[0] == "default"), LATER),
    st.tuples(st.just("rename"), NAMES, NAMES, CONFLICTS),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("clear"), st.sampled_from(SCOPES)),
    st.tuples(st.just("copy"), st.just("default"), st.just("s.t")),
)


class PlainSqlMachine(RuleBasedStateMachine):
    recursive = False

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "kycli.db"
        self.store = Kycore(self.path)
        for _ in range(20):
            self.store.getkey("warm")
        command = [sys.executable, "-S", "-c", PROGRAM, str(self.path), str(int(self.recursive))]
        self.program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.model = Model(self.recursive)

    def execute(self, statements: list[str]) -> str | None:
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(json.dumps(statements) + "\n")
        self.program.stdin.flush()
        error: str | None = json.loads(self.program.stdout.readline())
        return error

    # -- by plain SQL

    @rule(step=STEP)
    def statement(self, step: tuple[Any, ...]) -> None:
        self.transaction([step], True, False)

    @rule(steps=st.lists(STEP, max_size=5), commit=st.booleans())
    def several(self, steps: list[tuple[Any, ...]], commit: bool) -> None:
        self.transaction(steps, commit, True)

    def transaction(self, steps: list[tuple[Any, ...]], commit: bool, begin: bool) -> None:
        model, statements, refused = copy.deepcopy(self.model), ["BEGIN"] * begin, False
        for name, *arguments in steps:
            if name == "rename" and not self.may_move(model, *arguments[:2]):
                continue
            try:
                statements.append(getattr(model, name)(*arguments))
            except RefusedError:
                # What it would have been, the model does not say: the same on a copy.
                lenient = copy.deepcopy(self.model)
                lenient.items = {}
                statements.append(getattr(lenient, name)(*arguments)
                                  if name != "rename" else rename_text(*arguments))  # fmt: skip
                refused = True
                break
        error = self.execute([*statements, *["COMMIT"] * (begin and commit)])
        assert (error is not None) == refused, (statements, error)
        if not refused and commit:
            self.model = model

    @staticmethod
    def may_move(model: Model, name: Name, to: Name) -> bool:
        """Whether an expiry, if there is one, may go where the key goes."""
        item = model.items.get(name)
        return item is None or item.expires_at == math.inf or to[0] == "default"

    # -- by calls

    @rule(name=NAMES, value=st.sampled_from(ANY), later=st.booleans())
    def save(self, name: Name, value: Any, later: bool) -> None:
        ttl = 10**6 if later and name[0] == "default" else None
        self.store.save(name[1], value, ttl=ttl, scope=name[0])
        entry = self.store.get_entry(name[1], scope=name[0])
        assert entry is not None
        self.model.save(name, value, entry.expires_at or math.inf)

    @rule(name=NAMES)
    def delete(self, name: Name) -> None:
        assert self.store.delete(name[1], scope=name[0]) == (name in self.model.items)
        self.model.remove(name)

    @rule(name=NAMES, to=NAMES)
    def move(self, name: Name, to: Name) -> None:
        if name != to and name in self.model.items and self.may_move(self.model, name, to):
            self.store.move(name[1], to[1], scope=name[0], to_scope=to[0], overwrite=True)
            self.model.move(name, to)

    @rule(name=NAMES)
    def restore(self, name: Name) -> None:
        """Bring back what was there before, whoever wrote it."""
        values = [value for op, _, value in self.model.log.get(name, []) if op != "deleted"]
        item = self.model.items.get(name)
        if item is not None:
            values = [value for value in values if not same(value, item.value)]
        if not values:
            return
        assert self.store.restore(name[1], scope=name[0]) == "restored"
        entry = self.store.get_entry(name[1], scope=name[0])
        assert entry is not None
        version = (self.model.left.get(name, 0) if item is None else item.version) + 1
        expires_at = entry.expires_at or math.inf
        in_log = size(values[-1]) > INLINE_MAX
        self.model.items[name] = Item(values[-1], version, expires_at, in_log)
        self.model.note(name, "restored", version, values[-1])

    # -- what must hold after each step

    @invariant()
    def keys_are_the_models(self) -> None:
        for scope in SCOPES:
            for key in KEYS:
                item = self.model.items.get((scope, key))
                found = self.store.getkey(key, "missing", scope=scope)
                assert same(found, "missing" if item is None else item.value)
            entries = {entry.key: entry for entry in self.store.entries(scope=scope)}
            items = {
                key: item
                for (key_scope, key), item in self.model.items.items()
                if key_scope == scope
            }
            assert entries.keys() == items.keys()
            for key, entry in entries.items():
                assert same(entry.value, items[key].value)
                assert entry.version == items[key].version
                assert (entry.expires_at or math.inf) == items[key].expires_at

    @rule()
    def look_back(self) -> None:
        for scope in SCOPES:
            for key in KEYS:
                changes = reversed(self.store.get_history(key, scope=scope))
                told = [(c.operation, c.version, c.value) for c in changes]
                assert told == self.model.log.get((scope, key), [])

    @rule()
    def search(self) -> None:
        found = {(hit.scope, hit.key) for hit in self.store.search_hits("x", all_scopes=True)}
        assert found == {name for name, item in self.model.items.items() if item.value == "x"}

    def teardown(self) -> None:
        self.look_back()
        self.search()
        assert self.store.check() == []
        self.program.communicate()
        self.store.close()
        invariants.check(self.path)
        self.directory.cleanup()


class RecursiveMachine(PlainSqlMachine):
    recursive = True


def rename_text(name: Name, to: Name, conflict: str) -> str:
    return f"UPDATE {conflict} kvstore SET scope = '{to[0]}', key = '{to[1]}' WHERE {where(name)}"


QUICK = settings(
    max_examples=examples(40),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.usefixtures("_both_statements")
def test_calls_and_plain_sql_do_what_the_model_does() -> None:
    run_state_machine_as_test(PlainSqlMachine, settings=QUICK)


def test_they_do_with_recursive_triggers() -> None:
    run_state_machine_as_test(RecursiveMachine, settings=QUICK)


@pytest.mark.soak
@pytest.mark.parametrize("machine", [PlainSqlMachine, RecursiveMachine])
def test_they_do_for_long(machine: type[PlainSqlMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=2000))
