"""kycli's own format: what an export has, and what an import refuses."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock

from kycli import Kycore
from kycli.errors import (
    ConflictError,
    FormatError,
    InputError,
    KycliError,
    UsageError,
    ValidationError,
)

Lines = list[dict[str, Any]]


def filled(store: Kycore, clock: Clock) -> None:
    """Give a store some of everything."""
    store.save("a", 1)
    clock.now += 1000
    store.save("a", {"b": [b"\xff", None, 1.0]})
    store.save("large", "L" * 5000)
    store.expire("large", 3600)
    store.save("gone", "restorable")
    store.delete("gone")
    store.create_cache("p.cache", 60)
    store.save("cached", "x", scope="p.cache")
    store.set_scope("p", history_days=30)
    with store.transaction():
        store.save("one", "line\nbreak", scope="p")
        store.save("two", "", scope="q")
    clock.now += 1000


def exported(store: Kycore, **options: Any) -> bytes:
    file = io.BytesIO()
    store.export_data(file, "kycli", **{"all_scopes": True, **options})
    return file.getvalue()


def imported(file: bytes, clock: Clock, **options: Any) -> Kycore:
    copy = Kycore(":memory:", clock=clock)
    copy.import_data(io.BytesIO(file), format="kycli", **options)
    return copy


def lines(file: bytes) -> Lines:
    return [json.loads(line) for line in file.splitlines()]


def sealed(records: Lines) -> bytes:
    """Return a file of these lines whose end is right, as another program may write it."""
    text = "".join(json.dumps(record) + "\n" for record in records if record.get("record") != "end")
    counts: dict[str, int] = {}
    for record in records[1:]:
        if record["record"] != "end":
            counts[record["record"]] = counts.get(record["record"], 0) + 1
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text}{json.dumps({'record': 'end', 'records': counts, 'sha256': digest})}\n".encode()


def contents(kv: Kycore) -> list[Any]:
    return [
        (scope, [*kv.entries(scope=scope)], kv.get_history(scope=scope)) for scope in kv.scopes()
    ]


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst"])
def test_everything_comes_back(store: Kycore, clock: Clock, tmp_path: Path, ending: str) -> None:
    filled(store, clock)
    file = tmp_path / f"all.kycli{ending}"
    assert store.export_data(file, "kycli", all_scopes=True, history=True) == 5
    with Kycore(":memory:", clock=clock) as copy:
        done = copy.import_data(file)
        assert (done.read, done.created, done.change) == (5, 5, None)
        assert contents(copy) == contents(store)
        assert copy.caches() == {"p.cache": 60.0}
        assert copy.scope_settings("p")["history_days"] == 30
        assert copy.getkey("a", at=(clock.now - 2000) / 1000) == 1
        assert copy.search("restorable") == {}
        assert copy.search("break", scope="p") == {"one": "line\nbreak"}
        assert copy.restore("gone") == "restored"
        assert copy["gone"] == "restorable"
        assert copy.undo(scope="q") == 2  # both of its keys
        assert copy.check() == []


def test_a_transaction_of_which_a_part_was_exported_cannot_be_undone(
    store: Kycore, clock: Clock
) -> None:
    filled(store, clock)
    with imported(exported(store, all_scopes=False, scope="q", history=True), clock) as copy:
        assert copy.scopes() == ["q"]
        with pytest.raises(KycliError, match="was pruned, so it cannot be undone"):
            copy.undo(scope="q")
        assert copy.check() == []


def test_an_export_of_a_prefix_has_the_history_of_those_keys(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    with imported(exported(store, all_scopes=False, prefix="g", history=True), clock) as copy:
        assert [change.key for change in copy.get_history()] == ["gone", "gone"]
        assert copy.restore("gone") == "restored"
        assert copy.check() == []


def test_without_history_keys_keep_versions_and_times(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    file = exported(store, archive=True)
    clock.now += 5000
    with imported(file, clock) as copy:
        for scope in store.scopes():
            assert [*copy.entries(scope=scope)] == [*store.entries(scope=scope)]
        assert copy.check() == []
        change = copy.get_history("a")[0]
        assert (change.operation, change.command) == ("imported", "import standard input")
        assert copy.undo(change.change) == 5
        assert list(copy) == []
        assert copy.restore("gone") == "restored"
        assert copy.check() == []


def test_keys_that_expired_meanwhile_stay_out(store: Kycore, clock: Clock) -> None:
    store.save("short", 1, ttl=10)
    store.save("long", 1, ttl=100)
    file = exported(store)
    clock.now += 50_000
    copy = Kycore(":memory:", clock=clock)
    with copy:
        done = copy.import_data(io.BytesIO(file), format="kycli")
        assert (done.created, done.skipped, list(copy)) == (1, 1, ["long"])


def test_two_pasts_are_not_mixed(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    file = exported(store, history=True)
    with Kycore(":memory:", clock=clock) as copy:
        copy.save("mine", 1, scope="elsewhere")
        with pytest.raises(ConflictError, match="has a history already"):
            copy.import_data(io.BytesIO(file), format="kycli")
        done = copy.import_data(
            io.BytesIO(exported(store, scope="q", all_scopes=False)), format="kycli"
        )
        assert done.created == 1  # beside other scopes
        with pytest.raises(ConflictError, match="scope 'q' has keys"):
            copy.import_data(
                io.BytesIO(exported(store, scope="q", all_scopes=False)), format="kycli"
            )
        assert copy.scopes() == ["elsewhere", "q"]


def test_the_values_alone_go_anywhere(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    file = exported(store, history=True)
    with Kycore(":memory:", clock=clock) as copy:
        copy.create_cache("p.cache", 5)
        copy.save("a", "mine")
        done = copy.import_data(
            io.BytesIO(file), format="kycli", values_only=True, on_conflict="skip", prefix=""
        )
        assert (done.created, done.skipped, copy["a"]) == (4, 1, "mine")
        assert copy.caches() == {"p.cache": 5.0}
        assert copy.undo(done.change) == 4


def test_one_scope_takes_another_name(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    file = exported(store, all_scopes=False, scope="q", history=True)
    with imported(file, clock, scope="new.place") as copy:
        assert copy.scopes() == ["new.place"]
        assert copy.check() == []
    with pytest.raises(KycliError, match="several scopes"):
        imported(exported(store), clock, scope="x")


def test_a_dry_run_changes_nothing(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    with imported(exported(store, history=True), clock, dry_run=True) as copy:
        assert copy.scopes() == []
        assert copy.get_history() == []


@pytest.mark.parametrize(
    "options",
    [
        {"prefix": "x"},
        {"ttl": 5},
        {"batch": 5},
        {"resume": True},
        {"on_conflict": "skip"},
        {"rejects": "/nowhere/r"},
        {"key_column": "k"},
    ],
)
def test_options_that_would_change_it_are_refused(
    store: Kycore, clock: Clock, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="does not go with a kycli export"):
        imported(exported(store), clock, **options)


@pytest.mark.parametrize("format", ["csv", "jsonl", "nul"])
def test_other_formats_hold_no_history(store: Kycore, tmp_path: Path, format: str) -> None:
    with pytest.raises(UsageError, match="holds no history"):
        store.export_data(tmp_path / "x", format, history=True)
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------- damage


def refused(file: bytes, clock: Clock) -> str:
    """Import what must be refused; return the message."""
    with Kycore(":memory:", clock=clock) as copy:
        with pytest.raises(KycliError) as caught:
            copy.import_data(io.BytesIO(file), format="kycli")
        assert copy.scopes() == []
        assert copy.get_history() == []
        assert copy.check() == []
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.mark.parametrize("history", [True, False])
def test_a_file_with_a_damaged_line_is_refused(store: Kycore, clock: Clock, history: bool) -> None:
    filled(store, clock)
    file = exported(store, history=history, archive=True)
    parts = file.splitlines(keepends=True)
    for number, line in enumerate(parts):
        before, after = b"".join(parts[:number]), b"".join(parts[number + 1 :])
        damaged = {
            "gone": before + after,
            "twice": before + line + line + after,
            "cut": before + line[: len(line) // 2],
            "cut inside": before + line[: len(line) // 2] + b"\n" + after,
            "end": before,
            "other": before + line.replace(b":", b": ", 1) + after,
            "no object": before + b"[1]\n" + after,
            "no text": before + b"\xff" + line + after,
        }
        if number == len(parts) - 1:
            del damaged["other"]  # the end has no digest of its own
        elif number:
            damaged["later"] = before + parts[number + 1] + line + b"".join(parts[number + 2 :])
        for how, text in damaged.items():
            message = refused(text, clock)
            assert message.startswith("standard input"), (how, number, message)
    assert "follows behind the end" in refused(file + b"\n", clock)
    assert "no export of kycli" in refused(b"", clock)


def changed(
    change: Callable[[dict[str, Any]], object], kind: str, which: int = 0
) -> Callable[[Lines], object]:
    """Return what changes one record of a kind."""

    def edit(records: Lines) -> object:
        return change([record for record in records if record.get("record") == kind][which])

    return edit


def swap_times(records: Lines) -> None:
    first, second = [r for r in records if r.get("record") == "change"][-2:]
    first["id"], second["id"] = second["id"], first["id"]


EDITS: dict[str, tuple[Callable[[Lines], object], str]] = {
    "a newer version": (lambda rs: rs[0].update(version=2), "a newer kycli wrote this"),
    "no version": (lambda rs: rs[0].pop("version"), "which version"),
    "an unknown record": (
        lambda rs: rs.insert(1, {"record": "queue", "name": "q"}),
        "line 2: there is no record of kind 'queue'",
    ),
    "an unknown member": (changed(lambda r: r.update(mood="good"), "key"), "no member 'mood'"),
    "a missing member": (changed(lambda r: r.pop("version"), "key"), "lacks 'version'"),
    "an unknown setting": (
        changed(lambda r: r["declared"].update(encrypted=1), "scope", 2),
        "'encrypted' is nothing that can be declared",
    ),
    "a bad setting": (
        changed(lambda r: r["declared"].update(cache_ms=-5), "scope", 2),
        "cache_ms of a scope cannot be -5",
    ),
    "a scope that is none": (changed(lambda r: r.update(scope=["a"]), "key"), "was not declared"),
    "settings that are none": (changed(lambda r: r.update(declared=[]), "scope"), "is an object"),
    "an author that is none": (changed(lambda r: r.update(author=[]), "change"), "author is a"),
    "a bad scope": (changed(lambda r: r.update(scope="a/b"), "scope"), "line 2: bad project name"),
    "an undeclared scope": (changed(lambda r: r.update(scope="zz"), "key"), "was not declared"),
    "a scope twice": (lambda rs: rs.insert(2, rs[1]), "line 3: the scope 'default' is declared"),
    "an empty key": (changed(lambda r: r.update(key=""), "change"), "the key is empty"),
    "no key": (changed(lambda r: r.update(key=5), "key"), "a key is text, not int"),
    "a key with NUL": (changed(lambda r: r.update(key="a\0"), "key"), "NUL"),
    "half a surrogate": (changed(lambda r: r.update(value="\ud800"), "key"), "surrogate"),
    "a key twice": (
        lambda rs: rs.insert(-1, next(r for r in rs if r.get("record") == "key")),
        "is there twice",
    ),
    "before 1970": (changed(lambda r: r.update(time=-1), "change"), "time -1 is before 1970"),
    "the future": (
        changed(lambda r: r.update(time=r["time"] + 10**9), "change", -1),
        "is in the future",
    ),
    "no time": (changed(lambda r: r.update(time="now"), "change"), "time is a whole number"),
    "a time that is none": (changed(lambda r: r.update(time=1 << 63), "change"), "is not a time"),
    "an id twice": (changed(lambda r: r.update(id=1), "change", 2), "does not come after"),
    "changes in another order": (swap_times, "does not come after"),
    "an id that is none": (changed(lambda r: r.update(id=True), "change"), "id is a whole number"),
    "a change of a later one": (
        changed(lambda r: r.update(change=99), "change"), "one that begins later",
    ),
    "a change after itself": (changed(lambda r: r.update(prev=r["id"]), "change", 1), "follows"),
    "an unknown author": (changed(lambda r: r.update(author=9), "change"), "no author 9"),
    "an unknown operation": (changed(lambda r: r.update(op="bypass"), "change"), "cannot be"),
    "a removal with a value": (
        changed(lambda r: r.update(op="deleted"), "change"), "was deleted has no value",
    ),
    "a change without a value": (changed(lambda r: r.pop("value"), "change"), "has a value"),
    "another value": (changed(lambda r: r.update(value=2), "key"), "do not fit together"),
    "another version": (changed(lambda r: r.update(version=7), "key"), "do not fit together"),
    "another archived value": (
        changed(lambda r: r.update(value="other"), "archived"), "do not fit together",
    ),
    "an archived value that lives": (
        changed(lambda r: r.update(op="created"), "archived"), "deleted or expired",
    ),
    "no archived value": (
        lambda rs: rs.remove(next(r for r in rs if r.get("record") == "archived")),
        "do not fit together",
    ),
    "a key that is gone": (
        lambda rs: rs.remove(next(r for r in rs if r.get("record") == "key")),
        "do not fit together",
    ),
    "a change that is gone": (
        lambda rs: rs.remove(next(r for r in rs if r.get("record") == "change")),
        "do not fit together",
    ),
    "a chain to nowhere": (
        changed(lambda r: r.update(prev=1), "change", 2), "do not fit together",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
def test_records_that_another_program_wrote_wrongly_are_refused(
    store: Kycore, clock: Clock, what: str
) -> None:
    filled(store, clock)
    edit, message = EDITS[what]
    records = lines(exported(store, history=True))
    edit(records)
    assert message in refused(sealed(records), clock)


def test_a_file_of_another_program_is_as_good(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    with imported(sealed(lines(exported(store, history=True))), clock) as copy:
        assert contents(copy) == contents(store)


def test_what_is_left_of_a_damaged_file_can_be_read(
    store: Kycore, clock: Clock, tmp_path: Path
) -> None:
    filled(store, clock)
    file = exported(store, all_scopes=False).replace(b'"key":"large"', b'"key":"large')
    with Kycore(":memory:", clock=clock) as copy:
        source = tmp_path / "x.kycli"
        source.write_bytes(file[:-20])
        with pytest.raises(FormatError, match="line 4"):
            copy.import_data(source, values_only=True)
        done = copy.import_data(source, values_only=True, on_error="skip")
        assert (done.created, done.rejected) == (1, 2)
        assert list(copy) == ["a"]


def test_other_stores_of_the_file_notice_an_import(
    store: Kycore, clock: Clock, tmp_path: Path
) -> None:
    filled(store, clock)
    path = tmp_path / "shared.db"
    with Kycore(path, clock=clock) as first, Kycore(path, clock=clock) as second:
        assert second.getkey("a") is None
        assert second.search("break", scope="p") == {}
        first.import_data(io.BytesIO(exported(store, history=True)), format="kycli")
        assert second.getkey("a") == store.getkey("a")
        assert second.search("break", scope="p") == {"one": "line\nbreak"}
        assert second.save("a", 5) == "overwritten"
        assert second.undo() == 1
        assert second.getkey("a") == store.getkey("a")


def test_the_store_itself_notices_what_it_imported(store: Kycore, clock: Clock) -> None:
    filled(store, clock)
    file = exported(store, history=True, all_scopes=False)
    with Kycore(":memory:", clock=clock) as copy:
        assert copy.getkey("a") is None
        assert copy.search("L*") == {}
        with copy.transaction():
            copy.import_data(io.BytesIO(file), format="kycli")
            assert copy.getkey("a") == store.getkey("a")
            assert copy.save("gone", "new") == "created"
        assert copy.get_entry("gone").version == 2  # type: ignore[union-attr]
        assert copy.getkey("large") == "L" * 5000
        assert copy.save("large", "L" * 5000, ttl=3600) == "nochange"
        assert copy.check() == []


def test_an_export_of_nothing_imports_nothing(store: Kycore, clock: Clock) -> None:
    for history in (True, False):
        with imported(exported(store, history=history), clock) as copy:
            assert copy.import_data(io.BytesIO(exported(store)), format="kycli").change is None
            assert [*copy.dump(all_scopes=True, history=True)] == []


def test_limits_hold_after_an_import(store: Kycore, clock: Clock) -> None:
    for number in range(10):
        store.save("k", number)
        clock.now += 1000
    with imported(exported(store, history=True), clock) as copy:
        copy.set_scope("default", history_versions=2)
        assert len(copy.get_history("k")) == 2
        assert copy.check() == []


# ---------------------------------------------------------------- what was written once


VERSION_1 = Path(__file__).with_name("version-1.kycli")
FORMATS = Path(__file__).parents[1] / "formats"


def body(file: bytes) -> Lines:
    """Return the records of a file, with the names of authors for their numbers."""
    records = lines(file)[1:-1]
    authors = {r["id"]: r for r in records if r["record"] == "author"}
    for record in records:
        if "author" in record:
            author = authors[record["author"]]
            record["author"] = author["user"], author["host"], author["command"]
    return [record for record in records if record["record"] != "author"]


def test_a_file_of_version_1_comes_in_for_ever() -> None:
    file = VERSION_1.read_bytes()
    with Kycore(":memory:", clock=lambda: 1_700_000_300_000) as kv:
        done = kv.import_data(VERSION_1)
        assert (done.read, done.created) == (16, 16)
        assert kv["doc"] == {"z": [1, 1.0, b"x", None], "a": {"$base64": 5}}
        assert kv["bytes"] == b"\0\xff"
        assert [(c.value, c.user) for c in kv.get_history("text")][-2:] == [
            ("second ü\n", "ada"),
            ("first", "ada"),
        ]
        assert kv.getkey("twice", at="2023-11-14 22:14:00") == 1
        assert kv.scope_settings("new")["history_versions"] == 2
        assert kv.caches() == {"shop.cart": 60.0}
        schema = kv.schema(scope="users")
        assert schema is not None
        assert (schema.version, schema.updated_at) == (2, 1_700_000_192_000)
        assert body(exported(kv, history=True)) == body(file)
        assert kv.restore("gone") == "restored"
        assert kv.undo(22) == 2  # a transaction over two scopes
        assert kv.check() == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_store_that_came_from_an_earlier_format(tmp_path: Path, number: int) -> None:
    path = tmp_path / "old.sqlite"
    path.write_bytes((FORMATS / f"format-{number}.sqlite").read_bytes())
    with Kycore(path, migrate=True) as old, Kycore(tmp_path / "new.db") as new:
        file = exported(old, history=True)
        new.import_data(io.BytesIO(file), format="kycli")
        assert body(exported(new, history=True)) == body(file)
        assert new.check() == []


# ---------------------------------------------------------------- schemas

DEFINITION = {"name": "str(1..80)", "age": "int?"}


def with_schema(store: Kycore) -> None:
    """Give a store a scope whose schema was changed once, and one whose schema was dropped."""
    store.create_table("users", {"name": "str(1..80)"})
    store.save("ada", {"name": "Ada"}, scope="users")
    store.set_schema("users", DEFINITION)
    store.create_table("old", "int")
    store.save("n", 1, scope="old")
    store.drop_schema("old")
    store.save("plain", "x")


def schema_records(file: bytes) -> list[dict[str, Any]]:
    return [
        record for record in lines(file) if record.get("scope") == "#schemas" and "key" in record
    ]


@pytest.mark.parametrize("history", [False, True])
def test_a_schema_comes_back(store: Kycore, clock: Clock, history: bool) -> None:
    with_schema(store)
    with imported(exported(store, history=history), clock) as copy:
        before, after = store.schema(scope="users"), copy.schema(scope="users")
        assert after == before
        assert after is not None
        assert after.version == 2
        assert copy.schemas() == ["users"]
        with pytest.raises(ValidationError, match="name: expected"):
            copy.save("bob", {"name": ""}, scope="users")
        assert copy.getkey("ada", scope="users") == {"name": "Ada"}
        copy.save("bob", {"name": "Bob"}, scope="users")
        assert copy.getkey("bob", scope="users") == {"name": "Bob", "age": None}
        assert copy.check() == []


def test_versions_of_a_schema_come_back_with_the_history(store: Kycore, clock: Clock) -> None:
    store.save("a", 1, scope="users")
    store.save("b", {"name": "B"}, scope="users")
    store.create_table("users", DEFINITION, existing="reject")
    with imported(exported(store, history=True), clock) as copy:
        change = store.get_history("a", scope="users")[0].change
        assert copy.get_history("a", scope="users")[0].change == change
        assert copy.undo(change) == store.undo(change) == 2  # the key and the schema
        assert copy.schemas() == store.schemas() == []
        assert copy.getkey("a", scope="users") == 1
        assert copy.check() == []


def test_undo_of_an_import_drops_the_schema(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    file = exported(store, scope="users", all_scopes=False)
    with Kycore(":memory:", clock=clock) as copy:
        done = copy.import_data(io.BytesIO(file), format="kycli")
        assert done.created == 1  # a schema is no key
        copy.undo(done.change)
        assert (copy.schemas(), copy.count(scope="users")) == ([], 0)
        assert copy.check() == []


def test_only_the_schemas_of_what_is_exported_are_in_it(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    assert schema_records(exported(store, all_scopes=False, history=True)) == []
    one = schema_records(exported(store, all_scopes=False, scope="users", prefix="b"))
    assert [(record["key"], record["version"]) for record in one] == [("users", 2)]
    assert {r["key"] for r in schema_records(exported(store, history=True))} == {"users", "old"}
    assert {r["key"] for r in schema_records(exported(store, archive=True))} == {"users"}


def test_what_imports_keep_to_go_on_is_in_no_export(
    store: Kycore, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("key,value\n" + "".join(f"k{n},1\n" for n in range(5)) + "bad\n")
    with pytest.raises(FormatError):
        store.import_data(file, batch=2)
    assert store._query("SELECT count(*) FROM kvstore WHERE scope = '#imports'") == [(1,)]
    exported_file = exported(store, history=True)
    assert b"#imports" not in exported_file
    with imported(exported_file, clock) as copy:
        assert copy.count() == 4
        assert copy.check() == []


def test_a_scope_gets_its_schema_under_another_name(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    for history in (False, True):
        file = exported(store, all_scopes=False, scope="users", history=history)
        with imported(file, clock, scope="people") as copy:
            assert copy.schemas() == ["people"]
            with pytest.raises(ValidationError):
                copy.save("bob", 1, scope="people")
            copy.save("free", 1, scope="users")
            assert copy.check() == []


def test_an_open_store_obeys_at_once(store: Kycore, clock: Clock, tmp_path: Path) -> None:
    with_schema(store)
    store.create_cache("p.cache", 60)
    for number, history in enumerate((False, True)):
        file = exported(store, history=history)
        path = tmp_path / f"{number}.db"
        with Kycore(path, clock=clock) as one, Kycore(path, clock=clock) as other:
            assert one.schemas() == other.schemas() == []
            for kv in (one, other):  # what is declared is known by now
                assert kv.getkey("ada", scope="users") is None
                assert kv.scope_settings("p.cache")["history_days"] is None
            one.import_data(io.BytesIO(file), format="kycli")
            for kv in (one, other):
                with pytest.raises(ValidationError):
                    kv.save("bob", 1, scope="users")
                kv.save("k", 1, scope="p.cache")
                entry = kv.get_entry("k", scope="p.cache")
                assert entry is not None
                assert entry.expires_at is not None


def test_what_is_rolled_back_is_forgotten(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    file = exported(store, scope="users", all_scopes=False)
    with Kycore(":memory:", clock=clock) as copy:
        with pytest.raises(ZeroDivisionError), copy.transaction():
            copy.import_data(io.BytesIO(file), format="kycli")
            with pytest.raises(ValidationError):
                copy.save("bob", 1, scope="users")
            1 / 0  # noqa: B018
        copy.save("bob", 1, scope="users")
        assert copy.schemas() == []


@pytest.mark.parametrize("history", [False, True])
def test_values_that_do_not_meet_the_schema_come_back(
    store: Kycore, clock: Clock, history: bool
) -> None:
    store.save("kept", 1, scope="users")
    store.create_table("users", DEFINITION, existing="keep")
    store.save("ada", {"name": "Ada"}, scope="users")
    with Kycore(":memory:", clock=clock) as copy:
        records = store.dump(all_scopes=True, history=history)
        done = copy.load(records, history=history)
        assert (done.keys, done.schemas, done.invalid) == (2, 1, 1)
        assert copy.getkey("kept", scope="users") == 1
        assert [found.key for found in copy.check_schema(scope="users")] == ["kept"]


def test_a_scope_that_has_a_schema_takes_only_the_same(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    file = exported(store, scope="users", all_scopes=False)
    without = exported(store, scope="old", all_scopes=False)
    with Kycore(":memory:", clock=clock) as copy:
        copy.create_table("users", DEFINITION)
        copy.import_data(io.BytesIO(file), format="kycli")
        kept = copy.schema(scope="users")
        assert kept is not None
        assert kept.version == 1
        assert copy.check() == []
    for scope, given in (("users", file), ("old", without)):
        with Kycore(":memory:", clock=clock) as copy:
            copy.create_table(scope, {"other": "str"})
            with pytest.raises(ConflictError, match="another schema here"):
                copy.import_data(io.BytesIO(given), format="kycli")
            assert copy.count(scope=scope) == 0
            copy.drop_schema(scope)
            copy.import_data(io.BytesIO(given), format="kycli")
            assert copy.check() == []


def test_values_alone_are_held_to_the_schema_that_is_there(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    file = exported(store)
    with imported(file, clock, values_only=True) as copy:
        assert copy.schemas() == []
        assert copy.getkey("ada", scope="users") == {"name": "Ada"}
    with Kycore(":memory:", clock=clock) as copy:
        copy.create_table("users", {"name": "str(5..)"})
        with pytest.raises(ValidationError, match="'ada'"):
            copy.import_data(io.BytesIO(file), format="kycli", values_only=True)


def edited(store: Kycore, edit: Any, **options: Any) -> bytes:
    records = lines(exported(store, **options))
    for record in records:
        edit(record)
    return sealed(records)


@pytest.mark.parametrize(
    "document",
    [
        *(None, 1, "x", [], {}, {"shapes": []}, {"shapes": [1]}, {"shapes": [{"keys": "*"}]}),
        *({"other": "nonsense"}, {"shape": "str(/[/)"}, {"$ref": "http://example.org/x"}),
    ],
)
def test_what_is_no_schema_is_refused(store: Kycore, clock: Clock, document: Any) -> None:
    with_schema(store)

    def edit(record: dict[str, Any]) -> None:
        if record.get("scope") == "#schemas" and "value" in record:
            if isinstance(document, dict) and "shapes" not in document and document:
                record["value"]["shapes"][0]["definition"] = document
            else:
                record["value"] = document

    for history in (False, True):
        with Kycore(":memory:", clock=clock) as copy:
            with pytest.raises(InputError, match=r"line \d+: "):
                copy.import_data(io.BytesIO(edited(store, edit, history=history)), format="kycli")
            assert (copy.scopes(), copy.schemas()) == ([], [])


def test_records_of_schemas_that_cannot_be_are_refused(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    records = lines(exported(store))
    schema = next(record for record in records if record.get("key") == "users")
    index = records.index(schema)
    for change, message in (
        ({"key": "elsewhere"}, "no scope here"),
        ({"key": "#schemas"}, "no scope here"),
        ({"key": 1}, "no scope here"),
        ({"expires_at": 1 << 50}, "does not expire"),
    ):
        bad = [*records[:index], {**schema, **change}, *records[index + 1 :]]
        with pytest.raises(KycliError, match=message):
            imported(sealed(bad), clock)
    with pytest.raises(KycliError, match=r"two schemas|another schema"):
        imported(sealed([*records[:index], schema, *records[index:]]), clock)
    scope = next(record for record in records if record.get("scope") == "#schemas")
    without = [record for record in records if record is not scope]
    with pytest.raises(KycliError, match="not declared before"):
        imported(sealed(without), clock)
    scope["declared"] = {"cache_ms": 5}
    with pytest.raises(KycliError, match="nothing can be declared"):
        imported(sealed(records), clock)


def test_the_history_of_a_schema_may_be_pruned(store: Kycore, clock: Clock) -> None:
    with_schema(store)
    clock.now += 400 * 86_400_000
    store.set_schema("users", {"name": "str", "age": "int?"})
    store.compact()
    with imported(exported(store, history=True), clock) as copy:
        assert copy.schema(scope="users") == store.schema(scope="users")
        assert copy.check() == []
