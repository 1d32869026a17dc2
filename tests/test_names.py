"""Names, lengths of time and documents: what is taken, what is refused, what comes back."""

from __future__ import annotations

import base64
import json
import math
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kycli.core import durations, values
from kycli.core.names import (
    DEFAULT,
    MAX_NAME,
    check_name,
    check_scope,
    join_scope,
    split_scope,
)
from kycli.errors import InvalidScopeError, InvalidTTLError, InvalidValueError, WrongTypeError

NAMES = st.text(
    st.characters(categories=["L", "Nd", "M"], include_characters="_-"),
    min_size=1,
    max_size=MAX_NAME,
)


# Names.


@pytest.mark.parametrize(
    "name",
    ["a", "alpha", "Alpha-2_x", "-", "_", "0", "größe", "中文", "हिन्दी", "٣", "x" * MAX_NAME],
)
def test_name_is_kept_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a.b",
        "a b",
        "a/b",
        "../x",
        "a\0b",
        "a\n",
        "²",
        "a\u200bb",
        "\ud800",
        "🙂",
        "'",
        "x" * 129,
    ],
)
def test_bad_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidScopeError) as caught:
        check_name(name, "namespace")
    assert "namespace name" in str(caught.value)
    assert caught.value.hint is not None
    assert "letters, digits, '_' and '-'" in caught.value.hint


def test_refusal_proposes_a_name_that_is_right() -> None:
    with pytest.raises(InvalidScopeError) as caught:
        check_name("my app")
    assert "'my app'" in str(caught.value)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("try 'my_app'")


@given(NAMES, NAMES)
def test_scope_splits_into_the_names_that_it_was_joined_from(project: str, namespace: str) -> None:
    scope = join_scope(project, namespace)
    assert split_scope(scope) == (project, namespace)
    assert check_scope(scope) == scope
    assert check_scope(f"{project}.{namespace}") == scope


def test_default_namespace_is_not_written() -> None:
    assert check_scope("alpha.default") == "alpha"
    assert check_scope("default.default") == DEFAULT
    assert split_scope("alpha") == ("alpha", DEFAULT)


@given(st.text())
def test_text_is_a_scope_in_canonical_form_or_refused(text: str) -> None:
    try:
        scope = check_scope(text)
    except InvalidScopeError:
        return
    assert check_scope(scope) == scope
    assert text in (scope, f"{scope}.{DEFAULT}")


@pytest.mark.parametrize("scope", ["", ".", "a.", ".b", "a..b", "a.b.c", "a b", "a.b c"])
def test_bad_scope_is_refused(scope: str) -> None:
    with pytest.raises(InvalidScopeError):
        check_scope(scope)


def test_scope_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidScopeError, match="not int"):
        check_scope(5)  # type: ignore[arg-type]


# Lengths of time.


@pytest.mark.parametrize(
    ("ttl", "milliseconds"),
    [
        (1, 1000),
        (0.25, 250),
        ("1", 1000),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1w", 604_800_000),
        ("1M", 2_592_000_000),
        ("1y", 31_536_000_000),
        ("1.5h", 5_400_000),
        (".5", 500),
        ("1e3", 1_000_000),
        ("+2", 2000),
        (0.0001, 1),
        ("10000y", 315_360_000_000_000),
    ],
)
def test_ttl_is_read_in_milliseconds(ttl: float | str, milliseconds: int) -> None:
    assert durations.parse_ttl(ttl) == milliseconds


@pytest.mark.parametrize(
    "ttl",
    [
        *(0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf, True, None, [], b"5"),
        *("", "s", "0", "0s", "-5", "-5s", "5x", "5 s", " 5", "5\n", "1_000", "nan", "inf", "٣"),
        *("1h30m", "5ss", "0x10", "1e400", "10001y", "--1", "e", "1.2.3", "5S", "5H"),
    ],
)
def test_ttl_that_is_no_positive_time_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidTTLError) as caught:
        durations.parse_ttl(ttl)
    assert caught.value.hint is not None
    assert "30s 5m 2h 1d 1w 1M 1y" in caught.value.hint


@pytest.mark.parametrize(
    "ttl",
    [10**5000, -(10**5000), "1" * 5000, "x" * 5000],
    ids=["int", "negative int", "digits", "letters"],
)
def test_ttl_of_thousands_of_digits_is_refused_in_one_short_line(ttl: Any) -> None:
    with pytest.raises(InvalidTTLError) as caught:
        durations.parse_ttl(ttl)
    assert len(str(caught.value)) < 120


@given(st.integers(1, durations.MAX_TTL_MS))
def test_ttl_in_seconds_keeps_every_millisecond(milliseconds: int) -> None:
    whole, rest = divmod(milliseconds, 1000)
    assert durations.parse_ttl(f"{whole}.{rest:03}") == milliseconds


# Documents.

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=40)
)
# Members that look like the tags of the format are the interesting ones.
KEYS = st.sampled_from(["$base64", "$float", "$literal"]) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=20,
)
DOCUMENTS = st.lists(VALUES, max_size=4) | st.dictionaries(KEYS, VALUES, max_size=3)


def exact(value: Any) -> Any:
    """Return something that is equal only for values of the same types, bits and order."""
    if isinstance(value, float):
        # One NaN is as good as another.
        return ("float", "nan" if math.isnan(value) else struct.pack(">d", value))
    if isinstance(value, list):
        return ("list", [exact(item) for item in value])
    if isinstance(value, dict):
        return ("dict", sorted((key, exact(item)) for key, item in value.items()))
    return (type(value).__name__, value)


@given(DOCUMENTS)
def test_document_comes_back_equal_and_of_the_same_types(document: Any) -> None:
    back = values.loads(values.dumps(document))
    assert exact(back) == exact(document)
    if isinstance(document, dict):
        assert list(back) == list(document)


@given(VALUES)
def test_what_is_printed_can_be_read_back(value: Any) -> None:
    text = values.canonical(value)
    assert exact(values.parse(text)) == exact(value)
    assert exact(values.parse(text.encode())) == exact(value)
    assert values.canonical(values.parse(text)) == text


@given(st.dictionaries(KEYS, SCALARS))
def test_canonical_form_does_not_depend_on_the_order_of_members(document: dict[str, Any]) -> None:
    turned = dict(reversed(document.items()))
    assert values.canonical(turned) == values.canonical(document)


@given(VALUES)
def test_canonical_form_is_json_without_spare_blanks(value: Any) -> None:
    text = values.canonical(value)
    compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    assert len(text) <= len(compact) + 25 * text.count(".0")
    assert json.loads(compact) == json.loads(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        # RFC 8785, section 3.2.3: by UTF-16 code units, so U+1F600 goes before U+FB33.
        ({"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4, "1": 5}, None),
        ([], "[]"),
        ({}, "{}"),
        (b"hi", '{"$base64":"aGk="}'),
        ({"$base64": "aGk="}, '{"$literal":{"$base64":"aGk="}}'),
        (math.inf, '{"$float":"inf"}'),
        ('\x00\x1f"\\/\b\f\n\r\t\x7fé', '"\\u0000\\u001f\\"\\\\/\\b\\f\\n\\r\\t\x7fé"'),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (1, "1"),
        (2**70, str(2**70)),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000.0"),
        (123456789.125, "123456789.125"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
    ],
)
def test_canonical_form(value: Any, text: str | None) -> None:
    if text is None:
        text = '{"\\r":4,"1":5,"\u20ac":3,"\U0001f600":2,"\ufb33":1}'
    assert values.canonical(value) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1,]", "{'a': 1}", "NaN", "-Infinity", "1e400", "01", "nul", "1 2", "\ufeff1"),
        *('{"a":1,"a":2}', '[{"x":{"a":1,"a":2}}]', '{"$base64":"a"}', '{"$base64":5}'),
        *('{"$float":"1"}', '{"$float":1.0}', '{"$literal":1}', '{"$base64":"aGk"}', '"\n"'),
        *("9" * 5000, "[" * 100_000),
        b'"\xff"',
    ],
)
def test_text_with_no_single_reading_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidValueError):
        values.parse(text)


def test_refusal_of_json_says_where() -> None:
    with pytest.raises(InvalidValueError, match="line 2, column 6"):
        values.parse('{"a":\n "b" 1}')


@pytest.mark.parametrize(
    "value",
    [{1: "a"}, (1, 2), {1, 2}, [object()], {"a": {"b": bytearray(b"x")}}, 1j, {None: 1}],
)
def test_type_that_would_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(WrongTypeError):
        values.dumps(value)


def test_int_of_more_digits_than_python_prints_is_refused() -> None:
    for write in (values.dumps, values.canonical):
        with pytest.raises(InvalidValueError, match="digits"):
            write([10**5000])


def nested(levels: int, *, tag: str) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = {tag: value} if tag else [value]
    return value


@pytest.mark.parametrize("tag", ["", "a", "$literal"])
def test_deepest_document_comes_back_and_a_deeper_one_is_refused(tag: str) -> None:
    document = nested(values.MAX_DEPTH, tag=tag)
    assert values.loads(values.dumps(document)) == document
    assert values.parse(values.canonical(document)) == document
    for levels in (values.MAX_DEPTH + 1, 50_000):
        for write in (values.dumps, values.canonical):
            with pytest.raises(InvalidValueError, match="200 levels"):
                write(nested(levels, tag=tag))


def test_document_inside_itself_is_refused() -> None:
    document: list[Any] = []
    document.append(document)
    with pytest.raises(InvalidValueError, match="levels"):
        values.dumps(document)


def test_caller_near_the_end_of_the_stack_gets_an_error_of_ours() -> None:
    document = nested(values.MAX_DEPTH, tag="")

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            values.dumps(document)

    with pytest.raises(InvalidValueError, match="too deeply"):
        descend(sys.getrecursionlimit() - stack_depth() - values.MAX_DEPTH // 2)


def stack_depth() -> int:
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


@given(st.binary(max_size=200))
def test_base64_may_be_broken_into_lines(data: bytes) -> None:
    text = base64.encodebytes(data).decode()
    assert values.decode_base64(text) == data
    assert values.decode_base64(text.encode()) == data


@pytest.mark.parametrize("text", ["a", "aGk", "aGk=x", "aG*k", "é", "aGk=aGk=", "-_8="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        values.decode_base64(text)
