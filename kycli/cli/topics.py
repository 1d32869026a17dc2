"""Help topics: what many commands share, explained once.

``kycli help TOPIC`` prints a topic; the documentation and the man page of ``kycli`` are made
from the same text. It is paragraphs of at most 80 columns, and lines that are indented by two
blanks, which are shown as they are.
"""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """One help topic.

    Attributes:
        summary: what it is about, in a few words.
        text: the topic itself.
        words: arguments and flags; a command that takes one of them points to the topic.
    """

    summary: str
    text: str
    words: tuple[str, ...] = ()


TOPICS = {
    "addresses": Topic(
        "keys, scopes, and how a command line names them",
        """\
Every key is in a scope, PROJECT or PROJECT.NAMESPACE. The same key in two
scopes is two keys. A key is any text of up to 4 KiB, dots included. The names
of projects and namespaces are letters, digits, '_' and '-'.

The short commands (kys, kyg, …) and 'ky VERB' take a KEY in the current scope.
Dots belong to the key:

  kys user.name Ada           key 'user.name', current scope
  ky incr user.visits         key 'user.visits', current scope

The commands of kycli take an ADDRESS:

  kycli get KEY               a key of the current scope
  kycli get NS.KEY            namespace NS of the current project
  kycli get PROJ.NS.KEY       scope PROJ.NS

With --scope SCOPE, -p PROJECT or -n NAMESPACE the argument is a key of that
scope; it must not contain the delimiter. --ns-delim CHAR (or the setting
ns_delim) replaces the dot in addresses, but not in the names of scopes.

--context NAME selects an overlay of the key: 'api_url' with --context prod is
the key 'api_url__prod'.

The current scope is the first of these that is set: --scope, or -p and -n; the
variable KYCLI_SCOPE; the setting current_scope, which 'kycli use SCOPE' writes;
'default'.

After '--', an argument that begins with '-' is not a flag.""",
        ("ADDRESS", "SOURCE", "PREFIX"),
    ),
    "values": Topic(
        "text, JSON and bytes",
        """\
A value is stored exactly as given: 007 stays 007. Nothing is guessed from what
it looks like.

  kys agent 007               text
  kys limit --json 7          a number; --json also takes true, null, "text",
                              lists and objects, and keeps their types
  kys logo --b64 iVBORw0K     bytes, given in base64
  kys logo - < logo.png       standard input, byte for byte

Standard input that is not UTF-8 is stored as bytes.

  kyg agent                   the value and a newline
  kyg logo --raw              the value and nothing else
  kyg limit --json            JSON; several keys make one object
  kyg limit --meta            a record with version, times and scope

A JSON value that is printed as text is canonical JSON (RFC 8785). Two
exceptions keep types intact: an integral float keeps its '.0', and an integer
keeps all its digits. Bytes inside JSON are {"$base64": "…"}.""",
        ("VALUE", "SUFFIX"),
    ),
    "expiry": Topic(
        "times to live, and caches",
        """\
A time to live (TTL) is a positive number of seconds, or a number with a unit.
Fractions are allowed, down to a millisecond.

  30s  5m  2h  1d  1w         seconds, minutes, hours, days, weeks
  1M  1y                      30 days, 365 days

  kys token abc --ttl 15m     set a key that expires
  ky expire token 1h          give an existing key a TTL
  ky ttl token                seconds left, rounded up; -1: does not expire
  ky persist token            remove the TTL

An expired key is gone for every command at the same millisecond. It goes to the
archive, from which 'kyr' restores it. A set without --ttl makes a key
permanent.

In a project's own scope (PROJECT) every key may have a TTL. In a namespace
(PROJECT.NAMESPACE) keys may expire only when the namespace is a cache. A cache
has a default TTL for keys that are set without one:

  kycli admin create-cache shop.sessions timeout=30m""",
        ("TTL", "ttl"),
    ),
    "times": Topic(
        "points in time: --at, --since, --until, kyrt",
        """\
A time is one of these:

  '2026-11-20 13:55:00'       ISO 8601; UTC, since it names no zone
  2026-11-20T13:55:00+01:00   with a zone
  2026-11-20                  midnight UTC
  1795182900                  seconds since 1970-01-01 UTC
  '10m ago'                   with the units s m h d w M y

Quote a time that contains a blank. Fractions of a second are read to the
millisecond. A time in the future is an error.

Histories print times in UTC, so a time copied from one names the same moment.
Times in JSON records are milliseconds since the epoch.""",
        ("TIME", "at", "since", "until"),
    ),
    "paths": Topic(
        "places inside a JSON value",
        """\
A path names a place inside a JSON value:

  .name  ["any name"]         a member of an object
  [0]  [-1]                   an item of a list; -1 is the last one
  [0:5]  [2:]                 a slice of a list; only for reading

The short commands and 'ky VERB' find the path in the argument. A key of exactly
that name comes first. Otherwise the longest key that the argument begins with
is read, and the rest is the path:

  kyg user.tags[0]            path .tags[0] in the value of 'user'

With --path the path stands alone, and the argument is only the key. A '$' may
stand before it:

  kycli get shop.prod.user --path '$.tags[0]'

Text that is a JSON object or list counts as JSON; null counts as missing. If
there is nothing at the path, the exit code is 2. To change a value at a path
that does not fit it is an error.""",
        ("path",),
    ),
    "patterns": Topic(
        "regular expressions and globs for keys",
        """\
'kyl PATTERN' takes a regular expression, which is matched from the start of the
key. 'kyl --glob GLOB' takes a shell pattern for the whole key. --prefix takes
literal text.

  kyl 'user\\.'                keys that begin with 'user.'
  kyl '.*\\.email$'            keys that end in '.email'
  kyl --glob '*.email'        the same
  kyl --prefix user.          keys that begin with 'user.'

The syntax is that of RE2: no pattern takes long, so there are no backreferences
and no lookaround. \\w, \\d and \\s are ASCII, \\pL is a letter of any script, \\z is
the end. In a glob, * ? [a-z] and [!a-z] have their usual meaning.

A pattern that begins with literal text reads only the keys that begin with it.""",
        ("PATTERN", "glob"),
    ),
    "conditions": Topic(
        "selecting keys by fields of their values",
        """\
'kycli scan SCOPE --where CONDITION' prints the keys whose values meet it:

  age > 30 and city = 'Paris'        also: != < <= >= between 1 and 5
  city in ('Paris', 'Rome')          one of several
  name like 'A%'                     % is any text, _ one character; any case
  name glob '[A-C]*'                 a shell pattern
  tags contains 'vip'                an item of a list, or a part of a text
  email is null or not active = true
  address.zip = '75001' and tags[0] = "new"
  @key glob 'user:*' and @updated > '1h ago'

A field is a path into the value; 'kycli help paths' explains these. Others are
@value (the value itself), @key, @version, @updated and @expires. Text stands in
single quotes, where '' is a quote, or is a JSON string.

Each comparison is true or false. Only values of one type compare: age > 30 is
false for text, and true is not 1. What is missing is null. != and 'not' are
true wherever the comparison is false, also for what is missing.

--order city,-age sorts: null first, then numbers, text, false and true.
'kycli create index SCOPE FIELD' makes =, in, <, >, between, like 'A%' and
--order fast.""",
        ("CONDITION", "where"),
    ),
    "queries": Topic(
        "what a search understands",
        """\
A search finds keys by words of the key and of the value, best match first.

  creme cafe                  both words, anywhere
  "connection refused"        a phrase
  err*                        words that begin with 'err'
  warning OR error            either; AND is implied and binds tighter
  error NOT debug             without the word 'debug'
  key:user  value:ada         only in the key, only in the value
  (a OR b) key:(c OR d)       groups

Operators are in capitals. Case and accents do not matter. Chinese, Japanese,
Korean and Thai are found by any part of a word. Text that is not a valid query
is searched as words, all of which must occur.""",
        ("QUERY", "search"),
    ),
    "schemas": Topic(
        "what the values of a scope must be",
        """\
A definition is JSON. The short form lists the members of an object:

  {"name": "str(1..80)", "age": "int(0..150)?", "tags": "list[str] = []"}

  str int float bool bytes any        plain types
  date datetime uuid decimal          text that is checked
  str(1..80) int(0..) list[str](1..5) limits of the length or the value
  str(/^[a-z]+$/)                     a regular expression, as of Rust
  enum(a, b)                          one of these
  list[int] dict[str,int]             lists, and objects with any members
  {"zip": "str"}                      an object with these members
  int?                                may be null or left out
  str = 'x'                           a default, JSON or quoted text

An object is optional when its name ends in '?': {"address?": {"zip": "str"}}.
A JSON Schema (draft 2020-12) is recognized by its words, such as "type".

Each write to the scope is held to its schema, and what is stored is what was
validated, with defaults. --lax converts types: text '36' becomes 36. --extra
says what becomes of unknown members: forbid them, ignore (leave out) or keep.
""",
        ("schema",),
    ),
    "output": Topic(
        "formats, colours and prompts",
        """\
Standard output is data. Everything else goes to standard error.

  -0                          end each item with NUL instead of a newline
  --json                      one JSON text
  --jsonl                     one JSON text per line
  -q                          no remarks and no progress on standard error

JSON output loses nothing, and what one command prints another can read.

On a terminal, histories are a table in your $PAGER, control characters are
escaped, and some output is coloured (NO_COLOR switches that off). Elsewhere
output is byte for byte.

A question is asked only when standard input is a terminal; -y answers it. In a
script, a command that would ask fails without -y.""",
    ),
    "exit-codes": Topic(
        "what a script can rely on",
        """\
  0     done
  1     an error; a line on standard error says what is wrong. Nothing was
        changed, unless only printing the result failed
  2     what was named does not exist: a key (missing or expired), a place
        inside a value, a scope, a cache, a setting to unset
  130   interrupted; a shell ends its loop, too

With 2, standard output is empty. Of several keys, those that exist are printed,
or deleted. A closed pipe is no error.

'kyc', 'kycli exec' and 'kycli run' exit with the code of the program they run.
KYCLI_DEBUG=1 shows where an error comes from.""",
    ),
    "files": Topic(
        "the database, the config file and environment variables",
        """\
The database is the first of these that is set:

  -d PATH                     a file, or a directory that holds kycli.db
  KYCLI_DB_PATH               the same
  db_path                     the setting
  $XDG_DATA_HOME/kycli/kycli.db   (~/.local/share/kycli/kycli.db)

The config file is the first of these that exists:

  $KYCLI_CONFIG               this file and no other, when it is set
  .kyclirc, .kyclirc.json     in the working directory, or the nearest above it
  ~/.kyclirc, ~/.kyclirc.json
  $XDG_CONFIG_HOME/kycli/config.json   (~/.config/kycli/config.json)

.kyclirc is TOML or JSON. The settings:

  db_path                     the database; relative to the config file
  current_scope               the scope of short commands and addresses
  ns_delim                    the delimiter of addresses, by default '.'
  durability                  normal (default), or full: survive a power cut
  busy_timeout_ms             how long to wait for a lock, by default 5000
  shell_keys                  of kyshell: emacs (default) or vi
  shell_pager                 of kyshell: on (default), or off for no pages

  kycli config                each setting, its value and where it comes from
  kycli config set NAME VALUE write a setting

Further variables: KYCLI_SCOPE (the current scope), KYCLI_MASTER_KEY (for values
that an earlier KyCLI encrypted), KYCLI_SERVER_IDLE (how long the server runs
without a call), KYCLI_DEBUG=1 (tracebacks), NO_COLOR, PAGER.""",
    ),
}
"""Name -> topic, in the order of the help. No topic has the name of a command."""


def related(arguments: str, flags: list[str]) -> list[str]:
    """Return the names of the topics that explain what a command takes.

    Parameters:
        arguments: those of its usage line.
        flags: the names of its own flags.
    """
    taken = {word.strip("[].") for word in arguments.split()} | set(flags)
    return [name for name, topic in TOPICS.items() if taken & set(topic.words)]
