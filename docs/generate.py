"""The references, made from their sources: Markdown for ``docs/``, manual pages for ``man``.

    python docs/generate.py reference DIRECTORY   commands, topics and the API, as Markdown
    python docs/generate.py man DIRECTORY         kycli.1, ky.1, and one for each short command

Commands come from the registry, topics from ``kycli.cli.topics``, signatures from the stub of
the engine. It needs this checkout and nothing else: no engine and no package.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The registry of this checkout, and not of an installed kycli, without the engine.
for _package in ("kycli", "kycli.cli"):
    _module = types.ModuleType(_package)
    _module.__path__ = [str(ROOT.joinpath(*_package.split(".")))]
    sys.modules[_package] = _module

from kycli.cli.commands import KY, Command, short_names  # noqa: E402
from kycli.cli.help import (  # noqa: E402
    INTRODUCTION,
    KY_INTRODUCTION,
    WHAT,
    FlagHelp,
    examples,
    flags_of,
    notes_of,
    sections,
    short_commands,
    topics_of,
)
from kycli.cli.topics import TOPICS  # noqa: E402

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
COLUMNS = 80
STUB = ROOT / "kycli" / "core" / "storage.pyi"
GENERATED = "<!-- made by docs/generate.py -->\n\n"

# A command in quotes, or a flag.
_PROGRAM = "|".join(("kycli", KY, *short_names()))
_CODE = re.compile(rf"'((?:{_PROGRAM})(?: [^'\n]+)?)'|(?<![\w-])(--?[a-z][\w-]*)")


# Texts of the help: paragraphs, and lines indented by two blanks that stay as they are.


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the paragraphs of a help text, and its indented blocks with True."""
    block: list[str] = []
    literal = False
    for line in [*text.splitlines(), ""]:
        indented = line.startswith("  ")
        if block and (not line or indented != literal):
            yield "\n".join(block), literal
            block = []
        if line:
            literal = indented
            block.append(line.removeprefix("  ") if indented else line)


def apart(notes: str) -> str:
    """Return the notes of a command with a blank line between paragraphs.

    In the terminal a paragraph only begins a line. The line before it ends early: the first
    word would have had room there.
    """
    lines = notes.splitlines()
    done = lines[:1]
    for before, line in pairwise(lines):
        fits = len(before) + 1 + len(line.split(" ", 1)[0]) <= COLUMNS
        if fits and before.endswith(".") and not line.startswith("  "):
            done.append("")
        done.append(line)
    return "\n".join(done)


def markdown_text(text: str) -> str:
    return "\n\n".join(
        f"```text\n{piece}\n```" if literal else markdown_line(piece)
        for piece, literal in pieces(text)
    )


def markdown_line(text: str) -> str:
    """Return a paragraph as Markdown: commands and flags as code, all else as it is."""
    done, at = "", 0
    text = " ".join(text.split())
    for match in _CODE.finditer(text):
        done += _escaped(text[at : match.start()]) + f"`{match[1] or match[2]}`"
        at = match.end()
    done += _escaped(text[at:])
    return re.sub(r"^([-+]|\d+\.) ", r"\\\1 ", done)


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#$])", r"\\\1", text)


# Markdown


def slug(command: Command) -> str:
    return command.full_name.replace(" ", "-")


def command_page(command: Command) -> str:
    name = command.full_name
    parts = [f"# {name}", f"{_sentence(command.summary)}", f"```text\n{command.usage}\n```"]
    same = ", ".join(f"`{other}`" for other in same_as(command))
    if same:
        scope = ", for keys of the current scope" if command.takes_keys else ""
        parts.append(f"Also: {same}{scope}.")
    if notes_of(command):
        parts.append(markdown_text(apart(notes_of(command))))
    if command.parts():
        parts += ["## Commands", table(map(_linked, command.parts()))]
    parts += ["## Flags", table((_flag(flag), _meaning(flag)) for flag in flags_of(command))]
    parts += ["## Examples", "```sh\n{}\n```".format("\n".join(examples(command)))]
    topics = [f"[{name}](../topics/{name}.md)" for name in topics_of(command)]
    if topics:
        parts += ["## See also", ", ".join(topics)]
    return GENERATED + "\n\n".join(parts) + "\n"


def same_as(command: Command) -> list[str]:
    """Return what else does the same: the other name of a command, and the short commands."""
    if command.is_short:
        return []
    if command.short:
        return [command.short.name]
    return [f"{KY} {command.name}"] if command.takes_keys else []


def _linked(command: Command) -> tuple[str, str]:
    name = command.full_name
    return f"[`{name}`]({slug(command)}.md)", _escaped(_sentence(command.summary))


def _flag(flag: FlagHelp) -> str:
    name = f"{flag.short}, {flag.name}" if flag.short else flag.name
    return f"`{name} {flag.value}`".replace(" `", "`")


def _meaning(flag: FlagHelp) -> str:
    return markdown_line(flag.meaning)


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def table(rows: Iterator[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)])


def toctree(names: list[str], *options: str) -> str:
    return "\n".join(["```{toctree}", *options, "", *names, "```"])


def commands_index() -> str:
    parts = [
        "# Commands",
        "Made from the same declarations as `kycli help COMMAND`, and as the manual pages: "
        "`man kycli`, `man ky`, `man kyg`.",
    ]
    groups = {**sections(), "Short commands": short_commands()}
    for heading, commands in groups.items():
        parts += [f"## {heading}", table(map(_linked, commands))]
    parts += [
        "`ky VERB KEY` does to keys of the current scope what `kycli VERB` does to addresses."
    ]
    pages = [slug(command) for commands in groups.values() for command in commands]
    return GENERATED + "\n\n".join([*parts, toctree(pages, ":hidden:")]) + "\n"


def topic_page(name: str) -> str:
    summary, text, _ = TOPICS[name]
    parts = [f"# {name}: {markdown_line(summary)}", f"`kycli help {name}` prints this page."]
    return GENERATED + "\n\n".join([*parts, markdown_text(text)]) + "\n"


def topics_index() -> str:
    rows = ((f"[{name}]({name}.md)", markdown_line(TOPICS[name].summary)) for name in TOPICS)
    parts = ["# Help topics", "What many commands share. `kycli help TOPIC` prints one."]
    return GENERATED + "\n\n".join([*parts, table(rows), toctree(list(TOPICS), ":hidden:")]) + "\n"


_API = """\
# The Python API

`from kycli import Kycore`. The guide is [Python](../python.md). Every method that touches keys
takes `scope`; without it, it works in the scope of the store. Every error is a `KycliError`.

## Kycore"""

_ERRORS = """\
.. automodule:: kycli.errors
   :members:
   :member-order: bysource
   :show-inheritance:"""


def api_page() -> str:
    """Return the API reference: signatures of the stub, in its order, and docstrings."""
    source = STUB.read_text("utf-8")
    constructor = ""
    nodes = ast.parse(source).body
    (store,) = (node for node in nodes if isinstance(node, ast.ClassDef) and node.name == "Kycore")
    titles = {
        number: match[1]
        for number, line in enumerate(source.splitlines(), 1)
        if (match := re.match(r"    # (.+)$", line)) and number > store.lineno
    }
    directives: dict[str, list[str]] = {"The store": []}
    done: set[str] = set()
    for node in store.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        heading = [title for line, title in titles.items() if line < node.lineno][-1:]
        title = _sentence(heading[0]).rstrip(".") if heading else "The store"
        if node.name == "__init__":
            constructor = _signature(node).partition(" -> ")[0]
        elif not node.name.startswith("_") and node.name not in done:
            done.add(node.name)
            directives.setdefault(title, []).append(_directive(node))
    parts = [_API, _rst(f".. autoclass:: kycli.Kycore{constructor}")]
    for title, found in directives.items():
        parts += [f"### {title}", _rst("\n".join(found))]
    # What methods return beside plain values, the stub imports.
    records = "\n\n".join(
        f".. autoclass:: {node.module}.{alias.name}()"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kycli.")
        for alias in node.names
        if alias.name != "Time"
    )
    parts += ["## Records", _rst(records), "## Errors", _rst(_ERRORS)]
    return GENERATED + "\n\n".join(parts) + "\n"


def _rst(text: str) -> str:
    return f"```{{eval-rst}}\n{text.rstrip()}\n```"


def _directive(node: ast.FunctionDef) -> str:
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if "property" in decorators:
        return f".. autoproperty:: kycli.Kycore.{node.name}\n"
    # Of overloads the engine's own signature says all, with defaults and without types.
    signature = "" if "overload" in decorators else _signature(node)
    return f".. automethod:: kycli.Kycore.{node.name}{signature}\n"


def _signature(node: ast.FunctionDef) -> str:
    arguments = ast.unparse(node.args).removeprefix("self").removeprefix(", ")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({arguments}){returns}".replace("67108864", "64 << 20")


def reference(directory: Path) -> dict[Path, str]:
    """Return the pages of the reference by their paths."""
    pages = {
        directory / "api.md": api_page(),
        directory / "commands" / "index.md": commands_index(),
        directory / "topics" / "index.md": topics_index(),
    }
    for commands in (*sections().values(), short_commands()):
        for command in commands:
            pages[directory / "commands" / f"{slug(command)}.md"] = command_page(command)
    for name in TOPICS:
        pages[directory / "topics" / f"{name}.md"] = topic_page(name)
    return pages


# Manual pages


def manuals(directory: Path) -> dict[Path, str]:
    """Return the manual pages by their paths."""
    found = {"kycli": manual_of_kycli(), KY: manual_of_ky()}
    found |= {command.called: manual(command) for command in short_commands()}
    return {directory / f"{name}.1": text for name, text in found.items()}


def manual(command: Command) -> str:
    """Return the manual page of a short command."""
    topics = roff(", ".join(topics_of(command)))
    parts = [
        _head(command.called, command.summary),
        _synopsis(command),
        ".SH DESCRIPTION",
        roff_text(apart(notes_of(command)) or _sentence(command.summary)),
        ".SH OPTIONS",
        *(_option(flag) for flag in flags_of(command)),
        ".SH EXAMPLES",
        _literal("\n".join(examples(command))),
        _exit_status(),
        ".SH SEE ALSO",
        r"\fBkycli\fR(1), \fBky\fR(1)",
        f"; in \\fBkycli\\fR(1) the topics: {topics}" if topics else "",
    ]
    return "\n".join(parts) + "\n"


def manual_of_kycli() -> str:
    parts = [
        _head("kycli", "a key-value store: scopes, expiry, history, search"),
        ".SH SYNOPSIS",
        r"\fBkycli\fR [FLAGS] COMMAND [ARGUMENTS]",
        ".SH DESCRIPTION",
        roff_text(f"{WHAT}\n\n{INTRODUCTION}"),
        ".PP",
        "The short commands: "
        + ", ".join(rf"\fB{name}\fR(1)" for name in (*short_names(), KY))
        + ".",
    ]
    for heading, commands in sections().items():
        parts.append(f".SH {roff(heading.upper())}")
        parts += map(_subsection, commands)
    for name, topic in TOPICS.items():
        if name != "exit-codes":
            parts += [f".SH TOPIC: {roff(name.upper())}", roff_text(topic.text)]
    return "\n".join([*parts, _exit_status()]) + "\n"


def manual_of_ky() -> str:
    parts = [
        _head(KY, "do something to keys of the current scope"),
        ".SH SYNOPSIS",
        rf"\fB{KY}\fR [FLAGS] VERB [ARGUMENTS]",
        ".SH DESCRIPTION",
        roff_text(KY_INTRODUCTION),
    ]
    for heading, commands in sections(KY).items():
        parts.append(f".SH {roff(heading.upper())}")
        parts += (f".TP\n{_usage(c)}\n{roff(_sentence(c.summary))}" for c in commands)
    parts += [_exit_status(), ".SH SEE ALSO", r"\fBkycli\fR(1)"]
    return "\n".join(parts) + "\n"


def _head(name: str, summary: str) -> str:
    title = f'.TH {name.upper()} 1 "" "kycli {VERSION}" "kycli"'
    return f"{title}\n.SH NAME\n{name} \\- {roff(summary)}"


def _synopsis(command: Command) -> str:
    return f".SH SYNOPSIS\n{_usage(command)}"


def _usage(command: Command) -> str:
    name, rest = command.full_name, command.usage
    return rf"\fB{roff(name)}\fR{roff(rest.removeprefix(name))}"


def _subsection(command: Command) -> str:
    parts = [f".SS {roff(command.name)}", _usage(command), ".PP", roff(_sentence(command.summary))]
    if notes_of(command):
        parts.append(roff_text(apart(notes_of(command))))
    parts += (_option(flag) for flag in flags_of(command) if flag.name.strip("-") in command.flags)
    parts += [".PP", _literal("\n".join(examples(command)))]
    return "\n".join(parts)


def _option(flag: FlagHelp) -> str:
    names = [rf"\fB{roff(name)}\fR" for name in (flag.short, flag.name) if name]
    value = rf" \fI{roff(flag.value)}\fR" if flag.value else ""
    return f".TP\n{', '.join(names)}{value}\n{roff(flag.meaning)}"


def _exit_status() -> str:
    return f".SH EXIT STATUS\n{roff_text(TOPICS['exit-codes'].text)}"


def roff_text(text: str) -> str:
    return "\n".join(
        _literal(piece) if literal else f".PP\n{roff(piece)}" for piece, literal in pieces(text)
    )


def _literal(text: str) -> str:
    return f".PP\n.RS 4\n.nf\n{roff(text)}\n.fi\n.RE"


def roff(text: str) -> str:
    """Return text that roff prints as it is."""
    text = text.replace("\\", r"\e").replace("…", "...")
    for character, name in {"-": "-", "'": "(aq", "`": "(ga", "^": "(ha", "~": "(ti"}.items():
        text = text.replace(character, f"\\{name}")
    return re.sub(r"^\.", r"\\&.", text, flags=re.M)


def write(pages: dict[Path, str]) -> None:
    """Write what has changed, so that a build makes anew only that, and remove what is gone."""
    for directory in {path.parent for path in pages}:
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            if path.is_file() and path not in pages:
                path.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


MAKERS: dict[str, Callable[[Path], dict[Path, str]]] = {"reference": reference, "man": manuals}

if __name__ == "__main__":
    _, what, where = sys.argv
    write(MAKERS[what](Path(where)))
