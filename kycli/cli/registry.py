"""Every command: where its code is, what it takes, and what its help says.

The table is the one source: dispatch, the check of flags and of the number of
arguments, and the help are all made from it. The order is that of the help.
"""

from __future__ import annotations

from kycli.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kycli.cli.env import Environment

PROGRAMS = (
    *("kys", "kyg", "kyd", "kyl", "kypatch", "kypush", "kyrem", "kyc"),
    *("kyv", "kyr", "kyrt", "kyco", "kyfo", "kyuse", "kyh"),
)
"""The short commands, which are programs of their own and commands of ``kycli``."""

KY = "ky"
"""The program whose first word is a verb: what a command of ``kycli`` does, done to keys of
the current scope."""

KEYED = ("ADDRESS", "KEY", "SOURCE", "PREFIX")
"""The arguments that are keys, or say where keys are."""

ALIASES = {"ls": "scan", "delete": "del", "create-cache": "admin create-cache"}
"""What a command is called as well."""

SPELLED = {"at-version": "version"}
"""How a flag is called in messages that is mostly typed under another name."""

GIVE_VALUE = "give it, '' for an empty one, or - to read it from standard input"
"""What to do about a missing value."""

UNIVERSAL = ("db", "quiet", "yes", "help", "version")
"""The flags that every command accepts, so that a shell alias can hold them."""

_SCOPE = "scope project namespace "
_KEY = _SCOPE + "context "
_ADDRESS = _KEY + "ns-delim "
_SET = "ttl if-absent if-version json b64 get raw"
_GET = "raw json jsonl null b64 meta default path include-expired at"
_PATCH = "json b64 merge json-patch path"
_PUSH = "unique json b64 path"
_REMOVE = "json b64 path"
_DEL = "prefix yes get raw json b64 null"
_LISTING = "null json jsonl "
_RANGE = "glob after reverse values-only limit "
_HISTORY = "since until limit json jsonl"
_RESTORE_TO = _SCOPE + "all-scopes dry-run " + _LISTING
_IN_EFFECT = _SCOPE + "ns-delim "

_SET_NOTES = """\
VALUE is stored as text exactly as given. When it is '-', all of standard input
is the value, not one byte less; what is not UTF-8 is stored as bytes. Standard
input is read for '-' alone, never because a value is missing. To store a '-':
printf - | kys KEY -. With --json the value is a JSON value and keeps its type;
with --b64 it is base64. A set without --ttl makes the key permanent, or gives
it the default of its cache. --get prints the value that was there before, or
nothing when there was none."""
_GET_NOTES = """\
Prints each value and a newline; several keys are read as of one moment. A key
that is missing or has expired prints nothing and makes the exit code 2. With
--json one key prints its value and several print one object; with --jsonl each
value is a line of its own. --default is read as 'set' would read it: as JSON
with --json, as base64 with --b64.
--at reads the past and restores nothing; TIME is as for 'kycli help history'."""
_PATHS = """\
A path is made of .name, ["any name"], [0], [-1] for the last item, and [0:5]
for a slice. Text that is a JSON object or list counts as one; null as nothing."""
_INSIDE = f"""
KEY may hold dots. When there is no such key, what follows the longest key that
it begins with is a path into its JSON value. With --path, KEY is just the key.
{_PATHS}"""
_PATCH_NOTES = """\
Sets one place in a JSON value, and makes what leads there; the key keeps its
time to live. VALUE is read as by 'set': text as it is, so 25 is the text 25 and
--json 25 the number. In place of VALUE, --merge JSON changes several members,
null removing one (RFC 7396), and --json-patch FILE applies operations, all or
none (RFC 6902)."""
_PUSH_NOTES = """\
Adds VALUE to the end of a list, and makes the list when there is no such key.
VALUE is read as by 'set': text as it is, JSON with --json."""
_REMOVE_NOTES = """\
Takes every item that is equal to VALUE out of a list, if there are any. VALUE
is read as by 'set', and types count: --json 5 removes the number, 5 the text.
Exit code 2 when there is no such list."""
_EXEC_NOTES = """\
Runs the stored text by sh, and exits as it does. ARGUMENTs are words of their
own, whatever they hold. Text that uses $1 … $9, $@, $* or $# (in single quotes
these are only text) gets them there: kys hi 'echo "$1, hi"'. Otherwise they are
added to its end, if it is a single simple command; behind anything else (; & |,
an assignment, if … fi, a comment) they could be commands of their own, and are
refused. --dry-run prints what would run. What follows {0} belongs to the
command, so flags of kycli come before it."""
_VARIABLES = """\
--scope may be given several times; of the same variable in several scopes, the
last one holds. --prefix chooses the keys. A key that cannot be the name of a
variable (letters, digits and _, no digit first) is skipped, and named on
standard error. --upper gives every key a name: db.host is DB_HOST. --map
KEY=NAME names single ones. Two keys of one scope under one name, or a value
with a NUL, are an error."""
_RUN_NOTES = f"""\
Runs COMMAND with the keys of the scope in its environment, and exits as it
does. Flags of kycli come before COMMAND.
{_VARIABLES}"""
_ENV_NOTES = f"""\
Prints the keys of the scope as variables, as 'run' sets them, quoted so that
nothing in a value is ever executed. dotenv quotes only what needs it, and can
be read by sh too. In json, what is not UTF-8 is {{"$base64": …}}.
{_VARIABLES}"""
_UPDATE_NOTES = """\
COMMAND reads the value on its standard input, and what it prints becomes the
new value; the key keeps its time to live. Nothing is locked meanwhile: when the
value was changed by others, COMMAND runs again on the new one. When it fails,
nothing is written and the exit code is 1; when there is no such key it is 2,
unless --default says what COMMAND reads then.
Text and bytes are read exactly as they are, as 'get --raw' prints them. If the
value is text that does not end in a newline, one newline at the end of what is
printed is dropped, as most programs add it; --raw keeps it. Other values are
read as JSON, and what is printed must be JSON. Flags of kycli come before
COMMAND."""
_EXISTS_NOTES = """\
Prints nothing. Exit code 0 when all of the keys exist, 2 when one is missing or
has expired; of several, those are named on standard error. --json prints an
object of all of them, whatever the exit code."""
_DIFF_NOTES = """\
Prints what is different, by key: between two scopes, A and B; with one of them,
between the current scope and that; with --since, between the scope then and
now, or at --until; with --versions, between two versions of a key. Lines that
begin with '-' are of the first, with '+' of the second. JSON has all that is
known of each key before and after. The exit code is 0 either way, unless
--exit-code is given."""
_DEL_NOTES = """\
Deletes all that exist, together; exit code 2 when any did not. --get prints
their values, as 'get' does. --prefix asks first on a terminal and needs -y
elsewhere; drop-scope deletes a whole scope."""
_LISTING_NOTES = "PREFIX is taken literally; --prefix PREFIX says the same."
_PATTERN_NOTES = """\
PATTERN is a regular expression that the key matches from its start, in the
syntax of RE2: no pattern takes long, so there are no backreferences and no
lookaround; \\w, \\d and \\s are ASCII, \\pL is a letter of any script, and \\z or $
is the end. GLOB is a shell pattern that matches the whole key: *, ?, [a-z],
[!a-z]. What begins with literal text reads only the keys that do."""
_CONTINUED = """
--after continues a listing behind the last key that was seen."""
_COPY_NOTES = """\
The value keeps its type and the time that it has left; in a cache a permanent
one gets the cache's default. A namespace that is no cache takes no value that
expires."""
_COPY_MANY_NOTES = """
With --prefix PREFIX in place of the arguments, all keys that begin so go to the
scope --to, under the same names or with --to-prefix in place of the prefix: all
of them or none, as one change. --on-conflict says what to do about keys that
are there: error (the default, which changes nothing), skip or overwrite."""
_TIMES = """
The times in records are milliseconds since the epoch, 1970-01-01 UTC."""
_A_TIME = """\
TIME is ISO 8601 ('2026-11-20 13:55:00', 2026-11-20T13:55:00+01:00), in UTC when
it names no zone; seconds since the epoch; or '10m ago' (s m h d w M y)."""
_HISTORY_NOTES = f"""\
Newest first; of the whole scope when no key is given. On a terminal a table,
through $PAGER; elsewhere fields separated by tabs: time, operation, version,
change, the key when none was given, and the value in one line. JSON loses
nothing. Times are in UTC.
{_A_TIME}"""
_RESTORE_NOTES = f"""\
Brings back the newest archived or previous value, or with --at or --version an
older one. A key that is there keeps its lifetime; one that was deleted gets the
time that it had left. Exit code 2 when there is nothing to restore.
{_A_TIME}"""
_RESTORE_TO_NOTES = f"""\
Takes the scope to its state at that time, all or nothing. It is one change of
the history: 'kycli undo' takes it back. An expiry that has passed since is put
off by the time that the key had left.
{_A_TIME}"""
_UNDO_NOTES = """\
CHANGE is an id that 'kycli history' shows; by default that of the newest change
in the scope. Refuses where a key has changed since, and names it. Undoing is a
change too, and can be undone."""
_MIGRATE_NOTES = """\
Changes the database in place, all of it or nothing, and keeps a copy beside it.
Nobody else may have it open. With --from, the files named (workspaces of KyCLI
0.2 to 0.4, and older databases) each become a scope, under their own name or as
--map says; without a file, those in their usual places do. Without --from and
PATH, and when the database in effect is of this version, it says what there is.
Keys were the same in any case, and still are in what came over. Encrypted
values and queue items stay so unless --decrypt says that they may be plain;
KYCLI_MASTER_KEY (several keys, one a line) or an answer on the terminal is
their key. --dry-run counts, and changes nothing."""
_COMPACT_NOTES = """\
DAYS, 15 when left out, may be a fraction; 0 keeps only what is there now. What
was before can be restored no more. Goes in short steps, between which others
can write, and can be interrupted. A scope of which something else is declared
with 'admin set-scope' keeps to that. A file of over 128 MiB gets smaller only
with --vacuum, as other writers must wait meanwhile; without it, what is written
later uses the space."""
_SET_SCOPE_NOTES = """\
history_days=N: changes that are older are purged, except for the newest of each
key. history_versions=N: each key keeps its newest N changes. archive_days=N:
deleted and expired values that are older are purged. With nothing behind the
'=', what was declared is taken back. Writes keep to it, a step at a time, so a
key may have some more changes for a while; 'kycli compact' does it at once.
Without any of these, all is kept until it is compacted."""
_USE_NOTES = """\
SCOPE is PROJECT or PROJECT.NAMESPACE, with a dot whatever the delimiter is.
Writes the scope into the config file in effect. Without SCOPE, prints the
current scope on standard output and where it comes from on standard error."""

_SEARCH_NOTES = """\
Finds the keys whose key or value holds all the words, and prints them best
first: key, tab, and the value around the first match. Case and accents do not
matter; Chinese, Japanese, Korean and Thai are found by any part of a word.
  "two words"  a phrase         err*      words that begin so
  a OR b       either           a NOT b   without b         (a OR b) c
  key:a        in the key only  value:a   in the value only
What does not parse as such a query is searched as words. At most 100 keys are
printed unless -n says otherwise. Tabs and line ends in a key, which would break
a row, are printed as \\t, \\n and \\r; JSON and --keys-only -0 lose nothing.
The first search of a database builds the index; Ctrl-C loses nothing of it."""
_WITH_SEARCH = """
With -s it searches, as 'kycli search' does, and -n N is the limit."""
_OPTIMIZE_NOTES = """\
Merges the parts that the search index has grown in and checks it; what is wrong
is built anew. Searches do without it, and are a little quicker after it."""

_DOCTOR_NOTES = """\
Reads all of the database: the file page by page, whether keys, history and
archive fit together, large values by their digests, and the search index word
by word. Mends what can be made from the rest: the search index, SQLite's own
indexes, triggers. Prints a line for each problem. Exit code 0: all is well, or
is again; 1: something is damaged that only a backup can mend."""

_HELP_NOTES = """\
NAME is a command or a topic. Without it, prints the commands on one screen;
with --all, with what each does. 'man kyg' shows the same as a manual page."""

# Name -> module, function, arguments, flags, summary, notes, examples.
# Arguments in [brackets] may be left out; '...' means that more may follow.
COMMANDS: dict[str, tuple[str, str, str, str, str, str, tuple[str, ...]]] = {
    "set": (
        "values.access",
        "store_value",
        "ADDRESS VALUE",
        _ADDRESS + _SET,
        "store a value under an address",
        _SET_NOTES,
        (
            "kycli set alpha.prod.greeting 'good morning'",
            "kycli set config --json '{\"debug\": true}'",
            "kycli set alpha.prod.logo - < logo.png",
            "kycli set lock --if-absent mine --ttl 30s",
        ),
    ),
    "get": (
        "values.access",
        "print_values",
        "ADDRESS...",
        _ADDRESS + _GET,
        "print the values of addresses",
        f"{_GET_NOTES}{_TIMES}\n{_PATHS}",
        (
            "kycli get alpha.prod.greeting",
            "kycli get -p alpha -n prod greeting --default hello",
            "kycli get alpha.prod.logo --raw > logo.png",
            "kycli get alpha.prod.user --path '$.emails[0]'",
        ),
    ),
    "exists": (
        "listing.keys",
        "exist",
        "ADDRESS...",
        _ADDRESS + "path json",
        "tell by the exit code whether keys exist",
        f"{_EXISTS_NOTES}\n{_PATHS}",
        (
            "kycli exists alpha.prod.greeting || echo no greeting",
            "kycli exists -p alpha -n prod DB_HOST DB_PORT",
        ),
    ),
    "update": (
        "values.update",
        "update",
        "ADDRESS COMMAND [ARGUMENT...]",
        _ADDRESS + "default json raw",
        "change a value by a filter program",
        _UPDATE_NOTES,
        (
            "kycli update alpha.prod.motd -- tr a-z A-Z",
            "kycli update user -- jq -c '.age += 1'",
            "kycli update tags --default '[]' --json -- jq unique",
        ),
    ),
    "del": (
        "values.deletion",
        "delete",
        "[ADDRESS...]",
        _ADDRESS + _DEL,
        "delete keys (also: delete)",
        _DEL_NOTES,
        (
            "kycli del alpha.prod.greeting",
            "kycli del --get job",
            "kycli del -p alpha --prefix tmp_ -y",
        ),
    ),
    "keys": (
        "listing.keys",
        "list_addressed",
        "[PROJECT.NAMESPACE] [PREFIX]",
        _SCOPE + "ns-delim prefix " + _RANGE + _LISTING,
        "list keys",
        _LISTING_NOTES + _CONTINUED,
        (
            "kycli keys",
            "kycli keys alpha.prod user_",
            "kycli keys --after user_1000 --limit 100",
            "kycli keys -p alpha -0 | xargs -0 -n 1 echo",
        ),
    ),
    "scan": (
        "listing.keys",
        "scan",
        "[PROJECT.NAMESPACE] [PREFIX]",
        _SCOPE + "ns-delim separator include-expired prefix " + _RANGE + _LISTING,
        "list keys with their values, as key=value (also: ls)",
        _LISTING_NOTES + _CONTINUED + _TIMES,
        (
            "kycli scan user_ --jsonl",
            "kycli ls --prefix user.",
            "kycli scan alpha.prod",
            "kycli scan --separator ': ' --reverse",
            "kycli scan --glob '*.email' --values-only",
        ),
    ),
    "count": (
        "listing.keys",
        "count",
        "[PROJECT.NAMESPACE] [PREFIX]",
        _SCOPE + "ns-delim prefix glob json",
        "print how many keys there are",
        _LISTING_NOTES,
        ("kycli count user_", "kycli count alpha.prod"),
    ),
    "patch": (
        "documents.editing",
        "patch",
        "ADDRESS [VALUE]",
        _ADDRESS + _PATCH,
        "set a place inside a JSON value",
        f"{_PATCH_NOTES}\n{_PATHS}",
        (
            "kycli patch alpha.prod.user --path '$.profile.age' --json 25",
            'kycli patch user --merge \'{"email": null, "age": 25}\'',
            "kycli patch user --json-patch changes.json",
        ),
    ),
    "push": (
        "documents.editing",
        "push",
        "ADDRESS VALUE",
        _ADDRESS + _PUSH,
        "add to the end of a list",
        f"{_PUSH_NOTES}\n{_PATHS}",
        ("kycli push alpha.prod.tags new --unique", "kycli push user --path '$.tags' new"),
    ),
    "remove": (
        "documents.editing",
        "remove",
        "ADDRESS VALUE",
        _ADDRESS + _REMOVE,
        "take items out of a list",
        f"{_REMOVE_NOTES}\n{_PATHS}",
        ("kycli remove alpha.prod.tags old",),
    ),
    "exec": (
        "programs.running",
        "execute",
        "ADDRESS [ARGUMENT...]",
        _ADDRESS + "dry-run",
        "run a stored command",
        _EXEC_NOTES.replace("{0}", "ADDRESS"),
        ("kycli exec alpha.tools.deploy staging", "kycli exec --dry-run backup 'My Files'"),
    ),
    "run": (
        "programs.running",
        "run",
        "COMMAND [ARGUMENT...]",
        _SCOPE + "prefix upper map",
        "run a command with the keys of a scope in its environment",
        _RUN_NOTES,
        (
            "kycli run --scope alpha.prod -- make deploy",
            "kycli run --prefix DB_ -- env",
            "kycli run --scope alpha --scope alpha.prod --upper -- ./server",
        ),
    ),
    "env": (
        "programs.running",
        "print_variables",
        "",
        _SCOPE + "prefix upper map format",
        "print the keys of a scope as environment variables",
        _ENV_NOTES,
        (
            'eval "$(kycli env --scope alpha.prod)"',
            "kycli env --format fish | source",
            "kycli env --format dotenv > .env",
        ),
    ),
    "incr": (
        "values.access",
        "increment",
        "ADDRESS [BY]",
        _ADDRESS,
        "add to a number and print the result",
        "BY is 1 when left out, and may be negative or a fraction. A missing key counts\nas 0.",
        ("kycli incr hits", "kycli incr stock -5", "kycli incr load 0.25"),
    ),
    "append": (
        "values.access",
        "append",
        "ADDRESS SUFFIX",
        _ADDRESS + "b64",
        "add to the end of a value",
        "SUFFIX is '-' for standard input, as in set. A missing key counts as empty.",
        ("kycli append log 'one more line'", "date | kycli append log -"),
    ),
    "expire": (
        "values.expiry",
        "expire",
        "ADDRESS TTL",
        _ADDRESS,
        "let an existing key expire",
        "TTL is in seconds, or 30s 5m 2h 1d 1w 1M 1y.",
        ("kycli expire session 30m",),
    ),
    "ttl": (
        "values.expiry",
        "print_ttl",
        "ADDRESS",
        _ADDRESS,
        "print the seconds that a key has left",
        "Whole seconds, rounded up; -1 when the key does not expire.",
        ("kycli ttl session",),
    ),
    "persist": (
        "values.expiry",
        "persist",
        "ADDRESS",
        _ADDRESS,
        "let a key live for ever",
        "Also a key of a cache. A later set without --ttl gives that the cache's default\nagain.",
        ("kycli persist session",),
    ),
    "copy": (
        "values.transfer",
        "copy",
        "[SOURCE] [DESTINATION]",
        _SCOPE + "ns-delim force prefix to to-prefix on-conflict",
        "copy a key, or all with a prefix",
        _COPY_NOTES + _COPY_MANY_NOTES,
        (
            "kycli copy draft backup",
            "kycli copy alpha.prod.api_url alpha.test.api_url --force",
            "kycli copy --scope alpha.prod --prefix user_ --to alpha.test",
        ),
    ),
    "move": (
        "values.transfer",
        "move",
        "[SOURCE] [DESTINATION]",
        _SCOPE + "ns-delim force prefix to to-prefix on-conflict",
        "rename a key, or all with a prefix",
        _COPY_NOTES + _COPY_MANY_NOTES,
        ("kycli move draft final", "kycli move --prefix tmp_ --to-prefix old_"),
    ),
    "history": (
        "history.log",
        "show",
        "[ADDRESS]",
        _KEY + "ns-delim " + _HISTORY,
        "list what was changed, newest first",
        _HISTORY_NOTES,
        (
            "kycli history alpha.prod.greeting",
            "kycli history --since '1h ago' -n 20",
            "kycli history --jsonl | tail -n 1",
        ),
    ),
    "blame": (
        "history.log",
        "blame",
        "ADDRESS",
        _KEY + "ns-delim limit json jsonl",
        "show who changed a key: user, host, command, process",
        "Newest first: time, operation, version, user@host, command[process], change.",
        ("kycli blame greeting", "kycli blame alpha.prod.greeting -n 3"),
    ),
    "diff": (
        "history.diff",
        "diff",
        "[SCOPE] [SCOPE]",
        _KEY + "ns-delim prefix since until versions exit-code json jsonl",
        "show what differs between scopes, times or versions",
        f"{_DIFF_NOTES}{_TIMES}\n{_A_TIME}",
        (
            "kycli diff alpha.prod alpha.test",
            "kycli diff --since '1h ago' alpha.prod",
            "kycli diff --versions 3..5 alpha.prod.greeting",
        ),
    ),
    "restore": (
        "history.recovery",
        "restore",
        "ADDRESS",
        _ADDRESS + "at at-version",
        "bring back an earlier value of a key",
        _RESTORE_NOTES,
        ("kycli restore alpha.prod.greeting", "kycli restore greeting --version 3"),
    ),
    "restore-to": (
        "history.recovery",
        "restore_to",
        "TIME",
        _RESTORE_TO,
        "take a scope back to its state at a time",
        _RESTORE_TO_NOTES,
        ("kycli restore-to '10m ago' --dry-run", "kycli restore-to '10m ago' --scope alpha.prod"),
    ),
    "undo": (
        "history.recovery",
        "undo",
        "[CHANGE]",
        _SCOPE + "force",
        "take back what one command, import or call changed",
        _UNDO_NOTES,
        ("kycli undo", "kycli undo 1207 --force"),
    ),
    "search": (
        "listing.search",
        "search",
        "QUERY...",
        _SCOPE + "all-scopes limit keys-only " + _LISTING,
        "find keys by words of the key and the value",
        _SEARCH_NOTES,
        (
            "kycli search connection refused",
            "kycli search 'key:user NOT (guest OR test*)' -n 10",
            "kycli search --all-scopes --json '\"exact phrase\"'",
        ),
    ),
    "optimize": (
        "listing.search",
        "optimize",
        "",
        "",
        "merge the parts of the search index and check it",
        _OPTIMIZE_NOTES,
        ("kycli optimize",),
    ),
    "compact": (
        "history.retention",
        "compact",
        "[DAYS]",
        "vacuum",
        "purge old history and archived values",
        _COMPACT_NOTES,
        ("kycli compact", "kycli compact 90", "kycli compact 0 --vacuum"),
    ),
    "doctor": (
        "system.doctor",
        "examine",
        "",
        "json jsonl null",
        "check the database, and mend its search index",
        _DOCTOR_NOTES,
        ("kycli doctor", "kycli doctor -d backup.db"),
    ),
    "projects": (
        "scopes.scopes",
        "list_projects",
        "",
        _LISTING,
        "list the projects that hold keys or caches",
        "",
        ("kycli projects",),
    ),
    "namespaces": (
        "scopes.scopes",
        "list_namespaces",
        "",
        "project " + _LISTING,
        "list the namespaces of a project",
        "-p names it. Keys outside any namespace are in 'default'. 'kycli nss' lists the\n"
        "scopes of all projects.",
        ("kycli namespaces -p alpha",),
    ),
    "nss": (
        "scopes.scopes",
        "list_names",
        "",
        _LISTING,
        "list all scopes by name",
        "",
        ("kycli nss", 'kycli nss | while read -r s; do kycli keys --scope "$s"; done'),
    ),
    "list-scopes": (
        "scopes.scopes",
        "list_scopes",
        "",
        "long " + _LISTING,
        "list all scopes and mark the current one",
        "",
        ("kycli list-scopes -l",),
    ),
    "use": (
        "scopes.scopes",
        "use",
        "[SCOPE]",
        "",
        "set or show the current scope",
        _USE_NOTES,
        ("kycli use alpha.prod", "kycli use"),
    ),
    "rename-scope": (
        "scopes.scopes",
        "rename",
        "SCOPE NEW-NAME",
        "",
        "rename a scope with all its keys",
        "",
        ("kycli rename-scope alpha.test alpha.staging",),
    ),
    "copy-scope": (
        "scopes.scopes",
        "copy",
        "SCOPE TO-SCOPE",
        "on-conflict",
        "copy all keys of a scope",
        "All of them or none, as one change of the history. What is declared of the scope\n"
        "stays its own. Exit code 2 when there is no such scope.",
        ("kycli copy-scope alpha.prod alpha.backup --on-conflict overwrite",),
    ),
    "drop-scope": (
        "scopes.scopes",
        "drop",
        "SCOPE",
        "yes",
        "delete a scope with all its keys",
        "Asks first on a terminal and needs -y elsewhere.",
        ("kycli drop-scope alpha.test -y",),
    ),
    "admin": (
        "scopes.admin",
        "choose",
        "COMMAND...",
        "",
        "declare caches: scopes whose keys expire",
        "",
        ("kycli admin create-cache alpha.sessions timeout=1800",),
    ),
    "admin create-cache": (
        "scopes.admin",
        "create",
        "PROJECT.NAMESPACE timeout=TTL",
        "",
        "declare a cache with a default time to live",
        "Keys that are set in it without --ttl expire after the timeout: seconds, or 30s\n"
        "5m 2h. 'kycli create-cache PROJECT.NAMESPACE TTL' does the same.",
        ("kycli admin create-cache alpha.sessions timeout=1800",),
    ),
    "admin set-cache": (
        "scopes.admin",
        "change",
        "PROJECT.NAMESPACE timeout=TTL",
        "",
        "change the default time to live of a cache",
        "Keys that are there keep the time they were given.",
        ("kycli admin set-cache alpha.sessions timeout=2h",),
    ),
    "admin drop-cache": (
        "scopes.admin",
        "drop",
        "PROJECT.NAMESPACE",
        "",
        "make a cache a plain namespace again",
        "",
        ("kycli admin drop-cache alpha.sessions",),
    ),
    "admin set-scope": (
        "scopes.admin",
        "set_scope",
        "SCOPE NAME=VALUE...",
        "",
        "declare how far back the history of a scope goes",
        _SET_SCOPE_NOTES,
        (
            "kycli admin set-scope alpha.metrics history_versions=10 history_days=30",
            "kycli admin set-scope alpha.metrics history_days=",
        ),
    ),
    "admin show-scope": (
        "scopes.admin",
        "show_scopes",
        "[SCOPE]",
        _LISTING,
        "list what is declared of a scope, or of all",
        "",
        ("kycli admin show-scope", "kycli admin show-scope alpha.metrics"),
    ),
    "admin list-caches": (
        "scopes.admin",
        "list_all",
        "",
        _LISTING,
        "list caches with their default time to live in seconds",
        "",
        ("kycli admin list-caches",),
    ),
    "migrate": (
        "system.migration",
        "run",
        "[PATH...]",
        "dry-run backup no-backup from into map decrypt " + _LISTING,
        "bring databases of earlier KyCLI versions to this one",
        _MIGRATE_NOTES,
        (
            "kycli migrate ~/kydata.db",
            "kycli migrate ~/kydata.db --dry-run",
            "kycli migrate --from ~/.kycli/data/work.db --map work=office",
        ),
    ),
    "config": (
        "system.config",
        "show",
        "[COMMAND...]",
        _IN_EFFECT + _LISTING,
        "show or change the settings",
        "Without COMMAND, prints each setting, its value and where it comes from.",
        ("kycli config", "kycli config set current_scope alpha.prod"),
    ),
    "config get": (
        "system.config",
        "get",
        "NAME",
        _IN_EFFECT,
        "print a setting",
        "",
        ("kycli config get db_path",),
    ),
    "config set": (
        "system.config",
        "change",
        "NAME VALUE",
        "",
        "write a setting into the config file in effect",
        "",
        ("kycli config set durability full",),
    ),
    "config unset": (
        "system.config",
        "unset",
        "NAME",
        "",
        "remove a setting from the config file in effect",
        "",
        ("kycli config unset ns_delim",),
    ),
    "config path": (
        "system.config",
        "print_path",
        "",
        "",
        "print the path of the config file in effect",
        "",
        ("kycli config path",),
    ),
    "kys": (
        "values.access",
        "store_value",
        "KEY VALUE",
        _KEY + _SET,
        "store a value in the current scope",
        _SET_NOTES + "\nKEY may hold dots.",
        ("kys user.name Alice", "date | kys started -", "kys answer --json 42"),
    ),
    "kyg": (
        "values.access",
        "print_values",
        "KEY...",
        _KEY + _GET + " search limit all-scopes keys-only",
        "print values of the current scope",
        f"{_GET_NOTES}{_TIMES}{_INSIDE}{_WITH_SEARCH}",
        ("kyg user.name", "kyg missing --default none", "kyg logs[-1]", "kyg --at '1h ago' user"),
    ),
    "kyd": (
        "values.deletion",
        "delete",
        "[KEY...]",
        _KEY + _DEL,
        "delete keys of the current scope",
        _DEL_NOTES,
        ("kyd user.name", "kyd --prefix tmp. -y"),
    ),
    "kyl": (
        "listing.keys",
        "list_matching",
        "[PATTERN]",
        _SCOPE + "prefix " + _RANGE + _LISTING,
        "list keys of the current scope",
        _PATTERN_NOTES + _CONTINUED,
        (
            "kyl",
            "kyl 'user\\.'",
            "kyl --glob '*.email'",
            "kyl --prefix user. --limit 10",
            "kyl --reverse --limit 1",
        ),
    ),
    "kypatch": (
        "documents.editing",
        "patch",
        "KEY [VALUE]",
        _KEY + _PATCH,
        "set a place inside a JSON value of the current scope",
        f"{_PATCH_NOTES}{_INSIDE}\nWhen no key fits, KEY up to its first . or [ is made.",
        (
            "kypatch user.profile.email ada@example.org",
            "kypatch user.profile.age --json 25",
            "kypatch user.profile --merge '{\"age\": null}'",
        ),
    ),
    "kypush": (
        "documents.editing",
        "push",
        "KEY VALUE",
        _KEY + _PUSH,
        "add to the end of a list in the current scope",
        _PUSH_NOTES + _INSIDE,
        ("kypush tags new --unique", "date | kypush log -", "kypush user.emails ada@example.org"),
    ),
    "kyrem": (
        "documents.editing",
        "remove",
        "KEY VALUE",
        _KEY + _REMOVE,
        "take items out of a list in the current scope",
        _REMOVE_NOTES + _INSIDE,
        ("kyrem tags old",),
    ),
    "kyc": (
        "programs.running",
        "execute",
        "KEY [ARGUMENT...]",
        _KEY + "dry-run",
        "run a command that is stored in the current scope",
        _EXEC_NOTES.replace("{0}", "KEY"),
        ("kyc deploy staging --force", "kyc --dry-run backup 'My Files'"),
    ),
    "kyv": (
        "history.log",
        "show",
        "[KEY]",
        _KEY + _HISTORY,
        "list what was changed in the current scope, newest first",
        _HISTORY_NOTES,
        ("kyv user.name", "kyv --since 2026-11-20 -n 20"),
    ),
    "kyr": (
        "history.recovery",
        "restore",
        "KEY",
        _KEY + "at at-version",
        "bring back an earlier value of a key",
        _RESTORE_NOTES,
        ("kyr user.name", "kyr user.name --version 3", "kyr user.name --at '1h ago'"),
    ),
    "kyrt": (
        "history.recovery",
        "restore_to",
        "TIME",
        _RESTORE_TO,
        "take the current scope back to its state at a time",
        _RESTORE_TO_NOTES,
        ("kyrt '10m ago' --dry-run", "kyrt 2026-11-20T13:55:00Z"),
    ),
    "kyco": (
        "history.retention",
        "compact",
        "[DAYS]",
        "vacuum",
        "purge old history and archived values",
        _COMPACT_NOTES,
        ("kyco", "kyco 90"),
    ),
    "kyfo": (
        "listing.search",
        "optimize",
        "",
        "",
        "merge the parts of the search index and check it",
        _OPTIMIZE_NOTES,
        ("kyfo",),
    ),
    "kyuse": (
        "scopes.scopes",
        "use",
        "[SCOPE]",
        "",
        "set or show the current scope",
        _USE_NOTES,
        ("kyuse alpha.prod", "kyuse"),
    ),
    "kyh": (
        "system.about",
        "show",
        "[NAME...]",
        "all",
        "show help",
        _HELP_NOTES,
        ("kyh kys", "kyh times"),
    ),
    "help": (
        "system.about",
        "show",
        "[NAME...]",
        "all",
        "show help, for one command or for all",
        _HELP_NOTES,
        ("kycli help", "kycli help --all", "kycli help admin create-cache", "kycli help times"),
    ),
    "version": ("system.about", "version", "", "", "show the version", "", ("kycli version",)),
}


class NoCommandError(UsageError):
    """There was nothing to do; the whole usage is the answer.

    Attributes:
        program: ``ky``, or None for ``kycli``.
    """

    def __init__(self, program: str | None) -> None:
        super().__init__("no command given")
        self.program = program


class Command:
    """One command of the registry.

    Attributes:
        name: its name in the registry, such as ``admin create-cache``.
        verb: the command of ``kycli`` that ``ky`` was asked for; "" for any other program.
        arguments: what it takes, as its usage line says.
        flags: the names of the flags it takes beside the universal ones.
        summary, notes, examples: for its help.

    Parameters:
        verb: make of the command what ``ky`` makes of it. That is the short command with
            the same function, where there is one; otherwise its addresses become keys.
    """

    __slots__ = (
        *("arguments", "examples", "flags", "function", "module"),
        *("name", "notes", "summary", "verb"),
    )

    def __init__(self, name: str, verb: bool = False) -> None:
        self.verb = name if verb else ""
        if verb:
            does = COMMANDS[name][:2]
            name = next((short for short in PROGRAMS if COMMANDS[short][:2] == does), name)
        self.name = name
        self.module, self.function, self.arguments, flags, *_ = COMMANDS[name]
        *_, self.summary, self.notes, self.examples = COMMANDS[name]
        if self.verb and name not in PROGRAMS and self.takes_keys:
            within = self.arguments.removeprefix("[PROJECT.NAMESPACE] ")
            self.arguments = within.replace("ADDRESS", "KEY")
            flags = flags.replace("ns-delim", "")
        self.flags = flags.split()

    def load(self) -> Callable[[Environment, list[str]], int]:
        """Import the function that does the work: environment and arguments to exit code."""
        module = __import__(f"kycli.cli.commands.{self.module}", None, None, (self.function,))
        function: Callable[[Environment, list[str]], int] = getattr(module, self.function)
        return function

    def takes(self, flag: str) -> bool:
        return flag in self.flags or flag in UNIVERSAL

    @property
    def is_short(self) -> bool:
        """Whether its arguments are keys of the scope in effect, and not addresses."""
        return self.verb != "" or self.name in PROGRAMS

    @property
    def takes_keys(self) -> bool:
        return any(word in self.arguments for word in KEYED)

    @property
    def called(self) -> str:
        """The name without the program: ``kyg``, ``get``."""
        return self.verb or self.name

    def full_name(self) -> str:
        """Return the name as it is typed: ``kyg``, ``kycli get``, ``ky get``."""
        if self.verb:
            return f"{KY} {self.verb}"
        return self.name if self.name in PROGRAMS else f"kycli {self.name}"

    def usage(self) -> str:
        """Return the usage line, ``kycli get [FLAGS] ADDRESS...``."""
        return f"{self.full_name()} [FLAGS] {self.arguments}".rstrip()

    def usage_hint(self) -> str:
        parts = self.parts()
        return f"it takes one of: {', '.join(parts)}" if parts else f"usage: {self.usage()}"

    def parts(self) -> list[str]:
        """Return the commands of this command, such as ``create-cache`` of ``admin``."""
        return [name[len(self.name) + 1 :] for name in COMMANDS if name.startswith(self.name + " ")]

    def check_count(self, arguments: list[str]) -> None:
        """Hold the number of arguments to the usage line.

        Raises:
            UsageError: naming what is missing or too much.
        """
        expected = self.arguments.split()
        required = [word for word in expected if word[0] != "["]
        if len(arguments) < len(required):
            missing = " and ".join(word.rstrip(".") for word in required[len(arguments) :])
            takes_input = missing in ("VALUE", "SUFFIX") and self.module in (
                "values.access",
                "documents.editing",
            )
            hint = GIVE_VALUE if takes_input else self.usage_hint()
            raise UsageError(f"'{self.called}' needs {missing}", hint=hint)
        if len(arguments) > len(expected) and "..." not in self.arguments:
            raise UsageError(
                f"'{self.called}' does not expect {arguments[len(expected)]!r}",
                hint=f"{self.usage_hint()}; quote what has blanks",
            )


def named(program: str | None, word: str) -> str:
    """Return the registry's name for what a program calls ``word``, or the word.

    ``ky g`` is ``kyg``, unless ``kycli`` has a command of that name.
    """
    name = ALIASES.get(word, word)
    if program == KY and name not in COMMANDS and KY + name in PROGRAMS:
        return KY + name
    return name


def resolve(program: str | None, words: list[str]) -> tuple[Command, list[str]]:
    """Find the command that ``words`` name, and return it with the words after it.

    Parameters:
        program: the short command that was called, ``ky``, or None for ``kycli``.
        words: everything that is no flag.

    Raises:
        NoCommandError: when there are no words.
        UsageError: for a command that does not exist, with the nearest names.
    """
    if program is not None and program != KY:
        return Command(program), words
    if not words:
        raise NoCommandError(program)
    name, rest = named(program, words[0]), words[1:]
    if rest and f"{name} {rest[0]}" in COMMANDS:
        name, rest = f"{name} {rest[0]}", rest[1:]
    elif name not in COMMANDS or " " in words[0]:
        raise unknown_command(words[0], [*COMMANDS, *ALIASES], program)
    if program == KY and name == "help":
        rest = [KY, *rest]  # its own help
    return Command(name, verb=program == KY and name not in PROGRAMS), rest


def unknown_command(name: str, known: list[str], program: str | None = None) -> UsageError:
    """Return the error for a command that is not ``known``, with the nearest of those."""
    from kycli.cli.suggest import nearest

    hint = nearest(name, known) or f"'{program or 'kycli'} help' lists the commands"
    return UsageError(f"unknown command {name!r}", hint=hint)


def unknown_part(command: Command, name: str) -> UsageError:
    """Return the error for a command of ``command`` that does not exist."""
    from kycli.cli.suggest import nearest

    hint = nearest(name, command.parts()) or command.usage_hint()
    return UsageError(f"unknown command '{command.name} {name}'", hint=hint)
