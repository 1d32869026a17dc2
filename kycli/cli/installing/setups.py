"""What each shell reads when it starts, and the lines that set kycli up in it."""

from __future__ import annotations

import os

from kycli.cli.commands import find
from kycli.core.location import home_dir
from kycli.errors import CannotOpenError

SHELLS = ("bash", "zsh", "fish")

_LINES = {
    "bash": """\
if [[ $- == *i* ]] && command -v kycli >/dev/null; then
{}fi
""",
    "zsh": """\
if command -v kycli >/dev/null; then
{}fi
""",
    "fish": """\
if status is-interactive; and command -sq kycli
{}end
""",
}
_EVALUATE = {
    "bash": '    eval "$(command kycli {} bash)"\n',
    "zsh": '    eval "$(command kycli {} zsh)"\n',
    "fish": "    command kycli {} fish | source\n",
}


def lines(shell: str) -> str:
    """Return the lines that set kycli up in a shell; a package that is gone breaks nothing."""
    # 'init' defines functions, the first call of which starts a server. Nothing is called here.
    commands = [name for name in ("completion", "init") if find(name)]
    return _LINES[shell].format("".join(_EVALUATE[shell].format(name) for name in commands))


def startup_file(shell: str) -> str:
    """Return the file that a shell reads when it starts.

    Raises:
        CannotOpenError: when there is no home directory.
    """
    if shell == "bash":
        return os.path.join(home(), ".bashrc")
    if shell == "zsh":
        directory = os.environ.get("ZDOTDIR", "")
        return os.path.join(directory if os.path.isabs(directory) else home(), ".zshrc")
    return os.path.join(_base("XDG_CONFIG_HOME", ".config"), "fish", "conf.d", "kycli.fish")


def manuals() -> str:
    """Return the directory of the user's own manual pages."""
    return os.path.join(_base("XDG_DATA_HOME", ".local/share"), "man", "man1")


def used() -> list[str]:
    """Return the shells that the user has: the one of the login, and those with a config."""
    login = os.path.basename(os.environ.get("SHELL", ""))
    fish = os.path.join(_base("XDG_CONFIG_HOME", ".config"), "fish")
    config = {"bash": startup_file("bash"), "zsh": startup_file("zsh"), "fish": fish}
    return [shell for shell in SHELLS if shell == login or os.path.exists(config[shell])]


def home() -> str:
    directory = home_dir()
    if directory is None:
        raise CannotOpenError("there is no home directory", hint="set HOME")
    return directory


def _base(variable: str, fallback: str) -> str:
    base = os.environ.get(variable, "")
    return base if base.startswith("/") else os.path.join(home(), fallback)
