"""A complete export of a store with any history: the import answers as the store did."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import apsw
import invariants
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kycli import Kycore
from kycli.errors import KycliError

# Later than the real time, which is that of plain SQL: a clock that was set back.
START = 2_000_000_000_000
SCOPES = ("default", "a.cart", "b", "fold")
KEYS = ("k", "K", "l", "m")
VALUES: tuple[Any, ...] = (
    *(1, 1.0, True, None, "x", "", b"\0\xff", float("inf"), 10**30, [], {"b": 1, "a": [None, 1.0]}),
    *("L" * 600, b"M" * 5000, ["N" * 700], {"$base64": "x"}, "a\nb\r\0"),
)

DEFINITIONS: tuple[Any, ...] = ("any", "int", "str?", "list", {"b": "any?"})
EXISTING = ("refuse", "keep", "reject", "keep")

Operation = tuple[str, int, int, int]
OPERATIONS = (
    *("save", "save", "save", "delete", "delete", "expire", "persist", "restore", "restore_at"),
    *("undo", "move", "push", "together", "rename", "limit", "compact", "cache", "uncache"),
    *("wait", "wait", "wait_long", "sql", "sql_delete", "back", "drop", "import"),
    *("schema", "schema", "unschema"),
)
WITHOUT_SQL = tuple(name for name in OPERATIONS if not name.startswith("sql"))


def operations(names: tuple[str, ...] = OPERATIONS) -> st.SearchStrategy[list[Operation]]:
    return st.lists(
        st.tuples(st.sampled_from(names), st.integers(0, 3), st.integers(0, 3), st.integers(0, 63)),
        max_size=24,
    )


class Run:
    """A store to which operations are done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = START
        self.store = Kycore(path, clock=lambda: self.now)
        self.rows = 0

    def sql(self, statement: str, *bindings: Any) -> None:
        connection = apsw.Connection(str(self.path))
        try:
            connection.execute(statement, bindings)
        finally:
            connection.close()

    def do(self, operation: Operation) -> None:
        name, one, two, number = operation
        scope, key, value = SCOPES[one], KEYS[two], VALUES[number % len(VALUES)]
        with suppress(KycliError, apsw.ConstraintError):
            self.actions(scope, key, value, number)[name]()
        self.now += 1000

    def actions(self, scope: str, key: str, value: Any, number: int) -> dict[str, Any]:
        kv = self.store
        other = SCOPES[number % 4]
        ago = self.now - number * 700

        def together() -> None:
            with kv.transaction():
                kv.save(key, value, scope=scope)
                self.now += 10
                kv.save("both", value, scope=other)

        def wait(seconds: float) -> None:
            self.now += round(seconds * 1000)

        def schema() -> None:
            kv.set_schema(scope, DEFINITIONS[number % 5], existing=EXISTING[KEYS.index(key)])

        return {
            "schema": schema,
            "unschema": lambda: kv.drop_schema(scope),
            "save": lambda: kv.save(key, value, scope=scope),
            "delete": lambda: kv.delete(key, scope=scope),
            "expire": lambda: kv.expire(key, 1 + number, scope=scope),
            "persist": lambda: kv.persist(key, scope=scope),
            "restore": lambda: kv.restore(key, scope=scope),
            "restore_at": lambda: kv.restore_to(ago / 1000, scope=scope),
            "undo": lambda: kv.undo(scope=scope),
            "move": lambda: kv.move(key, "moved", scope=scope, to_scope=other, overwrite=True),
            "push": lambda: kv.push("list", number, scope=scope),
            "together": together,
            "rename": lambda: kv.rename_scope(scope, "renamed"),
            "limit": lambda: kv.set_scope(scope, history_versions=1 + number % 3),
            "compact": lambda: kv.compact(number / 86_400 / 4, vacuum=False),
            "cache": lambda: kv.create_cache("a.cart", 20),
            "uncache": lambda: kv.drop_cache("a.cart"),
            "wait": lambda: wait(number),
            "wait_long": lambda: wait(number * 1000),
            "sql": lambda: self.sql(
                "REPLACE INTO kvstore (scope, key, value) VALUES (?, ?, ?)", scope, key, number
            ),
            "sql_delete": lambda: self.sql("DELETE FROM kvstore WHERE key = ?", key),
            "back": lambda: wait(-5),
            "drop": lambda: kv.drop_scope(scope),
            "import": lambda: kv.import_rows([(key, value, scope), ("new", number, scope)]),
        }


def outcome(call: Callable[[], Any]) -> str:
    """Return what a call answers, or how it fails."""
    try:
        return repr(call())
    except KycliError as error:
        return f"{type(error).__name__}: {error}"


def listed(call: Callable[..., Any], *given: Any, **named: Any) -> list[Any]:
    return list(call(*given, **named))


def answers(kv: Kycore, now: int) -> Iterator[str]:
    """Yield what the store says of itself."""
    yield repr(kv.scopes())
    yield repr((kv.caches(), kv.scope_settings()))
    yield repr([(scope, kv.schema(scope=scope)) for scope in kv.schemas()])
    times = set()
    for scope in (*SCOPES, "renamed"):
        history = kv.get_history(scope=scope)
        yield f"{scope}: {kv.scope_settings(scope)!r}"
        yield repr([*kv.entries(scope=scope)])
        yield from map(repr, history)
        yield repr(kv.search("x", scope=scope))
        for key in (*KEYS, "moved", "list", "both"):
            yield outcome(partial(kv.get_history, key, scope=scope))
        times |= {(now - seconds * 4000) / 1000 for seconds in range(8)}
    for time in sorted(times):
        for scope in SCOPES:
            for key in KEYS:
                yield outcome(partial(kv.get_entry, key, scope=scope, at=time))
            yield outcome(partial(listed, kv.differences, time, scope=scope))
            yield outcome(partial(listed, kv.diff_times, time, scope=scope))


@contextmanager
def stores(history: list[Operation]) -> Iterator[tuple[Run, Run]]:
    """Give a store to which operations were done, and an empty one."""
    with tempfile.TemporaryDirectory() as directory:
        run, copy = Run(Path(directory) / "a.db"), Run(Path(directory) / "b.db")
        run.sql("INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES ('fold', 1, 5)")
        for operation in history:
            run.do(operation)
        copy.now = run.now
        try:
            yield run, copy
        finally:
            for one in (run, copy):
                one.store.close()
                invariants.check(one.path)


def exported(run: Run, **options: Any) -> bytes:
    file = io.BytesIO()
    run.store.export_data(file, "kycli", all_scopes=True, **options)
    return file.getvalue()


@settings(max_examples=examples(40))
@given(history=operations(), after=operations(WITHOUT_SQL))
def test_an_import_with_history_answers_as_the_store_did(
    history: list[Operation], after: list[Operation]
) -> None:
    with stores(history) as (run, copy):
        file = exported(run, history=True)
        copy.store.import_data(io.BytesIO(file), format="kycli")
        assert [*answers(copy.store, copy.now)] == [*answers(run.store, run.now)]
        for operation in after:  # undo and restore do the same, too
            run.do(operation)
            copy.do(operation)
        assert [*answers(copy.store, copy.now)] == [*answers(run.store, run.now)]
        assert copy.store.check() == []


@settings(max_examples=examples(40))
@given(history=operations())
def test_an_import_without_history_has_the_same_keys(history: list[Operation]) -> None:
    with stores(history) as (run, copy):
        both = run.store, copy.store
        copy.store.import_data(io.BytesIO(exported(run, archive=True)), format="kycli")
        assert copy.store.scopes() == run.store.scopes()
        assert copy.store.caches() == run.store.caches()
        for scope in (*SCOPES, "renamed"):
            assert copy.store.schema(scope=scope) == run.store.schema(scope=scope)
        for scope in run.store.scopes():
            assert repr([*copy.store.entries(scope=scope)]) == repr(
                [*run.store.entries(scope=scope)]
            )
            assert copy.store.scope_settings(scope) == run.store.scope_settings(scope)
        assert copy.store.check() == []
        for scope, key in product(SCOPES, KEYS):
            if not run.store.exists(key, scope=scope):
                restored = [outcome(partial(kv.restore, key, scope=scope)) for kv in both]
                assert restored[0] == restored[1]
                values = [repr(kv.getkey(key, scope=scope)) for kv in both]
                assert values[0] == values[1]
