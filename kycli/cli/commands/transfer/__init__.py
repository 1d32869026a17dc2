"""Declarations of the commands that import and export files."""

from kycli.cli.commands import LISTING, SCOPE, Command, Short

HEADING = "Import and export"

_IMPORT_FLAGS = (
    "format prefix ttl key-column value-column scope-column time-column columns no-header "
    "delimiter quote encoding table on-conflict on-error rejects batch resume values-only "
    "index dry-run json"
)

COMMANDS = (
    Command(
        "import",
        "transfer.importing.import_files",
        "FILE...",
        "import keys from files",
        flags=SCOPE + _IMPORT_FLAGS,
        meanings={
            "scope": "where rows go that name no scope",
            "format": "the format; else the name of the file says it",
            "prefix": "put this text before each key",
            "ttl": "time to live of rows that name none",
            "on-conflict": "keys that exist: overwrite, skip, error, newer",
            "values-only": "of a kycli file, only keys and values",
            "dry-run": "change nothing, and count what would change",
            "json": "print what was done as JSON",
        },
        short=Short(
            "kyi",
            "kyi users.csv",
            "kyi users.csv --key-column id --columns '*'",
            "kyi big.csv.zst --batch 10000; kyi big.csv.zst --resume",
            "kyi data.csv --rejects bad.csv",
        ),
        notes="""\
Imports all of the files or, when anything fails, nothing; it is one change that
'kycli undo' reverts. FILE is '-' for standard input, which needs --format. The
formats are csv, tsv, json, jsonl, dotenv, nul, kycli, sqlite and prontodb.
gzip, xz and zstd are recognized.
A CSV file has a header with the columns key and value, unless flags say where
these are. JSON is an object, or a list of pairs or records. Keys that exist are
overwritten. --on-conflict newer overwrites those that are older than the row
(--time-column, by default updated_at) or, if it has no time, the file.
--rejects implies --on-error skip. --batch commits N rows at a time, so that
others can write in between. When such an import fails or is interrupted,
--resume continues it. It waits up to ten minutes for others who write. --index
leaves nothing to index for the first search.
A kycli file brings its scopes back as they were, with settings, versions and
times; they must be empty. If it has a history, the database must have none.
--values-only imports its keys like those of any other file.""",
        examples=(
            "kycli import users.csv --scope alpha.prod",
            "kycli import old.sqlite --table kv --key-column k --value-column v",
            "kycli scan --jsonl --scope a | kycli import --format jsonl - --scope b",
        ),
        alone="transaction",
    ),
    Command(
        "export",
        "transfer.exporting.export_file",
        "FILE [FORMAT]",
        "export keys to a file",
        flags=SCOPE + "all-scopes prefix plain history archive",
        meanings={
            "scope": "the scope; may be given several times",
            "all-scopes": "all scopes",
            "prefix": "only keys that begin with this literal text",
            "history": "also every change, and all archived values (kycli)",
            "archive": "also what 'kyr' can bring back (kycli)",
        },
        repeatable="scope",
        short=Short("kye", "kye keys.csv", "kye - jsonl | gzip > keys.jsonl.gz"),
        notes="""\
Writes the keys as of one moment, while others go on writing. FILE appears when
it is complete; '-' is standard output. On a terminal it asks before it replaces
a file; -y answers yes. FORMAT is csv, tsv, json, jsonl, dotenv, nul or kycli,
by default what the name of the file says, and csv for a name without an ending.
A name that ends in .gz, .xz or .zst is compressed. 'kycli import' reads back
what was exported, with types, times of expiry and scopes; dotenv and nul refuse
what they cannot hold. --plain writes keys and values as text and nothing else.
The format kycli holds all there is of a scope: also its settings and schema,
and versions and times of keys. --history and --archive are for this format.""",
        examples=(
            "kycli export keys.csv --scope alpha.prod",
            "kycli export all.jsonl.zst --all-scopes",
            "kycli export all.kycli.gz --all-scopes --history",
            "kycli export .env --scope alpha.prod --prefix DB_",
        ),
        alone="transaction",
    ),
    Command(
        "stream",
        "transfer.stream.stream",
        "",
        "save a stream of ProntoDB's tokens",
        flags=SCOPE + "ns-delim dry-run json",
        meanings={
            "scope": "where keys go before the first meta:path",
            "dry-run": "change nothing, and count what would change",
            "json": "print what was done as JSON",
        },
        alone="transaction",
        notes="""\
Reads tokens from standard input: key=value; and key__context=value;, and
directives for the keys after them. meta:path=PROJECT.NAMESPACE; (or meta:ns,
or meta:project and meta:namespace) says where they go, meta:ttl=TTL; how long
they live, until meta:ttl=;. meta:delim=CHAR; is the delimiter of paths, which
no key holds. In double quotes a key or value may hold anything, with \\" and
\\\\, \\n, \\r and \\t. The input is read to its end first; a bad token anywhere
changes nothing. Each scope is one transaction.""",
        examples=(
            "echo 'meta:path=alpha.prod; host=db-1; host__test=db-2;' | kycli stream",
            "kycli stream --dry-run < tokens.txt",
        ),
    ),
    Command(
        "mirror",
        "transfer",
        "COMMAND...",
        "keys as a directory of files, and back",
        examples=("kycli mirror export notes", "kycli mirror import notes"),
    ),
    Command(
        "mirror export",
        "transfer.mirror.export_mirror",
        "DIR",
        "write a file for each key",
        alone="transaction",
        flags=SCOPE + "prefix force dry-run json",
        meanings={
            "scope": "only this scope; may be given several times",
            "prefix": "only keys that begin with this literal text",
            "force": "overwrite files that were edited",
            "dry-run": "change nothing, and count what would change",
            "json": "print what was done as JSON",
        },
        repeatable="scope",
        notes="""\
Writes PROJECT/NAMESPACE/KEY, and PROJECT/NAMESPACE/CONTEXT/KEY for a key with a
context, as of one moment; all scopes, unless flags say which. What a file name
cannot hold is written as %XX. DIR is new, empty, or a mirror, which is brought
up to date: files that hold their value are not touched, files of keys that are
gone are removed, and files that were edited are kept. Text and bytes are as
they are, everything else is JSON. Types and times of expiry are in the file
DIR/.kycli-mirror.""",
        examples=(
            "kycli mirror export notes",
            "kycli mirror export notes --scope alpha.prod --prefix app:",
        ),
    ),
    Command(
        "mirror import",
        "transfer.mirror.import_mirror",
        "DIR",
        "read a mirror back",
        alone="transaction",
        flags=SCOPE + "prefix on-conflict delete strip-newline dry-run json",
        meanings={
            "scope": "only this scope; may be given several times",
            "prefix": "only keys that begin with this literal text",
            "on-conflict": "keys that exist: overwrite, skip, error, newer",
            "dry-run": "change nothing, and count what would change",
            "json": "print what was done as JSON",
        },
        repeatable="scope",
        notes="""\
Imports all files or, when anything fails, nothing; it is one change that
'kycli undo' reverts. An edited file keeps the type of its key, a new file is
text, or bytes if it is not UTF-8. --on-conflict newer leaves keys alone that
were changed after their file. Hidden files and those that end in '~' are
ignored.""",
        examples=("kycli mirror import notes", "kycli mirror import notes --delete"),
    ),
    Command(
        "backup",
        "transfer.backup.run",
        "[PATH]",
        "back up the database, or restore a backup",
        flags="restore list keep zstd force " + LISTING,
        meanings={
            "force": "replace a file that exists",
            "json": "print what was done, or the list, as JSON",
            "jsonl": "print each backup of the list as a line of JSON",
        },
        notes="""\
Copies the whole database as of one moment, while others read and write, checks
the copy, and prints its path. PATH is a file, or a directory in which the
backup gets a name with the time; without it that is 'backups' beside the
database. A name that ends in .zst, .gz or .xz is compressed. --keep removes the
oldest backups of this database from the directory, once the new one is
complete.
--restore checks the backup PATH, compressed or not, and puts it into the place
of the database, all at once. The database is kept beside it. Programs that have
it open write nothing more to it; they have to open it again.
--list prints time (UTC), size, state and path of each backup in the directory
PATH or the usual one; it looks at their beginnings only.""",
        examples=(
            "kycli backup",
            "kycli backup --zstd --keep 7",
            "kycli backup /mnt/disk/state.db.zst",
            "kycli backup --list",
            "kycli backup --restore /mnt/disk/state.db.zst",
        ),
        alone="process",
    ),
)
