"""update: changing a value with a filter program."""

from __future__ import annotations

import subprocess
from signal import Signals
from threading import Thread
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.reading import parsed, plain, read_text, text_or_bytes
from kycli.cli.env import read_all
from kycli.core.values import canonical
from kycli.errors import InvalidValueError, KycliError, UsageError

if TYPE_CHECKING:
    from typing import IO

    from kycli.cli.env import Environment


def update(env: Environment, arguments: list[str]) -> int:
    """``update ADDRESS COMMAND [ARGUMENT...]``: 2 when there is no such key."""
    form = env.choice("json", "raw")
    scope, key = env.locate(arguments[0])
    command = arguments[1:]
    if not command[0]:
        raise UsageError("the name of the command is empty")
    default = read_text(env, env.flags["default"]) if "default" in env.flags else ...

    def filtered(value: Any) -> Any:
        given = as_input(form, value)
        printed = _run(command, given, env.child_stderr)
        # Unchanged output keeps the type of the value.
        what = f"what {command[0]!r} printed"
        return value if printed == given else from_output(form, value, what, printed)

    env.store(create=default is not ...).update(key, filtered, default, scope=scope)
    if default is not ...:
        env.created.append((scope, key))  # if it was missing
    return 0


def as_input(form: str, value: Any) -> bytes:
    """Return the input of a filter: text and bytes as they are, other values as JSON."""
    if form == "json" or not isinstance(value, (str, bytes)):
        return canonical(value).encode() + b"\n"
    return plain(value)


def from_output(form: str, value: Any, what: str, printed: bytes) -> Any:
    """Return the value that the output of a filter, or of an editor, stands for.

    Parameters:
        value: the value before.
        what: what an error calls the output.
    """
    if form == "json" or not isinstance(value, (str, bytes)):
        try:
            result = parsed(printed)
        except InvalidValueError as error:
            raise InvalidValueError(f"{what}: {error}", hint=error.hint) from None
        # The same document with another order or white space is no change.
        return value if canonical(result) == canonical(value) else result
    text = text_or_bytes(printed)
    if form == "raw" or not isinstance(value, str) or not isinstance(text, str):
        return text
    return text if value.endswith("\n") else text.removesuffix("\n")


def _run(command: list[str], given: bytes, stderr: IO[bytes] | None) -> bytes:
    """Run a filter and return its output.

    Raises:
        KycliError: when it cannot be run, or fails.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
    except OSError as error:
        raise KycliError(f"cannot run {command[0]!r}: {error.strerror}") from None
    assert process.stdin is not None
    assert process.stdout is not None
    # A daemon thread: a process that the filter left behind may keep the pipe open unread.
    Thread(target=_feed, args=(process.stdin, given), daemon=True).start()
    try:
        printed = read_all(process.stdout, f"the output of {command[0]!r}")
        status = process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        process.stdout.close()
        process.wait()
    if status:
        how = f"was killed by {_signal(-status)}" if status < 0 else f"exited with {status}"
        raise KycliError(f"{command[0]!r} {how}; nothing was changed")
    return printed


def _feed(stream: IO[bytes], data: bytes) -> None:
    """Write the data to a filter, as far as it reads it."""
    try:
        with stream:
            stream.write(data)
    except BrokenPipeError:
        pass  # it needs no more


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"
