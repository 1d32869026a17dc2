"""Starting, finding and stopping the user's server."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from time import monotonic, sleep
from typing import Any, NamedTuple

from kycli.config import config_dir
from kycli.core.durations import parse_ttl
from kycli.core.location import make_private
from kycli.errors import InvalidTTLError, KycliError, UsageError
from kycli.session import endpoint, protocol

IDLE_VARIABLE = "KYCLI_SERVER_IDLE"

START_SECONDS = 30
STOP_SECONDS = 20
_ANSWER_SECONDS = 2
_ENDING_SECONDS = 1
_LOG = "server.log"
_ON_DEMAND = "server"


class Running(NamedTuple):
    """A server that runs.

    Attributes:
        pid: its process.
        facts: what it says of itself; None when it does not answer.
    """

    pid: int
    facts: dict[str, Any] | None


def find() -> Running | None:
    """Return the server of this version, None when there is none.

    Raises:
        KycliError: when the directory of the server is not the user's alone.
    """
    if not endpoint.check_directory(endpoint.directory()):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(endpoint.socket_path())
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError:
            return Running(0, None)
        pid, user = endpoint.peer(connection)
        if user != os.getuid():
            raise KycliError(f"{endpoint.socket_path()}: another user's process listens there")
        return Running(pid, _facts(connection))


def _facts(connection: socket.socket) -> dict[str, Any] | None:
    try:
        connection.sendall(
            protocol.request(protocol.SERVER, ["status"], pid=os.getpid(), directory="/")
        )
        data = b""
        while True:
            block = connection.recv(65536)
            if not block:
                return None
            data += block
            reply = protocol.read_reply(data)
            if reply is not None:
                status, chunks = reply
                facts: dict[str, Any] = json.loads(b"".join(d for _, d in chunks) or b"{}")
                return facts if status == b"0" else None
    except (OSError, protocol.ProtocolError, ValueError):
        return None


def start(idle: float | None = None) -> bool:
    """Start the server; return False when it ran already.

    Parameters:
        idle: after how many seconds without a request it ends; by default what the variable
            ``KYCLI_SERVER_IDLE`` says, or 10 minutes.

    Raises:
        KycliError: when it does not start.
    """
    if _is_there():
        return False
    if idle is None:
        idle = _idle_seconds()
    directory = endpoint.directory()
    endpoint.check_directory(directory, create=True)
    log = os.path.join(directory, _LOG)
    ours, theirs = os.pipe()
    words = [sys.executable, "-P", "-X", "utf8", "-m", "kycli.session", "server"]
    words += ["--ready", str(theirs)]
    if idle is not None:
        words += ["--idle", str(max(1, round(idle)))]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(log, flags, 0o600), "wb") as messages:
        try:
            subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                cwd="/",
                start_new_session=True,
                pass_fds=[theirs],
            ).returncode = 0  # it outlives this process, so do not wait for it
        finally:
            os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        readable, _, _ = select.select([answer], [], [], START_SECONDS)
        said = answer.read().decode() if readable else ""
    if said == "ready":
        return True
    if said == "running":
        _wait_until_found()
        return False
    raise KycliError(
        f"the server did not start: {said.removeprefix('error ') or 'it ended at once'}",
        hint=f"its messages are in {log}",
    )


def _is_there() -> bool:
    """Whether there is a server; one that was killed is there until its last process has ended."""
    end = monotonic() + _ENDING_SECONDS
    while (found := find()) is not None:
        if found.facts is not None or monotonic() > end:
            return True
        sleep(0.02)
    return False


def _idle_seconds() -> float | None:
    text = os.environ.get(IDLE_VARIABLE)
    if not text:
        return None
    try:
        return parse_ttl(text) / 1000
    except InvalidTTLError as error:
        raise UsageError(f"{IDLE_VARIABLE}: {error}", hint=error.hint) from None


def _wait_until_found() -> None:
    """Wait for a server that another process has just started."""
    end = monotonic() + START_SECONDS
    while find() is None:
        if monotonic() > end:
            raise KycliError("another server is about to start, and does not")
        sleep(0.02)


def stop() -> bool:
    """Stop the server, which ends what it does first; return False when there was none.

    Raises:
        KycliError: when it does not end.
    """
    found = find()
    if found is None:
        return False
    if not found.pid:
        raise KycliError(f"{endpoint.socket_path()}: the server does not answer")
    try:
        os.kill(found.pid, signal.SIGTERM)
        os.killpg(found.pid, signal.SIGCONT)  # a stopped server must receive the signal, too
    except ProcessLookupError:
        return True
    end = monotonic() + STOP_SECONDS
    while _is_locked():
        if monotonic() > end:
            os.killpg(found.pid, signal.SIGKILL)
            return True
        sleep(0.01)
    return True


def _is_locked() -> bool:
    """Whether a server of this version has its lock."""
    import fcntl

    try:
        with open(endpoint.lock_path(), "rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def setting_path() -> str:
    """Return the path of the file that lets a client start the server when there is none."""
    return os.path.join(config_dir(), _ON_DEMAND)


def is_enabled() -> bool:
    """Whether a client may start the server."""
    try:
        return os.path.exists(setting_path())
    except KycliError:  # no home directory
        return False


def enable() -> str:
    """Let clients start the server; return the path of the file that says so."""
    path = setting_path()
    make_private(os.path.dirname(path))
    with open(path, "a", encoding="utf-8"):
        pass
    return path


def disable() -> None:
    """Take ``enable`` back."""
    try:
        os.unlink(setting_path())
    except FileNotFoundError:
        pass
