"""The user's server: starting and ending, and all that goes wrong meanwhile."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from session.callers import ask, children, connect, facts, read, request, server
from session.clients import until

from kycli import Kycore
from kycli.errors import KycliError
from kycli.session import control, endpoint, protocol

pytestmark = pytest.mark.alone

KYCLI = [sys.executable, "-m", "kycli", "server"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KYCLI, *words], capture_output=True, text=True, timeout=60, check=False)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(*pids: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.fixture
def alone() -> Iterator[None]:
    """A test that starts servers itself."""
    yield
    control.stop()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock of a database, as another process does."""
    code = (
        "import sys; from kycli import Kycore\n"
        "store = Kycore(sys.argv[1])\n"
        "with store.transaction():\n"
        "    store.save('held', '1'); print('locked', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    yield
    process.stdin.close()
    process.stdout.close()
    assert process.wait(30) == 0


# Starting and ending


@pytest.mark.usefixtures("alone")
def test_start_status_stop() -> None:
    assert run("status").returncode == 1
    assert run("stop").stderr == "the server does not run\n"
    assert run("start").stderr == "the server was started\n"
    assert run("start").stderr == "the server runs already\n"
    pid = server()
    shown = run("status")
    assert shown.returncode == 0
    assert f"process {pid}" in shown.stdout
    assert endpoint.socket_path() in shown.stdout
    assert run("restart").stderr == "the server was started\n"
    assert server() != pid
    workers = children(server())
    assert run("stop").stderr == "the server was stopped\n"
    assert not any(map(is_alive, [pid, *workers]))
    assert not os.path.exists(endpoint.socket_path())
    assert run("status").returncode == 1


@pytest.mark.usefixtures("alone")
def test_eight_starts_at_once_start_one() -> None:
    starts = [
        subprocess.Popen([*KYCLI, "start"], stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    said = [process.communicate(timeout=60)[1] for process in starts]
    assert [process.returncode for process in starts] == [0] * 8
    assert said.count("the server was started\n") == 1
    assert said.count("the server runs already\n") == 7
    assert ask("kys", "key", "value").status == "0"


@pytest.mark.usefixtures("served")
def test_the_socket_is_private_and_named_by_version() -> None:
    path = endpoint.socket_path()
    assert os.path.basename(path) == f"{endpoint.version()}.sock"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("fault", ["link", "open", "file"])
def test_a_directory_that_others_could_change_is_refused(fault: str, tmp_path: Path) -> None:
    directory = endpoint.directory()
    if fault == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        os.symlink(tmp_path / "elsewhere", directory)
    elif fault == "open":
        os.mkdir(directory)
        os.chmod(directory, 0o770)
    else:
        Path(directory).write_text("")
    done = run("start")
    assert done.returncode == 1
    assert done.stderr.startswith(f"kycli: {directory}: the directory of the server is ")
    assert "hint: " in done.stderr
    with pytest.raises(KycliError):
        control.find()
    if fault == "link":
        os.unlink(directory)
    elif fault == "open":
        os.rmdir(directory)
    else:
        os.unlink(directory)


def test_a_directory_whose_name_is_too_long_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / ("x" * 100)
    directory.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    done = run("start")
    assert done.returncode == 1
    assert "too long" in done.stderr
    assert run("status").returncode == 1


@pytest.mark.usefixtures("alone")
def test_the_directory_without_a_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert endpoint.directory({"TMPDIR": "/x"}) == f"/x/kycli-{os.getuid()}"
    assert endpoint.directory({"TMPDIR": "x"}) == f"/tmp/kycli-{os.getuid()}"
    assert endpoint.directory({"XDG_RUNTIME_DIR": "run"}) == f"/tmp/kycli-{os.getuid()}"


@pytest.mark.usefixtures("alone")
def test_a_server_that_nobody_asks_ends() -> None:
    control.start(idle=1)
    pid = server()
    assert ask("kys", "key", "value").status == "0"
    until(lambda: not is_alive(pid))
    assert control.find() is None
    assert not os.path.exists(endpoint.socket_path())


@pytest.mark.usefixtures("alone")
def test_a_server_whose_socket_was_removed_ends_and_another_one_can_start() -> None:
    control.start(idle=2)
    pid = server()
    os.unlink(endpoint.socket_path())
    assert control.find() is None
    until(lambda: not is_alive(pid))
    assert control.start()


@pytest.mark.usefixtures("alone")
def test_a_killed_server_leaves_a_socket_that_the_next_one_replaces() -> None:
    for _ in range(3):
        assert control.start()
        pid, workers = server(), children(server())
        os.kill(pid, signal.SIGKILL)
        until(lambda pids=(pid, *workers): not any(map(is_alive, pids)))  # type: ignore[misc]
        assert os.path.exists(endpoint.socket_path())
        assert control.find() is None
    assert run("status").returncode == 1
    assert control.start()
    assert ask("kyg", "none").status == "2"


@pytest.mark.usefixtures("alone")
def test_another_version_has_another_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    assert control.start()
    monkeypatch.setattr(endpoint, "version", lambda: "0.0.1")
    assert control.find() is None
    monkeypatch.undo()


@pytest.mark.usefixtures("served")
def test_all_modules_are_there_before_the_first_request() -> None:
    """An upgrade removes the files of a package under the server that runs."""
    with open(f"/proc/{server()}/maps") as file:
        mapped = file.read()
    for name in ("re2", "jsonschema_rs", "pydantic_core", "storage", "characters"):
        assert name in mapped


def test_nothing_is_imported_later_that_an_upgrade_could_change() -> None:
    """What functions import is there, once everything was loaded."""
    code = (
        "import ast, pathlib, sys, kycli\n"
        "from kycli.session.loading import load_everything\n"
        "load_everything()\n"
        "root = pathlib.Path(kycli.__file__).parent\n"
        "wanted = set()\n"
        "for path in root.rglob('*.py'):\n"
        "    if path.parent.name in ('shell', 'panes'): continue\n"
        "    for node in ast.walk(ast.parse(path.read_text())):\n"
        "        if isinstance(node, ast.Import): wanted |= {a.name for a in node.names}\n"
        "        elif isinstance(node, ast.ImportFrom): wanted.add(node.module)\n"
        "wanted = {name for name in wanted if not name.startswith('kycli.shell.')}\n"
        "print(*sorted(name for name in wanted if name not in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    later = {name for name in done.stdout.split() if not name.startswith("cryptography.")}
    assert later <= {"_typeshed", "backports", "compression", "prompt_toolkit"}


@pytest.mark.usefixtures("alone")
def test_the_variable_for_the_time_without_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYCLI_SERVER_IDLE", "soon")
    done = run("start")
    assert done.returncode == 1
    assert done.stderr.startswith("kycli: KYCLI_SERVER_IDLE: ")
    monkeypatch.setenv("KYCLI_SERVER_IDLE", "1s")
    assert run("start").returncode == 0
    until(lambda: control.find() is None)


@pytest.mark.usefixtures("alone")
def test_enable_and_disable_make_and_remove_the_file_that_clients_look_for(home: Path) -> None:
    asked_for = home / ".config/kycli/server"
    assert run("enable").returncode == 0
    assert asked_for.exists()
    assert run("enable").returncode == 0
    assert "on demand" in run("status").stdout
    assert run("disable").returncode == run("disable").returncode == 0
    assert not asked_for.exists()


# Databases


@pytest.mark.usefixtures("served")
def test_a_database_is_one_whole_file_a_second_after_the_last_call(
    database: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    ask("kycli", "-d", str(other), "set", "key", "value")
    ask("kys", "key", "value")
    assert database.with_name("kycli.db-wal").exists()
    # The other one is used all the time.
    until(
        lambda: (
            ask("kycli", "-d", str(other), "get", "key").status == "0"
            and not database.with_name("kycli.db-wal").exists()
        )
    )
    until(lambda: not other.with_name("other.db-wal").exists())
    for path in (database, other):
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        with Kycore(copy) as store:
            assert store["key"] == "value"
    until(lambda: facts()["stores"] == 0)


@pytest.mark.usefixtures("served")
def test_a_waiting_worker_holds_nobody_up(database: Path) -> None:
    ask("kys", "key", "value")
    waiting = []
    with locked(database):
        for number in range(6):
            connection = connect()
            connection.sendall(request("kys", f"waiting{number}", "value"))
            waiting.append(connection)
        for _ in range(20):
            assert ask("kyg", "key").out == b"value\n"
    for connection in waiting:
        assert read(connection) == ("0", [])
        connection.close()
    assert facts()["workers"] > 2


# Cancelling


def begun(*words: str) -> socket.socket:
    """Return the connection of a request, when it is being run."""
    connection = connect()
    connection.sendall(request(*words))
    until(lambda: facts()["busy"] == 1)
    return connection


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("how", ["byte", "close"])
def test_a_wait_for_a_lock_is_cancelled(database: Path, how: str) -> None:
    ask("kys", "key", "value")
    with locked(database):
        connection = begun("kys", "cancelled", "value")
        if how == "byte":
            connection.sendall(b"\0")
            assert read(connection) == ("130", [])
            connection.sendall(request("kyg", "key"))
            assert read(connection) == ("0", [(1, b"value\n")])
        connection.close()
        until(lambda: facts()["busy"] == 0)
    assert ask("kyg", "cancelled").status == "2"
    assert ask("kys", "cancelled", "no longer").status == "0"


@pytest.mark.usefixtures("served")
def test_a_caller_that_goes_away_in_the_middle_harms_nobody(database: Path) -> None:
    ask("kys", "key", "value")
    with Kycore(database) as store:
        store.save_many([(f"k{number}", "x" * 200) for number in range(10000)])
    for _ in range(20):
        with connect() as connection:
            connection.sendall(request("kycli", "scan", "--json"))
    until(lambda: facts()["busy"] == 0)
    assert ask("kyg", "key").out == b"value\n"


@pytest.mark.usefixtures("served")
def test_an_end_of_the_callers_side_does_not_cancel_what_has_begun(database: Path) -> None:
    ask("kys", "key", "value")
    with locked(database):
        connection = begun("kys", "key", "later")
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        assert facts()["busy"] == 1
    assert read(connection) == ("0", [])
    connection.close()
    assert ask("kyg", "key").out == b"later\n"


# Faults


def unread(connection: socket.socket) -> int:
    """Return how many bytes the other side has not read yet: SIOCOUTQ."""
    size: int = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]
    return size


@pytest.mark.usefixtures("served")
def test_a_request_that_a_stopped_server_has_not_read_can_be_withdrawn() -> None:
    ask("kys", "key", "value")
    pids = [server(), *children(server())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    connection = connect()
    connection.sendall(request("kys", "key", "withdrawn"))
    assert unread(connection) > 0
    connection.shutdown(socket.SHUT_WR)
    assert unread(connection) > 0
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert read(connection) == ("?", [])
    connection.close()
    assert ask("kyg", "key").out == b"value\n"


@pytest.mark.usefixtures("served")
def test_a_stopped_server_is_stopped_for_good() -> None:
    pids = [server(), *children(server())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    shown = run("status")
    assert "does not answer" in shown.stdout
    assert shown.returncode == 0
    assert run("stop").returncode == 0
    until(lambda: not any(map(is_alive, pids)))
    assert run("start").stderr == "the server was started\n"


@pytest.mark.usefixtures("served")
def test_a_worker_that_is_killed_is_replaced_and_its_caller_hears_nothing(database: Path) -> None:
    ask("kys", "key", "value")
    for _ in range(3):
        with locked(database):
            connection = begun("kys", "key", "killed")
            kill(*children(server()))
            assert read(connection) is None
            connection.close()
        until(lambda: len(children(server())) == 2)
        assert ask("kyg", "key").out == b"value\n"


@pytest.mark.usefixtures("alone")
def test_a_killed_server_has_acknowledged_nothing_that_is_lost(database: Path) -> None:
    done = []
    for round_ in range(5):
        control.start()
        pids = (server(), *children(server()))
        killer = threading.Timer(0.02 * (round_ + 1), lambda pids=pids: kill(*pids))
        killer.start()
        for number in range(100_000):
            key = f"k{round_}-{number}"
            try:
                assert ask("kys", key, "value").status == "0"
            except (AssertionError, OSError):  # not known whether it was done
                break
            done.append(key)
        killer.join()
        until(lambda pids=pids: not any(map(is_alive, pids)))  # type: ignore[misc]
    with Kycore(database) as store:
        assert [key for key in done if key not in store] == []


@pytest.mark.usefixtures("served")
def test_a_stop_in_mid_request_lets_it_end(database: Path) -> None:
    ask("kys", "key", "value")
    with locked(database):
        connection = begun("kys", "key", "last")
        stopping = subprocess.Popen([*KYCLI, "stop"], stderr=subprocess.DEVNULL)
        until(lambda: not os.path.exists(endpoint.socket_path()))
    assert read(connection) == ("0", [])
    connection.close()
    assert stopping.wait(30) == 0
    with Kycore(database) as store:
        assert store["key"] == "last"


@pytest.mark.usefixtures("served")
def test_a_stop_cancels_what_does_not_end(database: Path) -> None:
    ask("kys", "key", "value")
    ask("kycli", "config", "set", "busy_timeout_ms", "60000")
    with locked(database):
        connection = begun("kys", "key", "never")
        assert run("stop").returncode == 0
        assert read(connection) == ("130", [])
        connection.close()


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"KYCLI1\x0099999999999999\0",
        b"KYCLI1\x0012\0not a request",
        b"KYCLI2\x005\0abcde",
        protocol.request("kyg", ["key"], pid=1, directory="/") + b"more",
        b"\xff" * 100_000,
    ],
)
def test_junk_is_declined(junk: bytes) -> None:
    with connect() as connection:
        connection.sendall(junk)
        assert read(connection) == ("?", [])
        with pytest.raises(OSError):  # noqa: PT011 - reset, or at its end
            while connection.recv(100):
                pass
            raise BrokenPipeError
    assert ask("kyg", "none").status == "2"


@pytest.mark.usefixtures("served")
def test_callers_that_connect_and_never_send_hold_nobody_up() -> None:
    silent = []
    for _ in range(100):
        connection = connect()
        silent.append(connection)
    half = connect()
    half.sendall(b"KYCLI1\x00100\0half of")
    for number in range(30):
        assert ask("kys", "key", str(number)).status == "0"
    # The oldest were closed to make room, with a reply that says that nothing was done.
    closed = 0
    for connection in silent:
        connection.setblocking(False)
        try:
            assert connection.recv(100) == protocol.reply(protocol.DECLINED, [])
            closed += 1
        except BlockingIOError:
            pass
        connection.close()
    half.close()
    assert ask("kyg", "key").out == b"29\n"


@pytest.mark.usefixtures("alone")
def test_descriptors_used_up(home: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, limits[1]))
    try:
        control.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    ask("kys", "key", "value")
    held = [connect() for _ in range(150)]
    statuses = set()
    for connection in held[::3]:
        try:
            connection.sendall(request("kyg", "key"))
        except BrokenPipeError:  # it was closed to make room; the reply says so
            pass
        answer = read(connection)
        statuses.add(answer and answer.status)
    assert statuses <= {"0", "?"}
    for _ in range(10):
        answer = ask("kyg", "key")
        assert answer.status in ("0", "?")
    for connection in held:
        connection.close()
    until(lambda: ask("kyg", "key").out == b"value\n")


@pytest.mark.usefixtures("served")
def test_another_user_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    code = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); os.setuid(65534)\n"
        "t = socket.socket(socket.AF_UNIX)\n"
        "try:\n    t.connect(sys.argv[1])\nexcept PermissionError:\n    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, endpoint.socket_path()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "refused\n"
    # Even where the file system lets it through.
    os.chmod(endpoint.directory(), 0o755)
    os.chmod(os.path.dirname(endpoint.directory()), 0o755)
    os.chmod(endpoint.socket_path(), 0o666)
    code = (
        "import os, socket, sys\n"
        "os.setuid(65534)\n"
        "t = socket.socket(socket.AF_UNIX)\n"
        "t.connect(sys.argv[1])\n"
        "t.sendall(sys.stdin.buffer.read())\n"
        "print(t.recv(100))\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, endpoint.socket_path()],
        input=request("kyg", "none"),
        capture_output=True,
        check=False,
    )
    os.chmod(endpoint.directory(), 0o700)
    assert other.stdout == b"b''\n" or b"Error" in other.stderr
