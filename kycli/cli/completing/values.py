"""What the values of flags and the arguments of commands may be."""

from __future__ import annotations

from kycli.cli.completing.candidates import LIMIT, Candidate, Surroundings, matching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kycli.cli.commands import Command
    from kycli.cli.completing.line import Line
    from kycli.core.storage import Kycore

UNITS = "smhdwMy"
"""The units of lengths of time."""

_TIMES = ("10m ago", "1h ago", "1d ago", "1w ago")
_TRANSFER = "error skip overwrite"
_SCAN = "table csv tsv json jsonl"
_EXPORTED = "csv tsv json jsonl nul dotenv kycli"

CHOICES: dict[str, dict[str, str]] = {
    "format": {
        "env": "sh fish dotenv json",
        "scan": _SCAN,
        "import": f"{_EXPORTED} sqlite prontodb",
    },
    "on-conflict": {
        "copy": _TRANSFER,
        "move": _TRANSFER,
        "copy-scope": _TRANSFER,
        "import": f"overwrite {_TRANSFER.replace(' overwrite', '')} newer",
        "mirror import": f"overwrite {_TRANSFER.replace(' overwrite', '')} newer",
    },
    "on-error": {"import": "stop skip"},
    "extra": {"create table": "forbid ignore keep", "schema set": "forbid ignore keep"},
    "existing": {"create table": "keep reject move", "schema set": "keep reject move"},
}
"""The values that a flag has, by the command: the words, in the order of its help."""

SETTINGS = {"durability": "normal full"}
"""The values that a setting of the config has."""

_LIMITS = ("history_days=", "history_versions=", "archive_days=")
_DELIMITERS = ("|", ":", "/", ",")

_FILES = ("schema", "rejects", "json-patch", "backup", "db")
_KEYS = ("prefix", "to-prefix", "after", "glob", "keys")
_FIELDS = ("order", "columns", "where")


def flag_value(line: Line, name: str, current: str, surroundings: Surroundings) -> list[Candidate]:
    """Return what the value of a flag may be."""
    command = line.command
    if name == "n":
        name = command.n if command else "namespace"
    if name in CHOICES and command and command.name in CHOICES[name]:
        return matching(CHOICES[name][command.name].split(), current)
    if name == "ttl":
        return lengths(current)
    if name in ("since", "until", "at"):
        return matching(_TIMES, current)
    if name == "ns-delim":
        return matching(_DELIMITERS, current)
    if name in _FILES:
        return _files(current)
    store = _store(line, surroundings)
    if store is None:
        return []
    from kycli.cli.completing import documents, keys

    scope = _scope(line, surroundings)
    if name in ("scope", "to"):
        return keys.scopes(store, surroundings.scope(), current)
    if name == "project":
        return keys.projects(store, current)
    if name == "namespace":
        return keys.namespaces(store, _project(line, surroundings), current)
    if name == "into":
        return _files(current)
    if name in _KEYS:
        return keys.keys(store, scope, current)
    if name in _FIELDS and command and command.name == "scan":
        # The last of several fields, or the last word of a condition.
        start = max(current.rfind(end) for end in (", (-" if name == "order" else ", (")) + 1
        if line.arguments and not line.flags.keys() & {"scope", "project", "namespace"}:
            scope = _listed(line.arguments[0], surroundings.delimiter()) or scope
        found = documents.fields(store, scope, current[start:])
        return [candidate.after(current[:start]) for candidate in found]
    if not line.arguments:
        return []
    scope, key = _located(line, line.arguments[0], surroundings)
    if name == "path":
        return documents.whole_paths(store, scope, key, current)
    if name in ("at-version", "if-version", "versions"):
        head = current[: current.rfind(".") + 1]
        found = _versions(store, scope, key, current[len(head) :])
        return [candidate.after(head) for candidate in found]
    return []


def argument(
    line: Line, command: Command, current: str, surroundings: Surroundings
) -> list[Candidate]:
    """Return what the argument at this position may be."""
    expected = command.arguments.split()
    position = len(line.arguments)
    if not expected or (position >= len(expected) and not expected[-1].strip("[]").endswith("...")):
        return []
    word = expected[min(position, len(expected) - 1)].strip("[]").removesuffix("...")
    if line.foreign:
        return _files(current)
    simple = _simple_argument(line, command, word, current)
    if simple is not None:
        return simple
    store = _store(line, surroundings)
    if store is None:
        return []
    from kycli.cli.completing import documents, keys

    scope = surroundings.scope()
    if word in ("ADDRESS", "KEY", "SOURCE", "DESTINATION"):
        given = {*line.arguments, *line.later}
        return [each for each in _keys(line, command, current, surroundings, store)
                if each.text not in given]  # fmt: skip
    if word == "PROJECT.NAMESPACE" and command.takes("prefix") and position == 0:
        return _listing(line, current, surroundings, store)
    if word == "PREFIX" and line.arguments and not _is_fixed(line):
        listed = _listed(line.arguments[0], surroundings.delimiter())
        return keys.keys(store, listed, current) if listed else []
    if word in ("PREFIX", "PATTERN"):
        return keys.keys(store, _scope(line, surroundings), current)
    if word in ("SCOPE", "NEW-NAME", "TO-SCOPE", "PROJECT.NAMESPACE"):
        found = keys.scopes(store, scope, current)
        return [each for each in found if each.text not in line.arguments]
    if word == "FIELD":
        return documents.fields(store, line.arguments[0], current, with_keys=False)
    if word == "CHANGE":
        return _changes(store, _scope(line, surroundings), current)
    if word == "VALUE" and line.arguments[0] == "current_scope":
        return keys.scopes(store, scope, current)
    return []


def _simple_argument(
    line: Line, command: Command, word: str, current: str
) -> list[Candidate] | None:
    """Return what an argument may be that has nothing to do with the store; else None."""
    if word in ("FILE", "PATH"):
        return _files(current)
    if word == "DIR":
        return _files(current, directories=True)
    if word == "COMMAND" and command.own_arguments:
        from kycli.cli.completing.files import programs

        return programs(current)
    if word == "SHELL":
        return matching(("bash", "zsh", "fish"), current)
    if word == "FORMAT":
        return matching(_EXPORTED.split(), current)
    if word == "TTL":
        return lengths(current)
    if word == "timeout=TTL":
        head = "timeout="
        if not current.startswith(head):
            return [Candidate(head, "value", "", True)] if head.startswith(current) else []
        return [each.after(head) for each in lengths(current[len(head) :])]
    if word == "TIME":
        return matching(_TIMES, current)
    if word == "NAME=VALUE":
        return [Candidate(name, "value", "", True) for name in _LIMITS if name.startswith(current)]
    if word == "NAME" and command.name == "help":
        return _topics(line, current)
    if word == "NAME" and command.name.startswith("config"):
        from kycli.config import setting_names

        return matching(setting_names(), current, description="setting")
    if word == "VALUE" and command.name == "config set":
        if line.arguments[0] == "db_path":
            return _files(current)
        if line.arguments[0] != "current_scope":
            return matching(SETTINGS.get(line.arguments[0], "").split(), current)
    return None


def _topics(line: Line, current: str) -> list[Candidate]:
    from kycli.cli.commands import find
    from kycli.cli.completing.names import commands, parts
    from kycli.cli.topics import TOPICS

    if line.arguments:
        named = find(line.arguments[0]) if len(line.arguments) == 1 else None
        return parts(named, current) if named else []
    return commands(None, current) + matching(TOPICS, current, description="topic")


def lengths(current: str) -> list[Candidate]:
    """Return lengths of time: a number with each unit."""
    if not current:
        return matching(("30s", "5m", "1h", "1d", "1w", "1M", "1y"), "")
    if not current.replace(".", "", 1).isdecimal():
        return []
    return [Candidate(f"{current}{unit}", "value") for unit in UNITS]


def _keys(
    line: Line, command: Command, current: str, surroundings: Surroundings, store: Kycore
) -> list[Candidate]:
    from kycli.cli.completing import documents, keys

    scope = _scope(line, surroundings)
    # What brings back or shows the past is asked for keys that are gone, above all.
    has_past = command.family == "history"
    if command.is_short:
        found = keys.keys(store, scope, current)
        if command.takes("path") and "path" not in line.flags and "context" not in line.flags:
            found += documents.keys_with_paths(store, scope, current)
        return found + (keys.deleted(store, scope, current) if has_past else [])
    delimiter = _delimiter(line, surroundings)
    if _is_fixed(line):
        found = keys.keys(store, scope, current, delimiter)
        return found + (keys.deleted(store, scope, current, delimiter) if has_past else [])
    found = keys.addresses(store, scope, delimiter, current)
    if has_past:
        head = current[: current.rfind(delimiter) + 1]
        scope, _ = _located(line, f"{head}key", surroundings)
        gone = keys.deleted(store, scope, current[len(head) :], delimiter)
        found += [candidate.after(head) for candidate in gone]
    return found


def _listing(
    line: Line, current: str, surroundings: Surroundings, store: Kycore
) -> list[Candidate]:
    """Return what the first argument of a listing may be: a scope, or the beginning of keys."""
    from kycli.cli.completing import keys

    if _is_fixed(line):
        return keys.keys(store, _scope(line, surroundings), current)
    delimiter = _delimiter(line, surroundings)
    found = keys.listed_scopes(store, delimiter, current)
    if delimiter not in current:
        found += keys.keys(store, surroundings.scope(), current, delimiter)
    return found


def _versions(store: Kycore, scope: str, key: str, current: str) -> list[Candidate]:
    found: dict[str, str] = {}
    for change in store.iter_history(key, scope=scope, limit=LIMIT):
        found.setdefault(str(change.version), f"{change.operation} {change.timestamp}")
    return [
        Candidate(version, "value", what)
        for version, what in found.items()
        if version.startswith(current)
    ]


def _changes(store: Kycore, scope: str, current: str) -> list[Candidate]:
    found: dict[str, str] = {}
    for change in store.iter_history(scope=scope, limit=LIMIT):
        what = f"{change.timestamp} {change.operation} {change.key}"
        found.setdefault(str(change.change), what)
    return [
        Candidate(change, "value", what)
        for change, what in found.items()
        if change.startswith(current)
    ]


def _files(current: str, *, directories: bool = False) -> list[Candidate]:
    from kycli.cli.completing.files import files

    return files(current, directories=directories)


# Where a command line looks.


def _store(line: Line, surroundings: Surroundings) -> Kycore | None:
    return surroundings.store(line.flags.get("db"))


def _delimiter(line: Line, surroundings: Surroundings) -> str:
    return line.flags.get("ns-delim") or surroundings.delimiter()


def _is_fixed(line: Line) -> bool:
    """Whether flags name the scope."""
    return not line.flags.keys().isdisjoint(("scope", "project", "namespace"))


def _scope(line: Line, surroundings: Surroundings) -> str:
    """Return the scope that the flags name, or else the current one."""
    if not _is_fixed(line):
        return surroundings.scope()
    from kycli.address import fixed_scope

    return fixed_scope(
        project=line.flags.get("project"),
        namespace=line.flags.get("namespace"),
        scope=line.flags.get("scope"),
        current=surroundings.scope,
    )


def _project(line: Line, surroundings: Surroundings) -> str:
    from kycli.core.names import split_scope

    return line.flags.get("project") or split_scope(surroundings.scope())[0]


def _located(line: Line, text: str, surroundings: Surroundings) -> tuple[str, str]:
    """Return the scope and key that an argument names."""
    from kycli.address import add_context, parse_address

    scope, key = _scope(line, surroundings), text
    if not (line.command and line.command.is_short) and not _is_fixed(line):
        scope, key = parse_address(text, current=scope, delimiter=_delimiter(line, surroundings))
    return scope, add_context(key, line.flags.get("context"))


def _listed(text: str, delimiter: str) -> str:
    """Return the scope that the first argument of a listing names, or ""."""
    from kycli.core.names import check_scope

    return check_scope(text.replace(delimiter, ".")) if delimiter in text or "." not in text else ""
