"""Declarations of the commands that run other programs."""

from kycli.cli.commands import ADDRESS, SCOPE, Command, Short

HEADING = "Running programs"

_VARIABLES_FLAGS = SCOPE + "prefix upper map"
_VARIABLES_MEANINGS = {
    "map": "names of variables: KEY=NAME,KEY=NAME",
    "scope": "the scope; may be given several times",
}
_VARIABLES_NOTES = """\
--scope may be given several times; the last scope that has a variable wins.
--prefix selects keys. A key that is no name of a variable (letters, digits and
_, no digit first) is skipped, and reported on standard error. --upper turns
every key into a name: db.host is DB_HOST. --map KEY=NAME names single keys. Two
keys of one scope with the same name, or a value with a NUL, are an error."""

COMMANDS = (
    Command(
        "exec",
        "programs.running.execute",
        "ADDRESS [ARGUMENT...]",
        "run a stored command",
        flags=ADDRESS + "dry-run",
        meanings={"dry-run": "print the command and do not run it"},
        short=Short("kyc", "kyc deploy staging --force", "kyc --dry-run backup 'My Files'"),
        notes="""\
Runs the stored text with sh, and exits with its exit code. Each ARGUMENT is one
word, whatever it contains. Text that uses $1 … $9, $@, $* or $# outside single
quotes gets the arguments there: kys hi 'echo "$1, hi"'. Otherwise they are
added to the end of the text, which must then be one simple command. After
anything else (; & |, an assignment, if … fi, a comment) an argument could
become a command, so it is refused. --dry-run prints what would run. All words
after ADDRESS belong to the command, so flags of kycli come before it.""",
        examples=(
            "kycli exec alpha.tools.deploy staging",
            "kycli exec --dry-run backup 'My Files'",
        ),
        alone="process",
    ),
    Command(
        "run",
        "programs.running.run",
        "COMMAND [ARGUMENT...]",
        "run a command with the keys of a scope in its environment",
        flags=_VARIABLES_FLAGS,
        meanings=_VARIABLES_MEANINGS,
        repeatable="scope map",
        notes=f"""\
Runs COMMAND with the keys of the scope as environment variables, and exits with
its exit code. Flags of kycli come before COMMAND.
{_VARIABLES_NOTES}""",
        examples=(
            "kycli run --scope alpha.prod -- make deploy",
            "kycli run --prefix DB_ -- env",
            "kycli run --scope alpha --scope alpha.prod --upper -- ./server",
        ),
        alone="process",
    ),
    Command(
        "env",
        "programs.running.print_variables",
        "",
        "print the keys of a scope as environment variables",
        flags=_VARIABLES_FLAGS + " format",
        meanings=_VARIABLES_MEANINGS,
        repeatable="scope map",
        notes=f"""\
Prints the keys of the scope as the variables that 'run' sets, quoted so that
nothing in a value is ever executed. dotenv quotes only what needs it, and sh
can read it too. In json, a value that is not UTF-8 is {{"$base64": …}}.
{_VARIABLES_NOTES}""",
        examples=(
            'eval "$(kycli env --scope alpha.prod)"',
            "kycli env --format fish | source",
            "kycli env --format dotenv > .env",
        ),
    ),
    Command(
        "batch",
        "programs.batch.batch",
        "",
        "run commands from standard input in one process",
        flags=SCOPE + "null jsonl atomic stop strict",
        meanings={
            "scope": "the current scope of the commands",
            "null": "commands and replies are words with NUL",
            "jsonl": "commands and replies are lines of JSON",
        },
        alone="process",
        notes="""\
Reads commands as they are typed after 'kycli', one per line, and replies to
each. Words are quoted as in a shell; nothing is expanded. A reply is a line of
three numbers, the exit code and how many bytes the command wrote to standard
output and to standard error, and then these bytes. With --jsonl a command is
["set","key","value"] or {"argv":["set","key","-"],"stdin":"value"}, and a reply
{"code":0,"err":"","out":""}. With -0 a command is the number of its words and
the words, each with a NUL; so is a reply, with the two lengths after the exit
code. Each command commits before its reply, and is a change of its own. With
--atomic all of them are one transaction, which the exit code 0 of the batch
confirms. Otherwise the exit code is 1 if any command failed. A missing key is
no failure unless --strict is given.""",
        examples=(
            "kycli batch < commands.txt",
            "kycli batch --atomic < commands.txt",
            "kycli batch --jsonl",
        ),
    ),
    Command(
        "shell",
        "programs.shell.start",
        "",
        "the interactive shell",
        flags=SCOPE,
        meanings={"scope": "the scope to begin in"},
        short=Short("kyshell", "kyshell", "kyshell --scope alpha.prod", "kyshell < commands.txt"),
        notes="""\
Every command works as on the command line, without 'kycli' before it. Tab
completes, Ctrl-R searches the history, F1 explains the command that is being
typed, F2 and F3 show and hide the panes, Ctrl-C stops a command, Ctrl-D leaves.
A line that begins with a blank, or that seems to hold a secret, is not kept in
the history. 'begin' begins a transaction, and 'diff' shows what it would
change. If standard input is no terminal, it is read as a script: a command a
line, quoted as for 'kycli batch'. The script stops at the first command whose
exit code is not 0, and the shell has that exit code.""",
        examples=("kycli shell", "kycli shell -d copy.db", "kycli shell < commands.txt"),
        alone="process",
    ),
    Command(
        "begin",
        "programs.shell.begin",
        "",
        "begin a transaction, in the shell",
        notes="""\
Until 'commit' or 'rollback', what the commands of this shell change is staged:
nobody else sees it. Others can read meanwhile, but writing has to wait, and
fails after busy_timeout_ms (5 seconds).""",
        examples=("kycli begin",),
    ),
    Command(
        "commit",
        "programs.shell.commit",
        "",
        "keep what the transaction of the shell has changed",
        examples=("kycli commit",),
    ),
    Command(
        "rollback",
        "programs.shell.rollback",
        "",
        "undo what the transaction of the shell has changed",
        examples=("kycli rollback",),
    ),
    Command(
        "exit",
        "programs.shell.leave",
        "",
        "leave the shell",
        also="quit",
        notes="If a transaction is open, you are asked what becomes of it.",
        examples=("kycli exit",),
    ),
)
