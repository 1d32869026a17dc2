"""Selecting keys by fields: against an evaluator in Python, with and without indexes."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import Clock
from hypothesis import example, given
from hypothesis import strategies as st

from kycli import Kycore
from kycli.core.documents import conditions
from kycli.core.documents.conditions import And, Comparison, Condition, Field, Not, Or, lookup
from kycli.core.documents.paths import MISSING
from kycli.core.operations import patterns, selecting
from kycli.core.operations.entry import Entry
from kycli.core.sql.fields import FieldIndex
from kycli.errors import (
    ClosedError,
    DiskFullError,
    InvalidConditionError,
    InvalidScopeError,
    MisuseError,
)

BIG = 1 << 63

# ---------------------------------------------------------------- the evaluator


def scalar(value: Any) -> Any:
    """Return what a comparison sees of a value: a number, text or a bool, or None."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -BIG <= value < BIG else float(value)
    return value if isinstance(value, float) and value == value and abs(value) < 1e308 else None


def same_type(one: Any, other: Any) -> bool:
    kinds = [bool if isinstance(x, bool) else str if isinstance(x, str) else float
             for x in (one, other)]  # fmt: skip
    return kinds[0] is kinds[1]


def equal(one: Any, other: Any) -> bool:
    return one is not None and other is not None and same_type(one, other) and one == other


def like(text: str, pattern: str) -> bool:
    pieces = []
    rest = iter(pattern)
    for character in rest:
        if character == "\\":
            character = next(rest, "")
            if not character:
                return False
            pieces.append(re.escape(character))
        else:
            pieces.append({"%": ".*", "_": "."}.get(character, re.escape(character)))
    return re.fullmatch("".join(pieces), text, re.DOTALL | re.IGNORECASE | re.ASCII) is not None


def glob(text: str, pattern: str) -> bool:
    first, past, matches = patterns.select(None, pattern)
    inside: bool = first <= text and (past == b"" or text < str(past))
    return inside and (matches is None or bool(matches(text)))


def holds(tree: Condition, entry: Entry) -> bool:
    if isinstance(tree, Not):
        return not holds(tree.item, entry)
    if isinstance(tree, And):
        return all(holds(item, entry) for item in tree.items)
    if isinstance(tree, Or):
        return any(holds(item, entry) for item in tree.items)
    found = lookup(tree.field, entry)
    null = found is None or found is MISSING
    value = None if null else scalar(found)
    if tree.operator == "null":
        return null
    if tree.operator == "in":
        return any(null if each is None else equal(value, each) for each in tree.values)
    (other,) = tree.values
    if tree.operator == "contains":
        if isinstance(found, list):
            return any(item is None if other is None else equal(scalar(item), other)
                       for item in found)  # fmt: skip
        return isinstance(found, str) and isinstance(other, str) and other in found
    if tree.operator in ("like", "glob"):
        return isinstance(value, str) and (like if tree.operator == "like" else glob)(
            value, str(other)
        )
    if tree.operator == "=":
        return equal(value, other)
    if value is None or not same_type(value, other):
        return False
    assert other is not None
    compared: dict[str, bool] = {
        "<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other
    }  # fmt: skip
    return compared[tree.operator]


def rank(field: Field, entry: Entry) -> tuple[int, Any]:
    found = lookup(field, entry)
    value = None if found is MISSING else scalar(found)
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 3, value
    return (2, value) if isinstance(value, str) else (1, value)


# ---------------------------------------------------------------- what is tried

NAMES = ("a", "b", 'q"', "it's", "x.y", "[0]", "back\\slash", "😀", "", " ", "and", "@key", "n\n")
texts = st.text("aAbé\0'\"%_😀", max_size=4)
numbers = st.integers(-3, 3) | st.sampled_from(
    [0.5, -0.0, 1.0, 2.0**63, BIG, -BIG, BIG - 1, 10**30]
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES[:3]), inner, max_size=3)
    ),
    max_leaves=8,
)
steps = st.lists(st.sampled_from(NAMES) | st.integers(-2, 2), max_size=3)
fields = (
    st.sampled_from(["a", "a", "b", "a.b", '["q\\""]', "@value", "@key", "@version"])
    | st.builds(lambda found: conditions.rendered(tuple(found)), steps)
)  # fmt: skip


def may_be_indexed(field: str) -> bool:
    return field not in ("@key", "@version") and not {*field} & {*"\\"}


words = st.text("aAbé_%😀\\", max_size=3)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value)


signs = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "==", "<>"])
leaves = st.one_of(
    st.builds("{} {} {}".format, fields, signs, (numbers | texts).map(literal)),
    st.builds("{} = {}".format, fields, scalars.map(literal)),
    st.builds(
        "{} in ({})".format, fields,
        st.lists(scalars.map(literal), max_size=3).map(", ".join),
    ),
    st.builds("{} contains {}".format, fields, scalars.map(literal)),
    st.builds("{} like {}".format, fields, words.map(literal)),
    st.builds("{} glob {}".format, fields, st.sampled_from(
        ["'*'", "'a*'", "'[a-b]?'", "'[!a]*'", "'\\*'", "'[]'", "'*é'", "'[a'"])),
    st.builds("{} is {}null".format, fields, st.sampled_from(["", "not "])),
    st.builds("{} between {} and {}".format, fields, numbers.map(literal), numbers.map(literal)),
)  # fmt: skip
queries = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=5,
)
orders = st.lists(st.builds("{}{}".format, st.sampled_from(["", "-"]), fields), max_size=2)


def has_nul_in_text(value: Any) -> bool:
    return "\\0" in repr(value).replace("\\x00", "\\0")


def agree(kv: Kycore, query: str | None, order: list[str], limit: int | None) -> None:
    entries = list(kv.entries())
    wanted = entries
    if query is not None:
        tree = conditions.parse(query)
        wanted = [entry for entry in entries if holds(tree, entry)]
    for each in reversed(conditions.parse_order(",".join(order)) if order else []):
        wanted.sort(key=lambda e, by=each.field: rank(by, e), reverse=each.descending)  # type: ignore[misc]
    by = ",".join(order) or None
    found = list(kv.select(query, order=by))
    assert [e.key for e in found] == [e.key for e in wanted]
    assert repr(found) == repr(wanted)
    assert list(kv.select(query, order=by, limit=limit)) == wanted[:limit] or "nan" in repr(wanted)
    assert kv.explain(query, order=by, limit=limit)


@given(
    st.lists(st.tuples(values, st.sampled_from(["", "", "large", "expired"])), max_size=8),
    st.none() | queries,
    orders,
    st.none() | st.integers(0, 4),
    st.lists(fields.filter(may_be_indexed), max_size=3),
    st.booleans(),
)
@example([({"a": True}, ""), ({"a": 1}, ""), ({"a": "1"}, "")], "a = 1", [], None, ["a"], True)
@example([({"a": 5}, "large"), ({"a": 7}, "")], "a > 3", ["-a"], 1, ["a"], False)
@example(
    [({"a": 9}, ""), ({"a": "b"}, ""), ({"a": 5}, "")], "a > 3 and a < 'x'", [], None, ["a"], True
)
@example([({"a": 1}, "")], "a in ()", [], None, ["a"], True)
@example([({"a": 5}, ""), ({"a": 9}, "")], "a > 3 and a > 7 and b is null", [], 1, ["a"], True)
@example([({"a": 1}, ""), ({"a": 9}, "large")], "a in (1, true, 9)", ["a"], None, ["a"], True)
def test_what_is_selected_is_what_python_selects(
    documents: list[tuple[Any, str]], query: str | None, order: list[str], limit: int | None,
    indexed: list[str], early: bool,
) -> None:  # fmt: skip
    if query is not None and re.search("like|glob", query):
        # SQLite matches a pattern with a text up to its NUL.
        documents = [pair for pair in documents if not has_nul_in_text(pair[0])]
    clock = Clock()
    with Kycore(":memory:", clock=clock, scope="s") as kv:
        if early:
            for field in indexed:
                kv.create_index("s", field)
        for number, (value, how) in enumerate(documents):
            if how == "large" and isinstance(value, dict):
                value = {**value, "padding": "x" * 600}
            kv.save(f"k{number}", value, ttl=1 if how == "expired" else None)
            kv.save(f"k{number}", value, scope="other")
        clock.advance(2)
        agree(kv, query, order, limit)
        for field in indexed:
            kv.create_index("s", field)
        agree(kv, query, order, limit)


# ---------------------------------------------------------------- hostile fields

HOSTILE = ["'", '"', "');--", "a]b", "[", "$", "$.a", "\\", '\\"', "\x1b[0m", "\n", "😀" * 9,
           "x" * 4000, "null", "-1", "9", "a b", "#-1", "%s?1", "ünï", "\ufeff", "‮"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_member_of_any_name_is_found_also_by_an_index(store: Kycore, name: str) -> None:
    store.save_many(
        {"yes": {name: 1, name + "x": 2}, "no": {name + "x": 1}, "deep": {"d": {name: 1}}}
    )
    field = conditions.rendered((name,))
    for _ in range(2):
        assert [e.key for e in store.select(f"{field} = 1")] == ["yes"]
        assert [e.key for e in store.select(f"{conditions.rendered(('d', name))} = 1")] == ["deep"]
        if name < " " or {*name} & {*'\\"'}:
            with pytest.raises(InvalidConditionError, match="no index"):
                store.create_index("default", field)
            return
        store.create_index("default", field)
    assert f"uses the index on {field}" in store.explain(f"{field} = 1")
    assert store.indexes() == [FieldIndex("default", field)]
    assert store.check() == []
    assert store.drop_index("default", field)


@pytest.mark.parametrize(
    "field", ["a\0", '["a\\u0000"]', '["\\ud800"]', "a[0:1]", "a[99999999999]", "", "@no", "a b"]
)
def test_what_is_no_field_gets_no_index(store: Kycore, field: str) -> None:
    with pytest.raises(InvalidConditionError):
        store.create_index("default", field)
    assert store.indexes() == []


def test_an_index_is_on_a_field_of_values(store: Kycore) -> None:
    with pytest.raises(MisuseError):
        store.create_index("default", "@key")
    with pytest.raises(InvalidConditionError, match="at most"):
        store.create_index("default", "x" * 5000)
    with pytest.raises(InvalidScopeError):
        store.create_index("de'fault", "a")


# ---------------------------------------------------------------- indexes


@pytest.fixture
def people(store: Kycore) -> Kycore:
    store.save_many(
        {f"p{n:03}": {"name": f"n{n}", "age": n % 50} for n in range(200)}, scope="people"
    )
    store.save("old", {"name": "n", "age": 90, "cv": "x" * 2000}, scope="people")
    return store


def keys(kv: Kycore, where: str | None = None, **options: Any) -> list[str]:
    return [entry.key for entry in kv.select(where, scope="people", **options)]


def test_names_that_differ_in_case_are_two_fields(people: Kycore) -> None:
    people.save("x", {"Age": 49, "age": 1}, scope="people")
    assert people.create_index("people", "age")
    assert people.create_index("people", "Age")
    assert not people.create_index("people", '["age"]')
    assert keys(people, "Age = 49") == ["x"]
    assert "x" not in keys(people, "age = 49")


def test_which_index_is_used(people: Kycore) -> None:
    for field in ("age", "name"):
        people.create_index("people", field)

    def used(where: str | None, order: str | None = None) -> str:
        line = people.explain(where, order=order, scope="people").split("\n")[0]
        return line.removeprefix("uses the index on ")

    assert used("age > 3") == used("3 < age and cv is null") == used("age in (1, 2)") == "age"
    assert used("age > 3 and name = 'n3'") == used("name in ('a', 'b') and age between 1 and 2")
    assert used("age > 3 and name = 'n3'") == "name"
    assert used("age > 3 and age < 5 and name > 'a'") == "age"
    assert used(None, "-age") == used("cv is null", "age,name") == "age"
    assert used("age = 3 or name = 'x'") == used("cv is null and (age = 3 or name = 'x')")
    assert used("age = 3 or name = 'x'") == "age, name"
    assert used("age = 3 or age between 40 and 50 and cv is null") == "age"
    assert used("name like 'N1%'") == used("name glob 'n1*'") == used("name like '1_'") == "name"
    assert used("age = 1 or (name like 'n7%' or name = 'n')", "name") == "age, name"
    for where in (
        *("age > 3 or cv is null", "not age > 3", "age is null", "age in (1, null)"),
        *("name like '%1'", "name glob '[n]1'", "name like ''", "age = 1 or name glob '*'"),
        " or ".join(f"age = {n}" for n in range(21)),
    ):
        assert used(where).startswith("reads all keys")
    plan = people.explain("age = 49 and name != 'x'", order="-age", scope="people")
    assert plan.count("USING INDEX") == 2
    assert "SCAN k" not in plan


WORDS = [
    *("", "a", "A", "ab", "Ab", "aB", "AB", "ABC", "abc", "aBC", "b", "B", "[", "_", "`", "{", "Z"),
    *("z", "ä", "Ä", "äB", "a%", "a_", "a*", "a?", "a\\b", "a\0b", "1a", "1A", "-", "\ud7ff"),
    *("\ue000", "a\ud7ffx", "a\ue000", "\U0010ffff", "a\U0010ffffx", "𐐀", "a" * 700),
]  # fmt: skip


@pytest.mark.parametrize("operator", ["like", "glob"])
def test_patterns_choose_the_same_with_and_without_an_index(store: Kycore, operator: str) -> None:
    store.save_many({f"k{n}": {"w": word} for n, word in enumerate(WORDS)})
    store.save_many({"number": {"w": 1}, "flag": {"w": True}, "none": {"w": None}, "text": "a"})
    wild = "%" if operator == "like" else "*"
    starts = [word.replace("'", "''") for word in WORDS if "\0" not in word and len(word) < 9]
    queries = [
        f"w {operator} '{pattern}'"
        for start in starts
        for pattern in (start, start + wild, f"{start}{wild}b", f"{start[:1]}\\{start[1:]}{wild}")
    ]
    queries += [f"{one} or {two}" for one, two in zip(queries, queries[7:], strict=False)]
    before = [list(store.select(query)) for query in queries]
    ordered = [list(store.select(query, order="-w", limit=3)) for query in queries]
    store.create_index("default", "w")
    assert [list(store.select(query)) for query in queries] == before
    assert [list(store.select(query, order="-w", limit=3)) for query in queries] == ordered
    assert sum(store.explain(query).startswith("uses the index") for query in queries) > 100


def test_an_index_that_leads_to_almost_all_is_not_used(
    people: Kycore, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.create_index("people", "age")
    monkeypatch.setattr(selecting, "_NARROW_ROWS", 20)
    assert "reads all keys of people: the index on age leads to more than 20" in people.explain(
        "age > 1", scope="people"
    )
    assert len(keys(people, "age > 1")) == 193
    assert keys(people, "age > 1", limit=2) == ["old", "p002"]
    assert keys(people, "age > 48") == ["old", "p049", "p099", "p149", "p199"]


def test_pages_have_no_seam(people: Kycore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_PAGE_ROWS", 7)
    assert len(keys(people)) == 201
    assert keys(people, "age >= 0", limit=15) == keys(people, "age >= 0")[:15]
    assert keys(people, prefix="p19") == [f"p19{n}" for n in range(10)]
    assert keys(people, limit=0) == []


def test_an_index_follows_its_scope(people: Kycore, path: Path) -> None:
    people.create_index("people", "age")
    people.rename_scope("people", "folk")
    assert people.indexes() == [FieldIndex("folk", "age")]
    assert "uses the index" in people.explain("age = 1", scope="folk")
    assert len(list(people.select("age = 1", scope="folk"))) == 4
    people.save("k", 1, scope="gone")
    people.delete("k", scope="gone")
    people.rename_scope("folk", "gone")  # which has a history of its own
    assert people.indexes() == [FieldIndex("gone", "age")]
    assert len(list(people.select("age = 1", scope="gone"))) == 4
    people.compact(0, vacuum=True)
    with Kycore(path) as again:
        assert "uses the index" in again.explain("age = 1", scope="gone")
        again.drop_scope("gone")
        assert again.indexes() == []


@pytest.mark.usefixtures("_both_statements")
def test_a_store_that_is_open_maintains_a_new_index(people: Kycore, path: Path) -> None:
    people.save("p000", {"age": 1}, scope="people")  # with all statements prepared
    with Kycore(path, scope="people") as other:
        other.create_index("people", "age")
        people.save("p000", {"age": 77}, scope="people")
        people.save("new", {"age": 77, "cv": "y" * 900}, scope="people")
        people.save_many({f"b{n}": {"age": 78} for n in range(100)}, scope="people")
        people.delete("p001", scope="people")
        assert [e.key for e in other.select("age = 77")] == keys(people, "age = 77")
        assert keys(people, "age = 77") == ["new", "p000"]
        assert len(keys(people, "age = 78")) == 100
        other.drop_index("people", "age")
        people.save("p000", {"age": 5}, scope="people")
        assert keys(people, "age = 77") == ["new"]


def test_what_a_transaction_takes_back(people: Kycore) -> None:
    with pytest.raises(ZeroDivisionError), people.transaction():
        people.create_index("people", "age")
        people.save("x", {"age": 66}, scope="people")
        assert keys(people, "age = 66") == ["x"]
        raise ZeroDivisionError
    assert people.indexes() == []
    assert keys(people, "age = 66") == []


def test_one_row_of_plain_sql_fails_nothing(people: Kycore, path: Path) -> None:
    people.create_index("people", "age")
    put = "INSERT INTO kvstore (scope, key, value, kind) VALUES ('people', ?, ?, ?)"
    with closing(apsw.Connection(str(path))) as plain:
        plain.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)  # they refuse some of these
        plain.execute(put, ("broken", '{"age": ', 6))
        plain.execute(put, ("braced", '{"age": 66, }', 6))
        plain.execute(put, ("deep", "[" * 5000 + "]" * 5000, 6))
        plain.execute(put, ("blob", b"\xff\xfe", 6))
        plain.execute(put, ("fine", '{"age": 66, "more": "' + "z" * 999 + '"}', 6))
        plain.execute(put, ("kind", '{"age": 66}', 99))
    assert keys(people, "age = 66") == ["fine"]
    assert len(keys(people, "not age = 66")) >= 201
    assert keys(people, order="-age", limit=1) == ["old"]
    with closing(apsw.Connection(str(path))) as plain:
        plain.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        plain.execute(
            "DELETE FROM kvstore WHERE key IN ('broken', 'blob', 'kind', 'deep', 'fine', 'braced')"
        )


def test_an_index_of_another_make_is_not_used_and_is_made_again(people: Kycore, path: Path) -> None:
    people.create_index("people", "age")
    name = "SELECT name FROM sqlite_schema WHERE name LIKE 'kvstore:%'"
    with closing(apsw.Connection(str(path))) as plain:
        ((index,),) = plain.execute(name).fetchall()
        plain.execute(f'DROP INDEX "{index}"')
        plain.execute(f"""CREATE INDEX "{index}" ON kvstore (value) WHERE scope = 'people'""")
        plain.execute("""CREATE INDEX "kvstore:x:people:a b" ON kvstore (value)""")
    assert keys(people, "age = 90") == ["old"]
    assert people.explain("age = 90", scope="people").startswith("reads all keys")
    assert len(people.check(repair=True)) == 2
    assert people.check() == []
    assert people.indexes() == [FieldIndex("people", "age")]
    assert people.explain("age = 90", scope="people").startswith("uses the index")


@pytest.mark.damages
def test_doctor_mends_an_index_that_does_not_go_with_the_table(people: Kycore, path: Path) -> None:
    people.create_index("people", "age")
    people.close()
    with closing(apsw.Connection(str(path))) as plain:
        plain.execute("PRAGMA writable_schema = ON")
        ((root,),) = plain.execute("SELECT rootpage FROM sqlite_schema WHERE name LIKE 'kvstore:%'")
        ((other,),) = plain.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'kvstore_expiry'"
        )
        ((page,),) = plain.execute("PRAGMA page_size")
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[(root - 1) * page : root * page] = data[(other - 1) * page : other * page]  # empty
    path.write_bytes(data)
    with Kycore(path) as kv:
        assert kv.check(repair=True)
        assert kv.check() == []
        assert [e.key for e in kv.select("age = 90", scope="people")] == ["old"]


BUILD = """
import os, sys, threading, time
from kycli import Kycore
kv = Kycore(sys.argv[1])
kv.save_many((f"k{n}", {"a": n}) for n in range(40_000))
threading.Timer(float(sys.argv[2]), lambda: os.kill(os.getpid(), 9)).start()
print("now", flush=True)
while True:
    kv.create_index("default", "a")
    kv.drop_index("default", "a")
"""


@pytest.mark.alone
@pytest.mark.parametrize("delay", ["0.01", "0.05"])
def test_a_kill_while_an_index_is_built(path: Path, delay: str) -> None:
    with subprocess.Popen([sys.executable, "-c", BUILD, str(path), delay]) as process:
        assert process.wait() == -9
    with Kycore(path) as kv:
        assert [e.value["a"] for e in kv.select("a between 5 and 7")] == [5, 6, 7]
        kv.create_index("default", "a")
        assert [e.value["a"] for e in kv.select("a > 39997")] == [39998, 39999]


# ---------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1), ("age", 4), ("age >", 6), ("age > true", 5), ("(age = 1", 9), ("age = 1)", 8),
        ("age = 'x", 7), ('age = "x', 7), ("and = 1", 1), ("age @@ 3", 5), ("a like 5", 8),
        ("@foo = 1", 1), ("a[0:3] = 1", 1), ("5 = 6", 1), ("a = 007", 5), ("a..b = 1", 1),
        ("a in 5", 6), ("a in (1", 8), ("a is 5", 6), ("a = b", 5), ("a = 1 b = 2", 7),
        ("a between 1", 12), ("a = 1 and", 10), ("@updated > 'tomorrow-ish'", 12),
        ('a = "\\ud800"', 5), ("a = 1e", 5), ("a = NaN", 5), ("not", 4),
    ],
)  # fmt: skip
def test_an_error_names_the_place(text: str, position: int) -> None:
    with pytest.raises(InvalidConditionError, match=rf"at character {position}, "):
        conditions.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1000 + "a = 1" + ")" * 1000, "not " * 1000 + "a = 1", " and ".join(["a = 1"] * 1000),
        "a in (" + ",".join(["1"] * 10_000) + ")", "a = '" + "x" * 100_000 + "'",
        "a like '" + "%a" * 5000 + "'", "a = '\ud800'",
    ],
)  # fmt: skip
def test_too_much_is_refused(store: Kycore, text: str) -> None:
    with pytest.raises(InvalidConditionError):
        store.select(text)


def test_the_largest_condition_is_not_too_much_for_sqlite(store: Kycore) -> None:
    store.save("k", {"a": 1})
    assert len([*store.select(" or ".join(["a in (5, 6)", *["a = 1"] * 248]))]) == 1
    assert len([*store.select(" and ".join(["a between 0 and 6"] * 240))]) == 1
    assert [*store.select("a in (" + ",".join(map(str, range(2, 5000))) + ")")] == []
    assert len([*store.select("not " * 90 + "a = 1")]) == 1
    nested = "a = 1"
    for _ in range(90):
        nested = f"(a = 1 and (a = 2 or {nested}))"[:60_000] if len(nested) < 900 else nested
    assert len([*store.select(nested)]) == 1


@given(steps)
def test_a_rendered_field_is_read_as_the_same(found: list[str | int]) -> None:
    text = conditions.rendered(tuple(found))
    assert conditions.parse_field(text).steps == tuple(found)
    tree = conditions.parse(f"{text}=1 or({text}) in(2)".replace(f"({text})", f" {text}"))
    assert isinstance(tree, Or)
    assert all(isinstance(i, Comparison) and i.field.steps == tuple(found) for i in tree.items)


def test_times_go_by_the_clock_of_the_store(store: Kycore, clock: Clock) -> None:
    store.save("old", 1)
    clock.advance(7200)
    store.save("new", 1, ttl=60)
    assert [e.key for e in store.select("@updated > '1h ago'")] == ["new"]
    assert [e.key for e in store.select("@expires <= '2023-11-15 00:14:20'")] == ["new"]
    assert [e.key for e in store.select("@expires is null")] == ["old"]


def test_statistics(store: Kycore) -> None:
    store.save_many(
        {
            "a": {"n": 1, "name": "Ann", "tags": ["x", "yy"], "in": {"zip": None}},
            "b": {"n": 2.5, "name": "Bob", "on": "2026-11-21"},
            "c": 7,
        }
    )
    store.save("d", {"n": True}, ttl=5)
    found = store.statistics()
    by = {each.field: each for each in found.fields}
    assert (found.keys, found.expiring, found.more) == (4, 1, False)
    assert by["@value"].types == {"object": 3, "int": 1}
    assert by["n"][1:6] == (3, 0, {"int": 1, "float": 1, "bool": 1}, 1, 2.5)
    assert by["name"][4:] == ("Ann", "Bob", (3, 3), 2)
    assert by["tags[]"].types == {"str": 2}
    assert by[".in.zip"].nulls == 1
    assert by["on"].types == {"date": 1}
    assert store.statistics(scope="nothing").fields == []


def test_a_sorted_listing_is_of_one_moment(store: Kycore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_PAGE_ROWS", 2)
    store.save_many({f"k{number}": {"rank": -number} for number in range(7)})
    found = store.select(order="rank")
    assert next(found).key == "k6"
    with store.transaction():
        store.save("k0", {"rank": -9})
        store.delete("k3")
        assert [entry.key for entry in store.select(order="rank")][:2] == ["k0", "k6"]
    assert [entry.key for entry in found] == ["k5", "k4", "k3", "k2", "k1", "k0"]
    assert store._query("SELECT name FROM temp.sqlite_schema") == []


def test_a_sorted_listing_may_be_left(store: Kycore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_PAGE_ROWS", 2)
    store.save_many({f"k{number}": number for number in range(7)})
    found = store.select(order="@value")
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert store._query("SELECT name FROM temp.sqlite_schema") == []
    left = store.select(order="@value")
    next(left)
    store.close()
    with pytest.raises(ClosedError):
        list(left)


def test_a_sorted_listing_outlives_a_transaction_that_is_rolled_back(
    store: Kycore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "_PAGE_ROWS", 2)
    store.save_many({f"k{number}": number for number in range(7)})
    with pytest.raises(ZeroDivisionError), store.transaction():
        found = store.select(order="-@value")
        assert next(found).key == "k6"
        raise ZeroDivisionError
    assert len(list(found)) == 6


def test_a_sorted_listing_says_what_is_full(store: Kycore) -> None:
    store.save_many({f"k{number}": "x" * 400 for number in range(200)})
    store._query("PRAGMA temp.max_page_count = 4")
    with pytest.raises(DiskFullError, match="temporary files"):
        next(store.select(order="@value"))
    assert store._query("SELECT name FROM temp.sqlite_schema") == []
    assert len(list(store.entries())) == 200
