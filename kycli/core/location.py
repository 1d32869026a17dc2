"""Where files are: the home and data directories of the user, and the database."""

from __future__ import annotations

import os
import sys

from kycli.errors import CannotOpenError, WrongTypeError

DATABASE = "kycli.db"
"""Name of the database file inside a directory."""

MEMORY = ":memory:"
"""SQLite's name for a database that is never written to disk."""

# On Linux the XDG Base Directory Specification applies. It is implemented here, because
# importing platformdirs takes as long as reading a key.
ASK_PLATFORMDIRS = sys.platform == "darwin"


def data_dir() -> str:
    """Return the directory of the user's data, which may not exist yet.

    ``$XDG_DATA_HOME/kycli``, or ``~/.local/share/kycli`` when the variable is unset or
    not absolute; on macOS, the directory that platformdirs gives.

    Raises:
        CannotOpenError: when the user has no home directory.
    """
    if ASK_PLATFORMDIRS:
        import platformdirs

        return platformdirs.user_data_dir("kycli", appauthor=False)
    return xdg_dir("XDG_DATA_HOME", ".local/share")


def xdg_dir(variable: str, fallback: str) -> str:
    """Return kycli's directory in an XDG base directory.

    Parameters:
        variable: the environment variable that sets the base directory.
        fallback: the base directory, relative to the home, if the variable is unset or
            not absolute.

    Raises:
        CannotOpenError: when the user has no home directory.
    """
    base = os.environ.get(variable, "")
    if not base.startswith("/"):  # the specification says to ignore a relative path
        home = home_dir()
        if home is None:
            raise CannotOpenError(
                "there is no home directory for kycli's files",
                hint=f"set HOME or {variable} to an absolute path",
            )
        base = os.path.join(home, fallback)
    return os.path.join(base, "kycli")


def home_dir() -> str | None:
    """Return the user's home directory, or None if the user has none."""
    given = os.environ.get("HOME")
    if given is None:
        home = os.path.expanduser("~")
    # An empty or relative HOME would put files into / or the working directory.
    elif given.startswith("/"):
        return given.rstrip("/") or "/"
    else:
        import pwd

        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return home if os.path.isabs(home) else None


def default_database(configured: str | None = None, source: str = "default") -> tuple[str, str]:
    """Return the absolute path of the database if the caller names none, and where it is from.

    ``KYCLI_DB_PATH`` if it is set and not empty; else ``configured``; else ``kycli.db`` in
    ``data_dir()``.

    Parameters:
        configured: what a config file sets: ``:memory:``, or an absolute path of a file or
            directory that ``check_path`` allows; or None.
        source: where ``configured`` comes from.

    Returns:
        the path; and ``"KYCLI_DB_PATH"``, ``source``, or ``"default"``.

    Raises:
        CannotOpenError: when the path cannot be used, or there is no home directory.
    """
    variable = os.environ.get("KYCLI_DB_PATH")
    if variable:
        return resolve_db_path(variable), "KYCLI_DB_PATH"
    if configured:
        return _file_at(configured), source
    return check_path(os.path.join(data_dir(), DATABASE)), "default"


def resolve_db_path(text: str) -> str:
    """Return the absolute path of the database that a user names.

    A directory, or a path that ends in ``/``, means ``kycli.db`` inside it. A leading ``~``
    is a home directory. ``:memory:`` is SQLite's name and stays as it is.

    Raises:
        CannotOpenError: when the path cannot be used.
    """
    return _file_at(text if text == MEMORY else check_path(absolute_path(text)))


def _file_at(path: str) -> str:
    """Return the database at an absolute path, which may be that of a directory."""
    if path != MEMORY and (path.endswith("/") or os.path.isdir(path)):
        return os.path.join(path, DATABASE)
    return path


def database_file(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return the absolute path of a database file that a program names; ``~`` is literal.

    Raises:
        CannotOpenError: when the path cannot be used.
        WrongTypeError: when the argument is not a path.
    """
    try:
        text = str.__str__(os.fsdecode(path))  # an exact str, also for a StrEnum member
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
        directory: the absolute directory that a relative path starts from; by default the
            working directory.

    Raises:
        CannotOpenError: when the path is empty, or the home or working directory is unknown.
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
                f"{text}: the working directory does not exist any more: {error.strerror}",
                hint="change to another directory, or give an absolute path",
            ) from None
    # Do not normalise: if 'link' is a symbolic link, 'link/../x' and 'x' are different files.
    return os.path.join(directory, path)


def check_path(path: str) -> str:
    """Return ``path`` if SQLite can open it, which takes only UTF-8 without NUL.

    Raises:
        CannotOpenError: when the path contains NUL or is not valid UTF-8.
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
            hint="a path is valid UTF-8 without NUL",
        )
    return path


def make_private(directory: str) -> None:
    """Create a directory and its missing parents, with access for the user only."""
    if os.path.isdir(directory):
        return
    make_private(os.path.dirname(directory))
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        if not os.path.isdir(directory):
            raise


def sync_directory(directory: str) -> None:
    """Flush a directory to disk, so that a new file in it survives a power failure."""
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
            f"{text}: the home directory is unknown",
            hint=f"write './{text}' for a file whose name begins with '~'",
        )
    return path
