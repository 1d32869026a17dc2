"""init: the script that defines the shell functions."""

from __future__ import annotations

from kycli.session.shells import script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.cli.env import Environment


def print_script(env: Environment, arguments: list[str]) -> int:
    """``init SHELL``: print what the shell is to evaluate."""
    env.write(script(arguments[0], export="export" in env.flags).encode())
    return 0
