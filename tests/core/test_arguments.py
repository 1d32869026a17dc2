"""Every argument of every public method: what a text may be, and what refuses the rest.

Goes by the signatures, so that a new method is covered too. A new name of a parameter needs a
line in ``SAMPLES``.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kycli import Kycore
from kycli.core.dump.records import KeyRecord, ScopeRecord
from kycli.core.durations import shown
from kycli.errors import KycliError

NOW = 1_700_000_000_000
DAY_AGO = "2023-11-13 22:13:20"

Make = Callable[[str], str]

# What an argument of that name may be; every text in it comes from ``make``.
SAMPLES: dict[str, Callable[[Make], Any]] = {
    # texts
    "after": lambda make: make("k"),
    "columns": lambda make: [make("b")],
    "command": lambda make: make("x"),
    "delimiter": lambda make: make(","),
    "encoding": lambda make: make("latin-1"),
    "format": lambda make: make("jsonl"),
    "key_column": lambda make: make("key"),
    "name": lambda make: make("k"),
    "on_error": lambda make: make("skip"),
    "quote": lambda make: make("'"),
    "rejects": lambda make: make("/nowhere/rejects"),
    "scope_column": lambda make: make("scope"),
    "time_column": lambda make: make("changed"),
    "source": lambda make: make(str(Path(__file__).with_name("rows.csv"))),
    "table": lambda make: make("t"),
    "value_column": lambda make: make("value"),
    "at": lambda make: make("1s ago"),
    "glob": lambda make: make("k*"),
    "key": lambda make: make("k"),
    "on_conflict": lambda make: make("overwrite"),
    "pattern": lambda make: make("k.*"),
    "prefix": lambda make: make("k"),
    "query": lambda make: make("word"),
    "scope": lambda make: make("alpha.default"),
    "since": lambda make: make("2s ago"),
    "suffix": lambda make: make("more"),
    "time": lambda make: make("1s ago"),
    "timeout": lambda make: make("5m"),
    "timestamp": lambda make: make("1s ago"),
    "to_prefix": lambda make: make("new:"),
    "to_key": lambda make: make("to"),
    "to_scope": lambda make: make("beta"),
    "ttl": lambda make: make("5m"),
    "until": lambda make: make("1s ago"),
    "field": lambda make: make("a.b"),
    "order": lambda make: make("-a,@key"),
    "where": lambda make: make("a > 0 or @value = 1"),
    # what holds texts
    "keys": lambda make: [make("k"), make("list")],
    "operations": lambda make: [
        {"op": make("replace"), "path": make("/a"), "value": 2},
        {"op": make("copy"), "path": make("/b"), "from": make("/a")},
    ],
    "pairs": lambda make: {make("k"): 1, make("new"): 2},
    # the rest
    "batch": lambda make: 1,
    "checkpoint": lambda make: (make("k"), lambda change: "state"),
    "header": lambda make: True,
    "plain": lambda make: True,
    "rejected": lambda make: lambda error: None,
    "resume": lambda make: True,
    "records": lambda make: [
        ScopeRecord(make("fresh"), {}),
        KeyRecord("fresh", make("k"), 1, 1, 5),
    ],
    "values_only": lambda make: False,
    "rows": lambda make: [(make("k"), 1), (make("new"), 2, make("alpha"), None, 5)],
    "all_scopes": lambda make: False,
    "archive": lambda make: False,
    "archive_days": lambda make: 1,
    "attempts": lambda make: 2,
    "existing": lambda make: make("keep"),
    "extra": lambda make: make("ignore"),
    "model": lambda make: False,
    "move_to": lambda make: make("moved"),
    "schema": lambda make: {make("a"): make("int")},
    "strict": lambda make: False,
    "by": lambda make: 1,
    "change": lambda make: 1,
    "landed": lambda make: [0],
    "default": lambda make: "default",
    "dry_run": lambda make: True,
    "force": lambda make: True,
    "function": lambda make: lambda value: value,
    "history": lambda make: False,
    "history_days": lambda make: 1,
    "history_versions": lambda make: 1,
    "if_absent": lambda make: True,
    "if_version": lambda make: 1,
    "include_expired": lambda make: True,
    "keys_only": lambda make: True,
    "limit": lambda make: 5,
    "most": lambda make: 5,
    "seen": lambda make: 1,
    "upto": lambda make: 9,
    "other": lambda make: make("beta"),
    "overwrite": lambda make: True,
    "patch": lambda make: {"b": 1},
    "pid": lambda make: 1,
    "told": lambda make: False,
    "progress": lambda make: lambda done, of: None,
    "repair": lambda make: True,
    "retention_days": lambda make: 1,
    "reverse": lambda make: True,
    "snippets": lambda make: True,
    "unique": lambda make: True,
    "vacuum": lambda make: False,
    "value": lambda make: 1,
    "version": lambda make: 1,
}
# Where an argument of that name is something else, or another one makes more sense.
SAMPLES_OF: dict[str, dict[str, Callable[[Make], Any]]] = {
    "append": {"key": lambda make: make("text")},
    "backup": {
        "path": lambda make: make("/dev/null"),
        "keep": lambda make: 2,
    },
    "create_cache": {"scope": lambda make: make("shop.new")},
    "create_table": {"keys": lambda make: make("d*")},
    "set_schema": {"keys": lambda make: make("d*")},
    "drop_schema": {"keys": lambda make: make("d*")},
    "json_schema": {"keys": lambda make: make("d*")},
    "diff_versions": {"other": lambda make: 2},
    "drop_cache": {"scope": lambda make: make("shop.cart")},
    "export_data": {"path": lambda make: make("/dev/null"), "format": lambda make: make("json")},
    "get_path": {"path": lambda make: make("doc.a")},
    "import_data": {
        "format": lambda make: make("csv"),
        "dry_run": lambda make: False,
        "progress": lambda make: lambda *so_far: None,
    },
    "import_rows": {
        "source": lambda make: make("elsewhere"),
        "progress": lambda make: lambda rows: None,
        "dry_run": lambda make: False,
    },
    "incr": {"key": lambda make: make("number")},
    "json_patch": {"path": lambda make: make("doc"), "key": lambda make: make("doc")},
    "merge_patch": {"path": lambda make: make("doc"), "key": lambda make: make("doc")},
    "patch": {"path": lambda make: make("doc.a")},
    "push": {"key": lambda make: make("list"), "path": lambda make: make("$")},
    "remove": {"key": lambda make: make("list"), "path": lambda make: make("$")},
    "set_cache": {"scope": lambda make: make("shop.cart")},
}
MAPPING = ("__getitem__", "__setitem__", "__delitem__", "__contains__")
METHODS = [
    name
    for name, member in sorted(inspect.getmembers(Kycore, callable))
    if (not name.startswith("_") or name in MAPPING) and name != "close"
]


def parameters(method: str) -> Iterator[inspect.Parameter]:
    yield from list(inspect.signature(getattr(Kycore, method)).parameters.values())[1:]


def sample(method: str, parameter: str) -> Callable[[Make], Any]:
    named = SAMPLES_OF.get(method, {}).get(parameter) or SAMPLES.get(parameter)
    assert named is not None, f"add a sample of what the {parameter!r} of {method} may be"
    return named


def populated() -> Kycore:
    """Return a store with something in it for every method."""
    now = NOW - 10_000
    store = Kycore(":memory:", clock=lambda: now)
    store.create_cache("shop.cart", 60)
    for scope in ("default", "alpha"):
        for value in (0, {"a": 1}):
            store.save("k", value, scope=scope)
            store.save("doc", {"a": value}, scope=scope)
        store.save_many({"list": [1], "number": 1, "text": "word"}, scope=scope)
    now = NOW
    return store


def outcome(store: Kycore, method: str, arguments: dict[str, Any]) -> Any:
    """Return what a call answers, or the type and message of the error that it raises."""
    signature = inspect.signature(getattr(Kycore, method))
    bound = signature.bind(store, **arguments) if method not in MAPPING else None
    try:
        if bound is None:
            answer = getattr(Kycore, method)(store, *arguments.values())
        else:
            answer = getattr(Kycore, method)(*bound.args, **bound.kwargs)
        if inspect.iscoroutine(answer):
            answer = asyncio.run(answer)
        return list(answer) if isinstance(answer, Iterator) else answer
    except KycliError as error:
        return type(error), str(error)


def state(store: Kycore) -> list[Any]:
    return [
        (scope, list(store.entries(scope=scope)), store.get_history(scope=scope))
        for scope in store.scopes()
    ] + [store.caches(), store.scope_settings(), store.schema(scope="alpha")]


def texts(answer: Any) -> Iterator[str]:
    if isinstance(answer, str):
        yield answer
    elif isinstance(answer, dict):
        yield from texts(list(answer.items()))
    elif isinstance(answer, (list, tuple)):
        for part in answer:
            yield from texts(part)


class Odd(str):
    """A text that behaves as another one wherever it can."""

    __slots__ = ()

    def __str__(self) -> str:
        return "odd"

    __repr__ = __str__

    def __format__(self, how: str) -> str:
        return "odd"

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 7


def member(text: str) -> str:
    made: str = enum.StrEnum("Member", {"NAME": text}).NAME  # type: ignore[attr-defined]
    return made


def mixed_in(text: str) -> str:
    """Return a member of an enum as they were made before there was StrEnum."""
    made: str = enum.Enum("Mixed", {"NAME": text}, type=str).NAME  # type: ignore[attr-defined]
    return made


# Odd lies about all that an enum changes, and more.
@pytest.mark.parametrize(
    "make", [Odd, *(pytest.param(make, marks=pytest.mark.soak) for make in (member, mixed_in))]
)
@pytest.mark.parametrize("method", METHODS)
def test_a_text_of_a_subclass_is_the_text_that_it_holds(method: str, make: Make) -> None:
    needed = {
        each.name: sample(method, each.name)
        for each in parameters(method)
        if each.default is inspect.Parameter.empty
    }
    for each in parameters(method):
        given = {**needed, each.name: sample(method, each.name)}
        if not any(type(text) is not str for of in given.values() for text in texts(of(make))):
            continue  # no text is given
        with populated() as plain, populated() as other:
            expected = outcome(plain, method, {name: of(str) for name, of in given.items()})
            found = outcome(other, method, {name: of(make) for name, of in given.items()})
            # Objects without an equality of their own print what they are.
            assert repr(found).partition(" at 0x")[0] == repr(expected).partition(" at 0x")[0]
            assert state(other) == state(plain)
            for text in texts([found, state(other)]):
                assert type(text) is str


@pytest.mark.parametrize("make", [member, mixed_in, Odd])
def test_a_store_is_opened_by_texts_of_a_subclass(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "kycli.db"
    durability: Any = make("full")
    with Kycore(
        make(str(path)), scope=make("alpha.default"), durability=durability, command=make("x")
    ) as store:
        store.save("k", 1)
        assert [type(text) for text in (store.path, store.scope)] == [str, str]
        assert (store.path, store.scope) == (str(path), "alpha")
        assert store.get_history("k")[0].command == "x"
    with Kycore(make(":memory:")) as store:
        assert store.path == ":memory:"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kycli.db"]


@pytest.mark.parametrize("make", [member, mixed_in, Odd])
@pytest.mark.parametrize(
    "document", [lambda text: text, lambda text: [text], lambda text: {text: 1}]
)
def test_a_value_of_a_subclass_is_refused_because_its_type_would_be_lost(
    store: Kycore, make: Make, document: Callable[[str], Any]
) -> None:
    for call in (
        lambda value: store.save("k", value),
        lambda value: store.save_many({"k": value}),
        lambda value: store.getset("k", value),
        lambda value: store.push("list", value),
        lambda value: store.patch("doc.a", value),
    ):
        with pytest.raises(TypeError):
            call(document(make("value")))
    assert list(store) == []


# What no argument is prepared for, or only that of some parameters.
ODD: list[Any] = [
    *(None, True, 5, -1, 0, 2**63, -(2**63) - 1, 2**64, 10**5000, -(10**5000)),
    *(1.5, -0.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 1j),
    *("", "\ud800", "x\0y", "a" * 5000, "9" * 5000, "-1", "[", "a.b.c", "$", " "),
    *(b"", b"\xff", bytearray(b"x"), object(), object, len, (), {}, [], [[]], {1}),
    *([10**5000], ["\ud800"], {"\ud800": 1}, {1: 2}, [("k",)], [("k", 1, 2)], [None], ["ab"]),
    *(datetime.min, datetime.max, datetime(2023, 1, 1, tzinfo=UTC), Path("x"), range(3)),
    *(member("k"), [{"op": "add"}], [{"op": 5}], [{"op": "add", "path": 5, "value": 1}]),
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_whatever_is_given_is_done_or_refused_by_an_error_of_ours(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    needed = {
        each.name: sample(method, each.name)(str)
        for each in parameters(method)
        if each.default is inspect.Parameter.empty
    }
    with populated() as store:
        for each in parameters(method):
            for value in [*ODD, iter([5]), (part for part in "ab")]:
                if each.name in ("function", "progress", "rejected") and callable(value):
                    continue  # raises errors of its own
                try:
                    outcome(store, method, {**needed, each.name: value})
                except Exception as error:
                    pytest.fail(
                        f"{each.name}={shown(value)}: {type(error).__name__}: {error!s:.200}"
                    )


@pytest.mark.parametrize("parameter", list(inspect.signature(Kycore).parameters))
def test_whatever_is_given_to_open_a_store_is_taken_or_refused_by_an_error_of_ours(
    parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KYCLI_DB_PATH", str(tmp_path / "default.db"))
    odd = [value for value in ODD if parameter != "clock" or not callable(value)]
    for value in [*odd, lambda: None, lambda: 2**63, lambda: "now"]:
        try:
            with Kycore(**{"db_path": ":memory:", parameter: value}) as store:
                store.save("k", 1)
        except KycliError:
            pass


def test_text_is_no_pair() -> None:
    with Kycore(":memory:") as store:
        for pair in ("ab", b"ab"):
            with pytest.raises(TypeError, match="pairs of key and value"):
                store.save_many([pair])  # type: ignore[list-item]
        assert store.save_many([["a", 1], ("b", 2)]) == 2  # type: ignore[list-item]


def test_what_the_iterable_of_pairs_raises_is_raised(store: Kycore) -> None:
    def pairs() -> Iterator[tuple[str, int]]:
        yield "k", 1
        raise TypeError("of the caller's")

    with pytest.raises(TypeError, match="of the caller's"):
        store.save_many(pairs())
    assert list(store) == []
