"""Requests and replies: the same after the journey, and junk is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kycli.session import protocol
from kycli.session.protocol import ProtocolError

WORDS = st.binary(max_size=40).map(lambda word: word.replace(b"\0", b""))
NAMES = st.text("ABCXYZ_", min_size=1, max_size=8)


def body_of(data: bytes) -> bytes:
    found = protocol.length(data)
    assert found is not None
    begin, size = found
    assert len(data) == begin + size
    return data[begin:]


@given(
    st.lists(WORDS, max_size=6),
    st.dictionaries(NAMES, st.text("abc =\n", max_size=8), max_size=4),
    st.none() | st.binary(max_size=60),
    st.sampled_from(["ppp", "ttt", "-p-", "tp-o"]),
)
def test_a_request_arrives_as_it_was_sent(
    words: list[bytes], variables: dict[str, str], given: bytes | None, streams: str
) -> None:
    data = protocol.request(
        "kyg",
        words,
        pid=4711,
        directory=b"/a\xff b\nc",
        umask=0o27,
        streams=streams,
        variables=variables,
        input=given,
    )
    arrived = protocol.parsed(body_of(data))
    assert (arrived.pid, arrived.umask, arrived.program) == (4711, 0o27, "kyg")
    assert arrived.directory == b"/a\xff b\nc"
    assert [word.encode("utf-8", "surrogateescape") for word in arrived.arguments] == words
    assert arrived.variables == b"".join(f"{n}={v}\0".encode() for n, v in variables.items())
    assert arrived.input == given
    assert arrived.streams == streams
    assert arrived.is_last == streams.endswith("o")


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=4))
def test_a_reply_arrives_as_it_was_sent_and_only_when_it_is_whole(
    chunks: list[tuple[int, bytes]],
) -> None:
    data = protocol.reply(b"2", chunks)
    assert protocol.read_reply(data) == (b"2", chunks)
    for end in range(len(data)):
        assert protocol.read_reply(data[:end]) is None


WHOLE = protocol.request("kyg", ["key"], pid=1, directory="/", variables={"A": "b"})


def test_every_beginning_of_a_request_is_waited_for_or_refused() -> None:
    for end in range(1, len(WHOLE)):
        found = protocol.length(WHOLE[:end])
        if found is not None:
            with pytest.raises(ProtocolError):
                protocol.parsed(WHOLE[found[0] : end])


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"KYCLI2\x0010\0",
        b"KYCLI1\x00-1\0",
        b"KYCLI1\x00\0",
        b"KYCLI1\x001x\0",
        b"KYCLI1\x00" + b"9" * 30,
        b"KYCLI1\x00999999999\0",
        b"\xff" * 100,
    ],
)
def test_what_is_no_request_is_refused_at_its_beginning(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.length(junk)


def test_a_length_is_waited_for_only_as_long_as_one_can_be() -> None:
    assert protocol.length(b"K") is protocol.length(b"KYCLI1\x001234") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, b"x"),  # the process
        (0, b""),
        (0, b"-1"),
        (1, b"relative"),
        (1, b""),
        (2, b"99"),  # the umask
        (2, b"00000"),
        (3, b"pp"),  # the streams
        (3, b"pppx"),
        (3, b"ppoo"),
        (5, b"2"),  # how many variables
        (5, b"1000000000000"),
        (7, b"0"),  # how many arguments
        (7, b"2"),
        (9, b"5"),  # how much input
        (9, b""),
        (9, b"99999999"),
    ],
)
def test_a_wrong_field_is_refused(field: int, value: bytes) -> None:
    fields = body_of(WHOLE).split(b"\0")
    assert protocol.parsed(b"\0".join(fields))
    fields[field] = value
    with pytest.raises(ProtocolError):
        protocol.parsed(b"\0".join(fields))


@given(st.binary(max_size=200))
def test_junk_is_never_more_than_refused(junk: bytes) -> None:
    try:
        protocol.parsed(junk)
    except ProtocolError:
        pass
