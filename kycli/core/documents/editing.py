"""Documents: reading and changing parts of a JSON value.

A part is named by a key and a path in one text, ``user.profile.email``: when no key has
exactly that name, the longest existing key that it begins with, up to a ``.`` or ``[``, is
the key, and the rest is the path. Keys may hold dots and brackets, so what exists decides.

Text that is a JSON object or list counts as a document, as text that is a number can be
counted up: it is what the command line stores unless told otherwise. Changed, it is stored
as JSON.

Each change is one transaction that takes the write lock before it reads, writes the whole
value, and keeps the lifetime of the key. SQLite finds the key; its functions that change
JSON were rejected, since they know nothing of the tags that values without a JSON form are
stored with, and say nothing when a path does not fit.
"""

from __future__ import annotations

from kycli.core.codec import check_key, decode, encode
from kycli.core.documents import paths
from kycli.core.documents.paths import MISSING, kind_of
from kycli.core.sql.documents import longest_key
from kycli.errors import (
    ConflictError,
    InvalidPathError,
    InvalidValueError,
    KycliError,
    MissingKeyError,
    WrongTypeError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kycli.core.documents.paths import Step
    from kycli.core.history.times import Time
    from kycli.core.storage import Kycore

    Names = tuple[str, list[Step]]


class _Target:
    """A key, the path into its value, and the value, as read in a transaction.

    Attributes:
        value: MISSING when there is no such key.
        before: what was stored, had it been stored as JSON; None when it was.
    """

    __slots__ = ("before", "expires_at", "key", "now", "scope", "steps", "store", "text", "value")

    def __init__(
        self,
        store: Kycore,
        scope: str | None,
        text: str,
        key: str | None,
        include_expired: bool = False,
    ) -> None:
        self.store = store
        self.scope = store._checked_scope(scope)
        self.now = store._now()
        if isinstance(text, str):
            text = str.__str__(text)  # exactly, also for a member of a StrEnum
        self.text = text
        if key is None:
            name = store._key(self.scope, text)
            lengths = _lengths(text)
            if len(name) != len(text):  # lower case, in some scripts, is longer
                name = text
        else:
            name = store._key(self.scope, key)
            lengths = [len(name)]
        self.steps = [] if key is None else paths.parse(text)
        self.before: tuple[int, Any, int] | None = None
        self.key, self.value, self.expires_at = name, MISSING, None
        found = longest_key(store, self.now, self.scope, name, lengths, bool(include_expired))
        if found is not None:
            self.key, stored, kind, self.expires_at = found
            self.value = decode(stored, kind)
            if key is None:
                self.steps = paths.parse_steps(text, len(self.key))

    def begin_new(self) -> None:
        """Use the text before the first dot or bracket as a new key, the rest as the path.

        For texts that begin with no existing key.
        """
        first = _lengths(self.text)[0]
        self.key, self.steps = (
            self.store._key(self.scope, self.text[:first]),
            paths.parse_steps(self.text, first),
        )

    def document(self) -> Any:
        """Return what is there, as part of a document, or MISSING."""
        if self.value is MISSING:
            return MISSING
        if type(self.value) is str:
            # Stored as JSON it would differ from the text even when nothing has to change.
            self.value = _document_of(self.key, self.value)
            self.before = encode(self.value)
        return paths.read(_document_of(self.key, self.value), self.steps, self.key)

    def put(self, value: Any) -> str:
        """Write another value there; return the status of the write.

        Without a path that is the whole value; otherwise what was there is a document.
        """
        whole = value
        if self.steps:
            self.document()
            root = None if self.value is MISSING else self.value
            whole = paths.put(root, self.steps, value, self.key)
        row = encode(whole)
        if self.value is MISSING:
            return self.store._put(self.now, self.scope, self.key, *row, None)
        if row == self.before:
            return "nochange"
        return self.store._write(self.now, self.scope, self.key, *row, self.expires_at)


def _lengths(text: str) -> list[int]:
    """Return the lengths of all names that a text begins with, up to a dot or a bracket."""
    return [at for at, char in enumerate(text) if at and char in ".["] + [len(text)]


def _inside(key: str, value: Any, steps: list[Step]) -> Any:
    return paths.read(_document_of(key, value), steps, key) if steps else value


def _document_of(key: str, value: Any) -> Any:
    """Return a value as a document: itself, or what its text says in JSON.

    Raises:
        WrongTypeError: when it is bytes, or text of another kind.
    """
    if type(value) is bytes:
        raise WrongTypeError(f"the value of {key!r} is bytes, not JSON")
    if type(value) is not str:
        return value
    if value.lstrip()[:1] not in ("{", "["):
        raise WrongTypeError(
            f"the value of {key!r} is text, not JSON",
            hint="'kys --json KEY VALUE' stores a JSON value",
        )
    from kycli.core.values import parse

    try:
        document = parse(value)
        if "\\u" in value:
            encode(document)  # refuses the half of a surrogate pair
        return document
    except InvalidValueError as error:
        raise WrongTypeError(f"the value of {key!r} is text: {error}") from None


# Reading


def get_path(
    store: Kycore,
    path: str,
    default: Any,
    key: str | None,
    scope: str | None,
    include_expired: bool,
    at: Time | None,
) -> Any:
    """Return the value at a path, or ``default``."""
    if at is None:
        target = _Target(store, scope, path, key, include_expired)
        name, value, steps = target.key, target.value, target.steps
    else:
        name, value, steps = _past(store, path, key, scope, include_expired, at)
    found = MISSING if value is MISSING else _inside(name, value, steps)
    return default if found is MISSING else found


def _past(
    store: Kycore, path: str, key: str | None, scope: str | None, include_expired: bool, at: Time
) -> tuple[str, Any, list[Step]]:
    """Return the key that a path begins with, its value at a time or MISSING, and the rest."""
    if key is None:
        path = check_key(path)
        names = [path[:length] for length in reversed(_lengths(path))]
    else:
        names = [key]
    for name in names:
        entry = store.get_entry(name, scope=scope, include_expired=include_expired, at=at)
        if entry is not None:
            steps = paths.parse(path) if key is not None else paths.parse_steps(path, len(name))
            return name, entry.value, steps
    return path, MISSING, []


# Changing


def patch(store: Kycore, path: str, value: Any, key: str | None, scope: str | None) -> str:
    """Set the value at a path, and create the objects on the way."""
    encode(value)  # refuses what could not be stored before anything waits for it
    with store.transaction():
        target = _Target(store, scope, path, key)
        if target.value is MISSING and key is None:
            target.begin_new()
        status = target.put(value)
    store._sweep_after(1)
    return status


def push(
    store: Kycore, key: str, value: Any, unique: bool, path: str | None, scope: str | None
) -> str:
    """Add a value to the end of a list."""

    def added(items: list[Any]) -> list[Any]:
        if unique and any(_is_same(item, value) for item in items):
            return items
        return [*items, value]

    return _change_list(store, key, value, path, scope, added)


def remove(store: Kycore, key: str, value: Any, path: str | None, scope: str | None) -> str:
    """Take all items that are equal to a value out of a list."""
    return _change_list(
        store,
        key,
        value,
        path,
        scope,
        lambda items: [item for item in items if not _is_same(item, value)],
    )


def _change_list(
    store: Kycore,
    key: str,
    value: Any,
    path: str | None,
    scope: str | None,
    changed: Callable[[list[Any]], list[Any]],
) -> str:
    encode([value])
    with store.transaction():
        target = _Target(store, scope, *((key, None) if path is None else (path, key)))
        found = target.document()
        if found is MISSING:
            found = []
        elif type(found) is not list:
            where = f"{target.key}{paths.render(target.steps)}"
            raise WrongTypeError(f"{where} is {kind_of(found)}, not a list")
        items = changed(found)
        status = "nochange" if len(items) == len(found) else target.put(items)
    store._sweep_after(1)
    return status


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same type, in all their parts.

    To Python ``1``, ``1.0`` and ``True`` are equal.
    """
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        return one.keys() == other.keys() and all(_is_same(one[k], other[k]) for k in one)
    if kind is list:
        return len(one) == len(other) and all(map(_is_same, one, other))
    if kind is float:  # NaN is NaN, and -0.0 is not 0.0
        return repr(one) == repr(other)
    return bool(one == other)


def merge_patch(store: Kycore, path: str, patch: Any, key: str | None, scope: str | None) -> str:
    """Apply a JSON merge patch to the value at a path."""
    encode(patch)
    with store.transaction():
        target = _Target(store, scope, path, key)
        if target.value is MISSING and key is None:
            target.begin_new()
        found = target.document()
        status = target.put(_merged(found, patch))
    store._sweep_after(1)
    return status


def _merged(target: Any, patch: Any) -> Any:
    """Return the target changed by the patch: RFC 7396, section 2."""
    if type(patch) is not dict:
        return patch
    merged = dict(target) if type(target) is dict else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


_COPIED_MAX = 1_000_000
"""How many parts the copies of one JSON patch may have together."""

_MEMBERS = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
"""What each operation of a JSON patch needs beside its ``path``."""


def json_patch(
    store: Kycore, path: str, operations: Any, key: str | None, scope: str | None
) -> str:
    """Apply a JSON patch to the value at a path."""
    operations = _checked_operations(operations)
    with store.transaction():
        target = _Target(store, scope, path, key)
        found = target.document()
        if found is MISSING:
            where = repr(target.text if key is None else target.key)
            if key is not None and target.value is not MISSING:
                where += f" with something at {target.text!r}"
            raise MissingKeyError(f"no key {where} in scope {target.scope!r}")
        status = target.put(_patched(found, operations))
    store._sweep_after(1)
    return status


def _checked_operations(operations: Any) -> list[dict[str, Any]]:
    """Return a JSON patch, its texts exactly as text; refuse what is none."""
    if type(operations) is not list:
        raise InvalidValueError(
            f"a JSON patch is a list of operations, not {kind_of(operations)}",
            hint='like [{"op": "replace", "path": "/a/0", "value": 1}]',
        )
    checked = []
    for number, given in enumerate(operations, 1):
        where = f"operation {number} of the patch"
        if type(given) is not dict:
            raise InvalidValueError(f"{where} is {kind_of(given)}, not an object")
        operation = {
            name: str.__str__(text) if isinstance(text, str) and name != "value" else text
            for name, text in given.items()
        }
        op = operation.get("op")
        if type(op) is not str or op not in _MEMBERS:
            raise InvalidValueError(f"{where} has no 'op' out of {', '.join(_MEMBERS)}")
        for member in ("path", *_MEMBERS[op]):
            if member not in operation:
                raise InvalidValueError(f"{where}, {op!r}, has no {member!r}")
            if member != "value" and type(operation[member]) is not str:
                raise InvalidValueError(f"{where}, {op!r}, has a {member!r} that is no text")
        checked.append(operation)
    encode(checked)
    return checked


def _patched(document: Any, operations: list[dict[str, Any]]) -> Any:
    """Return the document after all operations of a JSON patch, RFC 6902."""
    import jsonpatch

    copied = 0
    for number, operation in enumerate(operations, 1):
        try:
            if operation["op"] == "copy":
                copied += _weight(jsonpatch.JsonPointer(operation["from"]).resolve(document))
                if copied > _COPIED_MAX:
                    raise InvalidValueError(
                        f"operation {number} of the patch, 'copy': the copies become too large",
                        hint="each copy of the whole doubles it",
                    )
            document = jsonpatch.apply_patch(document, [operation], in_place=True)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise _misfit(number, operation, document, error) from None
        except RecursionError:
            raise InvalidValueError("the document is nested too deeply") from None
    return document


def _weight(document: Any) -> int:
    """Return how many parts a document has; every 100 characters of text count as one."""
    weight = 0
    parts = [document]
    while parts:
        part = parts.pop()
        weight += 1
        if type(part) is dict:
            parts += part
            parts += part.values()
        elif type(part) is list:
            parts += part
        elif isinstance(part, (str, bytes)):
            weight += len(part) // 100
    return weight


def _misfit(number: int, operation: dict[str, Any], document: Any, error: Exception) -> KycliError:
    """Return the error for an operation that does not fit, without the words of the library."""
    import jsonpatch

    op = operation["op"]
    where = f"operation {number} of the patch, {op!r} at {operation['path']!r}"
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        return ConflictError(f"{where}: the value there is another, or there is none")
    # A move that failed may have taken its value away already, so 'from' is looked at last.
    reason = _why_not(document, operation["path"], op in ("add", "move", "copy"))
    if not reason and op in ("move", "copy"):
        source = operation["from"]
        if op == "move" and operation["path"].startswith(f"{source}/"):
            reason = f"what is at {source!r} cannot be moved into itself"
        elif said := _why_not(document, source, False):
            reason = f"'from' is {source!r}: {said}"
    return InvalidPathError(f"{where}: {reason or 'it does not fit the value'}")


def _why_not(document: Any, pointer: str, is_new: bool) -> str:
    """Return why a JSON pointer (RFC 6901) cannot be resolved, or "" if it can.

    Parameters:
        is_new: whether what it leads to need not be there yet.
    """
    if pointer and pointer[0] != "/":
        return "a place begins with '/'"
    if pointer.count("~") != pointer.count("~0") + pointer.count("~1"):
        return "'~' stands only in '~0' and '~1'"
    names = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for left, name in enumerate(names, 1 - len(names)):
        may_be_new = is_new and left == 0
        if type(document) is dict:
            if name not in document:
                return "" if may_be_new else f"there is no member {name!r}"
            document = document[name]
        elif type(document) is list:
            if may_be_new and name == "-":
                return ""
            if not (name.isascii() and name.isdigit()) or (name[0] == "0" and len(name) > 1):
                return f"{name!r} is no index of a list"
            if len(name) > 18 or int(name) >= len(document) + may_be_new:
                return f"the list there has {len(document)} items, so none at {name}"
            document = document[int(name)] if int(name) < len(document) else None
        else:
            return f"there is no {name!r} in what is {kind_of(document)}"
    return ""
