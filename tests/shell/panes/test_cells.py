"""Text and values in cells of a pane."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from kycli.core.operations.excerpts import Excerpt
from kycli.shell.panes.text import counted, cut, fit, fit_line, safe, span, width, wrapped
from kycli.shell.panes.values import MOST_LINES, lines_of, one_line, plain_lines, type_of

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("ab \t\n\r\x1b\x07\x9b\u202e\u0301日👩\u200d\ufe0fש"),
    )
)


def shown(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for _, text in line) for line in lines]


def excerpt(value: object) -> Excerpt:
    kinds = {str: "text", bytes: "bytes", dict: "json", list: "json", int: "int"}
    size = len(value) if isinstance(value, (str, bytes)) else 8
    return Excerpt(kinds[type(value)], value, size, True)


@given(TEXTS)
def test_safe_text_cannot_drive_a_terminal(text: str) -> None:
    found = safe(text)
    marks = 0
    for character in found:
        assert character.isprintable() or character in " \u3000\xa0" or ord(character) > 0xA0
        assert character not in "\x1b\x9b\r\n\u202e\u200d\ufe0f"
        marks = marks + 1 if get_cwidth(character) == 0 else 0
        assert marks <= 2
    assert not found or get_cwidth(found[0]) > 0


@given(TEXTS, st.integers(0, 30))
def test_cells_are_as_wide_as_they_must_be(text: str, columns: int) -> None:
    found = safe(text)
    assert width(fit(found, columns)) == columns
    assert width(cut(found, columns)) <= columns
    line = fit_line([("", found[:3]), ("bold", found[3:])], columns)
    assert sum(width(piece) for _, piece in line) == columns


@given(TEXTS, st.integers(2, 30))
def test_wrapping_loses_nothing(text: str, columns: int) -> None:
    found = safe(text)
    lines = wrapped(found, columns)
    assert "".join(lines) == found
    assert all(width(line) <= columns for line in lines)


def test_sizes_and_times_are_said_as_people_say_them() -> None:
    assert [counted(size) for size in (0, 1, 1023, 1024, 5 << 30)] == [
        "0 bytes", "1 byte", "1023 bytes", "1.0 KiB", "5.0 GiB"
    ]  # fmt: skip
    assert [span(ms) for ms in (-5, 0, 1, 59_999, 3_600_000)] == ["0s", "0s", "1s", "1m", "1h"]


@given(st.recursive(st.one_of(TEXTS, st.integers(), st.none()), st.lists, max_leaves=8))
def test_lines_of_any_document_fit(value: object) -> None:
    for columns in (1, 20, 80):
        for line in lines_of(excerpt([value]), columns):
            assert width("".join(text for _, text in line)) <= max(4, columns)


def test_json_is_indented_and_coloured() -> None:
    lines = lines_of(excerpt({"name": "a\x1b", "n": [1, None]}), 40)
    assert shown(lines) == [
        "{", '  "n": [', "    1,", "    null", "  ],", '  "name": "a\\u001b"', "}"
    ]  # fmt: skip
    styles = {text: style for line in lines for style, text in line}
    assert len({styles['"n"'], styles["1"], styles["null"], styles['"a\\u001b"']}) == 4


def test_text_that_spells_json_is_shown_as_json() -> None:
    value = excerpt(' {"b": 1, "a": "\u202e"}')
    assert type_of(value) == "text, JSON"
    assert shown(lines_of(value, 40)) == ["{", '  "b": 1,', '  "a": "\\u202e"', "}"]
    for text in ("{not json", "[" * 10_000, "42", ""):
        assert type_of(excerpt(text)) == "text"
        assert shown(lines_of(excerpt(text), 80))


def test_text_keeps_its_lines_and_steps() -> None:
    assert shown(lines_of(excerpt("a\tb\n\nlong word here\r"), 10)) == [
        "a   b", "", "long word ", "here\\r"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "first"),
    [
        (80, f"0000  {'00 41 ff':47} .A."),
        (40, f"0000  {'00 41 ff':23} .A."),
        (20, "00 41 ff"),
        (4, "00"),
    ],
)
def test_bytes_are_a_hex_dump(columns: int, first: str) -> None:
    assert shown(lines_of(excerpt(b"\x00A\xff"), columns))[0].rstrip() == first


def test_what_is_cut_says_so() -> None:
    head = Excerpt("text", "x" * 1024, 3 << 20, False)
    assert shown(lines_of(head, 80))[-1] == "… 1.0 KiB of 3.0 MiB are shown"
    many = shown(lines_of(excerpt("\n" * (2 * MOST_LINES)), 80))
    assert many[-1] == "… only the first 5,000 lines are shown"
    assert len(many) == MOST_LINES + 1


def test_lines_to_be_compared_are_not_wrapped() -> None:
    assert plain_lines(excerpt("a" * 5000)) == ["a" * 5000]
    assert len(plain_lines(excerpt(bytes(64)))) == 4


def test_one_line_of_a_value() -> None:
    assert one_line(excerpt("a\nb\x1b[m"), 40) == "a\\nb\\x1b[m"
    assert one_line(excerpt(b"\x01\x02"), 40) == "2 bytes: 01 02"
    assert one_line(excerpt({"a": 1}), 40) == '{"a":1}'
    assert one_line(Excerpt("json", "", 5000, False), 40) == "json, 4.9 KiB"
