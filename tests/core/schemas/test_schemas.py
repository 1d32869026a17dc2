"""Schemas of scopes: every way in is held to them, and setting them."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from kycli import Kycore
from kycli.core import layout
from kycli.core.codec import encode
from kycli.core.schemas import definitions
from kycli.errors import (
    ConflictError,
    KycliError,
    MissingKeyError,
    MisuseError,
    SchemaError,
    ValidationError,
)

USER = {"name": "str(1..80)", "age": "int(0..150)?", "tags": "list[str] = []"}
ADA: dict[str, Any] = {"name": "Ada", "age": None, "tags": []}


@pytest.fixture
def users(store: Kycore) -> Kycore:
    store.create_table("users", USER)
    store.save("ada", {"name": "Ada"}, scope="users")
    store.save("other", 5, scope="rest")
    return store


def state(store: Kycore) -> list[tuple[str, Any]]:
    return [
        *store.scan(scope="users"),
        *((c.key, c.value) for c in store.get_history(scope="users")),
    ]


WRITES: dict[str, Callable[[Kycore], object]] = {
    "save": lambda kv: kv.save("x", {"name": ""}, scope="users"),
    "save over": lambda kv: kv.save("ada", 5, scope="users"),
    "save if absent": lambda kv: kv.save("x", {}, scope="users", if_absent=True),
    "save if version": lambda kv: kv.save("ada", {}, scope="users", if_version=1),
    "getset": lambda kv: kv.getset("ada", {}, scope="users"),
    "save_many": lambda kv: kv.save_many([("x", ADA), ("y", {})], scope="users"),
    "update": lambda kv: kv.update("ada", lambda value: {**value, "age": -1}, scope="users"),
    "incr": lambda kv: kv.incr("n", scope="users"),
    "append": lambda kv: kv.append("text", "x", scope="users"),
    "patch": lambda kv: kv.patch("ada.age", 200, scope="users"),
    "merge_patch": lambda kv: kv.merge_patch("ada", {"no": 1}, scope="users"),
    "json_patch": lambda kv: kv.json_patch(
        "ada", [{"op": "remove", "path": "/name"}], scope="users"
    ),
    "push": lambda kv: kv.push("ada.tags", 5, scope="users"),
    "copy": lambda kv: kv.copy("other", scope="rest", to_scope="users"),
    "move": lambda kv: kv.move("other", scope="rest", to_scope="users"),
    "copy_many": lambda kv: kv.copy_many("", scope="rest", to_scope="users"),
    "import_rows": lambda kv: kv.import_rows([("x", ADA), ("y", {})], scope="users"),
    "import of a scope": lambda kv: kv.import_rows([("x", ADA), ("y", {}, "users")]),
    "import, skipping": lambda kv: kv.import_rows([("y", {})], scope="users", on_conflict="skip"),
}


@pytest.mark.usefixtures("_both_statements")
@pytest.mark.parametrize("name", WRITES)
def test_every_way_in_is_held_to_the_schema(users: Kycore, name: str) -> None:
    before = state(users)
    with pytest.raises(ValidationError) as refused:
        WRITES[name](users)
    assert refused.value.problems
    assert "schema of 'users'" in str(refused.value)
    assert state(users) == before
    assert users.exists("other", scope="rest")


@pytest.mark.usefixtures("_both_statements")
def test_what_is_stored_is_what_was_validated(users: Kycore) -> None:
    assert users.getkey("ada", scope="users") == ADA
    users.save_many({"b": {"name": "B"}}, scope="users")
    users.import_rows([("c", {"name": "C"})], scope="users")
    assert users.getkey("b", scope="users") == {**ADA, "name": "B"}
    assert users.getkey("c", scope="users") == {**ADA, "name": "C"}
    assert users.save("ada", {"name": "Ada"}, scope="users") == "nochange"
    assert users.save("anything", object_free := [1, b"x"], scope="rest") == "created"
    assert users.getkey("anything", scope="rest") == object_free


def test_a_rejected_row_of_an_import_says_why(users: Kycore) -> None:
    errors: list[Exception] = []
    rows = [("x", ADA), ("y", {"name": 1}), ("z", ADA)]
    done = users.import_rows(rows, scope="users", rejected=errors.append)
    assert (done.created, done.rejected) == (2, 1)
    assert str(errors[0]).startswith("'y' does not meet the schema of 'users': name: expected")


def test_values_that_come_back_are_held_to_the_schema(store: Kycore, clock: Clock) -> None:
    store.save("ada", "text", scope="users")
    clock.advance(1)
    old = clock.now
    clock.advance(1)
    store.save("ada", ADA, scope="users")
    store.create_table("users", USER)
    changes: list[Callable[[], object]] = [
        lambda: store.restore("ada", version=1, scope="users"),
        lambda: store.undo(scope="users"),
        lambda: store.restore_to(old / 1000, scope="users"),
        lambda: store.restore_to(old / 1000, all_scopes=True),
    ]
    for change in changes:
        with pytest.raises(ValidationError):
            change()
    assert store.getkey("ada", scope="users") == ADA
    store.drop_schema("users")
    assert store.restore("ada", version=1, scope="users") == "restored"


def test_a_scope_with_keys_is_checked_first(store: Kycore) -> None:
    store.save_many({f"bad{n:02}": n for n in range(30)} | {"good": ADA}, scope="users")
    with pytest.raises(ValidationError) as refused:
        store.create_table("users", USER)
    assert "30 of 31 keys" in str(refused.value)
    assert "'bad19'" in str(refused.value)
    assert "10 more" in str(refused.value)
    assert store.schema(scope="users") is None
    tried = store.set_schema("users", USER, dry_run=True)
    assert (tried.version, tried.checked, len(tried.invalid)) == (None, 31, 30)
    assert store.schema(scope="users") is None


@pytest.mark.parametrize(("existing", "left"), [("keep", 2), ("reject", 1), ("move", 1)])
def test_what_becomes_of_keys_that_do_not_meet_it(store: Kycore, existing: str, left: int) -> None:
    store.save_many({"bad": 5, "good": ADA}, scope="users")
    target = "odd" if existing == "move" else None
    done = store.set_schema("users", USER, existing=existing, move_to=target)
    assert [found.key for found in done.invalid] == ["bad"]
    assert store.count(scope="users") == left
    assert store.count(scope="odd") == (existing == "move")
    assert [found.key for found in store.check_schema(scope="users")] == ["bad"] * (left - 1)
    if existing == "reject":  # as one change with the schema, which is undone as one
        assert store.get_history("bad", scope="users")[0].operation == "deleted"


def test_a_kept_value_may_stay_as_it_is(store: Kycore) -> None:
    store.save("bad", 5, scope="users")
    store.set_schema("users", USER, existing="keep")
    assert store.expire("bad", 60, scope="users")
    assert store.delete("bad", scope="users")
    with pytest.raises(ValidationError):
        store.restore("bad", scope="users")


def test_arguments_that_do_not_fit_are_refused(store: Kycore) -> None:
    for options in (
        *({"existing": "drop"}, {"existing": "move"}, {"move_to": "x"}),
        {"existing": "move", "move_to": "users"},
    ):
        with pytest.raises(KycliError):
            store.set_schema("users", USER, **options)  # type: ignore[arg-type]
    with pytest.raises(MissingKeyError):
        list(store.check_schema(scope="users"))
    assert store.schemas() == []


CHANGES: list[tuple[Any, Any, bool]] = [
    ({"a": "int"}, {"a": "int", "b": "str?"}, False),
    ({"a": "int"}, {"a": "int", "b": "str = 'x'"}, False),
    ({"a": "int(0..9)"}, {"a": "int(..99)?"}, False),
    ({"a": "int(-9..9)"}, {"a": "float"}, False),
    ({"a": "int"}, {"a": "float"}, True),
    ({"a": "enum(x)"}, {"a": "enum(x,y)"}, False),
    ({"a": "str"}, {"a": "any"}, False),
    ({"a": {"b": "int"}}, {"a": {"b": "int?"}}, False),
    ({"a": "int"}, {"a": "int", "b": "str"}, True),
    ({"a": "int?"}, {"a": "int"}, True),
    ({"a": "int"}, {"a": "int(0..)"}, True),
    ({"a": "int", "b": "int"}, {"a": "int"}, True),
    ({"a": "str"}, {"a": "int"}, True),
    ({"a": "list[any]"}, {"a": "list[int]"}, True),
    ({"a": "enum(x,y)"}, {"a": "enum(x)"}, True),
    ({"a": "str"}, {"a": "str(/x/)"}, True),
    ({"a": "int = 1"}, {"a": "int"}, True),
]


@pytest.mark.parametrize(("old", "new", "is_checked"), CHANGES)
def test_a_change_that_every_value_meets_checks_none(
    store: Kycore, old: Any, new: Any, is_checked: bool
) -> None:
    store.create_table("t", old)
    done = store.set_schema("t", new)
    assert bool(done.reasons) is is_checked, done.reasons
    assert done.version == 2


def test_the_version_of_a_schema_counts_its_changes(store: Kycore) -> None:
    store.create_table("t", {"a": "int"})
    with pytest.raises(ConflictError):
        store.create_table("t", {"a": "int"})
    assert store.set_schema("t", {"a": "int"}).version == 1
    assert store.set_schema("t", {"a": "int?"}).version == 2
    assert store.drop_schema("t")
    assert not store.drop_schema("t")
    assert store.set_schema("t", {"a": "str"}).version == 3


def test_shapes_for_patterns_of_keys(store: Kycore) -> None:
    store.create_table("t", {"a": "int"}, keys="user:*")
    store.create_table("t", "str", keys="user:name:*")
    store.create_table("t", "int", keys="n?")
    store.save("free", b"anything", scope="t")
    store.save("user:1", {"a": 1}, scope="t")
    store.save("user:name:1", "Ada", scope="t")
    store.save("n1", 5, scope="t")
    for key, value in (("user:1", "x"), ("user:name:1", {"a": 1}), ("n1", "x")):
        with pytest.raises(ValidationError):
            store.save(key, value, scope="t")
    with pytest.raises(ValidationError):
        store.create_table("t", "str")  # for all others, of which one is bytes
    assert store.drop_schema("t", keys="user:name:*")
    assert not store.drop_schema("t", keys="user:name:*")
    assert [found.key for found in store.check_schema(scope="t")] == ["user:name:1"]
    # What the dropped shape was for is not known to meet the one that it falls to now.
    assert store.set_schema("t", {"a": "int?"}, keys="user:*", dry_run=True).invalid


def test_a_schema_goes_with_its_scope(users: Kycore) -> None:
    users.rename_scope("users", "people")
    assert users.schemas() == ["people"]
    with pytest.raises(ValidationError):
        users.save("x", 1, scope="people")
    users.save("x", 1, scope="users")
    with pytest.raises(ConflictError):
        users.rename_scope("users", "people")
    users.drop_scope("people")
    users.save("x", 1, scope="people")
    assert users.schemas() == []
    users.create_table("empty", USER)
    assert "empty" in users.scopes()
    assert not any("#" in scope for scope in users.scopes())
    assert users.search_hits("str", all_scopes=True) == []


def test_another_store_obeys_a_schema_from_its_next_write_on(path: Path) -> None:
    with Kycore(path) as writer, Kycore(path) as other:
        for store in (writer, other):
            store.save("k", 1, scope="t")
        other.create_table("t", "int")
        with pytest.raises(ValidationError):
            writer.save("k", "x", scope="t")
        other.set_schema("t", "any")
        writer.save("k", "x", scope="t")
        other.set_schema("t", "str")
        with writer.transaction():
            with pytest.raises(ValidationError):
                writer.save("k", 1, scope="t")
            writer.save("k", "y", scope="t")
        other.drop_schema("t")
        writer.save("k", 1, scope="t")


def test_a_schema_is_part_of_its_transaction(store: Kycore) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.create_table("t", "int")
        with pytest.raises(ValidationError):
            store.save("k", "x", scope="t")
        raise RuntimeError
    store.save("k", "x", scope="t")
    with store.transaction():
        with pytest.raises(RuntimeError), store.transaction():
            store.set_schema("t", "str")
            raise RuntimeError
        store.save("k", 1, scope="t")
    assert store.schemas() == []


def test_keys_that_are_written_while_a_schema_is_set_are_checked(path: Path) -> None:
    with Kycore(path) as store, Kycore(path) as other:
        store.save_many({f"k{n:05}": n for n in range(5000)}, scope="t")

        def write(checked: int, total: int) -> None:
            if checked == 3000:
                other.save("k00000", "not any more", scope="t")

        with pytest.raises(ValidationError) as refused:
            store.set_schema("t", "int", progress=write)
        assert "'k00000'" in str(refused.value)

        def mend(checked: int, total: int) -> None:
            if checked == 3000:
                other.save("k00000", 0, scope="t")
                other.delete("k00001", scope="t")

        assert store.set_schema("t", "int", progress=mend).invalid == []

        def change(checked: int, total: int) -> None:
            if checked == 1000:
                other.set_schema("t", "int?")

        with pytest.raises(ConflictError):
            store.set_schema("t", "int(0..)", progress=change)


def test_a_deferred_save_is_held_to_a_schema_that_came_first(path: Path) -> None:
    with Kycore(path) as other, Kycore(path, durability="async") as store:
        other.create_table("warm", "int")  # imports what takes time
        store.save("first", 1, scope="t")
        store.flush()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with other.transaction():
                store.save("k", "x", scope="t")
                store.save("good", 2, scope="t")
                other.set_schema("t", "int")
            store.flush()
        (warning,) = told
        assert "a deferred save is lost: 'k' does not meet" in str(warning.message)
        assert dict(store.scan(scope="t")) == {"first": 1, "good": 2}
        assert store.getkey("k", scope="t") is None
        with pytest.raises(ValidationError):
            store.save("k", "x", scope="t")


def test_threads_beside_a_change_leave_a_consistent_scope(path: Path) -> None:
    stop = threading.Event()

    def write(number: int) -> None:
        with Kycore(path) as store:
            turn = 0
            while not stop.is_set():
                turn += 1
                value: Any = turn if turn % 2 else str(turn)
                try:
                    store.save(f"k{number}", value, scope="t")
                except ValidationError:
                    pass

    with Kycore(path) as store:
        threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(20):
                wanted = "int" if turn % 2 else "str"
                store.set_schema("t", wanted, existing="reject")
                assert list(store.check_schema(scope="t")) == []
        finally:
            stop.set()
            for thread in threads:
                thread.join()


class Person(BaseModel):
    name: str
    age: int | None = None

    @field_validator("name")
    @classmethod
    def begins_with_a_capital(cls, name: str) -> str:
        if not name[:1].isupper():
            raise ValueError("a name begins with a capital")
        return name


def test_a_model_class(path: Path) -> None:
    with Kycore(path, scope="people", schema=Person) as store:
        assert store.save("ada", Person(name="Ada")) == "created"
        assert store["ada"] == {"name": "Ada", "age": None}
        assert store.getkey("ada", model=True) == Person(name="Ada")
        assert store.getkey("none", "default", model=True) == "default"
        for wrong in ({"name": "ada"}, {"name": "Ada", "age": "x"}, {}):
            with pytest.raises(ValidationError):
                store.save("ada", wrong)
        version = store.schema()
    with Kycore(path, scope="people", schema=Person) as store:
        assert store.schema() == version
        store.save("x", 1, scope="rest")
        with pytest.raises(MisuseError):
            store.getkey("x", model=True, scope="rest")
    with Kycore(path, scope="people") as store:  # elsewhere there is the stored schema
        store.save("eve", {"name": "eve"})
        with pytest.raises(ValidationError):
            store.save("eve", {"name": 1})


def test_instances_of_a_made_model(store: Kycore) -> None:
    store.create_table("t", {"on": "date", "tags": "list[str] = []"})
    store.save("k", {"on": "2026-11-21"}, scope="t")
    found = store.getkey("k", scope="t", model=True)
    assert (found.on.year, found.tags) == (2026, [])


def test_a_schema_that_data_does_not_meet_closes_the_store(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", 1)
    with pytest.raises(ValidationError):
        Kycore(path, schema=Person)


def test_stores_without_schemas_do_not_import_pydantic(path: Path) -> None:
    program = f"""
import sys
from kycli import Kycore
with Kycore({str(path)!r}) as store:
    store.save("k", 1)
    store.save_many({{"a": 1}}, scope="a.b")
    store.getkey("k")
    store.import_rows([("x", 1)])
    list(store.scan())
    assert store.schemas() == [] and store.schema() is None
assert "pydantic" not in sys.modules, "pydantic"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(json_values | st.binary(max_size=3), min_size=1, max_size=6))
def test_every_value_meets_what_is_inferred_from_all(values: list[Any]) -> None:
    from kycli.core.schemas.infer import infer

    definition = infer(values).definition()
    validator = definitions.shape(definition).validator()
    for value in values:
        stored = validator.validate(value)
        assert validator.validate(stored) == stored


def test_rows_after_a_change_of_the_schema_are_held_to_it(store: Kycore, tmp_path: Path) -> None:
    store.create_table("u", {"n": "int"})

    def narrow(*_: object) -> None:
        store.set_schema("u", {"n": "int(5..)"})

    def pairs() -> Any:
        yield "a", {"n": 7}
        narrow()
        yield "b", {"n": 1}

    with pytest.raises(ValidationError, match="'b'"):
        store.save_many(pairs(), scope="u")
    assert store.count(scope="u") == 0
    documents = tmp_path / "rows.jsonl"
    documents.write_text('{"key": "a", "value": {"n": 1}}\n' * 2)
    with pytest.raises(ValidationError, match="'a'"):
        store.import_data(documents, scope="u", progress=narrow)


def test_a_table_that_is_split_in_the_engine_is_held_to_a_new_schema(
    store: Kycore, tmp_path: Path
) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("key,value\n" + "".join(f"k{n},7\n" for n in range(10_000)))
    calls: list[object] = []

    def progress(*given: object) -> None:
        calls.append(given)
        if len(calls) == 2:
            store.create_table("c", {"n": "int"}, existing="keep")

    with pytest.raises(ValidationError):
        store.import_data(table, scope="c", progress=progress)
    assert len(calls) > 1
    assert store.schemas() == []


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {"shapes": 5},
        {"shapes": [{}]},
        *(
            {"shapes": [{"keys": "*", "strict": True, "verified": True, **more}]}
            for more in (
                {"form": "later", "extra": "keep", "definition": {}},
                {"form": "short", "extra": "later", "definition": {}},
                {"form": "json-schema", "extra": "keep", "definition": [1]},
            )
        ),
    ],
)
def test_a_stored_schema_that_cannot_be_read_can_be_dropped(store: Kycore, stored: Any) -> None:
    with store.transaction():
        store._put(store._now(), layout.SCHEMAS, "u", *encode(stored), None)
    for write in (
        lambda: store.save("a", {}, scope="u"),
        lambda: store.save_many({"a": {}}, scope="u"),
        lambda: store.set_schema("u", "any"),
    ):
        with pytest.raises(SchemaError, match="cannot be read"):
            write()
    (problem,) = store.check()
    assert "the schema of the scope 'u'" in problem.what
    assert store.drop_schema("u")
    assert not store.drop_schema("u")
    assert store.save("a", {}, scope="u") == "created"


def test_what_a_model_makes_must_be_a_value(path: Path) -> None:
    class Odd(BaseModel):
        n: Any

        @field_validator("n")
        @classmethod
        def odd(cls, value: Any) -> Any:
            return object()

    with Kycore(path, scope="u", schema=Odd) as store, pytest.raises(ValidationError):
        store.save("a", {"n": 1})


def nested(levels: int, around: Callable[[Any], Any]) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = around(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-30",
        "0000-01-01",
        "2026-02-28T25:00",
        "2026-02-28T23:59:59+99:99",
        {"enum": [{"a": 1}]},
        {"$ref": "x"},
        {"type": [{"a": 1}]},
        [10**400, 1.5],
        nested(150, lambda inner: {"a": inner}),
        nested(12, lambda inner: [inner, {"a": inner}]),
        nested(150, lambda inner: [inner]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_inferred_from_odd_values_can_be_set(store: Kycore, value: Any) -> None:
    store.save("a", value, scope="odd")
    inferred = store.infer_schema(scope="odd")
    assert store.create_table("odd", inferred).invalid == []
    assert store.save("a", value, scope="odd") == "nochange"


def test_what_is_inferred_is_never_more_than_can_be_set(store: Kycore) -> None:
    """Of values with too many members the inner ones are left out."""
    many = {f"{'m' * 200} {n}": {f"{'i' * 200} {i}": 1 for i in range(90)} for n in range(90)}
    store.save("a", many, scope="odd")
    inferred = store.infer_schema(scope="odd")
    assert inferred == dict.fromkeys(many, "dict")
    objects = {f"m{n}": {"a": 1} for n in range(1000)}
    store.save("a", [objects, None], scope="list")
    assert store.infer_schema(scope="list") == "list[dict?]"
    for scope in ("odd", "list"):
        assert store.create_table(scope, store.infer_schema(scope=scope)).invalid == []


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({f"m{n}": {"a": "int"} for n in range(1000)}, "1,001 objects, and 1,000 are the most"),
        ({f"m{n}": "int" for n in range(10_000)}, "10,001 types, and 10,000 are the most"),
        ([{f"m{n}": {} for n in range(2000)}], "2,001 objects"),
    ],
)
def test_a_schema_that_would_take_seconds_to_compile_is_refused(
    store: Kycore, definition: Any, said: str
) -> None:
    with pytest.raises(SchemaError, match=f"the schema has {said}") as caught:
        store.create_table("large", definition)
    assert "is a dict" in str(caught.value.hint)
    assert store.schemas() == []


def test_patterns_are_of_any_case_where_keys_are(store: Kycore) -> None:
    store._query("INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES ('f', 1, 1)")
    store.create_table("f", {"n": "int"}, keys="User:*")
    assert store.save("USER:1", {"n": 1}, scope="f") == "created"
    store.save("USER:2", {"n": "no"}, scope="plain")
    ways: list[Callable[[], Any]] = [
        lambda: store.save("USER:1", {"n": "no"}, scope="f"),
        lambda: store.save("USER:3", {"n": "no"}, scope="f", if_absent=True),
        lambda: store.save_many({"User:2": {"n": "no"}}, scope="f"),
        lambda: store.import_rows([("uSER:3", {"n": "no"}, "f")]),
        lambda: store.patch("USER:1.n", "no", scope="f"),
        lambda: store.push("USER:8", 1, scope="f"),
        lambda: store.incr("USER:9", scope="f"),
        lambda: store.copy("USER:2", scope="plain", to_scope="f"),
        lambda: store.move("USER:2", "User:7", scope="plain", to_scope="f"),
    ]
    for way in ways:
        with pytest.raises(ValidationError, match="'user:"):
            way()
    assert {entry.key: entry.value for entry in store.entries(scope="f")} == {"user:1": {"n": 1}}
    assert store.json_schema(scope="f", keys="USER:*") is not None
    assert store.set_schema("f", {"n": "int?"}, keys="USER:*").version == 2
    schema = store.schema(scope="f")
    assert schema is not None
    assert [shape.keys for shape in schema.shapes] == ["user:*"]
    assert store.drop_schema("f", keys="uSer:*")
    assert store.schema(scope="f") is None


def test_a_schema_that_undo_brings_back_is_checked_by_the_next_change(store: Kycore) -> None:
    store.create_table("u", {"n": "int(5..)"})
    store.set_schema("u", {"n": "int"})
    store.save("a", {"n": 1}, scope="u")
    saved = next(iter(store.get_history(scope="u"))).change
    assert store.undo(saved - 1, scope="u") == 1
    with pytest.raises(ValidationError, match="'a'"):
        store.set_schema("u", {"n": "int(4..)"})
