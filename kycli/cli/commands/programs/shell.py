"""The interactive shell, and its own commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.shell.session import session_of

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def start(env: Environment, arguments: list[str]) -> int:
    """``shell``: read commands and run them, to the end of the input."""
    from kycli.shell.start import start

    return start(env)


def begin(env: Environment, arguments: list[str]) -> int:
    """``begin``: have the following commands change nothing before ``commit``."""
    session_of(env, "begin").begin(env)
    return 0


def commit(env: Environment, arguments: list[str]) -> int:
    """``commit``: keep what the transaction has changed."""
    env.note(f"committed: {_counted(session_of(env, 'commit').commit())}")
    return 0


def rollback(env: Environment, arguments: list[str]) -> int:
    """``rollback``: undo what the transaction has changed."""
    env.note(f"rolled back: {_counted(session_of(env, 'rollback').rollback())}")
    return 0


def leave(env: Environment, arguments: list[str]) -> int:
    """``exit``: leave the shell."""
    session_of(env, "exit").leaving = True
    return 0


def _counted(changes: int) -> str:
    return "1 change" if changes == 1 else f"{changes:,} changes"
