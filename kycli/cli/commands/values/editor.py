"""edit: changing a value in the user's editor."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from kycli.cli.commands.values.update import as_input, from_output
from kycli.cli.env import INTERRUPTED, read_all
from kycli.core.values import canonical
from kycli.errors import ConflictError, KycliError, MissingKeyError

if TYPE_CHECKING:
    from kycli.cli.env import Environment

_MISSING = object()
_LATE = (ConflictError, MissingKeyError)
"""Errors that editing the text again does not mend."""


def edit(env: Environment, arguments: list[str]) -> int:
    """``edit ADDRESS``: open a value in an editor, or an empty text for a new key."""
    form = env.choice("json")
    scope, key = env.locate(arguments[0])
    found = env.store(create=True).getkey(key, _MISSING, scope=scope)
    before = "" if found is _MISSING else found
    if form == "json" or not isinstance(before, (str, bytes)):
        data, ending = b"" if found is _MISSING else _indented(before), ".json"
    else:
        data, ending = as_input(form, before), ".txt" if isinstance(before, str) else ".bin"
    directory = tempfile.mkdtemp(prefix="kycli-")
    path = os.path.join(directory, _file_name(key, ending))
    is_kept = False  # whether the file has what would be lost with it
    try:
        with open(path, "xb") as file:
            file.write(data)
        while True:
            _run_editor(env, path)
            with open(path, "rb") as stream:
                edited = read_all(stream, path)
            if edited == data or (found is _MISSING and not edited.strip()):
                env.note("nothing was changed")
                return 0
            is_kept = True
            try:
                _save(env, scope, key, found, from_output(form, before, "the edited text", edited))
            except KycliError as error:
                if not isinstance(error, _LATE) and _again(env, error):
                    continue
                kept = f"what was written is kept in {path}"
                error.hint = f"{error.hint}; {kept}" if error.hint else kept
                raise
            is_kept = False
            return 0
    except OSError as error:
        raise KycliError(f"{error.filename or path}: {error.strerror}") from None
    finally:
        if not is_kept:
            shutil.rmtree(directory, ignore_errors=True)


def _indented(value: Any) -> bytes:
    """Return a value as JSON with a line for each member."""
    text = json.dumps(json.loads(canonical(value)), indent=2, ensure_ascii=False)
    return text.encode() + b"\n"


def _file_name(key: str, ending: str) -> str:
    """Return a name for a file that says whose value it is; editors go by its ending."""
    name = re.sub(r"[^\w.-]+", "_", key, flags=re.ASCII).lstrip(".-")[:64] or "value"
    return name if name.endswith(ending) else name + ending


def _run_editor(env: Environment, path: str) -> None:
    """Have the user edit a file.

    Raises:
        KycliError: when the editor cannot be run, or fails.
    """
    # As in git, the variable is a command of the shell, which may have arguments.
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with env.terminal():
        status = _finished(["sh", "-c", f'{editor} "$@"', editor, path], env.child_input)
    if status == 127:
        raise KycliError(f"cannot run the editor {editor!r}", hint="name another one in EDITOR")
    if status < 0 or status == INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise KycliError(f"the editor {editor!r} exited with {status}; nothing was changed")


def _finished(command: list[str], stdin: int | None) -> int:
    """Run a program that has the terminal, and return its exit code."""
    process = subprocess.Popen(command, stdin=stdin)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass  # the program handles ^C itself


def _save(env: Environment, scope: str, key: str, found: Any, after: Any) -> None:
    """Save the value unless another process has changed it; the key keeps its lifetime."""
    changed = ConflictError(f"the key {key!r} was changed while it was edited")
    if found is _MISSING:
        if env.store().save(key, after, scope=scope, if_absent=True) != "created":
            raise changed
        env.created.append((scope, key))
        return

    def replaced(now: Any) -> Any:
        if type(now) is not type(found) or canonical(now) != canonical(found):
            raise changed
        return after

    env.store().update(key, replaced, scope=scope)


def _again(env: Environment, error: KycliError) -> bool:
    """Report what is wrong with the edited value; ask whether to edit it again."""
    if "yes" in env.flags or not env.can_ask():
        return False
    env.error_line(f"kycli: {error}")
    return env.confirm("edit it again?")
