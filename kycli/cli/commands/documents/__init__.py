"""Declarations of the commands that change part of a JSON value."""

from kycli.cli.commands import ADDRESS, VALUE_FORMATS, Command, Short

HEADING = "Documents"

COMMANDS = (
    Command(
        "patch",
        "documents.editing.patch",
        "ADDRESS [VALUE]",
        "set part of a JSON value",
        flags=ADDRESS + "json b64 merge json-patch path",
        meanings=VALUE_FORMATS,
        short=Short(
            "kypatch",
            "kypatch user.profile.email ada@example.org",
            "kypatch user.profile.age --json 25",
            "kypatch user.profile --merge '{\"age\": null}'",
            notes="If there is none, the text before the first . or [ becomes the key.",
        ),
        notes="""\
Sets the value at one path, and creates the objects that lead there. The key
keeps its time to live. VALUE is read as 'set' reads it: 25 is the text 25, and
--json 25 is the number. In place of VALUE, --merge JSON changes several members
and removes those that are null (RFC 7396), and --json-patch FILE applies all of
its operations or none (RFC 6902).""",
        examples=(
            "kycli patch alpha.prod.user --path '$.profile.age' --json 25",
            'kycli patch user --merge \'{"email": null, "age": 25}\'',
            "kycli patch user --json-patch changes.json",
        ),
    ),
    Command(
        "push",
        "documents.editing.push",
        "ADDRESS VALUE",
        "add to the end of a list",
        flags=ADDRESS + "unique json b64 path",
        meanings=VALUE_FORMATS,
        short=Short(
            "kypush",
            *("kypush tags new --unique", "date | kypush log -"),
            "kypush user.emails ada@example.org",
        ),
        notes="""\
Adds VALUE to the end of a list, which is created if there is no such key. VALUE
is read as 'set' reads it: as text, or as JSON with --json.""",
        examples=(
            "kycli push alpha.prod.tags new --unique",
            "kycli push user --path '$.tags' new",
        ),
    ),
    Command(
        "remove",
        "documents.editing.remove",
        "ADDRESS VALUE",
        "remove items from a list",
        flags=ADDRESS + "json b64 path",
        meanings=VALUE_FORMATS,
        short=Short("kyrem", "kyrem tags old"),
        notes="""\
Removes every item that is equal to VALUE, if there are any. VALUE is read as
'set' reads it, and types count: --json 5 removes the number, 5 the text. The
exit code is 2 if there is no such list.""",
        examples=("kycli remove alpha.prod.tags old",),
    ),
)
