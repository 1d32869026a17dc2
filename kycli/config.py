"""Configuration: which file it is in, what it may say, and how it is changed.

The file in effect, first that exists:

1. the one that ``KYCLI_CONFIG`` names, and no other when that is set
2. ``.kyclirc``, then ``.kyclirc.json`` in the working directory
3. ``.kyclirc``, then ``.kyclirc.json`` in the home directory
4. ``config.json`` in the user config directory (``$XDG_CONFIG_HOME/kycli``)

The database, first that is set:

1. ``-d``/``--db``
2. ``KYCLI_DB_PATH``
3. ``db_path`` in the config
4. ``kycli.db`` in the user data directory (``$XDG_DATA_HOME/kycli``)

The current scope, first that is set:

1. ``--scope``, or ``-p`` and ``-n``
2. ``KYCLI_SCOPE``
3. ``current_scope`` in the config
4. ``default``

An environment variable that is empty counts as not set. A file is JSON when its name ends
in ``.json`` or its text begins with ``{``, else TOML. Keys that kycli does not know are
ignored and kept.
"""

from __future__ import annotations

import os
from stat import S_ISFIFO, S_ISREG

from kycli.address import check_delimiter
from kycli.core.location import (
    ASK_PLATFORMDIRS,
    DATABASE,
    MEMORY,
    absolute_path,
    check_path,
    data_dir,
    home_dir,
    resolve_db_path,
    xdg_dir,
)
from kycli.core.names import DEFAULT, check_scope
from kycli.errors import CannotOpenError, ConfigError, InvalidScopeError, KycliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NAMES = (".kyclirc", ".kyclirc.json")
_USER_FILE = "config.json"
_JSON_FORM = 'a JSON config is an object: {"current_scope": "alpha"}'
_TOML_FORM = 'a TOML config has lines like: current_scope = "alpha"'
BOM = "\ufeff"
_MAX_BYTES = 1 << 20
_MAX_DOTS = 1000
_MAX_TIMEOUT_MS = 2**31 - 1
HINT = "check what it is and its permissions, or name another file in KYCLI_CONFIG"


class Config:
    """What the config file in effect says, and defaults for the rest.

    Attributes:
        db_path: absolute path of the database file or its directory, or None when not set.
        current_scope: canonical scope, or None when not set.
        ns_delim: what separates the parts of an address; default ``.``.
        durability: ``"normal"`` (the default) or ``"full"``.
        busy_timeout_ms: how long to wait for another process's lock, in milliseconds;
            default 5000.
        source: absolute path of the file in effect, or None when there is none.
        given: names of the settings that the file sets.
    """

    __slots__ = (
        "busy_timeout_ms",
        "current_scope",
        "db_path",
        "durability",
        "given",
        "ns_delim",
        "source",
    )

    def __init__(self) -> None:
        self.db_path: str | None = None
        self.current_scope: str | None = None
        self.ns_delim = "."
        self.durability = "normal"
        self.busy_timeout_ms = 5000
        self.source: str | None = None
        self.given: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Return the file that sets ``name``, or ``"default"``."""
        return self.source if self.source and name in self.given else DEFAULT


# What each setting may be: (value, directory of the file) -> the value in use.


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"it is text, not {_kind(value)}", hint="write it in quotes")
    return value


def _db_path(value: object, directory: str) -> str:
    text = _text(value)
    return text if text == MEMORY else check_path(absolute_path(text, directory))


def _current_scope(value: object, _: str) -> str:
    return check_scope(_text(value))


def _ns_delim(value: object, _: str) -> str:
    return check_delimiter(_text(value))


def _durability(value: object, _: str) -> str:
    if value == "normal" or value == "full":
        return value
    # 'async' is for programs: a command commits before it ends, so it could only cost it.
    raise ConfigError(f"{_shown(value)} is no durability", hint="it is 'normal' or 'full'")


def _busy_timeout_ms(value: object, _: str) -> int:
    # A bool is an int to isinstance().
    if type(value) is int and 0 <= value <= _MAX_TIMEOUT_MS:
        return value
    raise ConfigError(
        f"{_shown(value)} is no waiting time",
        hint=f"it is a whole number of milliseconds, 0 to {_MAX_TIMEOUT_MS}",
    )


_SETTINGS: dict[str, Callable[[object, str], str | int]] = {
    "db_path": _db_path,
    "current_scope": _current_scope,
    "ns_delim": _ns_delim,
    "durability": _durability,
    "busy_timeout_ms": _busy_timeout_ms,
}


def config_dir() -> str:
    """Return the directory of the user's config, which may not exist yet.

    ``$XDG_CONFIG_HOME/kycli``, or ``~/.config/kycli`` when the variable is unset or not
    absolute; on macOS and Windows what platformdirs says.

    Raises:
        CannotOpenError: when the user has no home directory.
    """
    if ASK_PLATFORMDIRS:
        import platformdirs

        return platformdirs.user_config_dir("kycli", appauthor=False)
    return xdg_dir("XDG_CONFIG_HOME", ".config")


def find_config() -> str | None:
    """Return the absolute path of the config file in effect, or None when none exists."""
    named = _named_config()
    if named is not None:
        return named if os.path.exists(named) else None
    for name in _NAMES:
        if os.path.exists(name):
            return absolute_path(name)
    home = home_dir()
    if home is not None:
        for name in _NAMES:
            path = os.path.join(home, name)
            if os.path.exists(path):
                return path
    try:
        path = os.path.join(config_dir(), _USER_FILE)
    except CannotOpenError:  # no home directory, so nothing is configured
        return None
    return path if os.path.exists(path) else None


def load_config() -> Config:
    """Read the config file in effect; without one, everything has its default.

    Raises:
        ConfigError: when the file cannot be read, has a syntax error or a setting that
            cannot be used; with the file, the line where it is known, and what would be
            right.
    """
    config = Config()
    path = find_config()
    if path is None:
        return config
    text = read_config(path)
    values = parse_config(text, path)
    config.source = path
    # A null is how JSON says that something is not set.
    config.given = tuple(name for name in _SETTINGS if values.get(name) is not None)
    directory = os.path.dirname(path)
    for name in config.given:
        try:
            setattr(config, name, _SETTINGS[name](values[name], directory))
        except KycliError as error:
            raise ConfigError(
                f"{path}{_line_of(name, text)}: {name}: {error}", hint=error.hint
            ) from None
    return config


def current_scope(config: Config) -> tuple[str, str]:
    """Return the current scope where no flags fix one, canonical, and where it comes from.

    Parameters:
        config: what ``load_config`` gave.

    Returns:
        the scope, and ``"KYCLI_SCOPE"``, the path of the config file or ``"default"``.

    Raises:
        InvalidScopeError: when the variable holds no scope.
    """
    variable = os.environ.get("KYCLI_SCOPE")
    if variable:
        try:
            return check_scope(variable), "KYCLI_SCOPE"
        except InvalidScopeError as error:
            raise InvalidScopeError(f"KYCLI_SCOPE: {error}", hint=error.hint) from None
    return config.current_scope or DEFAULT, config.origin("current_scope")


def database_path(config: Config, db_flag: str | None = None) -> tuple[str, str]:
    """Return the absolute path of the database, and where it comes from.

    Parameters:
        config: what ``load_config`` gave.
        db_flag: what ``-d`` or ``--db`` names, or None.

    Returns:
        the path, and ``"--db"``, ``"KYCLI_DB_PATH"``, the path of the config file or
        ``"default"``.

    Raises:
        CannotOpenError: when no database can have that path.
    """
    if db_flag is not None:
        return resolve_db_path(db_flag), "--db"
    variable = os.environ.get("KYCLI_DB_PATH")
    if variable:
        return resolve_db_path(variable), "KYCLI_DB_PATH"
    chosen = config.db_path or os.path.join(data_dir(), DATABASE)
    return resolve_db_path(chosen), config.origin("db_path")


def check_setting(name: str) -> str:
    """Return ``name`` if there is such a setting.

    Raises:
        ConfigError: with the names of those that there are.
    """
    if name in _SETTINGS:
        return name
    raise ConfigError(
        f"there is no setting {name!r}", hint=f"the settings are {', '.join(_SETTINGS)}"
    )


def save_config(key: str, value: str | int | None) -> str:
    """Set one setting in the config file in effect, or in the user's own when there is none.

    Atomic: a reader sees the old file or the new one, and an error leaves the old one.
    Several processes may save at once and lose nothing of each other's. What else is in
    the file stays as it is: other keys, their order, comments, the mode; and a symbolic link
    stays one. A file that is created has mode 0600, directories that are made 0700.

    Parameters:
        key: the name of the setting.
        value: its new value; a relative ``db_path`` is relative to the file's directory.
            None takes the setting out of the file.

    Returns:
        the absolute path of the file.

    Raises:
        ConfigError: when there is no such setting, it cannot have that value, or the file
            is broken or cannot be written.
    """
    check = _SETTINGS[check_setting(key)]
    path = _named_config() or find_config() or _user_config()
    if value is not None:
        try:
            checked = check(value, os.path.dirname(path))
        except KycliError as error:
            raise ConfigError(f"{key}: {error}", hint=error.hint) from None
        # A relative path stays relative, so that a directory can be moved with its config.
        value = value if key == "db_path" else checked
    from kycli.config_edit import edit_file

    edit_file(path, key, value)
    return path


# Reading.


def _named_config() -> str | None:
    variable = os.environ.get("KYCLI_CONFIG")
    if not variable:
        return None
    try:
        return absolute_path(variable)
    except CannotOpenError as error:
        raise ConfigError(f"KYCLI_CONFIG: {error}", hint=error.hint) from None


def _user_config() -> str:
    try:
        return os.path.join(config_dir(), _USER_FILE)
    except CannotOpenError as error:
        raise ConfigError(str(error), hint=error.hint) from None


def read_config(path: str) -> str:
    """Return the text of a config file.

    Raises:
        ConfigError: when it cannot be read or is not UTF-8.
    """
    try:
        # Without waiting for who would write into a pipe that nobody has opened.
        with open(path, "rb", opener=_open_at_once) as file:
            is_pipe = _check_kind(path, file.fileno())
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: the config cannot be read: {error.strerror or error}", hint=HINT
        ) from error
    if is_pipe and not data:
        raise ConfigError(f"{path}: nobody writes into this pipe", hint=HINT)
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: over {_MAX_BYTES:,} bytes, so this is no config", hint=HINT)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: not UTF-8", hint="save the file in the encoding UTF-8"
        ) from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _check_kind(path: str, descriptor: int) -> bool:
    """Return whether it is a pipe, as ``<(command)`` is to a shell; refuse what is no file.

    ``/dev/null`` counts as an empty file.
    """
    status = os.fstat(descriptor)
    if S_ISFIFO(status.st_mode):
        os.set_blocking(descriptor, True)
        return True
    if not S_ISREG(status.st_mode) and not os.path.samestat(status, os.stat(os.devnull)):
        raise ConfigError(f"{path}: the config is no regular file", hint=HINT)
    return False


def is_json(text: str, path: str) -> bool:
    """Tell whether a config is JSON; otherwise it is TOML."""
    return path.endswith(".json") or text.lstrip(BOM + " \t\r\n").startswith("{")


def parse_config(text: str, path: str) -> dict[str, Any]:
    """Return what the text of a config says; an empty file says nothing.

    Parameters:
        text: the whole file.
        path: its name, which tells the format and goes into errors.

    Raises:
        ConfigError: when there is a syntax error, with line and column.
    """
    text = text.removeprefix(BOM)
    if is_json(text, path):
        if not text.strip(" \t\r\n"):
            return {}
        values = _plain_json(text)
        return _explained_json(text, path) if values is None else values
    values = _plain_toml(text)
    return _explained_toml(text, path) if values is None else values


class _ScannerSettings:
    """What the C scanner of JSON asks for, so that it reads as ``json.loads`` does."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _plain_json(text: str) -> dict[str, Any] | None:
    """Read JSON with the interpreter's own scanner, or return None.

    It takes a tenth of the time that importing json does. What it does not take, for
    whatever reason, is for json to read or to explain.
    """
    text = text.strip(" \t\r\n")
    try:
        import _json

        value, end = _json.make_scanner(_ScannerSettings)(text, 0)  # type: ignore[arg-type]
    except Exception:
        return None
    return value if end == len(text) and type(value) is dict else None


def _explained_json(text: str, path: str) -> dict[str, Any]:
    import json

    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}",
            hint=_JSON_FORM,
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not usable JSON: {_excess(error)}") from None
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path}, line 1: the config is {_kind(value)}",
            hint=_JSON_FORM,
        )
    return value


def _plain_toml(text: str) -> dict[str, Any] | None:
    """Read the plainest TOML, ``name = "text"`` or a number line by line, or return None.

    Most configs are no more than that, and importing tomllib takes longer than reading a
    key. Anything else, right or wrong, is for tomllib.
    """
    values: dict[str, Any] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        line = line.strip(" \t")
        if not line.isprintable():
            return None
        if not line or line[0] == "#":
            continue
        name, _, rest = line.partition("=")
        name = name.rstrip(" ")
        rest = rest.lstrip(" ")
        if name in values or not name.isascii() or not name.replace("_", "a").isalnum():
            return None
        quote = rest[:1]
        if quote == '"' or quote == "'":
            value, end, after = rest[1:].partition(quote)
            if not end or (quote == '"' and "\\" in value):
                return None
            values[name] = value
        else:
            digits, _, after = rest.partition(" ")
            # tomllib knows what a leading zero or a thousand digits mean.
            if not digits.isascii() or not digits.isdecimal() or not 0 < len(digits) < 10:
                return None
            if digits[0] == "0" and digits != "0":
                return None
            values[name] = int(digits)
        if after.strip(" ")[:1] not in ("", "#"):
            return None
    return values


def _explained_toml(text: str, path: str) -> dict[str, Any]:
    import tomllib

    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MAX_DOTS:  # tomllib takes quadratic time for a key of many parts
            raise ConfigError(f"{path}, line {number}: over {_MAX_DOTS:,} dots", hint=_TOML_FORM)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # "what is wrong (at line 3, column 5)" or "what is wrong (at end of document)"
        problem, _, place = str(error).removesuffix(")").rpartition(" (at ")
        if place == "end of document":
            last = text.rpartition("\n")[2]
            place = f"line {text.count(chr(10)) + 1}, column {len(last) + 1}"
        raise ConfigError(f"{path}, {place}: not TOML: {problem}", hint=_TOML_FORM) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not usable TOML: {_excess(error)}") from None


def _excess(error: Exception) -> str:
    """Say what Python has a limit for, which the formats have not."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "a number in it has too many digits"


def _kind(value: object) -> str:
    """Name the type of a value as a writer of JSON or TOML knows it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    return f"a {type(value).__name__}"


def _shown(value: object) -> str:
    """Write a value as the config does, and one that is not plain by the name of its type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        return _kind(value)
    from kycli.core.expiry import shown

    return shown(value)


def _line_of(name: str, text: str) -> str:
    """Say which line sets ``name``, when one line alone looks like it."""
    found = [
        number
        for number, line in enumerate(text.split("\n"), 1)
        if line.lstrip(BOM + " \t{\"'").startswith(name)
    ]
    return f", line {found[0]}" if len(found) == 1 else ""
