"""The command line: one process, one command, one exit code.

Every command pays for start-up. So the modules that ``kyg key`` loads import only what it
needs; everything else is imported where it is used. ``tests/cli/test_cli_startup.py`` lists
these modules.
"""

from __future__ import annotations

import os
import sys

from kycli.cli.commands import KY, is_program
from kycli.cli.env import INTERRUPTED, Environment
from kycli.cli.parse import parse
from kycli.errors import ConflictError, InvalidTTLError, KycliError, MissingKeyError

_NONE = object()

_CLIENT = "_KYCLI_CLIENT"
"""The variable by which the native client says that it executed this: see client/python.c."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from kycli.cli.commands import Command


def program() -> NoReturn:
    """Run the command line of this process and end it.

    Raises:
        KeyboardInterrupt: when the user interrupted it, so that the script dies of the signal.
    """
    if sys.getfilesystemencoding() != "utf-8":
        _restart_in_utf8()
    client = os.environ.pop(_CLIENT, None)
    if client is not None:
        del sys.argv[0]  # the next one is the name by which the client was called
    is_held = client == "held"
    env = _HeldEnvironment() if is_held else Environment()
    code = run(env, sys.argv[1:], os.path.basename(sys.argv[0]))
    if is_held:
        _release_interrupts()  # it failed before it began
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    # Everything is flushed and closed. An orderly shutdown of the interpreter would make a get
    # a sixth slower, for nothing.
    os._exit(code)


class _HeldEnvironment(Environment):
    """The environment of a process in which the native client has blocked Ctrl-C.

    It is released when the modules that the command needs are there: an interrupt in an import
    may end in a traceback, or be lost.
    """

    def begin(self, command: Command, flags: dict[str, str]) -> None:
        super().begin(command, flags)
        command.load()
        if command.family != "system":
            import kycli.config
            import kycli.core.location
            import kycli.core.storage  # noqa: F401
        _release_interrupts()


def _release_interrupts() -> None:
    import _signal  # type: ignore[import-not-found]  # `signal` imports enum and more

    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGINT,))


def _restart_in_utf8() -> None:
    """Start again with UTF-8 for all file names, whatever the locale.

    If the locale has another encoding, Python and SQLite open different files by the same
    name.
    """
    try:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    except OSError:
        pass  # most names are ASCII, which is the same in every encoding


def main(argv: list[str] | None = None, program: str | None = None) -> int:
    """Run one command line and return its exit code.

    Parameters:
        argv: the arguments after the program's name; those of the process by default.
        program: the name it was called by, ``kycli``, ``ky`` or a short command; by
            default that of the process. Any other name counts as ``kycli``.
    """
    if program is None:
        program = os.path.basename(sys.argv[0])
    return run(Environment(), sys.argv[1:] if argv is None else argv, program)


def run(env: Environment, argv: list[str], program: str = "kycli") -> int:
    """Run one command line and return its exit code; raises only what the environment lets pass."""
    try:
        try:
            is_kycli = program != KY and not is_program(program)
            command, flags, arguments = parse(argv, None if is_kycli else program)
            env.begin(command, flags)
            code = command.load()(env, arguments)
            if env.addressed and (code == 2 or env.created or env.defaulted):
                for hint in _dotted_keys(env, command, arguments):
                    env.note(f"hint: {hint}")
            env.flush()
        except (MissingKeyError, ConflictError, InvalidTTLError) as error:
            if env.addressed:
                error.hint = next(_dotted_keys(env, command, arguments), error.hint)
            raise
        finally:
            env.close()
    except BaseException as error:
        if env.passes(error):
            raise
        from kycli.cli.failure import report

        code = report(error, env)
    return code


def _dotted_keys(env: Environment, command: Command, arguments: list[str]) -> Iterator[str]:
    """Yield a hint for each address that was probably meant as a key of the current scope.

    ``kycli incr user.visits`` counts in the key ``visits`` of the namespace ``user``. If that
    key was missing or is new, and the current scope has a key ``user.visits``, a hint says so.
    """
    for text, scope, key in env.addressed:
        if not _is_known(env, command, env.scope, text):
            continue
        made = (scope, key) in env.created
        if made:
            # A sum that equals what was added may also have begun at 0, so ask the history. A
            # command that is not suspicious pays for one look-up at most, and not for this.
            change = next(env.store().iter_history(key, scope=scope, limit=1), None)
            fits = change is not None and change.operation == "created"
        else:
            fits = not _is_known(env, command, scope, key)
        if fits:
            from kycli.cli.hints import key_not_address

            yield key_not_address(env, command, arguments, text, (scope, key), made)


def _is_known(env: Environment, command: Command, scope: str, key: str) -> bool:
    """Look up whether a key exists or, for a command that reads the past, has existed."""
    store = env.store()
    try:
        if command.family == "history":
            return next(store.iter_history(key, scope=scope, limit=1), None) is not None
        return store.getkey(key, _NONE, scope=scope) is not _NONE
    except KycliError:
        return False  # it cannot be a key, or the command's own error is the one to report
