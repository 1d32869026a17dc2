"""The syntax of paths, and what they choose."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kycli.core.documents.paths import MISSING, parse, parse_steps, put, read, render
from kycli.errors import InputError, InvalidPathError, KycliError, WrongTypeError

if TYPE_CHECKING:
    from kycli.core.documents.paths import Step

indexes = st.integers(-(10**6), 10**6)
bounds = st.none() | st.integers(-9, 9)
slices = st.builds(slice, bounds, bounds, st.none() | st.integers(-3, 3).filter(bool))
names = st.text(st.characters(codec="utf-8"), max_size=5) | st.text(".[]'\"\\$:0a", max_size=5)
steps = st.lists(names | indexes | slices, max_size=5)
documents = st.recursive(
    st.none() | st.integers() | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=4)
    ),
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$", []),
        ("$.a.b", ["a", "b"]),
        ("$[0]", [0]),
        (".a", ["a"]),
        ("a", ["a"]),
        ("a[0].b", ["a", 0, "b"]),
        ("[-1]", [-1]),
        ("[007]", [7]),
        ("[0:5]", [slice(0, 5)]),
        ("[:]", [slice(None, None)]),
        ("[-3:]", [slice(-3, None)]),
        ("[::-1]", [slice(None, None, -1)]),
        ("[1:9:2][0]", [slice(1, 9, 2), 0]),
        ('["a.b"]', ["a.b"]),
        ('["\\u00e9\\n\\""]', ['é\n"']),
        ("['it\\'s \\\\']", ["it's \\"]),
        ('[""]', [""]),
        (".two words.größe.日本", ["two words", "größe", "日本"]),
        (".0.-1", ["0", "-1"]),
        (".$ref.it's", ["$ref", "it's"]),
    ],
)
def test_paths_that_can_be_read(text: str, steps: list[Step]) -> None:
    assert parse(text) == steps


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 1),
        ("$a", 2),
        ("$$", 2),
        (".", 2),
        ("a.", 3),
        ("a..b", 3),
        ("a.[0]", 3),
        ("a]", 2),
        ("[", 2),
        ("[0", 3),
        ("[]", 2),
        ("[*]", 2),
        ("[a]", 2),
        ("[1.5]", 2),
        ("[٣]", 2),
        ("[ 1]", 2),
        ("[+1]", 2),
        ("[--1]", 2),
        ("[1:2:3:4]", 2),
        ("[1:x]", 2),
        ("[::0]", 2),
        ("[9999999999999999999]", 2),
        ('["a', 2),
        ("['a]", 2),
        ("['a\\n']", 5),
        ('["a"', 5),
        ('["a"b]', 5),
        ("[0]b", 4),
        ("[?@.a]", 2),
    ],
)
def test_what_is_no_path_is_refused_with_the_place(text: str, at: int) -> None:
    with pytest.raises(InvalidPathError, match=f"at character {at},") as caught:
        parse(text)
    assert isinstance(caught.value, (InputError, ValueError))
    assert caught.value.hint


@pytest.mark.parametrize("path", [None, 3, b"a", ["a"]])
def test_a_path_is_text(path: Any) -> None:
    with pytest.raises(TypeError):
        parse(path)


@given(steps)
def test_what_is_written_reads_back(steps: list[Step]) -> None:
    assert parse_steps(render(steps), 0) == steps
    assert parse("$" + render(steps)) == steps


@given(st.text(st.sampled_from(".[]'\"\\$:0-1a*"), max_size=12))
def test_any_text_is_a_path_or_refused_as_none(text: str) -> None:
    try:
        steps = parse(text)
    except InvalidPathError:
        return
    assert parse("$" + render(steps)) == steps


def walked(document: Any, steps: list[Step]) -> Any:
    """What Python's own subscripts choose, where a name meets a dict and the rest a list."""
    for step in steps:
        if document is None:
            return MISSING
        if not isinstance(document, dict if isinstance(step, str) else list):
            return TypeError
        try:
            document = operator.getitem(document, step)  # type: ignore[arg-type]
        except LookupError:
            return MISSING
    return document


@given(documents, steps | st.lists(st.sampled_from(["a", "b", "", 0, 1, -1, slice(0, 2)])))
def test_reading_is_what_pythons_subscripts_do(document: Any, steps: list[Step]) -> None:
    try:
        found = read(document, steps, "k")
    except WrongTypeError:
        found = TypeError
    assert found == walked(document, steps)


@given(documents, st.lists(names | st.integers(-4, 4), max_size=4), documents)
def test_what_was_put_is_there_and_the_rest_is_as_it_was(
    document: Any, steps: list[Step], value: Any
) -> None:
    before = copy.deepcopy(document)
    try:
        after = put(document, steps, value, "k")
    except KycliError:
        return
    assert read(after, steps, "k") == value
    if not steps:
        return
    was = read(before, steps, "k")
    if was is not MISSING:
        assert put(after, steps, was, "k") == before


@given(st.lists(names | st.just(0), min_size=1, max_size=6))
def test_what_leads_to_a_place_is_made(steps: list[Step]) -> None:
    document = put(None, steps, "here", "k")
    assert read(document, steps, "k") == "here"
    for step in steps:
        assert len(document) == 1
        document = document[step]


@given(documents, steps)
def test_errors_name_the_place_and_never_are_pythons(document: Any, steps: list[Step]) -> None:
    assume(steps)
    attempts: list[Callable[[], Any]] = [
        lambda: read(document, steps, "key"),
        lambda: put(document, steps, 1, "key"),
    ]
    for attempt in attempts:
        said = ""
        try:
            attempt()
        except (WrongTypeError, InvalidPathError) as error:
            said = str(error)
        assert said == "" or said.startswith("key") or "slice" in said
