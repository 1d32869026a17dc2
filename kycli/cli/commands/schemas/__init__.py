"""Declarations of the commands for schemas."""

from kycli.cli.commands import LISTING, PRINTED_RECORDS, Command

HEADING = "Scopes"

_DEFINED = "model keys lax extra existing to dry-run json"
_MEANINGS = {
    "schema": "a file with the definition; - reads it",
    "keys": "only for keys that match this shell pattern",
    "to": "with --existing move: the scope",
    "dry-run": "change nothing, and list keys that do not meet it",
    "json": "print what was done as JSON",
}
_FORMS = """\
A definition is JSON: the short form, such as {"name": "str", "age": "int?"}, or
a JSON Schema. 'kycli help schemas' explains both."""
_EXISTING = """\
If the scope has keys, all of them are checked first, and keys that do not meet
the schema are listed and refuse it. --existing keep leaves them as they are,
--existing reject deletes them, --existing move --to SCOPE moves them."""

COMMANDS = (
    Command(
        "create",
        "schemas",
        "COMMAND...",
        "declare the schema of a scope, or an index",
        examples=("kycli create table users --schema users.json", "kycli create index users age"),
    ),
    Command(
        "create index",
        "schemas.indexes.create",
        "SCOPE FIELD",
        "make selecting by a field fast",
        notes="""\
FIELD is a path into the values, such as address.zip, or @value. 'kycli scan
--where' and '--order' use the index, which --explain shows. While it is built,
other writers wait: a few seconds for a million keys. Then writes in SCOPE, and
in no other scope, take a little longer.""",
        examples=("kycli create index users age", "kycli create index users address.zip"),
    ),
    Command(
        "drop",
        "schemas",
        "COMMAND...",
        "drop an index",
        examples=("kycli drop index users age",),
    ),
    Command(
        "drop index",
        "schemas.indexes.drop",
        "SCOPE FIELD",
        "drop the index on a field",
        notes="The exit code is 2 if there is none.",
        examples=("kycli drop index users age",),
    ),
    Command(
        "indexes",
        "schemas.indexes.show",
        "[SCOPE]",
        "list the indexes on fields",
        flags=LISTING,
        meanings=PRINTED_RECORDS,
        examples=("kycli indexes", "kycli indexes users --json"),
    ),
    Command(
        "create table",
        "schemas.setting.create_table",
        "SCOPE",
        "give a scope a schema that it did not have",
        also="create-table",
        flags="schema " + _DEFINED,
        meanings=_MEANINGS,
        notes=f"{_FORMS}\n{_EXISTING}",
        examples=(
            "kycli create table users --schema users.json",
            "kycli create table orders --model shop.models:Order",
        ),
    ),
    Command(
        "schema",
        "schemas",
        "COMMAND...",
        "say what the values of a scope must be",
        examples=("kycli schema set users users.json", "kycli schema check users"),
    ),
    Command(
        "schema set",
        "schemas.setting.set_schema",
        "SCOPE [FILE]",
        "set or change the schema of a scope",
        flags=_DEFINED,
        meanings=_MEANINGS,
        notes=f"""\
FILE is '-' for standard input.
{_FORMS}
{_EXISTING}
A change that every value meets, such as a new optional member, checks nothing.""",
        examples=(
            "kycli schema set users users.json",
            "kycli schema set users users.json --dry-run",
            "echo '{\"age\": \"int(0..150)\"}' | kycli schema set users - --keys 'user:*'",
        ),
    ),
    Command(
        "schema show",
        "schemas.showing.show",
        "[SCOPE]",
        "show a schema, or list the scopes that have one",
        flags=LISTING,
        meanings=PRINTED_RECORDS,
        examples=("kycli schema show users", "kycli schema show"),
    ),
    Command(
        "schema check",
        "schemas.showing.check",
        "SCOPE",
        "list the keys whose values do not meet the schema",
        flags=LISTING,
        meanings=PRINTED_RECORDS,
        notes="""\
Writes by other programs, in plain SQL, are not held to a schema. The exit code
is 1 if there are such keys, and 2 if the scope has no schema.""",
        examples=("kycli schema check users",),
    ),
    Command(
        "schema drop",
        "schemas.setting.drop",
        "SCOPE",
        "drop the schema of a scope",
        flags="keys",
        meanings={"keys": "only the definition for this pattern"},
        notes="The values stay as they are. The exit code is 2 if there is none.",
        examples=("kycli schema drop users",),
    ),
    Command(
        "schema export",
        "schemas.showing.export",
        "SCOPE",
        "print the schema of a scope as JSON Schema",
        flags="keys",
        meanings={"keys": "the definition for this pattern"},
        examples=("kycli schema export users > users.schema.json",),
    ),
    Command(
        "schema infer",
        "schemas.showing.infer",
        "SCOPE",
        "propose a schema from the values of a scope",
        flags="prefix",
        meanings={"prefix": "only keys that begin with this literal text"},
        notes="""\
Prints a definition in the short form that every value meets. Look at it before
you set it.""",
        examples=("kycli schema infer users > users.json",),
    ),
)
