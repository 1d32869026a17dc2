"""What messages advise: each command that one names exists, takes what is shown, and works."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.harness import Call, Result

from kycli.cli.commands import KY, aliases, all_commands, short_names
from kycli.cli.parse import parse
from kycli.errors import UsageError

COMMANDS = all_commands()
ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "kycli").rglob("*.py"))
ENGINE = sorted(path for end in ("pyx", "pxi") for path in (ROOT / "kycli").rglob(f"*.{end}"))
FIRST_WORDS = {name.partition(" ")[0] for name in (*COMMANDS, *aliases())}

PROGRAM = rf"(?:kycli|{KY}|{'|'.join(short_names())})"
MENTION = re.compile(rf"(?<![\w./-])({PROGRAM})\s+([^\s'\"]+)")
# In a message a command is in quotes, or it is the end: behind a colon, or a pipe.
SHOWN = re.compile(rf"'({PROGRAM} [^']+)'|(?:: |\| )({PROGRAM} .+)$")


def names_a_command(mention: re.Match[str]) -> bool:
    """Tell ``kycli get`` from a sentence about kycli."""
    program, word = mention.groups()
    return program != "kycli" or word in FIRST_WORDS


def check(line: str, *, may_be_a_name: bool = False) -> None:
    """Parse a command line as the program that it begins with would.

    Parameters:
        may_be_a_name: whether a command may be named without its arguments.
    """
    program, *words = shlex.split(line)
    try:
        command, _, arguments = parse(words, None if program == "kycli" else program)
    except UsageError as error:
        if may_be_a_name and " needs " in str(error):
            return
        raise
    assert not (command.parts() and arguments), f"{line!r} names no command"


# What the sources say


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines; ``x`` for what is filled in later."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)  # a docstring
        if isinstance(node, ast.JoinedStr):
            skipped.update(set(ast.walk(node)) - {node})
            parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.lineno, node.value


def test_commands_in_messages_are_commands() -> None:
    checked = 0
    for path in SOURCES:
        if path.name == "topics.py" or ("commands" in path.parts and path.name == "__init__.py"):
            continue  # their examples have tests of their own
        for number, text in texts(path):
            where = f"{path.relative_to(ROOT)}:{number}: {text!r}"
            shown = list(SHOWN.finditer(text))
            for mention in filter(names_a_command, MENTION.finditer(text)):
                around = [s for s in shown if s.start() <= mention.start() < s.end()]
                assert around, f"{where}: put the command in quotes, or last behind a colon"
            for match in shown:
                line = match[1] or match[2]
                if "VERB" in line or line.startswith("kycli COMMAND"):
                    continue
                checked += 1
                try:
                    check(line.replace("COMMAND", "get"))
                except Exception as error:
                    pytest.fail(f"{where}: {error}")
    assert checked > 15


def test_the_engine_names_no_command() -> None:
    for path in ENGINE:
        for line in path.read_text(encoding="utf-8").splitlines():
            found = filter(names_a_command, MENTION.finditer(line))
            assert not list(found) or "``" in line or '"""' in line, f"{path.name}: {line}"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_in_help_are_commands(name: str) -> None:
    notes = COMMANDS[name].notes
    for mention in filter(names_a_command, MENTION.finditer(notes)):
        line = re.split(r"'|[.;,)](?=\s|$)", notes[mention.start() :], maxsplit=1)[0]
        check(line, may_be_a_name=True)


PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", *PAGES])
def test_commands_in_documents_are_commands(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
    found = [code for code in inline if re.match(rf"{PROGRAM} ", code)]
    assert found or document in PAGES
    for line in found:
        if "VERB" not in line and "COMMAND" not in line:
            check(line.split(" | ")[0], may_be_a_name=True)


# What happens

SAMPLES = {
    "SEC": "60",
    "PROJECT": "alpha",
    "NAME VALUE": "durability full",
    "KEY VALUE": "k [2]",
    "KEY": "k",
    "…": "5m",
}


def advised(result: Result) -> list[str]:
    """Return the commands that a message shows."""
    found = [
        match[1] or match[2]
        for line in result.err.splitlines()
        for match in SHOWN.finditer(re.sub(r"\Wusage: .*", "", line))
    ]
    for placeholder, sample in SAMPLES.items():
        found = [line.replace(placeholder, sample) for line in found]
    return found


@pytest.mark.parametrize(
    ("before", "line", "expected"),
    [
        ([], "kycli admin set-cache p timeout=5", ["kycli admin create-cache p.cache timeout=60"]),
        ([], "kycli admin drop-cache p.n", ["kycli admin list-caches"]),
        (["kys k text"], "kypush k 1", ["kys --json k [2]"]),
        ([], "kycli admin create-cache p 5", ["kycli admin create-cache p.cache timeout=60"]),
        ([], "kycli admin set-cache p.n 5", ["kycli admin create-cache p.n timeout=60"]),
        ([], "kycli set p.n.k v --ttl 5", ["kycli admin create-cache p.n timeout=60"]),
        ([], "kycli expire p.n.k 5", ["kycli admin create-cache p.n timeout=60"]),
        (
            ["kycli create-cache p.n 5"],
            "kycli create-cache p.n 5",
            ["kycli admin set-cache p.n timeout=60"],
        ),
        ([], "kycli namespaces", ["kycli namespaces -p alpha", "kycli nss"]),
        ([], "kycli config path", ["kycli config set durability full"]),
        ([], "kycli undo x", ["kycli history"]),
        (["kys k v"], "kycli undo 99", ["kycli history"]),
        (["kys k v"], "kyr k --version 9", ["kyv --scope default -- k"]),
        (
            ["kys -n a 'it is.k' v"],
            "kyr -n a 'it is.k' --version 9",
            ["kyv --scope default.a -- 'it is.k'"],
        ),
        (["kys k v"], "kyd --prefix ''", ["kycli drop-scope default"]),
        (
            ["kycli set a.b.k v", "kycli rename-scope a.b a.c"],
            "kycli undo --scope a.c",
            ["kycli rename-scope a.c a.b", "kycli history --scope a.c"],
        ),
        (
            ["kycli set a.b.k v", "kycli use a.b"],
            "kycli rename-scope a.b a.c",
            ["kycli use a.c"],
        ),
        ([], "kycli", ["kycli help get"]),
        ([], "kycli nope", ["kycli help"]),
        ([], "ky nope", ["ky help"]),
        ([], "kycli migrate --into x", ["kycli help migrate"]),
        (["kys user.n 1"], "kycli incr user.n", ["ky incr user.n"]),
        (["kys user.n 1"], "kycli expire user.n 1", ["ky expire user.n 5m"]),
        (["kys user.n 1"], "kycli keys user.n", ["ky keys user.n"]),
        (["kys user.n 1"], "kycli scan user.n", ["ky scan user.n"]),
    ],
)
def test_advice_works(call: Call, before: list[str], line: str, expected: list[str]) -> None:
    def run(text: str, *more: str) -> Result:
        program, *words = shlex.split(text)
        return call(program, *words, *more)

    for command in before:
        assert run(command).code == 0
    result = run(line)
    commands = [text.replace("COMMAND", "get") for text in advised(result)]
    assert [text for text in commands if text in expected] == expected, result.err
    for text in expected:
        done = run(text, *(["-y"] if "drop-scope" in text else []))
        assert done.code == 0, (text, done.err)
        assert "hint:" not in done.err


@pytest.mark.parametrize(
    ("line", "name"),
    [("kyco -5", "DAYS"), ("kyco 1e99", "DAYS"), ("kycli compact nan", "DAYS")],
)
def test_messages_speak_of_the_command_line_and_not_of_python(
    call: Call, line: str, name: str
) -> None:
    program, *words = shlex.split(line)
    result = call(program, *words)
    assert result.failed_clearly
    assert name in result.err
    assert "retention_days" not in result.err


def test_kinds_of_values_have_the_names_of_json(call: Call) -> None:
    call("kys", "k", "--json", "{}")
    result = call("kycli", "append", "k", "x")
    assert result.failed_clearly
    assert "is an object, neither text nor bytes" in result.err
