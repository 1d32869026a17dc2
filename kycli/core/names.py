"""Names of scopes: what is valid, and how a scope splits into project and namespace."""

from __future__ import annotations

from kycli.errors import InvalidScopeError

DEFAULT = "default"
"""Name of the default scope, the default project, and a project's default namespace."""

MAX_NAME = 128
"""Longest project or namespace name, in characters."""

RULE = f"letters, digits, '_' and '-', 1 to {MAX_NAME} characters"


def _allowed(char: str) -> bool:
    if char.isalpha() or char.isdecimal() or char in "_-":
        return True
    if char.isascii():
        return False
    # In many scripts vowels are combining marks, which belong to the word.
    import unicodedata

    return unicodedata.category(char)[0] == "M"


def check_name(name: str, what: str = "project") -> str:
    """Return ``name`` if it is valid for a project, namespace or context.

    Raises:
        InvalidScopeError: when it is not; the hint has the rule and a valid name.
    """
    if 0 < len(name) <= MAX_NAME and all(map(_allowed, name)):
        return name
    if not name:
        problem = f"an empty {what} name"
    elif len(name) > MAX_NAME:
        problem = f"a {what} name of {len(name)} characters: {name[:24]!r}…"
    else:
        problem = f"bad {what} name {name!r}"
    repaired = "".join(c if _allowed(c) else "_" for c in name)[:MAX_NAME]
    hint = f"a name is {RULE}"
    raise InvalidScopeError(problem, hint=f"{hint}: try {repaired!r}" if repaired else hint)


def check_scope(scope: str) -> str:
    """Return the canonical form of ``scope`` (``project`` or ``project.namespace``).

    The namespace ``default`` is left out: ``alpha.default`` is ``alpha``.

    Raises:
        InvalidScopeError: when a name is invalid or there are more than two.
    """
    if not isinstance(scope, str):
        raise InvalidScopeError(
            f"a scope is text, not {type(scope).__name__}",
            hint="use 'project' or 'project.namespace'",
        )
    scope = str.__str__(scope)  # an exact str, also for a StrEnum member
    project, dot, namespace = scope.partition(".")
    if "." in namespace:
        raise InvalidScopeError(
            f"bad scope {scope!r}: more than two parts",
            hint="a scope is 'project' or 'project.namespace'",
        )
    check_name(project, "project")
    if not dot:
        return project
    return join_scope(project, check_name(namespace, "namespace"))


def split_scope(scope: str) -> tuple[str, str]:
    """Split a canonical scope into its project and namespace."""
    project, _, namespace = scope.partition(".")
    return project, namespace or DEFAULT


def join_scope(project: str, namespace: str) -> str:
    """Join two valid names into the canonical scope."""
    return project if namespace == DEFAULT else f"{project}.{namespace}"
