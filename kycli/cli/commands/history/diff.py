"""diff: comparing scopes, times and versions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from kycli.cli.env import whole_number
from kycli.cli.output import record, write_listing
from kycli.cli.terminal import escaped
from kycli.core.history.times import fixed_time, time_text
from kycli.core.names import check_scope
from kycli.errors import UsageError

if TYPE_CHECKING:
    from kycli.cli.env import Environment
    from kycli.core.history.diff import Diff
    from kycli.core.operations.entry import Entry

_COLOURS = {"-": "31", "+": "32", "@": "36"}
_CONTEXT = 3
_MAX_LINES = 2000
"""The most lines that are compared one by one, which takes quadratic time."""

_OTHER_FORMS = {"versions", "since", "until", "scope", "project", "namespace", "context"}
_FORMS = "name two scopes, or give --since TIME, or a key and --versions A..B"


def diff(env: Environment, arguments: list[str]) -> int:
    """``diff A B``, ``diff --since TIME [SCOPE]``, ``diff ADDRESS --versions A..B``."""
    form = env.choice("json", "jsonl")
    staged = None if arguments or env.flags.keys() & _OTHER_FORMS else env.staged()
    if staged is not None:
        return _write_staged(env, staged)
    if "versions" in env.flags:
        names, diffs = _of_versions(env, arguments)
    elif "since" in env.flags or "until" in env.flags:
        names, diffs = _of_times(env, arguments)
    else:
        names, diffs = _of_scopes(env, arguments)
    first = next(diffs, None)
    diffs = diffs if first is None else chain([first], diffs)
    if form:
        write_listing(env, diffs, _no_text, _record)
    elif first is not None:
        _write_text(env, names, diffs)
    return 1 if first is not None and "exit-code" in env.flags else 0


def _write_staged(env: Environment, staged: Iterator[tuple[str, Iterator[Diff]]]) -> int:
    """Print what a transaction has changed so far."""
    each = ((scope, diff) for scope, diffs in staged for diff in diffs)
    first = next(each, None)
    found = iter(()) if first is None else chain([first], each)
    if env.choice("json", "jsonl"):
        write_listing(
            env,
            found,
            lambda item: _no_text(item[1]),
            lambda item: {"scope": item[0], **_record(item[1])},
        )
    else:
        for scope, diffs in groupby(found, lambda item: item[0]):
            names = [f"{scope}, committed", f"{scope}, in the transaction"]
            _write_text(env, names, (diff for _, diff in diffs))
    return 1 if first is not None and "exit-code" in env.flags else 0


def _of_scopes(env: Environment, arguments: list[str]) -> tuple[list[str], Iterator[Diff]]:
    if len(arguments) == 2 and env.scope_is_fixed:
        raise UsageError("two scopes together with --scope, -p or -n", hint="name the scopes once")
    if not arguments or "context" in env.flags:
        raise UsageError("nothing to compare", hint=_FORMS)
    scopes = [check_scope(scope) for scope in arguments]
    if len(scopes) == 1:
        scopes.insert(0, env.scope)
    store = env.store()
    known = store.scopes()
    for scope in scopes:
        if scope not in known:
            env.note(f"kycli: no scope {scope!r}")
    return scopes, store.diff_scopes(*scopes, prefix=env.flags.get("prefix"))


def _of_times(env: Environment, arguments: list[str]) -> tuple[list[str], Iterator[Diff]]:
    if "since" not in env.flags:
        raise UsageError("--until goes with --since", hint=_FORMS)
    if len(arguments) > 1 or (arguments and env.scope_is_fixed) or "context" in env.flags:
        raise UsageError("--since compares one scope at two times", hint=_FORMS)
    scope = check_scope(arguments[0]) if arguments else env.scope
    names = []
    for flag in ("since", "until"):
        if flag in env.flags:
            env.flags[flag] = fixed_time(env.flags[flag])
            names.append(f"{scope} at {env.flags[flag]}")
        else:
            names.append(f"{scope} now")
    diffs = env.store().diff_times(
        env.flags["since"], env.flags.get("until"), prefix=env.flags.get("prefix"), scope=scope
    )
    return names, diffs


def _of_versions(env: Environment, arguments: list[str]) -> tuple[list[str], Iterator[Diff]]:
    for flag in ("since", "until", "prefix"):
        env.choice("versions", flag)
    if len(arguments) != 1:
        raise UsageError("--versions compares versions of one key", hint=_FORMS)
    first, dots, last = env.flags["versions"].partition("..")
    versions = [_version(env, text) for text in ((first, last) if dots else (first,))]
    scope, key = env.locate(arguments[0])
    found = env.store().diff_versions(key, *versions, scope=scope)
    names = [f"{escaped(key)} version {version}" for version in versions]
    if len(names) == 1:
        names.append(f"{escaped(key)} now")
    return names, iter([] if found is None else [found])


def _version(env: Environment, text: str) -> int:
    version = whole_number(text)
    if not version:
        raise UsageError(
            f"--versions {env.flags['versions']!r} is not A..B",
            hint="A and B are numbers of versions, as 'kycli history' shows them",
        )
    return version


# JSON


def _no_text(diff: Diff) -> bytes:
    raise AssertionError("a diff is printed as text by _write_text")


def _record(diff: Diff) -> dict[str, Any]:
    fields: dict[str, Any] = {"key": diff.key, "operation": diff.operation}
    for side, entry in (("before", diff.before), ("after", diff.after)):
        if entry is not None:
            fields[side] = record(entry)
            del fields[side]["key"]
    return fields


# Text


def _write_text(env: Environment, names: list[str], diffs: Iterator[Diff]) -> None:
    env.page()
    for sign, name in zip("-+", names, strict=True):
        env.write(env.styled(f"{sign * 3} {name}", "1").encode() + b"\n")
    for diff in diffs:
        title = f"{escaped(diff.key)}{_expiry(diff)}"
        if env.unread:
            return
        for ranges, lines in hunks(*_lines(diff.before, diff.after)):
            env.write(env.styled(f"@@ {ranges} @@ {title}", _COLOURS["@"]).encode() + b"\n")
            for line in lines:
                if env.output_is_terminal():
                    line = escaped(line, keep="\t")
                colour = _COLOURS.get(line[0])
                env.write((env.styled(line, colour) if colour else line).encode() + b"\n")


def _expiry(diff: Diff) -> str:
    """Return a note on when the key expires, if that differs."""
    if diff.before is None or diff.after is None:
        return ""
    before, after = diff.before.expires_at, diff.after.expires_at
    if before == after:
        return ""
    was, now = ("never" if at is None else time_text(at) for at in (before, after))
    return f" (expires {was} -> {now})"


def _lines(before: Entry | None, after: Entry | None) -> tuple[list[str], list[str]]:
    """Return the lines of the two values; none for a missing key.

    JSON is indented, so that a line shows one member. Values of different types that look the
    same are shown as JSON, which tells them apart.
    """
    lines = [[] if entry is None else _text(entry.value).split("\n") for entry in (before, after)]
    if before and after and lines[0] == lines[1]:
        from kycli.core.values import canonical

        texts = [canonical(entry.value) for entry in (before, after)]
        if texts[0] != texts[1]:
            lines = [[text] for text in texts]
    return lines[0], lines[1]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    from kycli.core.values import canonical

    text = canonical(value)
    if isinstance(value, (list, dict)):
        import json

        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text


def hunks(before: list[str], after: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the hunks in which two texts differ, with context, as diff -u does.

    Equal texts are one hunk without lines.
    """
    if before == after:
        yield "-0,0 +0,0", []
        return
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    lead, tail = min(start, _CONTEXT), min(end, _CONTEXT)
    start -= lead
    before, after = (side[start : len(side) - end + tail] for side in (before, after))
    if max(len(before), len(after)) > _MAX_LINES:
        ends = [(len(side) - tail, len(side)) for side in (before, after)]
        groups = [
            [
                ("equal", 0, lead, 0, lead),
                ("replace", lead, ends[0][0], lead, ends[1][0]),
                ("equal", *ends[0], *ends[1]),
            ]
        ]
    else:
        from difflib import SequenceMatcher

        matcher = SequenceMatcher(None, before, after, autojunk=False)
        groups = list(matcher.get_grouped_opcodes(_CONTEXT))
    for group in groups:
        ranges = (
            _range("-", start + group[0][1], start + group[-1][2]),
            _range("+", start + group[0][3], start + group[-1][4]),
        )
        lines: list[str] = []
        for tag, low, high, other_low, other_high in group:
            if tag == "equal":
                lines += (f" {line}" for line in before[low:high])
            else:
                lines += (f"-{line}" for line in before[low:high])
                lines += (f"+{line}" for line in after[other_low:other_high])
        yield " ".join(ranges), lines


def _common(one: list[str], other: list[str]) -> int:
    """Return how many lines the beginnings have in common."""
    count = 0
    for line, its in zip(one, other, strict=False):
        if line != its:
            break
        count += 1
    return count


def _range(sign: str, start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return f"{sign}{start + 1}"
    return f"{sign}{start + 1 if length else start},{length}"
