"""The shell functions: for each shell a script, ``kycli.SHELL``, that ``kycli init SHELL`` prints.

A script is printed unchanged except for these words, each replaced by text quoted for its shell:

===============  =======================================================
``@PYTHON@``     the interpreter that runs kycli
``@BEGIN@``      the code that starts a server: see ``kycli.session.lean``
``@BUILTIN@``    for bash: the file that has the builtin
``@BIN@``        the directory of the programs, "" if it is not known
``@VERSION@``    the version of the package
``@RUNTIME@``    the directory of sockets and named pipes, which may not exist
                 yet
``@NAMES@``      the functions to define, as words: the short commands, ky,
                 kycli
``@EXPORT@``     for bash: 1 to export them, else ""
``@READING@``    patterns for case: the programs that only read, as "kyg get"
``@VARIABLES@``  for bash: the values of VARIABLES, with a byte 0x1F between them
===============  =======================================================
"""

from __future__ import annotations

import os
import sys

from kycli.cli.commands import KY, all_commands
from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SHELLS = ("bash", "zsh", "fish")

VARIABLES = (
    *("KYCLI_SCOPE", "KYCLI_DB_PATH", "KYCLI_CONFIG", "KYCLI_DEBUG", "KYCLI_HERE"),
    *("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TZ", "TMPDIR", "LOGNAME", "USER"),
)
"""The variables that bash sends with each request, in this order."""

OF_LOGIN = ("HOME", "LOGNAME", "USER")
"""Those of them that bash sends whether they are exported or not."""

VARIABLES_ZSH = (
    *("KYCLI_SCOPE", "KYCLI_DB_PATH", "KYCLI_CONFIG", "KYCLI_DEBUG", "HOME", "XDG_CONFIG_HOME"),
    *("XDG_DATA_HOME", "TZ", "TMPDIR", "LOGNAME", "USER", "NO_COLOR", "TERM", "COLUMNS"),
)
"""The variables that zsh sends with each request, if they are exported."""

_ZSH_OPTIONS = (
    *("extended_glob", "no_multibyte", "no_err_exit", "no_err_return", "no_xtrace"),
    *("local_traps", "no_aliases"),
)
"""The options of the functions of zsh, whatever those of the user are."""

_READING = (
    *("get", "exists", "count", "keys", "scan", "ls", "query", "search", "history", "diff"),
    *("help", "version", "stats", "projects", "namespaces", "nss", "list-scopes"),
)

_FOLDER = os.path.dirname(__file__)
_PLAIN = ("kyshell",)
"""Programs that are never functions; nor are those that need a process of their own."""


def script(shell: str, *, export: bool = False) -> str:
    """Return the script that defines the functions in a shell.

    Parameters:
        shell: one of SHELLS.
        export: whether shells that it starts have them too; bash alone can do that.

    Raises:
        UsageError: for another shell, or one that cannot export functions.
    """
    if shell not in SHELLS:
        raise UsageError(
            f"there are no functions for the shell {shell!r}",
            hint=f"there are some for {', '.join(SHELLS)}; others run the commands as ever",
        )
    if export and shell != "bash":
        raise UsageError(f"{shell} cannot export functions", hint="leave --export out")
    from kycli import __version__
    from kycli.session import endpoint, lean

    with open(os.path.join(_FOLDER, f"kycli.{shell}"), encoding="utf-8") as file:
        text = file.read()
    words = {
        "@PYTHON@": quoted(shell, sys.executable),
        "@BEGIN@": quoted(shell, lean.command()),
        "@BUILTIN@": quoted(shell, _builtin()),
        "@BIN@": quoted(shell, _programs()),
        "@VERSION@": quoted(shell, __version__),
        "@RUNTIME@": quoted(shell, endpoint.directory()),
        "@NAMES@": " ".join(names()),
        "@EXPORT@": "1" if export else "''",
        "@READING@": _reading(),
        "@VARIABLES@": _SENT[shell](),
        "@TYPES@": ":".join(f"${{(t){name}}}" for name in VARIABLES_ZSH),
    }
    for word, value in words.items():
        text = text.replace(word, value)
    return _emulated(text) if shell == "zsh" else text


def _emulated(text: str) -> str:
    """Return a script of zsh whose functions run with options of their own.

    It is also read with them, so that the user's aliases do not get into its definitions. Quoted
    words are no aliases.
    """
    options = " ".join(f"-o {option}" for option in _ZSH_OPTIONS)
    return f"'builtin' 'emulate' zsh {options} -c {quoted('zsh', text)}\n"


def names() -> list[str]:
    """Return the programs that become functions."""
    commands = all_commands().values()
    short = [c.called for c in commands if c.is_short and c.alone not in ("process", "terminal")]
    return [*(name for name in short if name not in _PLAIN), KY, "kycli"]


def _sent_by_bash(name: str) -> str:
    """Return code that expands to a variable, or to nothing if commands would not see it.

    Looking up attributes takes time. So only rarely set variables have their attributes before the
    value, ``x`` for an exported one. The variables of a login are always exported.
    """
    if name in OF_LOGIN:
        return f"${{{name}-}}"
    if_set = "+" if name == "TZ" else ":+"  # an empty one is a zone
    return f"${{{name}{if_set}${{{name}@a}}=${name}}}"


_SENT: dict[str, Callable[[], str]] = {
    "bash": lambda: "\x1f".join(map(_sent_by_bash, VARIABLES)),
    "zsh": lambda: " ".join(VARIABLES_ZSH),
    "fish": str,
}


def _reading() -> str:
    """Return patterns of commands that only read, for a program and its first word."""
    commands = [command for command in all_commands().values() if command.name in _READING]
    short = [f"'{c.called} '*" for c in commands if c.is_short]
    return " | ".join(
        [*short, *(f"'{program} {name}'" for name in _READING for program in (KY, "kycli"))]
    )


def quoted(shell: str, text: str) -> str:
    """Return a text as a word of a shell.

    >>> print(quoted("bash", "it's"), quoted("fish", "it's"))
    'it'\\''s' 'it\\'s'
    """
    if shell == "fish":
        text = text.replace("\\", "\\\\").replace("'", "\\'")
    else:
        text = text.replace("'", "'\\''")
    return f"'{text}'"


def _builtin() -> str:
    """Return the file of the builtin for bash, "" if it was not built."""
    for name in os.listdir(_FOLDER):  # its name says for which Python it was built
        if name.startswith("builtin.") and name.endswith(".so"):
            return os.path.join(_FOLDER, name)
    return ""


def _programs() -> str:
    """Return the directory that the programs are in: beside this one, else beside Python."""
    for program in (sys.argv[0], sys.executable):
        directory = os.path.dirname(os.path.abspath(program))
        if os.access(os.path.join(directory, "kyg"), os.X_OK):
            return directory
    return ""
