"""The framings of `kycli batch`: what is written is read as it was, in blocks of any size."""

from __future__ import annotations

import io
import subprocess

import pytest
from cli.commands.programs.batches import FLAGS, asked, reply
from hypothesis import example, given
from hypothesis import strategies as st

from kycli.cli.calls import Reply
from kycli.cli.commands.programs import frames
from kycli.cli.commands.programs.frames import FRAMINGS, Request

FRAMED = pytest.mark.parametrize("framing", FLAGS)
FLAG = {"lines": "", "null": "null", "jsonl": "jsonl"}

# What quoting and framing may stumble over comes often.
LETTERS = st.one_of(
    st.sampled_from("'\"\\$# \t\n\r\v\f`0aé🙂-{}[]\u2028\x85\x1c"),
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
)
WORD = st.text(LETTERS, max_size=8)
COMMAND = st.lists(WORD, min_size=1, max_size=4)
COMMANDS = st.lists(COMMAND, max_size=4)
CUTS = st.lists(st.integers(1, 9), max_size=30)


def read(framing: str, data: bytes, sizes: list[int]) -> list[Request]:
    """Read requests from blocks of these sizes, and one of the rest."""
    reader = FRAMINGS[FLAG[framing]]()
    found: list[Request] = []
    for size in sizes:
        block, data = data[:size], data[size:]
        found += reader.requests(block) if block else ()
    found += reader.requests(data) if data else ()
    return [*found, *reader.requests(b"")]


def shown(request: Request) -> tuple[object, ...]:
    return (*request[:3], str(request.error), request.is_last)


@FRAMED
@given(COMMANDS, CUTS)
@example([["a\nb", "", "'"], ["x"]], [1] * 30)
@example([["set", "k", "#x"], ["\r", "\r\n"]], [])
def test_any_words_are_read_as_they_were(
    framing: str, commands: list[list[str]], sizes: list[int]
) -> None:
    data = b"".join(asked(framing, words) for words in commands)
    requests = read(framing, data, sizes)
    # The first word may be the name of the program, which is dropped on lines.
    expected = [
        words[1:] if framing == "lines" and words[0] == "kycli" else words for words in commands
    ]
    assert [request.words for request in requests] == expected
    assert all(request.error is None for request in requests)


@given(st.lists(st.tuples(COMMAND, st.none() | st.binary(max_size=20)), max_size=4), CUTS)
def test_any_input_is_read_as_it_was(
    commands: list[tuple[list[str], bytes | None]], sizes: list[int]
) -> None:
    data = b"".join(asked("jsonl", words, stdin) for words, stdin in commands)
    requests = read("jsonl", data, sizes)
    assert [(request.words, request.stdin) for request in requests] == commands


@FRAMED
@given(st.integers(0, 2), st.binary(max_size=30), WORD)
def test_any_reply_is_read_as_it_was(framing: str, code: int, out: bytes, err: str) -> None:
    data = FRAMINGS[FLAG[framing]].reply(Reply(code, [(1, out), (2, err.encode())]))
    stream = io.BytesIO(data)
    assert reply(framing, stream) == (code, out, err)
    assert stream.read() == b""


@FRAMED
@given(st.binary(max_size=40), CUTS)
def test_any_bytes_are_read_or_refused(framing: str, data: bytes, sizes: list[int]) -> None:
    requests = read(framing, data, sizes)
    assert [shown(request) for request in requests] == [
        shown(request) for request in read(framing, data, [])
    ]
    assert all(request.error is None or not request.words for request in requests)


@FRAMED
@given(COMMANDS.filter(bool), st.data())
def test_input_that_ends_early_gives_no_other_command(
    framing: str, commands: list[list[str]], data: st.DataObject
) -> None:
    """A word may be shorter where nothing marks its end: on the last line, unquoted."""
    whole = b"".join(asked(framing, words) for words in commands)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    requests = read(framing, cut, [])
    expected = read(framing, whole, [])
    good = [request.words for request in requests if request.error is None]
    complete = good if framing != "lines" else good[:-1]
    assert complete == [request.words for request in expected][: len(complete)]


@given(st.lists(WORD, min_size=1, max_size=6))
@example(["tab\tand\x1bescape", "it's", "", "~", "é\n", "!", "\x7f"])
def test_words_that_bash_quotes_are_read_as_they_were(words: list[str]) -> None:
    done = subprocess.run(
        ["bash", "-c", "printf '%q ' \"$@\"", "bash", *words], capture_output=True, check=True
    )
    (request,) = read("lines", b"set " + done.stdout + b"\n", [])
    # Without its locale, bash writes bytes that are no ASCII as they are or as escapes.
    assert request.words == ["set", *words]


def test_a_command_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_BYTES", 100)
    for flag in FRAMINGS:
        reader = FRAMINGS[flag]()
        assert list(reader.requests(b"x" * 60)) == []
        (request,) = reader.requests(b"x" * 60)
        assert "more than 100 bytes" in str(request.error)
        assert request.is_last


@pytest.mark.parametrize("quote", [b"'", b'"', b"$'"])
def test_a_quoted_text_of_many_lines_is_read_in_one_pass(quote: bytes) -> None:
    """Each block is looked at once, so what is read in 10,000 blocks is read in a moment."""
    reader = FRAMINGS[""]()
    assert list(reader.requests(b"set k " + quote)) == []
    line = b"0123456789" * 100 + b"\n"
    for _ in range(10_000):
        assert list(reader.requests(line)) == []
    (request,) = reader.requests(quote[-1:] + b"\n")
    assert request.words == ["set", "k", (line * 10_000).decode()]
