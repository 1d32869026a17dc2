"""Standard input of the native client: sent when the server asks, and never lost."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
from session.clients import Place, native, run

from kycli.session import protocol

pytestmark = native

BOUND = 1 << 20
"""What is longer than this is Python's to read."""


def counting(request: protocol.Request, _: socket.socket) -> bytes:
    """Ask for standard input, and answer how much there was."""
    if request.input is None:
        return protocol.reply(protocol.WANTS_INPUT, [])
    return protocol.reply(b"0", [(1, b"server: %d\n" % len(request.input))])


def read(place: Place, data: bytes, kind: str) -> bytes:
    """Return what the client prints of an input that is a file or a pipe."""
    if kind == "pipe":
        return place.run("kys", "input", stdin=data).out
    path = place.bin / "data"
    path.write_bytes(b"skipped" + data)
    with path.open("rb") as file:
        os.lseek(file.fileno(), 7, os.SEEK_SET)
        process = place.start("kys", "input", stdin=file)
        out, _ = process.communicate(timeout=60)
    return out


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65536, 300_000, BOUND])
def test_what_the_server_asks_for_is_sent(place: Place, kind: str, size: int) -> None:
    with place.serving(counting):
        assert read(place, b"x" * size, kind) == b"server: %d\n" % size


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize("size", [BOUND + 1, BOUND + 4096, 5 * BOUND])
def test_what_is_longer_python_reads_from_its_first_byte(
    place: Place, kind: str, size: int
) -> None:
    place.script.write_text("#!/bin/sh\nmd5sum\n")
    data = os.urandom(size)
    expected = subprocess.run(["md5sum"], input=data, capture_output=True).stdout
    with place.serving(counting):
        assert read(place, data, kind) == expected


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_the_server_then_declines_python_reads(place: Place, kind: str) -> None:
    def declining(request: protocol.Request, _: socket.socket) -> bytes:
        status = protocol.WANTS_INPUT if request.input is None else protocol.DECLINED
        return protocol.reply(status, [])

    with place.serving(declining):
        assert read(place, b"x" * 1000, kind).split() == b"python: [kys] [input] 1000".split()
        assert read(place, b"", kind).split() == b"python: [kys] [input] 0".split()


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_python_reads_it_when_the_server_has_gone_meanwhile(place: Place, kind: str) -> None:
    def leaving(request: protocol.Request, _: socket.socket) -> bytes:
        place.path.unlink(missing_ok=True)
        return protocol.reply(protocol.WANTS_INPUT, [])

    with place.serving(leaving):
        assert read(place, b"x" * 1000, kind).split() == b"python: [kys] [input] 1000".split()


def test_a_server_that_asks_twice_is_none_of_ours(place: Place) -> None:
    with place.serving(lambda *_: protocol.reply(protocol.WANTS_INPUT, [])):
        code, out, err = place.run("kys", "input", stdin=b"x")
    assert (code, out) == (1, b"")
    assert b"whether it was done is not known" in err


def test_input_that_nobody_asks_for_is_left_alone(place: Place) -> None:
    def answer(*_: object) -> bytes:
        return protocol.reply(b"0", [])

    with place.serving(answer):
        script = f"{place.bin}/kys a; {place.bin}/kys b; cat"
        done = run("sh", "-c", script, stdin=b"all of it\n", environ=place.environ)
    assert done.out == b"all of it\n"


def test_a_loop_that_reads_lines_keeps_its_input(place: Place) -> None:
    place.script.write_text("#!/bin/sh\nexit 0\n")
    script = f"while read line; do echo $line; {place.bin}/kys $line; done"
    done = run("bash", "-c", script, stdin=b"1\n2\n3\n", environ=place.environ)
    assert done.out == b"1\n2\n3\n"


def test_a_pipe_is_fed_no_further_than_python_reads(place: Place) -> None:
    place.script.write_text("#!/bin/sh\nhead -c 5\n")
    ours, theirs = os.pipe()
    with place.serving(counting):
        process = place.start("kys", "input", stdin=ours)
        os.close(ours)
        os.write(theirs, b"12345")
        with pytest.raises(BrokenPipeError):  # nobody is left who would read it
            while True:
                os.write(theirs, b"x" * 65536)
        out, _ = process.communicate(timeout=60)
    os.close(theirs)
    assert out == b"12345"


def test_the_reader_of_the_output_does_not_wait_for_the_input_to_end(place: Place) -> None:
    # What feeds Python outlives it, and must not hold its output open.
    place.script.write_text("#!/bin/sh\nhead -c 5\n")
    ours, theirs = os.pipe()
    with place.serving(counting):
        process = place.start("kys", "input", stdin=ours)
        os.close(ours)
        os.write(theirs, b"x" * 65536)
        for _ in range(BOUND // 65536):
            os.write(theirs, b"x" * 65536)
        out, _ = process.communicate(timeout=60)
    os.close(theirs)
    assert out == b"xxxxx"


def test_input_that_does_not_block_is_python_s(place: Place) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    os.write(theirs, b"abc")
    os.close(theirs)
    with place.serving(counting):
        process = place.start("kys", "input", stdin=ours)
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert out.split() == b"python: [kys] [input] 3".split()


def test_a_directory_as_input_is_python_s(place: Place) -> None:
    place.script.write_text("#!/bin/sh\necho python\n")
    directory = os.open(place.bin, os.O_RDONLY)
    with place.serving(counting):
        process = place.start("kys", "input", stdin=directory)
        out, _ = process.communicate(timeout=60)
    os.close(directory)
    assert out == b"python\n"
