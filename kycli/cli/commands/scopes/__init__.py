"""Declarations of the commands for scopes, caches and what is set for a scope."""

from kycli.cli.commands import LISTING, PRINTED_NAMES, PRINTED_RECORDS, Command, Short

HEADING = "Scopes"

COMMANDS = (
    Command(
        "projects",
        "scopes.scopes.list_projects",
        "",
        "list the projects that hold keys or caches",
        flags=LISTING,
        meanings=PRINTED_NAMES,
        examples=("kycli projects",),
    ),
    Command(
        "namespaces",
        "scopes.scopes.list_namespaces",
        "",
        "list the namespaces of a project",
        flags="project " + LISTING,
        meanings={**PRINTED_NAMES, "project": "the project"},
        notes="""\
-p names the project. Keys outside any namespace are in 'default'. 'kycli nss'
lists the scopes of all projects.""",
        examples=("kycli namespaces -p alpha",),
    ),
    Command(
        "nss",
        "scopes.scopes.list_names",
        "",
        "list all scopes by name",
        flags=LISTING,
        meanings=PRINTED_NAMES,
        examples=("kycli nss", 'kycli nss | while read -r s; do kycli keys --scope "$s"; done'),
    ),
    Command(
        "list-scopes",
        "scopes.scopes.list_scopes",
        "",
        "list all scopes and mark the current one",
        flags="long " + LISTING,
        meanings=PRINTED_RECORDS,
        examples=("kycli list-scopes -l",),
    ),
    Command(
        "use",
        "scopes.scopes.use",
        "[SCOPE]",
        "set or show the current scope",
        flags="here",
        short=Short("kyuse", "kyuse alpha.prod", "kyuse --here alpha.prod", "kyuse"),
        notes="""\
SCOPE is PROJECT or PROJECT.NAMESPACE, with a dot whatever the delimiter is. It
is written into the config file in effect. Without SCOPE, the current scope is
printed on standard output, and where it comes from on standard error.
--here sets KYCLI_SCOPE in this shell instead, which 'unset KYCLI_SCOPE' takes
back. That needs the functions of 'kycli init'. In kyshell, --here switches that
shell and writes nothing.""",
        examples=("kycli use alpha.prod", "kycli use --here alpha.prod", "kycli use"),
        alone="transaction",
    ),
    Command(
        "prompt",
        "scopes.prompt.show",
        "",
        "print the current scope for the prompt of a shell",
        flags="format unless-default",
        meanings={"format": "what to print: '[{scope}] '; by default {scope}"},
        notes="""\
FORMAT may hold {scope}, {project} and {namespace}; {{ and }} are braces. The
database is not opened, so it takes less time than any other command. In a
prompt, send its messages to /dev/null, with 2>/dev/null.""",
        examples=(
            "kycli prompt",
            "kycli prompt --unless-default --format '[{scope}] '",
        ),
    ),
    Command(
        "rename-scope",
        "scopes.scopes.rename",
        "SCOPE NEW-NAME",
        "rename a scope with all its keys",
        examples=("kycli rename-scope alpha.test alpha.staging",),
    ),
    Command(
        "copy-scope",
        "scopes.scopes.copy",
        "SCOPE TO-SCOPE",
        "copy all keys of a scope",
        flags="on-conflict",
        notes="""\
Copies all keys or none, as one change of the history. The settings of the scope
are not copied. The exit code is 2 if there is no such scope.""",
        examples=("kycli copy-scope alpha.prod alpha.backup --on-conflict overwrite",),
    ),
    Command(
        "drop-scope",
        "scopes.scopes.drop",
        "SCOPE",
        "delete a scope with all its keys",
        flags="yes",
        notes="Asks first on a terminal, and needs -y elsewhere.",
        examples=("kycli drop-scope alpha.test -y",),
    ),
    Command(
        "admin",
        "scopes",
        "COMMAND...",
        "declare caches, and limit the history of scopes",
        examples=("kycli admin create-cache alpha.sessions timeout=1800",),
    ),
    Command(
        "admin create-cache",
        "scopes.admin.create_cache",
        "PROJECT.NAMESPACE timeout=TTL",
        "declare a cache with a default time to live",
        also="create-cache",
        notes="""\
Keys that are set in a cache without --ttl expire after the timeout: seconds, or
30s 5m 2h. 'kycli create-cache PROJECT.NAMESPACE TTL' does the same.""",
        examples=("kycli admin create-cache alpha.sessions timeout=1800",),
    ),
    Command(
        "admin set-cache",
        "scopes.admin.set_cache",
        "PROJECT.NAMESPACE timeout=TTL",
        "change the default time to live of a cache",
        notes="Existing keys keep their time to live.",
        examples=("kycli admin set-cache alpha.sessions timeout=2h",),
    ),
    Command(
        "admin drop-cache",
        "scopes.admin.drop_cache",
        "PROJECT.NAMESPACE",
        "make a cache a plain namespace again",
        examples=("kycli admin drop-cache alpha.sessions",),
    ),
    Command(
        "admin list-caches",
        "scopes.admin.list_caches",
        "",
        "list caches with their default time to live in seconds",
        flags=LISTING,
        meanings=PRINTED_RECORDS,
        examples=("kycli admin list-caches",),
    ),
    Command(
        "admin set-scope",
        "scopes.admin.set_scope",
        "SCOPE NAME=VALUE...",
        "limit the history of a scope",
        notes="""\
history_days=N: changes that are older are purged, except the newest of each
key. history_versions=N: each key keeps its newest N changes. archive_days=N:
older deleted and expired values are purged. NAME= removes a limit. Writes
enforce the limits step by step, so a key may have some more changes for a
while; 'kycli compact' enforces them at once. Without limits, everything is kept
until 'kycli compact' purges it.""",
        examples=(
            "kycli admin set-scope alpha.metrics history_versions=10 history_days=30",
            "kycli admin set-scope alpha.metrics history_days=",
        ),
    ),
    Command(
        "admin show-scope",
        "scopes.admin.show_scopes",
        "[SCOPE]",
        "list the limits of a scope, or of all scopes",
        flags=LISTING,
        meanings=PRINTED_RECORDS,
        examples=("kycli admin show-scope", "kycli admin show-scope alpha.metrics"),
    ),
)
