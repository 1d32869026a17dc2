"""Configuration: which file is in effect, its settings, and what overrides them.

The file in effect, first that exists:

1. the one that ``KYCLI_CONFIG`` names, and no other when that is set
2. ``.kyclirc``, then ``.kyclirc.json`` in the working directory, then in its parent, and so on:
   the nearest, up to the home directory, or to the root if the home is not above it
3. ``.kyclirc``, then ``.kyclirc.json`` in the home directory
4. ``config.json`` in the user config directory (``$XDG_CONFIG_HOME/kycli``)

It is one file: settings of several are not put together. Outside the home directory itself, a
file of 2 that belongs to another user, or that others may write, is passed over, and the
commands say so. A user who wants to obey it names it in ``KYCLI_CONFIG``.

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

An environment variable that is empty counts as not set. Unknown keys in a file are ignored,
named by ``kycli config``, and kept when the file is changed. A file is JSON if its name ends in
``.json`` or its text begins with ``{``, else TOML.
"""

from __future__ import annotations

import os
from stat import S_ISFIFO, S_ISREG

from kycli.core.location import (
    ASK_PLATFORMDIRS,
    MEMORY,
    absolute_path,
    check_path,
    default_database,
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

_USER_FILE = "config.json"
_BOM = "\ufeff"
_MAX_BYTES = 1 << 20
_MAX_TIMEOUT_MS = 2**31 - 1
_HINT = "check what it is and its permissions, or name another file in KYCLI_CONFIG"


class Config:
    """The settings of the config file in effect, with defaults for the rest.

    Attributes:
        db_path: absolute path of the database file or its directory, or None when not set.
        current_scope: canonical scope, or None when not set.
        ns_delim: the separator between the parts of an address; default ``.``.
        durability: ``"normal"`` (the default) or ``"full"``.
        busy_timeout_ms: how long to wait for another process's lock, in milliseconds;
            default 5000.
        shell_keys: ``"emacs"`` (the default) or ``"vi"``: the keys of the interactive shell.
        shell_pager: ``"on"`` (the default) or ``"off"``: whether that shell stops after each
            screen of a long result.
        source: absolute path of the file in effect, or None when there is none.
        given: names of the settings that the file sets.
        distrusted: files that were passed over, each with the reason.
        ignored: other names in the file, which are no settings.
    """

    __slots__ = (
        "busy_timeout_ms",
        "current_scope",
        "db_path",
        "distrusted",
        "durability",
        "given",
        "ignored",
        "ns_delim",
        "shell_keys",
        "shell_pager",
        "source",
    )

    def __init__(self) -> None:
        self.db_path: str | None = None
        self.current_scope: str | None = None
        self.ns_delim = "."
        self.durability = "normal"
        self.busy_timeout_ms = 5000
        self.shell_keys = "emacs"
        self.shell_pager = "on"
        self.source: str | None = None
        self.given: tuple[str, ...] = ()
        self.distrusted: tuple[tuple[str, str], ...] = ()
        self.ignored: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Return the file that sets ``name``, or ``"default"``."""
        return self.source if self.source and name in self.given else DEFAULT


# A check for each setting: (value, directory of the file) -> the value to use.


def _text(value: object) -> str:
    if not isinstance(value, str):
        from kycli.config.parsing import kind

        raise ConfigError(f"it must be text, not {kind(value)}", hint="write it in quotes")
    return value


def _db_path(value: object, directory: str) -> str:
    text = _text(value)
    return text if text == MEMORY else check_path(absolute_path(text, directory))


def _current_scope(value: object, _: str) -> str:
    return check_scope(_text(value))


def _ns_delim(value: object, _: str) -> str:
    from kycli.address import check_delimiter

    return check_delimiter(_text(value))


def _durability(value: object, _: str) -> str:
    if value == "normal" or value == "full":
        return value
    # 'async' is for programs only: a command commits before it ends and would gain nothing.
    raise ConfigError(f"{_shown(value)} is not a durability", hint="it is 'normal' or 'full'")


def _busy_timeout_ms(value: object, _: str) -> int:
    # isinstance() would accept a bool.
    if type(value) is int and 0 <= value <= _MAX_TIMEOUT_MS:
        return value
    raise ConfigError(
        f"{_shown(value)} is not a timeout",
        hint=f"it is a whole number of milliseconds, 0 to {_MAX_TIMEOUT_MS}",
    )


def _one_of(*names: str) -> Callable[[object, str], str]:
    def check(value: object, _: str) -> str:
        text = _text(value)
        if text in names:
            return text
        allowed = " or ".join(repr(name) for name in names)
        raise ConfigError(f"{_shown(value)} is not possible", hint=f"it is {allowed}")

    return check


_SETTINGS: dict[str, Callable[[object, str], str | int]] = {
    "db_path": _db_path,
    "current_scope": _current_scope,
    "ns_delim": _ns_delim,
    "durability": _durability,
    "busy_timeout_ms": _busy_timeout_ms,
    "shell_keys": _one_of("emacs", "vi"),
    "shell_pager": _one_of("on", "off"),
}


def config_dir() -> str:
    """Return the directory of the user's config, which may not exist yet.

    ``$XDG_CONFIG_HOME/kycli``, or ``~/.config/kycli`` when the variable is unset or not
    absolute; on macOS, the directory that platformdirs gives.

    Raises:
        CannotOpenError: when the user has no home directory.
    """
    if ASK_PLATFORMDIRS:
        import platformdirs

        return platformdirs.user_config_dir("kycli", appauthor=False)
    return xdg_dir("XDG_CONFIG_HOME", ".config")


def find_config(
    distrusted: list[tuple[str, str]] | None = None, looked_for: list[str] | None = None
) -> str | None:
    """Return the absolute path of the config file in effect, or None when none exists.

    Parameters:
        distrusted: to which the files that are passed over are added, each with the reason.
        looked_for: to which all paths are added that were looked for.
    """
    paths = [] if looked_for is None else looked_for
    named = _named_config()
    if named is not None:
        return _existing(named, paths)
    home = home_dir()
    path = _find_above(home, [] if distrusted is None else distrusted, paths)
    if path is None and home is not None:
        path = _in_directory(home, paths)
    if path is not None:
        return path
    try:
        return _existing(os.path.join(config_dir(), _USER_FILE), paths)
    except CannotOpenError:  # no home directory, so no config in it
        return None


def _existing(path: str, looked_for: list[str]) -> str | None:
    looked_for.append(path)
    return path if os.path.exists(path) else None


def _find_above(
    home: str | None, distrusted: list[tuple[str, str]], looked_for: list[str]
) -> str | None:
    """Return the nearest config in the working directory and those above it, below the home."""
    try:
        directory = os.getcwd()
    except OSError:  # it does not exist any more
        return None
    if home is not None:
        home = home.rstrip("/")
    while directory != home:
        path = _in_directory(directory, looked_for)
        if path is not None:
            reason = _objection(path, directory, home)
            if not reason:
                return path
            distrusted.append((path, reason))
        if directory == "/":
            break
        directory = directory[: directory.rindex("/")] or "/"
    return None


def _objection(path: str, directory: str, home: str | None) -> str:
    """Return why a config is not to be obeyed, or ""."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""  # it is gone by now, which reading it will say
    # Almost every file passes this. The rest is looked at more closely.
    if status.st_uid == os.geteuid() and S_ISREG(status.st_mode) and not status.st_mode & 0o022:
        return ""
    from kycli.config.trust import is_same, objection

    return "" if home is not None and is_same(directory, home) else objection(path)


def _in_directory(directory: str, looked_for: list[str]) -> str | None:
    """Return the config file in a directory, or None."""
    # This is done for each directory up to the home. access() takes a third of what exists() does.
    path = f"{directory}/.kyclirc" if directory != "/" else "/.kyclirc"
    looked_for.append(path)
    if os.access(path, os.F_OK):
        return path
    path += ".json"
    looked_for.append(path)
    return path if os.access(path, os.F_OK) else None


def load_config() -> Config:
    """Read the config file in effect; without one, every setting has its default.

    Raises:
        ConfigError: when the file cannot be read, or has a syntax error or an invalid
            setting. The message has the file and, if known, the line; the hint says what
            is valid.
    """
    config = Config()
    distrusted: list[tuple[str, str]] = []
    path = find_config(distrusted)
    config.distrusted = tuple(distrusted)
    if path is None:
        return config
    text = read_config(path)
    values = parse_config(text, path)
    config.source = path
    # In JSON, null means that a setting is not set.
    config.ignored = tuple(name for name in values if name not in _SETTINGS)
    config.given = tuple(name for name in _SETTINGS if values.get(name) is not None)
    directory = os.path.dirname(path)
    for name in config.given:
        try:
            setattr(config, name, _SETTINGS[name](values[name], directory))
        except KycliError as error:
            from kycli.config.parsing import line_of

            line = line_of(name, text.removeprefix(_BOM))
            raise ConfigError(f"{path}{line}: {name}: {error}", hint=error.hint) from None
    return config


def current_scope(config: Config) -> tuple[str, str]:
    """Return the canonical current scope if no flag sets it, and where it comes from.

    Parameters:
        config: the result of ``load_config``.

    Returns:
        the scope; and ``"KYCLI_SCOPE"``, the path of the config file, or ``"default"``.

    Raises:
        InvalidScopeError: when the variable is not a valid scope.
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
        config: the result of ``load_config``.
        db_flag: the value of ``-d`` or ``--db``, or None.

    Returns:
        the path; and ``"--db"``, ``"KYCLI_DB_PATH"``, the path of the config file, or
        ``"default"``.

    Raises:
        CannotOpenError: when the path cannot be used, or there is no home directory.
    """
    if db_flag is not None:
        return resolve_db_path(db_flag), "--db"
    return default_database(config.db_path, config.origin("db_path"))


def setting_names() -> tuple[str, ...]:
    return tuple(_SETTINGS)


def check_setting(name: str) -> str:
    """Return ``name`` if it is the name of a setting.

    Raises:
        ConfigError: when it is not; the hint lists the settings.
    """
    if name in _SETTINGS:
        return name
    raise ConfigError(
        f"there is no setting {name!r}", hint=f"the settings are {', '.join(_SETTINGS)}"
    )


def save_config(key: str, value: str | int | None) -> str:
    """Set one setting in the config file in effect, or in the user's own if there is none.

    Atomic: readers see either the old file or the new one, and after an error the old one.
    Processes that save at the same time do not lose each other's changes. Other keys, their
    order, comments and the file's mode are kept, and a symbolic link stays a link. New files
    have mode 0600, new directories 0700.

    Parameters:
        key: the name of the setting.
        value: its new value, or None to remove the setting. A relative ``db_path`` is
            relative to the directory of the config file.

    Returns:
        the absolute path of the config file.

    Raises:
        ConfigError: when the setting does not exist, the value is invalid, or the file is
            invalid or cannot be written.
    """
    check = _SETTINGS[check_setting(key)]
    path = _named_config() or find_config() or _user_config()
    if value is not None:
        try:
            checked = check(value, os.path.dirname(path))
        except KycliError as error:
            raise ConfigError(f"{key}: {error}", hint=error.hint) from None
        # Keep a relative path relative, so that a directory can be moved with its config.
        value = value if key == "db_path" else checked
    from kycli.config.editing import edited
    from kycli.config.saving import rewrite

    def edit(old: str) -> str:
        text = old.removeprefix(_BOM)
        mark = old[: len(old) - len(text)]
        return mark + edited(text, path, _is_json(text, path), key, value)

    try:
        rewrite(path, read_config, edit)
    except OSError as error:
        raise ConfigError(
            f"{path}: the config cannot be saved: {error.strerror or error}", hint=_HINT
        ) from error
    return path


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


def _shown(value: object) -> str:
    """Return a value for a message: as in the file, or its type if it is a compound value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        from kycli.config.parsing import kind

        return kind(value)
    from kycli.core.durations import shown

    return shown(value)


# Reading. Every command that has a config pays for this, so the usual small file is parsed
# without importing a parser.


def read_config(path: str) -> str:
    """Return the text of a config file.

    Raises:
        ConfigError: when it cannot be read or is not UTF-8.
    """
    try:
        # Opening a pipe would otherwise wait until another process opens it for writing.
        with open(path, "rb", opener=_open_without_waiting) as file:
            is_pipe = _check_kind(path, file.fileno())
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: the config cannot be read: {error.strerror or error}", hint=_HINT
        ) from error
    if is_pipe and not data:
        raise ConfigError(f"{path}: the config is an empty pipe, with no writer", hint=_HINT)
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: over {_MAX_BYTES:,} bytes, so this is not a config", hint=_HINT)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}, line {line}: not UTF-8", hint="save the file in the encoding UTF-8"
        ) from None


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _check_kind(path: str, descriptor: int) -> bool:
    """Return whether an open file is a pipe, such as ``<(command)`` in a shell.

    Raises:
        ConfigError: when it is neither a pipe nor a regular file; ``/dev/null`` is allowed
            as an empty config.
    """
    status = os.fstat(descriptor)
    if S_ISFIFO(status.st_mode):
        os.set_blocking(descriptor, True)
        return True
    if not S_ISREG(status.st_mode) and not os.path.samestat(status, os.stat(os.devnull)):
        raise ConfigError(f"{path}: the config is not a regular file", hint=_HINT)
    return False


def parse_config(text: str, path: str) -> dict[str, Any]:
    """Return the values in the text of a config; an empty file has none.

    Parameters:
        text: the whole file.
        path: the file name, which decides the format and appears in errors.

    Raises:
        ConfigError: when the text has a syntax error, with line and column.
    """
    text = text.removeprefix(_BOM)
    as_json = _is_json(text, path)
    values = _quick_json(text) if as_json else _quick_toml(text)
    if values is None:
        from kycli.config.parsing import parse

        values = parse(text, path, as_json)
    return values


def _is_json(text: str, path: str) -> bool:
    """Return whether a config is JSON; otherwise it is TOML."""
    return path.endswith(".json") or text.lstrip(" \t\r\n").startswith("{")


class _ScannerSettings:
    """The options of the C scanner of JSON that ``json.loads`` uses by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _quick_json(text: str) -> dict[str, Any] | None:
    """Parse JSON with the scanner that the json module is built on; return None if it fails.

    This takes a tenth of the time of importing json, which then parses the text again or
    explains the error.
    """
    text = text.strip(" \t\r\n")
    try:
        import _json

        value, end = _json.make_scanner(_ScannerSettings)(text, 0)  # type: ignore[arg-type]
    except Exception:
        return None
    return value if end == len(text) and type(value) is dict else None


def _quick_toml(text: str) -> dict[str, Any] | None:
    """Parse TOML that has only ``name = "text"`` and ``name = 123``; return None otherwise.

    Most configs are of this form, and importing tomllib takes longer than reading a key.
    tomllib parses everything else, valid or not.
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
            # Leave leading zeros and very long numbers to tomllib.
            if not digits.isascii() or not digits.isdecimal() or not 0 < len(digits) < 10:
                return None
            if digits[0] == "0" and digits != "0":
                return None
            values[name] = int(digits)
        if after.strip(" ")[:1] not in ("", "#"):
            return None
    return values
