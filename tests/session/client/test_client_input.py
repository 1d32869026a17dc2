"""Standard input of the native client: sent when the server asks, and never lost."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
from session.clients import Site, native, run

from kycli.session import protocol

pytestmark = native

BOUND = 1 << 20
"""What is longer than this is Python's to read."""


def counting(request: protocol.Request, _: socket.socket) -> bytes:
    """Ask for standard input, and answer how much there was."""
    if request.input is None:
        return protocol.reply(protocol.WANTS_INPUT, [])
    return protocol.reply(b"0", [(1, b"server: %d\n" % len(request.input))])


def read(site: Site, data: bytes, kind: str) -> bytes:
    """Return what the client prints of an input that is a file or a pipe."""
    if kind == "pipe":
        return site.run("kys", "input", stdin=data).out
    path = site.bin / "data"
    path.write_bytes(b"skipped" + data)
    with path.open("rb") as file:
        os.lseek(file.fileno(), 7, os.SEEK_SET)
        process = site.start("kys", "input", stdin=file)
        out, _ = process.communicate(timeout=60)
    return out


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65536, 300_000, BOUND])
def test_what_the_server_asks_for_is_sent(site: Site, kind: str, size: int) -> None:
    with site.serving(counting):
        assert read(site, b"x" * size, kind) == b"server: %d\n" % size


@pytest.mark.parametrize("kind", ["file", "pipe"])
@pytest.mark.parametrize("size", [BOUND + 1, BOUND + 4096, 5 * BOUND])
def test_what_is_longer_python_reads_from_its_first_byte(site: Site, kind: str, size: int) -> None:
    site.script.write_text("#!/bin/sh\nmd5sum\n")
    data = os.urandom(size)
    expected = subprocess.run(["md5sum"], input=data, capture_output=True).stdout
    with site.serving(counting):
        assert read(site, data, kind) == expected


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_the_server_then_declines_python_reads(site: Site, kind: str) -> None:
    def declining(request: protocol.Request, _: socket.socket) -> bytes:
        status = protocol.WANTS_INPUT if request.input is None else protocol.DECLINED
        return protocol.reply(status, [])

    with site.serving(declining):
        assert read(site, b"x" * 1000, kind).split() == b"python: [kys] [input] 1000".split()
        assert read(site, b"", kind).split() == b"python: [kys] [input] 0".split()


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_python_reads_it_when_the_server_has_gone_meanwhile(site: Site, kind: str) -> None:
    def leaving(request: protocol.Request, _: socket.socket) -> bytes:
        site.path.unlink(missing_ok=True)
        return protocol.reply(protocol.WANTS_INPUT, [])

    with site.serving(leaving):
        assert read(site, b"x" * 1000, kind).split() == b"python: [kys] [input] 1000".split()


def test_a_server_that_asks_twice_is_none_of_ours(site: Site) -> None:
    with site.serving(lambda *_: protocol.reply(protocol.WANTS_INPUT, [])):
        code, out, err = site.run("kys", "input", stdin=b"x")
    assert (code, out) == (1, b"")
    assert b"whether it was done is not known" in err


def test_input_that_nobody_asks_for_is_left_alone(site: Site) -> None:
    def answer(*_: object) -> bytes:
        return protocol.reply(b"0", [])

    with site.serving(answer):
        script = f"{site.bin}/kys a; {site.bin}/kys b; cat"
        done = run("sh", "-c", script, stdin=b"all of it\n", environ=site.environ)
    assert done.out == b"all of it\n"


def test_a_loop_that_reads_lines_keeps_its_input(site: Site) -> None:
    site.script.write_text("#!/bin/sh\nexit 0\n")
    script = f"while read line; do echo $line; {site.bin}/kys $line; done"
    done = run("bash", "-c", script, stdin=b"1\n2\n3\n", environ=site.environ)
    assert done.out == b"1\n2\n3\n"


def test_a_pipe_is_fed_no_further_than_python_reads(site: Site) -> None:
    site.script.write_text("#!/bin/sh\nhead -c 5\n")
    ours, theirs = os.pipe()
    with site.serving(counting):
        process = site.start("kys", "input", stdin=ours)
        os.close(ours)
        os.write(theirs, b"12345")
        with pytest.raises(BrokenPipeError):  # nobody is left who would read it
            while True:
                os.write(theirs, b"x" * 65536)
        out, _ = process.communicate(timeout=60)
    os.close(theirs)
    assert out == b"12345"


def test_the_reader_of_the_output_does_not_wait_for_the_input_to_end(
    site: Site,
) -> None:
    # What feeds Python outlives it, and must not hold its output open.
    site.script.write_text("#!/bin/sh\nhead -c 5\n")
    ours, theirs = os.pipe()
    with site.serving(counting):
        process = site.start("kys", "input", stdin=ours)
        os.close(ours)
        os.write(theirs, b"x" * 65536)
        for _ in range(BOUND // 65536):
            os.write(theirs, b"x" * 65536)
        out, _ = process.communicate(timeout=60)
    os.close(theirs)
    assert out == b"xxxxx"


def test_input_that_does_not_block_is_python_s(site: Site) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    os.write(theirs, b"abc")
    os.close(theirs)
    with site.serving(counting):
        process = site.start("kys", "input", stdin=ours)
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert out.split() == b"python: [kys] [input] 3".split()


def test_a_directory_as_input_is_python_s(site: Site) -> None:
    site.script.write_text("#!/bin/sh\necho python\n")
    directory = os.open(site.bin, os.O_RDONLY)
    with site.serving(counting):
        process = site.start("kys", "input", stdin=directory)
        out, _ = process.communicate(timeout=60)
    os.close(directory)
    assert out == b"python\n"
