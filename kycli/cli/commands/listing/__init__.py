"""Declarations of the commands that list, count and search keys."""

from kycli.cli.commands import (
    ADDRESS,
    LISTING,
    PRINTED_NAMES,
    PRINTED_RECORDS,
    RANGE,
    SCOPE,
    Command,
    Short,
)

HEADING = "Listings"

_PREFIX = "PREFIX is literal text; --prefix PREFIX means the same."
_AFTER = "--after continues a listing after the last key that it printed."

COMMANDS = (
    Command(
        "exists",
        "listing.keys.exist",
        "ADDRESS...",
        "test whether keys exist",
        flags=ADDRESS + "path json",
        meanings={"json": "print an object of each key and whether it exists"},
        notes="""\
Prints nothing. The exit code is 0 if all keys exist, and 2 if one is missing or
has expired. Of several keys, the missing ones are named on standard error.
--json prints an object of all keys, whatever the exit code.""",
        examples=(
            "kycli exists alpha.prod.greeting || echo no greeting",
            "kycli exists -p alpha -n prod DB_HOST DB_PORT",
        ),
    ),
    Command(
        "keys",
        "listing.keys.list_addressed",
        "[PROJECT.NAMESPACE] [PREFIX]",
        "list keys",
        flags=SCOPE + "ns-delim " + RANGE + LISTING,
        meanings=PRINTED_NAMES,
        notes=f"{_PREFIX}\n{_AFTER}",
        examples=(
            "kycli keys",
            "kycli keys alpha.prod user_",
            "kycli keys --after user_1000 --limit 100",
            "kycli keys -p alpha -0 | xargs -0 -n 1 echo",
        ),
    ),
    Command(
        "kyl",
        "listing.keys.list_matching",
        "[PATTERN]",
        "list keys of the current scope",
        flags=SCOPE + RANGE + LISTING,
        meanings=PRINTED_NAMES,
        notes=f"""\
PATTERN is a regular expression that is matched from the start of the key. GLOB
is a shell pattern for the whole key. 'kycli help patterns' explains both.
{_AFTER}""",
        examples=(
            "kyl",
            "kyl 'user\\.'",
            "kyl --glob '*.email'",
            "kyl --prefix user. --limit 10",
            "kyl --reverse --limit 1",
        ),
    ),
    Command(
        "scan",
        "listing.keys.scan",
        "[PROJECT.NAMESPACE] [PREFIX]",
        "list keys and values, as key=value (also: ls)",
        also="ls",
        flags=SCOPE
        + "ns-delim separator include-expired where order columns format explain "
        + RANGE
        + LISTING,
        meanings={
            **PRINTED_RECORDS,
            "columns": "print these fields, with commas between them",
            "format": "print table, csv, tsv, json or jsonl",
        },
        notes=f"""\
{_PREFIX}
{_AFTER}
--where selects by the values: 'kycli help conditions'. --columns prints a table
on a terminal, and elsewhere lines with tabs between the cells. With these flags
the first argument is a scope, also without a delimiter.
Times in records are milliseconds since the epoch, 1970-01-01 UTC.""",
        examples=(
            "kycli scan user_ --jsonl",
            "kycli ls --prefix user.",
            "kycli scan alpha.prod",
            "kycli scan --separator ': ' --reverse",
            "kycli scan --glob '*.email' --values-only",
            "kycli scan users --where 'age > 30' --columns name,age --order -age",
            "kycli scan users --columns @key,name --format csv",
        ),
    ),
    Command(
        "count",
        "listing.keys.count",
        "[PROJECT.NAMESPACE] [PREFIX]",
        "print the number of keys",
        flags=SCOPE + "ns-delim prefix glob json",
        meanings={"json": "print the number as JSON"},
        notes=_PREFIX,
        examples=("kycli count user_", "kycli count alpha.prod"),
    ),
    Command(
        "stats",
        "listing.fields.stats",
        "[SCOPE]",
        "show fields, types and ranges of a scope's values",
        flags="prefix json",
        meanings={
            "prefix": "only keys that begin with this literal text",
            "json": "print an object",
        },
        notes="""\
Reads all values once. '[]' after a field stands for the items of a list.
Without SCOPE, the number of keys of each scope is printed.""",
        examples=("kycli stats users", "kycli stats --json"),
    ),
    Command(
        "search",
        "listing.search.search",
        "QUERY...",
        "find keys by words of the key and the value",
        flags=SCOPE + "all-scopes limit keys-only " + LISTING,
        meanings=PRINTED_RECORDS,
        n="limit",
        notes="""\
Finds the keys whose key or value contains all the words; 'kycli help queries'
explains phrases, OR, NOT and key:. Prints the best match first: the key, a tab,
and the value around the first match. At most 100 keys are printed unless -n
says otherwise. Tabs and line ends in a key are printed as \\t,
\\n and \\r, so that a row stays a line; JSON and --keys-only -0 are exact.
The first search of a database builds the index, which Ctrl-C does not damage.""",
        examples=(
            "kycli search connection refused",
            "kycli search 'key:user NOT (guest OR test*)' -n 10",
            "kycli search --all-scopes --json '\"exact phrase\"'",
        ),
    ),
    Command(
        "optimize",
        "listing.search.optimize",
        "",
        "merge the parts of the search index and check it",
        short=Short("kyfo", "kyfo"),
        notes="""\
Merges the segments of the search index, checks it, and rebuilds what is wrong.
Searches work without it, and are a little faster after it.""",
        examples=("kycli optimize",),
        alone="transaction",
    ),
)
