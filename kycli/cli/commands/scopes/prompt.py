"""prompt: the current scope, for the prompt of a shell. It needs no engine and no store."""

from __future__ import annotations

from kycli.core.names import DEFAULT, split_scope
from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.cli.env import Environment


def show(env: Environment, arguments: list[str]) -> int:
    """``prompt``: print the current scope, in a format; or nothing for the default scope."""
    scope, _ = env.current_scope()
    if scope != DEFAULT or "unless-default" not in env.flags:
        env.write(_formatted(env.flags.get("format", "{scope}"), scope).encode() + b"\n")
    return 0


def _formatted(format: str, scope: str) -> str:
    """Return the format with the names in braces filled in; ``{{`` and ``}}`` are braces."""
    project, namespace = split_scope(scope)
    names = {"scope": scope, "project": project, "namespace": namespace}
    text = ""
    rest = format
    while rest:
        before, brace, rest = rest.partition("{")
        text += before.replace("}}", "}")
        if not brace:
            break
        if rest[:1] == "{":
            text, rest = f"{text}{{", rest[1:]
            continue
        name, closed, rest = rest.partition("}")
        if not closed or name not in names:
            raise UsageError(
                f"--format {format!r}: there is no {{{name}{closed}",
                hint="it may hold {scope}, {project} and {namespace}; {{ is a brace",
            )
        text += names[name]
    return text
