"""Addresses: a scope and a key in one argument of the command line."""

from __future__ import annotations

from kycli.core.names import DEFAULT, check_name, check_scope, join_scope, split_scope
from kycli.errors import (
    InvalidAddressError,
    InvalidKeyError,
    InvalidScopeError,
    UsageError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FORMS = "an address is project{0}namespace{0}key, namespace{0}key or key"


def check_delimiter(delimiter: str) -> str:
    """Return ``delimiter`` if it is valid: one printable character that no name can contain.

    Raises:
        InvalidAddressError: when it is not; the hint has the rule and valid delimiters.
    """
    if len(delimiter) == 1 and delimiter.isprintable():
        if delimiter.isascii():
            if not delimiter.isalnum() and delimiter not in "_-":
                return delimiter
        else:
            import unicodedata

            # Letters, marks and numbers of any script.
            if unicodedata.category(delimiter)[0] not in "LMN":
                return delimiter
    raise InvalidAddressError(
        f"{delimiter!r} cannot be the delimiter",
        hint="it is one printable character, not a letter, digit, '_' or '-': try '.' or '|'",
    )


def parse_address(text: str, *, current: str = DEFAULT, delimiter: str = ".") -> tuple[str, str]:
    """Return the canonical scope and the key that an address names.

    Three parts are project, namespace and key; two are namespace and key in the current
    project; one is a key in the current scope. The key keeps its ``__context``.

    Parameters:
        text: the address.
        current: the current scope, canonical.
        delimiter: the separator of the parts, valid by ``check_delimiter``.

    Raises:
        InvalidAddressError: when there are more than three parts, or one is empty.
        InvalidScopeError: when the name of the project or namespace is invalid.

    >>> parse_address("alpha.users.Ada Lovelace")
    ('alpha.users', 'Ada Lovelace')
    >>> parse_address("host__prod", current="alpha")
    ('alpha', 'host__prod')
    """
    parts = text.split(delimiter)
    if len(parts) > 3:
        raise InvalidAddressError(
            f"the address {text!r} has {len(parts)} parts instead of 1 to 3",
            hint=f"{_FORMS.format(delimiter)}; {_way_out(text, delimiter)}",
        )
    if not all(parts):
        raise InvalidAddressError(
            f"the address {text!r} has an empty part" if text else "an empty address",
            hint=_FORMS.format(delimiter) + (f"; {_way_out(text, delimiter)}" if text else ""),
        )
    key = parts[-1]
    if len(parts) == 1:
        return current, key
    project = parts[0] if len(parts) == 3 else split_scope(current)[0]
    try:
        return _scope_of(project, parts[-2], text), key
    except InvalidScopeError as error:
        error.hint = f"{error.hint}; {_way_out(text, delimiter)}"
        raise


def fixed_scope(
    *, project: str | None, namespace: str | None, scope: str | None, current: Callable[[], str]
) -> str:
    """Return the scope that the flags set, of which at least one is given.

    ``--scope`` is the whole scope. ``-p`` alone means the default namespace of the project,
    ``-n`` alone a namespace in the current project. ``current`` is called only for ``-n``
    alone, so that an invalid current scope does not matter otherwise.

    Raises:
        UsageError: when ``--scope`` is given together with ``-p`` or ``-n``.
        InvalidScopeError: when a name is invalid.
    """
    if scope is not None:
        if project is not None or namespace is not None:
            raise UsageError(
                f"--scope {scope} together with {'-p' if project is not None else '-n'}",
                hint="give either the whole scope with --scope, or its names with -p and -n",
            )
        return check_scope(scope)
    if project is None:
        project = split_scope(current())[0]
    elif "." in project:
        raise InvalidScopeError(
            f"bad project name {project!r}: it contains '.'",
            hint=f"to give project and namespace together, use --scope {project}",
        )
    return join_scope(
        check_name(project, "project"),
        DEFAULT if namespace is None else check_name(namespace, "namespace"),
    )


def fixed_key(text: str, delimiter: str) -> str:
    """Return ``text`` if it can be the key when flags set the scope.

    Raises:
        InvalidKeyError: when it is empty, or contains the delimiter and so looks like an
            address.
    """
    if not text:
        raise InvalidKeyError("an empty key", hint="a key has at least one character")
    if delimiter in text:
        raise InvalidKeyError(
            f"the key {text!r} contains the delimiter {delimiter!r}",
            hint="with -p, -n or --scope the argument is a key and not an address: "
            f"leave the flags out; {_way_out(text, delimiter)}",
        )
    return text


def add_context(key: str, context: str | None) -> str:
    """Return ``key`` with the context appended, or ``key`` alone if the context is None.

    >>> add_context("api_url", "prod")
    'api_url__prod'

    Raises:
        InvalidScopeError: when the name of the context is invalid.
        InvalidAddressError: when the key has a context already.
    """
    if context is None:
        return key
    check_name(context, "context")
    # Otherwise the last '__' of the result would not be the one that is added here.
    if context[0] == "_" or "__" in context:
        raise InvalidScopeError(
            f"bad context name {context!r}",
            hint="a context does not begin with '_' and does not contain '__'",
        )
    base, present = split_context(key)
    if present is not None:
        raise InvalidAddressError(
            f"two contexts: the key {key!r} ends in '__{present}' and --context is {context!r}",
            hint=f"give one of them: {key!r} alone, or {base!r} with --context {context}",
        )
    return f"{key}__{context}"


def split_context(key: str) -> tuple[str, str | None]:
    """Split a key into its base and its context, the part after its last ``__``.

    A key that begins or ends with that ``__`` has no context.

    >>> split_context("api_url__prod"), split_context("__init__")
    (('api_url', 'prod'), ('__init__', None))
    """
    base, _, context = key.rpartition("__")
    return (base, context) if base and context else (key, None)


def parse_listing(
    args: list[str], *, fixed: str | None, current: str, delimiter: str
) -> tuple[str, str | None]:
    """Parse the arguments of a listing, ``[project.namespace] [prefix]``.

    A first argument that contains the delimiter is a scope; otherwise it is a prefix. If flags
    set the scope, the only argument is a prefix and may contain the delimiter, because keys may
    contain it even if no address can name them.

    Parameters:
        args: the arguments.
        fixed: the scope that flags set, or None.
        current: the current scope, canonical.
        delimiter: the separator of project and namespace.

    Returns:
        the scope, and the prefix, or None for all keys.

    Raises:
        UsageError: when there are too many arguments.
        InvalidAddressError, InvalidScopeError: when the first argument is not a scope.
    """
    form = f"project{delimiter}namespace"
    most = 2 if fixed is None else 1
    if len(args) > most:
        raise UsageError(
            f"too many arguments: {args[most]!r}",
            hint=f"a listing takes [{form}] [prefix]"
            if fixed is None
            else "with -p, -n or --scope a listing takes a prefix and nothing else",
        )
    if fixed is not None:
        return fixed, (args[0] or None) if args else None
    if not args:
        return current, None
    first = args[0]
    if delimiter not in first:
        if len(args) == 1:
            return current, first or None
        raise InvalidAddressError(
            f"{first!r} is not a scope: it does not contain {delimiter!r}",
            hint=f"for the default namespace of a project, write "
            f"{first or 'project'}{delimiter}{DEFAULT}, or use -p",
        )
    parts = first.split(delimiter)
    if len(parts) != 2 or not all(parts):
        raise InvalidAddressError(
            f"{first!r} is not a scope: it is not two names separated by {delimiter!r}",
            hint=f"for keys with this prefix, use --prefix {first}; a scope is {form}, "
            "and the prefix is a separate argument",
        )
    return _scope_of(parts[0], parts[1], first), (args[1] or None) if len(args) == 2 else None


def _scope_of(project: str, namespace: str, text: str) -> str:
    """Return the scope of the two names that ``text`` gives."""
    try:
        return join_scope(check_name(project, "project"), check_name(namespace, "namespace"))
    except InvalidScopeError as error:
        raise InvalidScopeError(f"{text!r}: {error}", hint=error.hint) from None


def _way_out(text: str, delimiter: str) -> str:
    """Return a hint on how to name a key that contains the delimiter."""
    free = next((char for char in "|/:;,%@" if char not in text), None)
    other = f", or --ns-delim '{free}'" if free else ""
    return f"for a key that contains {delimiter!r}, use 'ky' instead of 'kycli'{other}"
