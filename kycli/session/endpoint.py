"""The directory and socket of the user's server, and checking who is at the other end."""

from __future__ import annotations

import errno
import os
import stat

from kycli.errors import KycliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_LONGEST = 103
"""The most bytes of a socket's path, on macOS; Linux allows four more."""


def directory(environ: Mapping[str, str] | None = None) -> str:
    """Return the directory of the user's sockets, which may not exist yet."""
    variables = os.environ if environ is None else environ
    runtime = variables.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return os.path.join(runtime, "kycli")
    base = variables.get("TMPDIR", "")
    return os.path.join(base if base.startswith("/") else "/tmp", f"kycli-{os.getuid()}")


def version() -> str:
    from kycli import __version__

    return __version__


def socket_path(shell: int = 0) -> str:
    """Return the path of the socket of this version's server, or of that of a shell."""
    return os.path.join(directory(), f"{_name(shell)}.sock")


def lock_path(shell: int = 0) -> str:
    """Return the path of the file that a running server has locked."""
    return os.path.join(directory(), f"{_name(shell)}.lock")


def _name(shell: int) -> str:
    return f"{version()}-{shell}" if shell else version()


def remove_left_over() -> None:
    """Remove what servers of shells have left that were killed, and whose shells have ended."""
    for name in os.listdir(directory()):
        shell = name.rpartition(".")[0].rpartition("-")[2]
        if "-" in name and shell.isdecimal() and not is_alive(int(shell)):
            try:
                os.unlink(os.path.join(directory(), name))
            except OSError:
                pass  # another server was faster, or it is not our socket


def is_alive(pid: int) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def check_directory(path: str, *, create: bool = False) -> bool:
    """Return whether the directory of the sockets exists; it must be the user's alone.

    Raises:
        KycliError: when it is not, or cannot be made.
    """
    if create:
        try:
            above = os.stat(os.path.dirname(path))
            if above.st_uid != os.getuid() and not above.st_mode & stat.S_ISVTX:
                # Such as with sudo: it would shut the other user out.
                raise PermissionError(errno.EPERM, "the directory above it is another user's")
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise KycliError(
                f"{path}: the directory of the server cannot be created: {error.strerror}",
                hint="set XDG_RUNTIME_DIR to a directory of yours",
            ) from error
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise KycliError(f"{path}: {error.strerror}") from error
    if len(os.fsencode(socket_path())) > _LONGEST:
        raise KycliError(
            f"{path}: the name of this directory is too long for a socket in it",
            hint="set XDG_RUNTIME_DIR to a directory with a shorter name",
        )
    if stat.S_ISLNK(found.st_mode):
        why = "a symbolic link"
    elif not stat.S_ISDIR(found.st_mode):
        why = "no directory"
    elif found.st_uid != os.getuid():
        why = "another user's"
    elif stat.S_IMODE(found.st_mode) & 0o077:
        why = "open to other users"
    else:
        return True
    raise KycliError(
        f"{path}: the directory of the server is {why}",
        hint="remove it, or set XDG_RUNTIME_DIR to a directory of yours",
    )


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user on the other side of a connection; the process may be 0.

    The process on the server's side is the one that listens.
    """
    import socket
    import struct

    if hasattr(socket, "SO_PEERCRED"):
        size = struct.calcsize("iII")
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, user, _ = struct.unpack("iII", data)
        return pid, user
    # macOS: struct xucred, whose second member is the user.
    data = connection.getsockopt(0, 1, 76)
    pid = struct.unpack("i", connection.getsockopt(0, 2, 4))[0]
    return pid, struct.unpack_from("I", data, 4)[0]
