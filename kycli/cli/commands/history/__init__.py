"""Declarations of the commands that show past values, bring them back, or purge them."""

from kycli.cli.commands import ADDRESS, KEY, LISTING, PRINTED_RECORDS, SCOPE, Command, Short

HEADING = "History"

_CHANGES = {**PRINTED_RECORDS, "limit": "stop after N changes"}

COMMANDS = (
    Command(
        "history",
        "history.log.show",
        "[ADDRESS]",
        "list changes, newest first",
        flags=KEY + "ns-delim since until limit json jsonl",
        meanings=_CHANGES,
        n="limit",
        short=Short("kyv", "kyv user.name", "kyv --since 2026-11-20 -n 20"),
        notes="""\
Lists the changes of a key, or of the whole scope if none is given. On a
terminal it is a table, shown in $PAGER. Elsewhere the fields are separated by
tabs: time, operation, version, change, the key if none was given, and the value
on one line. JSON loses nothing. Times are in UTC.""",
        examples=(
            "kycli history alpha.prod.greeting",
            "kycli history --since '1h ago' -n 20",
            "kycli history --jsonl | tail -n 1",
        ),
    ),
    Command(
        "blame",
        "history.log.blame",
        "ADDRESS",
        "show who changed a key: user, host, command, process",
        flags=KEY + "ns-delim limit json jsonl",
        meanings=_CHANGES,
        n="limit",
        notes="Newest first: time, operation, version, user@host, command[process], change.",
        examples=("kycli blame greeting", "kycli blame alpha.prod.greeting -n 3"),
    ),
    Command(
        "diff",
        "history.diff.diff",
        "[SCOPE] [SCOPE]",
        "compare scopes, times or versions",
        flags=KEY + "ns-delim prefix since until versions exit-code json jsonl",
        meanings={
            **PRINTED_RECORDS,
            "since": "compare the scope at that time",
            "until": "compare with the state at TIME instead of now",
        },
        notes="""\
Prints the differences by key. Two scopes A and B are compared with each other;
one is compared with the current scope. --since compares a scope at that time
with the scope now, or at --until. --versions compares two versions of a key.
In kyshell, 'diff' alone shows what the open transaction has changed.
Lines that begin with '-' are from the first, lines with '+' from the second.
JSON has all fields of each key, before and after; times are milliseconds since
the epoch. The exit code is 0 in any case, unless --exit-code is given.""",
        examples=(
            "kycli diff alpha.prod alpha.test",
            "kycli diff --since '1h ago' alpha.prod",
            "kycli diff --versions 3..5 alpha.prod.greeting",
        ),
    ),
    Command(
        "restore",
        "history.recovery.restore",
        "ADDRESS",
        "restore an earlier value of a key",
        flags=ADDRESS + "at at-version",
        meanings={"version": "show the version and exit, when no N follows"},
        short=Short(
            "kyr", "kyr user.name", "kyr user.name --version 3", "kyr user.name --at '1h ago'"
        ),
        notes="""\
Restores the newest archived or previous value, or an older one with --at or
--version. A key that exists keeps its time to live; a deleted key gets the time
that it had left. The exit code is 2 if there is nothing to restore.""",
        examples=("kycli restore alpha.prod.greeting", "kycli restore greeting --version 3"),
    ),
    Command(
        "restore-to",
        "history.recovery.restore_to",
        "TIME",
        "restore a scope to its state at a time",
        flags=SCOPE + "all-scopes dry-run " + LISTING,
        meanings={
            "json": "with --dry-run: one JSON array of records",
            "jsonl": "with --dry-run: each record as a line of JSON",
        },
        short=Short("kyrt", "kyrt '10m ago' --dry-run", "kyrt 2026-11-20T13:55:00Z"),
        notes="""\
Restores all keys of the scope or none. It is one change in the history, so
'kycli undo' reverts it. A key whose expiry has passed since then gets the time
that it had left.""",
        examples=(
            "kycli restore-to '10m ago' --dry-run",
            "kycli restore-to '10m ago' --scope alpha.prod",
        ),
    ),
    Command(
        "undo",
        "history.recovery.undo",
        "[CHANGE]",
        "revert what one command, import or call changed",
        flags=SCOPE + "force",
        meanings={"force": "also where a key has changed since"},
        notes="""\
CHANGE is an id that 'kycli history' shows, by default that of the newest change
in the scope. If a key has changed since then, nothing is reverted and the key
is named. An undo is a change too, and can be undone.""",
        examples=("kycli undo", "kycli undo 1207 --force"),
    ),
    Command(
        "compact",
        "history.retention.compact",
        "[DAYS]",
        "purge old history and archived values",
        flags="vacuum",
        short=Short("kyco", "kyco", "kyco 90"),
        notes="""\
Purges what is older than DAYS: 15 by default, a fraction is allowed, and 0
keeps only the current values. What is purged cannot be restored. A scope with
limits from 'admin set-scope' keeps to those. The work is done in short steps,
so that others can write in between, and can be interrupted. A file of over 128
MiB shrinks only with --vacuum, which blocks other writers; without it, later
writes use the free space.""",
        examples=("kycli compact", "kycli compact 90", "kycli compact 0 --vacuum"),
        alone="transaction",
    ),
)
