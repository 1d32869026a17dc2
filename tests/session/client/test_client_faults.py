"""The native client beside servers that stop, end, or are none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from session.clients import (
    BIN,
    Result,
    Site,
    native,
    run,
    running_server,
    short_directory,
    until,
)

from kycli import Kycore
from kycli.session import protocol

pytestmark = native

PYTHON = (9, b"python: [kys] [a]\n", b"")
UNKNOWN = (
    b"kycli: the server ended while it ran 'kys'; whether it was done is not known\n"
    b"hint: look before you repeat it\n"
)


def ended(process: subprocess.Popen[bytes]) -> Result:
    out, err = process.communicate(timeout=60)
    return Result(process.returncode, out, err)


# Whole requests


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"0",
        b"0\0",
        b"0\x001\0",
        b"0\x001\x001\x0010\0x",
        b"0\x002\x001\x001\0x",
        b"\0",
        b"0\0\0",
    ],
)
def test_a_server_that_ends_before_it_has_replied(site: Site, said: bytes) -> None:
    with site.serving(lambda *_: said):
        assert site.run("kys", "a") == (1, b"", UNKNOWN)
        # What only reads may be done again.
        assert site.run("kyg", "a").out == b"python: [kyg] [a]\n"


@pytest.mark.parametrize(
    "said",
    [b"x\x000\0", b"-1\x000\0", b"256\x000\0", b"0\x00x\0", b"\x000\0", b"0\x001\x001\x00-1\0"],
)
def test_a_reply_that_is_none(site: Site, said: bytes) -> None:
    with site.serving(lambda *_: said):
        assert site.run("kys", "a") == (1, b"", UNKNOWN)


def test_a_reply_in_pieces(site: Site) -> None:
    def slow(request: protocol.Request, connection: socket.socket) -> bytes:
        whole = protocol.reply(b"3", [(1, b"out"), (2, b""), (2, b"err"), (1, b"\0\n")])
        for byte in whole[:-1]:
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        return whole[-1:]

    with site.serving(slow):
        assert site.run("kys", "a") == (3, b"out\0\n", b"err")


def test_a_large_reply(site: Site) -> None:
    data = os.urandom(5_000_000)
    with site.serving(lambda *_: protocol.reply(b"0", [(1, data)])):
        assert site.run("kyg", "a") == (0, data, b"")


def test_a_reply_of_many_chunks(site: Site) -> None:
    chunks = [(1 + n % 2, b"%d\n" % n) for n in range(20_000)]
    with site.serving(lambda *_: protocol.reply(b"0", chunks)):
        done = site.run("kyg", "a")
    assert done.out.split() == [b"%d" % n for n in range(0, 20_000, 2)]
    assert done.err.split() == [b"%d" % n for n in range(1, 20_000, 2)]


def test_a_command_may_take_long(site: Site) -> None:
    def slow(request: protocol.Request, _: socket.socket) -> bytes:
        time.sleep(3.5)
        return protocol.reply(b"0", [(1, b"done\n")])

    with site.serving(slow):
        assert site.run("kys", "a") == (0, b"done\n", b"")


# Requests that nobody reads


def test_what_a_server_has_not_read_when_it_ends_python_does(site: Site) -> None:
    with site.listening() as listener:
        process = site.start("kys", "a")
        connection, _ = listener.accept()
        until(lambda: connection.recv(1, socket.MSG_PEEK))
        connection.close()
        assert ended(process) == PYTHON
        process = site.start("kys", "a")
        until(lambda: waiting(listener))
    assert ended(process) == PYTHON  # it was never accepted


def waiting(listener: socket.socket) -> bool:
    import select

    return bool(select.select([listener], [], [], 0)[0])


def test_a_server_that_accepts_nobody_is_not_waited_for(site: Site) -> None:
    with site.listening() as listener:
        processes = [site.start("kys", "a") for _ in range(5)]
        for process in processes:
            assert ended(process) == PYTHON
        # Each has withdrawn its request, so that it is never begun.
        for _ in processes:
            connection, _ = listener.accept()
            data = b""
            while block := connection.recv(4096):
                data += block
            assert protocol.length(data) is not None
            connection.close()


def test_when_too_many_wait_to_be_accepted_python_does_it(site: Site) -> None:
    with site.listening(backlog=0):
        processes = [site.start("kys", "a") for _ in range(8)]
        for process in processes:
            assert ended(process) == PYTHON


def test_a_request_that_is_not_read_to_its_end_is_not_begun(site: Site) -> None:
    words = ["x" * 100_000] * 10
    with site.listening():
        done = ended(site.start("kys", *words))
    assert done.code == 9
    assert done.out == f"python: [kys] {' '.join(f'[{word}]' for word in words)}\n".encode()


SILENT = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
if int(sys.argv[2]):
    os.fork()
print(flush=True)
connection, _ = listener.accept()
connection.recv(65536)
print("taken", flush=True)
sys.stdin.read()
"""


@contextmanager
def stopped_in_a_request(name: str, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """A client whose server is stopped when it has taken the request."""
    with short_directory() as directory:
        site = Site(directory)
        command = [str(BIN / "python"), "-c", SILENT, str(site.path), str(workers)]
        with subprocess.Popen(command, stdin=-1, stdout=-1, process_group=0) as server:
            assert server.stdout is not None
            for _ in range(1 + workers):
                server.stdout.readline()
            process = site.start(name, "a")
            assert server.stdout.readline() == b"taken\n"
            os.killpg(server.pid, signal.SIGSTOP)
            yield process
            os.killpg(server.pid, signal.SIGKILL)


def test_a_server_that_is_stopped_in_a_request_is_given_up() -> None:
    with (
        stopped_in_a_request("kys", 0) as alone,
        stopped_in_a_request("kys", 1) as writing,
        stopped_in_a_request("kyg", 1) as reading,
    ):
        for process in (alone, writing):
            assert ended(process) == (1, b"", UNKNOWN.replace(b"ended", b"is stopped"))
        # What only reads may be done again.
        assert ended(reading) == (9, b"python: [kyg] [a]\n", b"")


# The user's server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KYCLI_DB_PATH", str(tmp_path / "x.db"))
    with short_directory() as directory, running_server(directory) as environ:
        yield environ


def server_pid(server: dict[str, str]) -> int:
    import json

    return int(
        json.loads(run(BIN / "kycli", "server", "status", "--json", environ=server).out)["pid"]
    )


def test_while_the_server_is_stopped_python_does_it(server: dict[str, str]) -> None:
    pid = server_pid(server)
    os.killpg(pid, signal.SIGSTOP)
    try:
        assert run(BIN / "kys", "k", "python", environ=server) == (0, b"", b"")
    finally:
        os.killpg(pid, signal.SIGCONT)
    # What the server finds when it goes on was withdrawn: it does not save it again.
    assert run(BIN / "kys", "k", "later", environ=server).code == 0
    history = run(BIN / "kyv", "k", "--json", environ=server).out
    assert history.count(b'"value":"python"') == 1
    assert run(BIN / "kyg", "k", environ=server).out == b"later\n"


def test_stopped_clients_harm_nobody(server: dict[str, str]) -> None:
    environ = {**os.environ, **server}
    stopped = []
    for n in range(10):
        process = subprocess.Popen([BIN / "kys", f"stopped{n}", "v"], env=environ, stdin=-3)
        process.send_signal(signal.SIGSTOP)  # somewhere on its way
        stopped.append(process)
    assert run(BIN / "kys", "k", "v", environ=server) == (0, b"", b"")
    assert run(BIN / "kyg", "k", environ=server) == (0, b"v\n", b"")
    for process in stopped:
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == 0
    for n in range(10):
        assert run(BIN / "kyg", f"stopped{n}", environ=server).out == b"v\n"


LOOP = """
i=0
while [ $i -lt $2 ]; do
    i=$((i + 1))
    if kys "key$1" "$i"; then echo "$i"; else echo "failed $?"; fi
done
"""


@pytest.mark.alone
@pytest.mark.parametrize(
    ("kills", "calls"), [(3, 200), pytest.param(50, 400, marks=pytest.mark.soak)]
)
def test_killed_servers_lose_nothing_that_was_acknowledged(
    server: dict[str, str], tmp_path: Path, kills: int, calls: int
) -> None:
    environ = {**server, "PATH": f"{BIN}:{os.environ['PATH']}"}
    stop = threading.Event()

    def kill() -> int:
        killed = 0
        for number in range(kills):  # the loops would never end if each server was killed
            if stop.wait(0.15 if number else 0.03):
                break
            found = subprocess.run(
                ["pgrep", "-s", str(server_pid(server))], capture_output=True, text=True
            ).stdout.split()
            for pid in found[killed % 2 :]:  # all of it, or its workers alone
                try:
                    os.kill(int(pid), signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            run(BIN / "kycli", "server", "start", environ=server)
        return killed

    with ThreadPoolExecutor() as pool:
        killing = pool.submit(kill)
        loops = [
            pool.submit(run, "dash", "-c", LOOP, "dash", str(number), str(calls), environ=environ)
            for number in range(3)
        ]
        try:
            results = [loop.result() for loop in loops]
        finally:
            stop.set()
        assert killing.result() > 0
    with Kycore(tmp_path / "x.db") as store:
        for number, (code, out, err) in enumerate(results):
            assert code == 0
            assert b"Traceback" not in err
            said = out.decode().splitlines()
            assert len(said) == calls
            acknowledged = {line for line in said if line.isdigit()}
            assert {line for line in said if not line.isdigit()} <= {"failed 1"}
            assert err.count(b"whether it was done is not known") == calls - len(acknowledged)
            changes = [c.value for c in store.get_history(f"key{number}", limit=None)]
            assert acknowledged <= set(changes)
            assert len(changes) == len(set(changes))  # nothing was done twice


def test_many_clients_at_once_get_their_own_replies(server: dict[str, str]) -> None:
    for n in range(50):
        assert run(BIN / "kys", f"k{n}", f"v{n}", environ=server).code == 0
    keys = "\n".join(f"k{n % 50}" for n in range(300))
    command = 'xargs -P 8 -I{} sh -c \'[ "$(kyg {})" = "v$(echo {} | tr -d k)" ] || echo mixed {}\''
    environ = {**server, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = run("sh", "-c", command, stdin=keys.encode(), environ=environ)
    assert done == (0, b"", b"")


def test_a_reply_that_cannot_be_written_is_an_error(site: Site) -> None:
    environ = {**os.environ, **site.environ}
    chunks = [(2, b"first\n"), (1, b"x" * 100_000), (2, b"last\n"), (1, b"more")]
    with site.serving(lambda *_: protocol.reply(b"2", chunks)):
        for line, code, said in (
            ("> /dev/full", 1, "kycli: cannot write to standard output: No space left on device\n"),
            ("2> /dev/full > /dev/null", 2, None),
            ("2> /dev/full > /dev/full", 1, None),
            ("| head -c 1 > /dev/null; exit ${PIPESTATUS[0]}", 2, ""),
        ):
            done = subprocess.run(
                ["bash", "-c", f"{site.bin}/kyg a {line}"],
                env=environ,
                capture_output=True,
                text=True,
            )
            assert done.returncode == code, line
            if said is not None:
                assert done.stderr == f"first\nlast\n{said}", line
        script = f"ulimit -f 8; {site.bin}/kyg a > {site.bin}/file"
        done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.endswith("kycli: cannot write to standard output: File too large\n")


def test_output_that_does_not_block_is_written_whole(site: Site) -> None:
    data = os.urandom(1_000_000)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with site.serving(lambda *_: protocol.reply(b"0", [(1, data)])):
        process = subprocess.Popen(
            [site.bin / "kyg", "a"],
            env={**os.environ, **site.environ},
            stdin=-3,
            stdout=theirs,
        )
        os.close(theirs)
        read = bytearray()
        while block := os.read(ours, 65536):
            read += block
        assert process.wait(60) == 0
    os.close(ours)
    assert bytes(read) == data
