"""Declarations of the commands for the database file, the configuration and help."""

from kycli.cli.commands import LISTING, PRINTED_RECORDS, Command, Short

HEADING = "Other"

_IN_EFFECT = "scope project namespace ns-delim "

COMMANDS = (
    Command(
        "doctor",
        "system.doctor.examine",
        "",
        "check the database, and repair it",
        flags="repair json jsonl null",
        meanings=PRINTED_RECORDS,
        notes="""\
Reads the whole database: every page of the file, whether keys, history and
archive are consistent, the digests of large values, and every word of the
search index. Repairs what can be rebuilt: the search index, SQLite's own
indexes, triggers. Prints permissions, format, size of the -wal, file system and
pages, and a line for each problem. The exit code is 0 if the database is sound
or was repaired, and 1 otherwise.
--repair saves what can be read of a damaged file into a new database beside it,
and prints what was lost. The damaged file is not changed. On a terminal you are
asked whether the new database shall take its place; -y answers yes.""",
        examples=("kycli doctor", "kycli doctor --repair", "kycli doctor -d backup.db"),
        alone="process",
    ),
    Command(
        "migrate",
        "system.migration.run",
        "[PATH...]",
        "bring databases of earlier KyCLI versions to this one",
        flags="dry-run backup no-backup from into map decrypt " + LISTING,
        meanings=PRINTED_RECORDS,
        repeatable="map",
        notes="""\
Migrates the database in place, all of it or nothing, and keeps a copy beside
it. No other process may have it open. With --from, each named file (workspaces
of KyCLI 0.2 to 0.4, and older databases) becomes a scope of its own name, or of
the name that --map gives; without PATH, the files in their usual places do.
Without --from and PATH, and if the database in effect is of this version, it
says which files there are.
Migrated keys keep ignoring case. Encrypted values and queue items stay
encrypted unless --decrypt is given. The key is KYCLI_MASTER_KEY (one key a
line), or it is asked for on the terminal.
What cannot be kept as it is, such as a key that has to be renamed, is listed
and kept in the scope NAME.migration. --dry-run counts and changes nothing.""",
        examples=(
            "kycli migrate ~/kydata.db",
            "kycli migrate ~/kydata.db --dry-run",
            "kycli migrate --from ~/.kycli/data/work.db --map work=office",
        ),
        alone="process",
    ),
    Command(
        "install",
        "system.install.install",
        "[SHELL...]",
        "set up shells, completion and manual pages",
        flags="dry-run",
        meanings={"dry-run": "write nothing, and show what would be written"},
        notes="""\
Adds marked lines to ~/.bashrc, $ZDOTDIR/.zshrc or ~/.zshrc, and fish's conf.d.
Shows what it will write, and asks. Without SHELL (bash, zsh or fish) it sets up
the shell of your login and those that have a config. Links the manual pages
where 'man' would not find them otherwise. Asks whether commands may start the
server. Doing it again changes nothing, or brings the lines up to date.""",
        examples=("kycli install", "kycli install zsh --dry-run", "kycli install bash -y"),
        alone="process",
    ),
    Command(
        "uninstall",
        "system.install.uninstall",
        "[SHELL...]",
        "take back what 'install' did; --purge: and delete the data",
        flags="purge dry-run",
        meanings={"dry-run": "remove nothing, and show what would be removed"},
        notes="""\
Removes the marked lines, the links to manual pages and the leave to start the
server; the package stays. --purge also deletes the directories of kycli's data
and settings: it names what is in them, and asks separately. Databases elsewhere
are kept.""",
        examples=("kycli uninstall", "kycli uninstall --purge --dry-run"),
        alone="process",
    ),
    Command(
        "completion",
        "system.completion.complete",
        "SHELL [ARGUMENT...]",
        "complete commands, flags, scopes and keys in a shell",
        notes="""\
Prints the script that makes bash, zsh or fish complete kycli and its short
commands with the TAB key. The script calls this command again, with what is
typed as ARGUMENTS, for each completion. 'kycli install' sets it up for good.""",
        examples=(
            'eval "$(kycli completion bash)"',
            "kycli completion fish | source",
        ),
    ),
    Command(
        "config",
        "system.config.show",
        "[COMMAND...]",
        "show or change the settings",
        flags=_IN_EFFECT + LISTING,
        meanings=PRINTED_RECORDS,
        notes="Without COMMAND, prints each setting, its value and where it comes from.",
        examples=("kycli config", "kycli config set current_scope alpha.prod"),
    ),
    Command(
        "config get",
        "system.config.get",
        "NAME",
        "print a setting",
        flags=_IN_EFFECT,
        examples=("kycli config get db_path",),
    ),
    Command(
        "config set",
        "system.config.change",
        "NAME VALUE",
        "write a setting into the config file in effect",
        examples=("kycli config set durability full",),
        alone="transaction",
    ),
    Command(
        "config unset",
        "system.config.unset",
        "NAME",
        "remove a setting from the config file in effect",
        examples=("kycli config unset ns_delim",),
        alone="transaction",
    ),
    Command(
        "config path",
        "system.config.print_path",
        "",
        "print the path of the config file in effect",
        examples=("kycli config path",),
    ),
    Command(
        "server",
        "system",
        "COMMAND...",
        "the process that runs commands for shells and clients",
        notes="""\
The server keeps the program loaded and databases open, so that the commands of
the native client and of zsh and fish cost little. It belongs to one user and
one version of kycli, serves all databases of that user, closes each after a
second without calls, and ends after 10 minutes without calls. Every command
works without it, too.""",
        examples=("kycli server start", "kycli server status"),
    ),
    Command(
        "server status",
        "system.server.status",
        "",
        "show whether the server runs; exit 1 when it does not",
        flags="json",
        meanings={"json": "print one JSON object"},
        examples=("kycli server status",),
        alone="process",
    ),
    Command(
        "server start",
        "system.server.start",
        "",
        "start the server, unless it runs",
        examples=("kycli server start",),
        alone="process",
    ),
    Command(
        "server stop",
        "system.server.stop",
        "",
        "stop the server, after what it is doing",
        examples=("kycli server stop",),
        alone="process",
    ),
    Command(
        "server restart",
        "system.server.restart",
        "",
        "stop the server, and start it again",
        examples=("kycli server restart",),
        alone="process",
    ),
    Command(
        "server enable",
        "system.server.enable",
        "",
        "let the native client start the server when there is none",
        examples=("kycli server enable",),
        alone="process",
    ),
    Command(
        "server disable",
        "system.server.disable",
        "",
        "never start the server but by 'kycli server start'",
        examples=("kycli server disable",),
        alone="process",
    ),
    Command(
        "init",
        "system.init.print_script",
        "SHELL",
        "print functions that make the commands fast in a shell",
        flags="export",
        notes="""\
SHELL is bash, zsh or fish. What is printed defines the commands as functions of
that shell. They do what the commands do, and start no process for it: the first
call starts a server, which ends with the shell. After the name of a function,
-v VAR sets a variable, and -a ARRAY an array. Where the functions cannot work,
the commands serve. With --export, 'bash -c' and what runs it have the
functions too, and each program has them in its environment.""",
        examples=(
            """eval "$(kycli init bash)"    # in ~/.bashrc, or a script""",
            """eval "$(kycli init zsh)"     # in ~/.zshrc""",
            """kycli init fish | source    # in config.fish""",
        ),
    ),
    Command(
        "help",
        "system.about.show_help",
        "[NAME...]",
        "show help, for one command or for all",
        flags="all",
        short=Short("kyh", "kyh kys", "kyh times"),
        notes="""\
NAME is a command or a topic. Without it, the commands are listed on one screen;
with --all, each with a summary. 'man kyg' shows the same as a manual page.""",
        examples=(
            "kycli help",
            "kycli help --all",
            "kycli help admin create-cache",
            "kycli help times",
        ),
    ),
    Command(
        "version", "system.about.show_version", "", "show the version", examples=("kycli version",)
    ),
)
