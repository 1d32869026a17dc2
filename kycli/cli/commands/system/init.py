"""init: the script that defines the shell functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.session.shells import script

if TYPE_CHECKING:
    from kycli.cli.env import Environment


def print_script(env: Environment, arguments: list[str]) -> int:
    """``init SHELL``: print what the shell is to evaluate."""
    env.write(script(arguments[0]).encode())
    return 0
