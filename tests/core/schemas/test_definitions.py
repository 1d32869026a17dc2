"""Definitions: what the short form and JSON Schema say, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kycli.core.schemas import definitions, jsonschema, short
from kycli.core.schemas.types import describe
from kycli.core.schemas.validators import Invalid
from kycli.errors import InvalidValueError, SchemaError


def accepts(definition: Any, value: Any, **options: Any) -> Any:
    """Return what is stored for a value, or the fields that are wrong with it."""
    validator = definitions.shape(definition, **options).validator()
    try:
        return validator.validate(value)
    except Invalid as invalid:
        return [problem.field for problem in invalid.problems]


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("str", ["", "x"], [1, None, b"x", ["x"]]),
        ("str(1..3)", ["a", "abc"], ["", "abcd"]),
        ("str(2..)", ["ab"], ["a"]),
        ("str(..2)", ["", "ab"], ["abc"]),
        ("str(/^[a-z]+$/)", ["abc"], ["ABC", ""]),
        (r"str(/^a\/b$/)", ["a/b"], ["ab"]),
        ("str(1..3, /a/)", ["bab"], ["bbb", "aaaa"]),
        ("int", [0, -5, 10**30], [1.0, "1", True, None]),
        ("int(0..150)", [0, 150], [-1, 151]),
        ("float", [1.5, 2, 2**53], ["1.5", True, 2**53 + 1]),
        ("float(0..1.5)", [0.0, 1.5], [-0.1, 1.6]),
        ("bool", [True, False], [1, "true"]),
        ("bytes(1..2)", [b"a"], [b"", b"abc", "a"]),
        ("date", ["2026-11-21"], ["2026-13-01", "21.11.2026", 20261121, "2026-11-21T00:00"]),
        ("date(2020-01-01..)", ["2020-01-01"], ["2019-12-31"]),
        ("datetime", ["2026-11-21T10:00:00Z"], ["2026-11-21", 1700000000]),
        ("uuid", ["12345678-1234-5678-1234-567812345678"], ["1234"]),
        ("decimal", ["1.50", "3"], [1.5, "x"]),
        ("list", [[], [1, "x"]], [{}, "x"]),
        ("list[str](1..2)", [["a"]], [[], ["a", "b", "c"], [1]]),
        ("dict", [{}, {"a": None}], [[]]),
        ("dict[str,int]", [{"a": 1}], [{"a": "1"}]),
        ("list[dict[str,list[int]]]", [[{"a": [1]}]], [[{"a": ["1"]}]]),
        ("enum(a, b c, 3, true)", ["a", "b c", 3, True], ["c", 4, "3"]),
        ("enum('a,b', \"c\")", ["a,b", "c"], ["a"]),
        ("any", [None, 1, "x", [b"x"]], []),
        ("int?", [None, 1], ["1"]),
    ],
)
def test_types(text: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert accepts(text, value) == value
        assert accepts({"member": text}, {"member": value}) == {"member": value}
    for value in bad:
        assert accepts({"member": text}, {"member": value})[0].startswith("member")


@pytest.mark.parametrize(
    ("definition", "path_of_error", "said"),
    [
        ({"a": "strr"}, "a", "no type 'strr'"),
        ({"a": "string"}, "a", "no type 'string'"),
        ({"a": {"b": ["int(5..1)"]}}, "a.b[]", "holds nothing"),
        ({"a": "list[int"}, "a", "']' is missing"),
        ({"a": "int(1..2"}, "a", "')' is missing"),
        ({"a": "int x"}, "a", "left over"),
        ({"a": "int(a..)"}, "a", "no limit"),
        ({"a": "str(-1..)"}, "a", "never"),
        ({"a": "bool(0..1)"}, "a", "takes no range"),
        ({"a": "int(/x/)"}, "a", "only str"),
        ({"a": "enum(a,a)"}, "a", "twice"),
        ({"a": "enum"}, "a", "lists its values"),
        ({"a": "dict[int,str]"}, "a", "keys of JSON objects"),
        ({"a": "int = x"}, "a", "not JSON"),
        ({"a": "int = 'x'"}, "a", "the default"),
        ({"a": {"b": "int(1..2) = 3"}}, "a.b", "the default"),
        ({"a": "str(/(/)"}, "a", "regular expression"),
        ({"a": "str(/(?=a)b/)"}, "a", "look-around"),
        ({"a": "str(/(a{1,1000}){1,1000}/)"}, "a", "size limit"),
        ({"a": 5}, "a", "5 is no type"),
        ({"a": [1, 2]}, "a", "a list of 2"),
        ({"": "int"}, "", "empty name"),
        ({"$ref": "http://example.org/x"}, "", "complete in itself"),
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, "properties.a.type", ""),
        ({"type": "string", "pattern": "(?=a)"}, "", "look-around"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$schema", "draft 2020-12"),
    ],
)
def test_a_wrong_definition_is_refused_with_its_place(
    definition: Any, path_of_error: str, said: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        definitions.shape(definition)
    assert said in str(refused.value)
    assert f" at {path_of_error or 'its top'}: " in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["{", '{"a": "int"', '{"a": "int", "a": "str"}', b"\xff{}", '{"a": NaN}', "[" * 100_000, ""],
)
def test_a_text_that_is_no_json_is_refused(text: Any) -> None:
    with pytest.raises(SchemaError):
        definitions.shape(text)


def test_a_large_or_deep_definition_is_refused() -> None:
    deep: Any = "int"
    for _ in range(60):
        deep = {"a": deep}
    for definition in (
        deep,
        "list[" * 60 + "int" + "]" * 60,
        {"a" * (1 << 21): "int"},
        "x" * 2**21,
    ):
        with pytest.raises(SchemaError):
            definitions.shape(definition)


def test_other_arguments_are_checked() -> None:
    given: list[dict[str, Any]] = [{"extra": "allow"}, {"keys": ""}]
    for options in given:
        with pytest.raises(InvalidValueError):
            definitions.shape("int", **options)


def test_members_and_defaults() -> None:
    definition = {
        "name": "str",
        "role": "enum(user, admin) = 'user'",
        "tags": "list[str] = []",
        "address?": {"zip": "str"},
        "class": "int = 1",
        "_x": "int?",
    }
    filled: dict[str, Any] = {"role": "user", "tags": [], "address": None, "class": 1, "_x": None}
    assert accepts(definition, {"name": "Ada"}) == {"name": "Ada", **filled}
    first, second = (accepts(definition, {"name": "Ada"}) for _ in range(2))
    first["tags"].append("x")
    assert second["tags"] == [], "values share a default"
    assert accepts(definition, {"address": {}, "zip": 1}) == ["name", "address.zip", "zip"]


def test_unknown_members() -> None:
    value = {"a": 1, "b": {"c": 2, "d": 3}}
    definition = {"a": "int", "b": {"c": "int"}}
    assert accepts(definition, value) == ["b.d"]
    assert accepts(definition, value, extra="ignore") == {"a": 1, "b": {"c": 2}}
    assert accepts(definition, value, extra="keep") == value


def test_lax_mode_converts_what_strict_mode_refuses() -> None:
    definition = {"n": "int", "on": "date", "price": "decimal", "ok": "bool"}
    typed = {"n": "36", "on": "2026-11-21", "price": 1.5, "ok": "true"}
    assert accepts(definition, typed) == ["n", "price", "ok"]
    lax = accepts(definition, typed, strict=False)
    assert lax == {"n": 36, "on": "2026-11-21", "price": "1.5", "ok": True}
    assert accepts(definition, json.dumps(typed), strict=False) == lax
    assert accepts("int", "36", strict=False) == 36
    assert accepts("int", True, strict=False) == [""]
    assert accepts("str", "36", strict=False) == "36"


def test_all_problems_are_told_at_once() -> None:
    definition = {"a": "int(0..9)", "b": "list[str]", "c": {"d": "uuid"}}
    validator = definitions.shape(definition).validator()
    with pytest.raises(Invalid) as refused:
        validator.validate({"a": 10, "b": ["x", 1], "c": {"d": "y" * 500}, "e": 1})
    told = [str(problem) for problem in refused.value.problems]
    assert told[:2] == ["a: expected int(0..9), given 10", "b[1]: expected str, given 1"]
    assert told[2].startswith("c.d: expected uuid, given 'yyy")
    assert len(told[2]) < 100
    assert told[3] == "e: expected no such member, given 1"


def test_types_are_described_as_they_are_written() -> None:
    for text in (
        *("str(1..80, /^a$/)", "int(0..)?", "list[dict[str,int]](..3)", "enum(a,'b c',3)?"),
        *("any", "decimal(0..1.5)", "dict[str,list[bool]]"),
    ):
        read = describe(short.parse(text))
        assert describe(short.parse(read)) == read
    assert describe(short.parse("int ( 0 .. 5 ) ?")) == "int(0..5)?"


OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "kind": {"enum": ["a", "b"], "default": "a"},
        "at": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        "home": {"$ref": "#/$defs/home"},
    },
    "required": ["name", "home"],
    "additionalProperties": False,
    "$defs": {
        "home": {
            "type": "object",
            "properties": {"zip": {"type": "string", "pattern": "^[0-9]+$"}},
            "required": ["zip"],
            "additionalProperties": False,
        }
    },
}


def test_json_schema_that_a_tree_can_say() -> None:
    assert jsonschema.as_type(OBJECT) is not None
    stored = accepts(OBJECT, {"name": "Ada", "home": {"zip": "1"}})
    assert stored == {
        "name": "Ada",
        "age": None,
        "tags": [],
        "kind": "a",
        "at": None,
        "home": {"zip": "1"},
    }
    assert accepts(OBJECT, {"name": "", "home": {"zip": "x"}, "no": 1}) == [
        *("name", "home.zip", "no")
    ]


def test_json_schema_that_needs_the_whole_language() -> None:
    tree = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
    }
    assert jsonschema.as_type(tree) is None
    assert accepts(tree, {"next": {"next": {}}}) == {"next": {"next": {}}}
    assert accepts(tree, {"next": {"next": 3}}) == ["next.next"]
    either = {"oneOf": [{"type": "integer"}, {"type": "string", "pattern": "^(a+)+$"}]}
    assert accepts(either, "aaa") == "aaa"
    assert accepts(either, 1.5) == [""]
    assert accepts(either, "a" * 5000 + "b") == [""], "and takes linear time"
    assert accepts({"allOf": [{"type": "integer"}]}, "5", strict=False) == 5
    assert accepts({"$ref": "#"}, 5) == 5, "which says nothing"


@pytest.mark.parametrize(
    "definition",
    [
        {"a": "str(1..3)", "b": "int(0..9)?", "c": "list[float]", "d": "bool = true"},
        {"a": {"b": "enum(x,y)"}, "c?": {"d": "date"}},
        {"a": "dict[str,int]", "b": "any?", "c": "uuid?", "d": "decimal", "e": "datetime"},
    ],
)
def test_an_exported_schema_is_json_schema(definition: Any) -> None:
    tree = definitions.shape(definition).tree()
    assert tree is not None
    document = jsonschema.document_of(*tree)
    list(jsonschema.checker(document)({}))  # which refuses what is none
    assert jsonschema.looks_like(document)


@pytest.mark.parametrize(
    ("definition", "is_json_schema"),
    [
        ({"type": "str"}, False),
        ({"type": "object"}, True),
        ({"type": "string"}, True),
        ({"name": "str"}, False),
        ({"enum": ["a"]}, True),
        ({"enum": "int"}, False),
        ({"properties": {"a": "int"}}, False),
        ("int", False),
    ],
)
def test_which_notation_a_definition_is_in(definition: Any, is_json_schema: bool) -> None:
    assert jsonschema.looks_like(definition) is is_json_schema


@pytest.mark.parametrize(
    "definition",
    [
        "float(nan..)",
        "float(..inf)",
        "decimal(snan..5)",
        "decimal(..Infinity)",
        {"type": "integer", "minimum": None},
        {"type": "integer", "minimum": True},
        {"type": "string", "pattern": 5},
        {"type": ["string", ["null"]]},
        {"type": "object", "properties": {"a": {}}, "required": [["a"]]},
        {"$ref": "#/$defs/a", "$defs": 5},
        {"\ud800": "str"},
        {"a": "enum('\ud800')"},
        {"a": "str = '\ud800'"},
    ],
)
def test_a_malformed_definition_is_one_error(definition: Any) -> None:
    with pytest.raises(SchemaError):
        definitions.shape(definition)


def test_references_that_multiply_are_not_written_out() -> None:
    node = {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}}}
    node["properties"] |= {"right": {"$ref": "#/$defs/node"}}  # type: ignore[operator]
    tree = {"$defs": {"node": node}, "$ref": "#/$defs/node"}
    assert accepts(tree, {"left": {"right": {}}}) == {"left": {"right": {}}}
    assert accepts(tree, {"left": {"right": 3}}) == ["left.right"]


def test_times_with_and_without_a_zone_are_compared() -> None:
    mixed = "datetime(2020-01-01T00:00:00Z..2021-01-01T00:00:00)"
    for good in ("2020-05-01T00:00:00", "2020-05-01T00:00:00Z", "2020-01-01T01:00:00+01:00"):
        assert accepts({"at": mixed}, {"at": good})["at"] in (good, "2020-01-01T01:00:00+01:00")
    for bad in ("2019-12-31T23:59:59", "2021-01-01T00:00:01Z", "2020-01-01T00:00:00+01:00"):
        assert accepts({"at": mixed}, {"at": bad}) == ["at"]


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("enum(1, a)", True),
        ("enum(0, a)", False),
        ("enum(1, a)", 1.0),
        ("enum(true, a)", 1),
        ({"enum": [1]}, True),
        ({"type": "string", "enum": ["a", 5]}, 5),
        ({"type": "integer", "const": 1, "enum": [2]}, 1),
    ],
)
def test_a_choice_is_of_its_own_type(definition: Any, value: Any) -> None:
    assert accepts(definition, value) == [""]


def test_no_member_takes_the_place_of_another() -> None:
    definition = {"member_1": "int", "a b": "str", "member_since": "int"}
    value = {"member_1": 5, "a b": "x", "member_since": 7}
    assert accepts(definition, value) == value


def test_values_that_no_json_schema_can_describe_are_wrong() -> None:
    text = {"type": "string", "not": {"const": "x"}}
    either = {"oneOf": [text, {"type": "array", "items": text}]}
    for value in ([b"x"], "\ud800", ["\ud800"]):
        assert accepts(either, value) == [""]
