"""Where the user's files live: the home and data directories, and the database."""

from __future__ import annotations

import os
import sys

from kycli.errors import CannotOpenError, WrongTypeError

DATABASE = "kycli.db"
"""Name of the database file inside a directory."""

MEMORY = ":memory:"
"""SQLite's name for a database that is never written to disk."""

# Elsewhere the directories are those of the XDG Base Directory Specification, which take
# a few lines to work out; importing platformdirs would cost as much as reading a key.
ASK_PLATFORMDIRS = sys.platform in ("win32", "cygwin", "darwin", "ios", "android")


def data_dir() -> str:
    """Return the directory of the user's data, which may not exist yet.

    ``$XDG_DATA_HOME/kycli``, or ``~/.local/share/kycli`` when the variable is unset or
    not absolute; on macOS and Windows what platformdirs says.

    Raises:
        CannotOpenError: when the user has no home directory.
    """
    if ASK_PLATFORMDIRS:
        import platformdirs

        return platformdirs.user_data_dir("kycli", appauthor=False)
    return xdg_dir("XDG_DATA_HOME", ".local/share")


def xdg_dir(variable: str, fallback: str) -> str:
    """Return kycli's directory in the base directory that an XDG variable names.

    Parameters:
        variable: its name.
        fallback: the base directory inside the home when it is unset or not absolute.

    Raises:
        CannotOpenError: when the user has no home directory.
    """
    base = os.environ.get(variable, "")
    if not base.startswith("/"):  # the specification: ignore a path that is not absolute
        home = home_dir()
        if home is None:
            raise CannotOpenError(
                "there is no home directory to keep kycli's files in",
                hint=f"set HOME or {variable} to an absolute path",
            )
        base = os.path.join(home, fallback)
    return os.path.join(base, "kycli")


def home_dir() -> str | None:
    """Return the user's home directory, or None where there is none."""
    # An empty or relative HOME would put files under / or the working directory.
    if ASK_PLATFORMDIRS or os.path.isabs(os.environ.get("HOME", "/")):
        home = os.path.expanduser("~")
    else:
        import pwd

        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return home if os.path.isabs(home) else None


def default_db_path() -> str:
    """Return the database of a caller who names none.

    ``KYCLI_DB_PATH`` when it is set and not empty, else ``kycli.db`` in ``data_dir()``.

    Raises:
        CannotOpenError: when the path cannot be used or there is no home directory.
    """
    named = os.environ.get("KYCLI_DB_PATH")
    return resolve_db_path(named) if named else check_path(os.path.join(data_dir(), DATABASE))


def resolve_db_path(text: str) -> str:
    """Return the absolute path of the database that ``text`` means.

    A directory, or text that ends in a separator, means ``kycli.db`` inside it. A leading
    ``~`` is a home directory. ``:memory:`` is SQLite's and stays as it is.

    Raises:
        CannotOpenError: when no database can have that path.
    """
    if text == MEMORY:
        return text
    path = check_path(absolute_path(text))
    if path.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(path):
        path = os.path.join(path, DATABASE)
    return path


def database_file(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return the absolute path of a database file, which nothing in it expands.

    Raises:
        CannotOpenError: when no database can have that path.
        WrongTypeError: when it is no path.
    """
    try:
        text = str.__str__(os.fsdecode(path))  # exactly, also for a member of a StrEnum
    except TypeError:
        raise WrongTypeError(
            f"the path of a database is text or a Path, not {type(path).__name__}"
        ) from None
    if text == MEMORY:
        return text
    return check_path(absolute_path(f"./{text}" if text[:1] == "~" else text))


def absolute_path(text: str, directory: str | None = None) -> str:
    """Return ``text`` as an absolute path.

    Parameters:
        text: a path; a leading ``~`` or ``~user`` is that home directory.
        directory: what a relative path is relative to, absolute; default the working
            directory.

    Raises:
        CannotOpenError: when the path is empty, or its home or working directory unknown.
    """
    if not text:
        raise CannotOpenError("the path is empty", hint="name a file or a directory")
    path = _expand_home(text) if text[0] == "~" else text
    if os.path.isabs(path):
        return path
    if directory is None:
        try:
            directory = os.getcwd()
        except OSError as error:
            raise CannotOpenError(
                f"{text}: the working directory is not there any more: {error.strerror}",
                hint="change to another directory, or give an absolute path",
            ) from None
    # Not normalised: 'link/../x' is another file than 'x' when 'link' is a symbolic link.
    return os.path.join(directory, path)


def check_path(path: str) -> str:
    """Return ``path`` if SQLite can open it: it takes UTF-8 without NUL and no other bytes.

    Raises:
        CannotOpenError: when it holds NUL or what UTF-8 cannot say.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        fits = False
    else:
        fits = "\0" not in path
    if not fits:
        raise CannotOpenError(
            f"{path!r} cannot be the path of a database",
            hint="a path is valid UTF-8 and holds no NUL",
        )
    return path


def make_private(directory: str) -> None:
    """Make a directory and those that it is in, where they are missing, for the user alone."""
    if os.path.isdir(directory):
        return
    make_private(os.path.dirname(directory))
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        if not os.path.isdir(directory):
            raise


def sync_directory(directory: str) -> None:
    """Make a new name in the directory survive a power loss, where the system can do that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _expand_home(text: str) -> str:
    path = text
    if text == "~" or text.startswith("~/"):
        home = home_dir()
        if home is not None:
            path = os.path.join(home, text[2:])
    else:
        path = os.path.expanduser(text)
    if not os.path.isabs(path):
        raise CannotOpenError(
            f"{text}: whose home directory that is cannot be told",
            hint=f"write './{text}' for a file whose name begins with '~'",
        )
    return path
