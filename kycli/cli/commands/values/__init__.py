"""Declarations of the commands that read and write single values and keys."""

from kycli.cli.commands import ADDRESS, SCOPE, VALUE_FORMATS, Command, Short

HEADING = "Values"

_TRANSFER_FLAGS = SCOPE + "ns-delim force prefix to to-prefix on-conflict"
_TRANSFER_MEANINGS = {"prefix": "in place of SOURCE: all keys that begin so"}
_TRANSFER_NOTES = """\
The value keeps its type and its remaining time to live. In a cache, a permanent
key gets the cache's default. A namespace that is not a cache refuses a key that
expires.
With --prefix PREFIX in place of the arguments, all keys with that prefix go to
the scope --to. They keep their names, or get --to-prefix in place of the
prefix. It is one change: all keys or none. --on-conflict says what happens to
keys that exist: error (the default; nothing changes), skip or overwrite."""

COMMANDS = (
    Command(
        "set",
        "values.storing.store_value",
        "ADDRESS VALUE",
        "store a value",
        flags=ADDRESS + "ttl if-absent if-version json b64 get raw",
        meanings={**VALUE_FORMATS, "raw": "with --get: the value and not one byte more"},
        short=Short("kys", "kys user.name Alice", "date | kys started -", "kys answer --json 42"),
        notes="""\
VALUE is stored as text, exactly as given. With --json it is a JSON value and
keeps its type; with --b64 it is base64. If VALUE is '-', the value is standard
input, byte for byte; input that is not UTF-8 is stored as bytes. A missing
VALUE is an error and never reads standard input. To store a '-':
printf - | kys KEY -. Without --ttl the key becomes permanent, or gets the
default TTL of its cache. --get prints the previous value, or nothing if there
was none.""",
        examples=(
            "kycli set alpha.prod.greeting 'good morning'",
            "kycli set config --json '{\"debug\": true}'",
            "kycli set alpha.prod.logo - < logo.png",
            "kycli set lock --if-absent mine --ttl 30s",
        ),
    ),
    Command(
        "get",
        "values.reading.print_values",
        "ADDRESS...",
        "print values",
        flags=ADDRESS + "raw json jsonl null b64 meta default path include-expired at",
        meanings={
            "json": "print a value, or an object of several, as JSON",
            "jsonl": "print each value as a line of JSON",
            "b64": "print the value as base64",
        },
        short=Short(
            "kyg",
            *("kyg user.name", "kyg missing --default none"),
            *("kyg logs[-1]", "kyg --at '1h ago' user"),
            flags="search limit all-scopes keys-only",
            notes="With -s it searches, as 'kycli search' does, and -n N is the limit.",
        ),
        notes="""\
Prints each value and a newline. Several keys are read at one point in time. For
a key that is missing or has expired, nothing is printed and the exit code is 2.
With --json, one key prints its value and several print one object; with
--jsonl, each value is a line. --default is read as 'set' reads VALUE: as JSON
with --json, as base64 with --b64. --at reads a past value and restores nothing.
Times in records are milliseconds since the epoch, 1970-01-01 UTC.""",
        examples=(
            "kycli get alpha.prod.greeting",
            "kycli get -p alpha -n prod greeting --default hello",
            "kycli get alpha.prod.logo --raw > logo.png",
            "kycli get alpha.prod.user --path '$.emails[0]'",
        ),
    ),
    Command(
        "update",
        "values.update.update",
        "ADDRESS COMMAND [ARGUMENT...]",
        "change a value with a filter program",
        flags=ADDRESS + "default json raw",
        meanings={
            "json": "COMMAND reads and prints JSON, also of text",
            "raw": "keep a newline at the end of what COMMAND prints",
            "default": "what COMMAND reads when there is no such key",
        },
        notes="""\
COMMAND reads the value on standard input, and its output becomes the new value.
The key keeps its time to live. Nothing is locked while COMMAND runs: if another
process changes the value, COMMAND runs again on the new one. If COMMAND fails,
nothing is written and the exit code is 1. If there is no such key it is 2,
unless --default gives COMMAND something to read.
Text and bytes are read exactly, as 'get --raw' prints them. If the value is
text without a newline at its end, one newline is removed from the end of the
output, because most programs add it; --raw keeps it. Other values are read as
JSON, and the output must be JSON. Flags of kycli come before COMMAND.""",
        examples=(
            "kycli update alpha.prod.motd -- tr a-z A-Z",
            "kycli update user -- jq -c '.age += 1'",
            "kycli update tags --default '[]' --json -- jq unique",
        ),
        alone="transaction",
    ),
    Command(
        "edit",
        "values.editor.edit",
        "ADDRESS",
        "change a value in an editor",
        flags=ADDRESS + "json",
        meanings={"json": "edit JSON, also of text"},
        notes="""\
Opens the value in $VISUAL, $EDITOR or vi: text and bytes as they are, other
values as JSON. What is saved there becomes the value; the key keeps its time to
live. A newline at the end that the text did not have before is removed. If
there is no such key, the text is empty, and the key is created. If the editor
fails, nothing is written. If the key was changed meanwhile, or the text cannot
be the value, nothing is written either, and a message names the file that has
the text.""",
        examples=("kycli edit alpha.prod.motd", "EDITOR=nano kycli edit user"),
        alone="terminal",
    ),
    Command(
        "del",
        "values.deletion.delete",
        "[ADDRESS...]",
        "delete keys (also: delete)",
        also="delete",
        flags=ADDRESS + "prefix yes get raw json b64 null",
        meanings={
            "raw": "with --get: the value and not one byte more",
            "json": "with --get: print as JSON",
            "b64": "with --get: print as base64",
            "null": "with --get: end each value with NUL",
        },
        short=Short("kyd", "kyd user.name", "kyd --prefix tmp. -y"),
        notes="""\
Deletes all keys that exist in one transaction; the exit code is 2 if any did
not. --get prints their values, as 'get' does. --prefix asks first on a
terminal, and needs -y elsewhere. To delete a whole scope, use drop-scope.""",
        examples=(
            "kycli del alpha.prod.greeting",
            "kycli del --get job",
            "kycli del -p alpha --prefix tmp_ -y",
        ),
    ),
    Command(
        "incr",
        "values.storing.increment",
        "ADDRESS [BY]",
        "add to a number and print the result",
        flags=ADDRESS,
        notes="BY is 1 by default. It may be negative or a fraction. A missing key counts as 0.",
        examples=("kycli incr hits", "kycli incr stock -5", "kycli incr load 0.25"),
    ),
    Command(
        "append",
        "values.storing.append",
        "ADDRESS SUFFIX",
        "add to the end of a value",
        flags=ADDRESS + "b64",
        meanings={"b64": "SUFFIX is base64"},
        notes="A SUFFIX of '-' is read from standard input. A missing key counts as empty.",
        examples=("kycli append log 'one more line'", "date | kycli append log -"),
    ),
    Command(
        "expire",
        "values.expiry.expire",
        "ADDRESS TTL",
        "let an existing key expire",
        flags=ADDRESS,
        notes="TTL is in seconds, or 30s 5m 2h 1d 1w 1M 1y.",
        examples=("kycli expire session 30m",),
    ),
    Command(
        "ttl",
        "values.expiry.print_ttl",
        "ADDRESS",
        "print how many seconds a key has left",
        flags=ADDRESS,
        notes="Prints whole seconds, rounded up, or -1 if the key does not expire.",
        examples=("kycli ttl session",),
    ),
    Command(
        "persist",
        "values.expiry.persist",
        "ADDRESS",
        "remove the time to live of a key",
        flags=ADDRESS,
        notes="""\
The key of a cache can be made permanent too. The next set without --ttl gives
it the default TTL of the cache again.""",
        examples=("kycli persist session",),
    ),
    Command(
        "copy",
        "values.transfer.copy",
        "[SOURCE] [DESTINATION]",
        "copy a key, or all keys with a prefix",
        flags=_TRANSFER_FLAGS,
        meanings=_TRANSFER_MEANINGS,
        notes=_TRANSFER_NOTES,
        examples=(
            "kycli copy draft backup",
            "kycli copy alpha.prod.api_url alpha.test.api_url --force",
            "kycli copy --scope alpha.prod --prefix user_ --to alpha.test",
        ),
    ),
    Command(
        "move",
        "values.transfer.move",
        "[SOURCE] [DESTINATION]",
        "rename a key, or all keys with a prefix",
        flags=_TRANSFER_FLAGS,
        meanings=_TRANSFER_MEANINGS,
        notes=_TRANSFER_NOTES,
        examples=("kycli move draft final", "kycli move --prefix tmp_ --to-prefix old_"),
    ),
)
