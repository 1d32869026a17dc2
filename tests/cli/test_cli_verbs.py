"""``ky VERB KEY``, and what is said where an address was not what was meant."""

from __future__ import annotations

import re
import shlex

import pytest
from cli.harness import Call

from kycli.cli.env import Environment
from kycli.cli.help import examples, page
from kycli.cli.parse import parse
from kycli.cli.registry import COMMANDS, KY, PROGRAMS, Command

VERBS = [name for name in COMMANDS if name not in PROGRAMS and Command(name).takes_keys]
OTHERS = [name for name in COMMANDS if name not in PROGRAMS and name not in VERBS]


def short_of(name: str) -> str | None:
    """Return the short command that does the same."""
    return next((short for short in PROGRAMS if COMMANDS[short][:2] == COMMANDS[name][:2]), None)


# The verbs


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_made_from_the_registry(name: str) -> None:
    command = Command(name, verb=True)
    assert command.is_short
    assert (command.module, command.function) == COMMANDS[name][:2]
    assert command.usage().startswith(f"ky {name} [FLAGS]")
    assert "ADDRESS" not in command.arguments
    assert "NAMESPACE" not in command.arguments
    assert "ns-delim" not in command.flags
    assert {"scope", "project", "namespace"} <= set(command.flags)
    short = short_of(name)
    if short:
        same = Command(short)
        assert (command.arguments, command.flags) == (same.arguments, same.flags)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help(call: Call, name: str) -> None:
    shown = call(KY, "help", name)
    assert (shown.code, shown.err) == (0, "")
    for words in ([name, "--help"], ["-h", name], [name, "-h"]):
        assert call(KY, *words) == shown
    assert call("kycli", "help", KY, name) == shown
    text = shown.out.decode()
    assert text.startswith(f"Usage: ky {name} [FLAGS] ")
    assert "ddress" not in text.replace("--ns-delim", "")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    for flag in Command(name, verb=True).flags:
        assert f"--{flag}" in text
    assert f"  {name} " in call(KY, "help").out.decode()


@pytest.mark.parametrize("name", VERBS)
def test_examples_of_verbs_are_command_lines(name: str) -> None:
    command = Command(name, verb=True)
    shown = examples(command)
    assert shown
    for example in shown:
        assert example in page(Environment(), command)
        words = shlex.split(example)
        start = words.index(KY)
        stop = words.index("|", start) if "|" in words[start:] else len(words)
        parsed, _, arguments = parse(words[start + 1 : stop], KY)
        assert parsed.full_name() == command.full_name()
        assert not [word for word in arguments if word.startswith("alpha.")], "a key, no address"


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"], ["-q", "help"]])
def test_help_of_ky(call: Call, words: list[str]) -> None:
    shown = call(KY, *words)
    text = shown.out.decode() if words else shown.err
    assert shown.code == (0 if words else 1)
    assert text.startswith("Usage: ky [FLAGS] VERB ")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    listed = set(re.findall(r"^  (\S+)", text, re.M))
    assert set(VERBS) <= listed
    assert listed.isdisjoint(OTHERS)
    assert call("kycli", KY).err == call(KY).err
    assert call("kycli", "help", KY).out == call(KY, "--help").out
    assert "ky VERB KEY" in call("kycli", "help").out.decode()


def test_dots_belong_to_the_key(call: Call) -> None:
    assert call(KY, "incr", "user.visits", "5") == (0, b"5\n", "")
    assert call(KY, "incr", "user.visits") == (0, b"6\n", "")
    assert call("kyg", "user.visits").out == b"6\n"
    assert call(KY, "ttl", "user.visits").out == b"-1\n"
    assert call(KY, "expire", "user.visits", "100") == (0, b"", "")
    assert call(KY, "ttl", "user.visits").out == b"100\n"
    assert call(KY, "persist", "user.visits") == (0, b"", "")
    assert call(KY, "append", "user.a.b.c.d", "x").code == 0
    assert call(KY, "set", "user.list", "--json", "[1]").code == 0
    assert call(KY, "push", "user.list", "--json", "2").code == 0
    assert call(KY, "get", "user.list").out == b"[1,2]\n"
    assert call(KY, "get", "user.list[0]").out == b"1\n", "as kyg does"
    assert call(KY, "remove", "user.list", "--json", "1").code == 0
    assert call(KY, "patch", "user.list[0]", "--json", "3").code == 0
    assert call(KY, "copy", "user.list", "user.copy").code == 0
    assert call(KY, "move", "user.copy", "user.moved").code == 0
    assert call(KY, "keys", "user.").lines == [
        *("user.a.b.c.d", "user.list", "user.moved", "user.visits"),
    ]
    assert call(KY, "scan", "--prefix", "user.l").lines == ["user.list=[3]"]
    assert call(KY, "ls", "user.l").lines == ["user.list=[3]"]
    assert call(KY, "del", "user.list") == (0, b"", "deleted 1 key\n")
    assert call(KY, "delete", "user.moved") == (0, b"", "deleted 1 key\n")
    assert call(KY, "restore", "user.list").code == 0
    assert call(KY, "restore", "user.list", "--version", "1").code == 0
    assert call(KY, "get", "user.list").out == b"[1]\n"
    newest = call(KY, "history", "user.list", "-n", "1").lines
    assert [line.split("\t")[1] for line in newest] == ["restored"]
    assert "\tky persist[" in call(KY, "blame", "user.visits", "-n1").out.decode()
    assert call(KY, "set", "run.me", "printf %s").code == 0
    assert call(KY, "exec", "--dry-run", "run.me", "-a").out == b"printf %s -a\n"
    assert call("kycli", "nss").lines == ["default"]


def test_the_history_names_the_verb(call: Call) -> None:
    call(KY, "incr", "n")
    call("ky", "g", "n")
    assert "\tky incr[" in call("kycli", "blame", "n").out.decode()


@pytest.mark.parametrize("flags", [["-p", "alpha", "-n", "prod"], ["--scope", "alpha.prod"]])
def test_a_verb_in_another_scope(call: Call, flags: list[str]) -> None:
    assert call(KY, *flags, "incr", "user.visits").out == b"1\n"
    assert call(KY, "incr", "user.visits", *flags).out == b"2\n"
    assert call("kyg", "user.visits", *flags).out == b"2\n"
    assert call(KY, "keys", *flags, "user.").lines == ["user.visits"]
    assert call(KY, "keys").lines == []
    assert call(KY, "set", "url", "u", "--context", "prod").code == 0
    assert call("kyg", "url__prod").out == b"u\n"


@pytest.mark.parametrize(
    ("verb", "short"),
    [
        (["get", "k"], ["kyg", "k"]),
        (["get", "no"], ["kyg", "no"]),
        (["get", "k", "no", "--json"], ["kyg", "k", "no", "--json"]),
        (["get", "-s", "words"], ["kyg", "-s", "words"]),
        (["history", "no"], ["kyv", "no"]),
        (["history", "k", "-n", "0"], ["kyv", "k", "-n", "0"]),
        (["del", "no"], ["kyd", "no"]),
        (["restore", "no"], ["kyr", "no"]),
        (["set", "k", "w", "--if-absent"], ["kys", "k", "w", "--if-absent"]),
        (["g", "k"], ["kyg", "k"]),
        (["l", "k"], ["kyl", "k"]),
        (["kyg", "k"], ["kyg", "k"]),
        (["nss"], ["kycli", "nss"]),
        (["use"], ["kyuse"]),
        (["-q", "undo", "999"], ["kycli", "undo", "999"]),
        (["admin", "list-caches"], ["kycli", "admin", "list-caches"]),
    ],
)
def test_a_verb_answers_as_the_command_does(call: Call, verb: list[str], short: list[str]) -> None:
    call("kys", "k", "words")
    answer = call(*short)
    assert call(KY, *verb) == answer
    assert call("kycli", KY, *verb) == answer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get"], "'get' needs KEY"),
        (["get"], "usage: ky get [FLAGS] KEY..."),
        (["incr"], "usage: ky incr [FLAGS] KEY [BY]"),
        (["copy", "k"], "'copy' needs DESTINATION"),
        (["keys", "a", "b"], "'b'"),
        (["incr", "k", "1", "2"], "'incr' does not expect '2'"),
        (["get", "k", "--ttl", "5"], "'get' takes no --ttl"),
        (["get", "k", "--ns-delim", "|"], "--ns-delim"),
        (["gte", "k"], "get"),
        (["nope", "k"], "'ky help' lists the commands"),
        (["help", "nope"], "unknown command 'nope'"),
        (["help", "get", "more"], "'more'"),
        (["", "k"], "''"),
        (["--bogus"], "unknown flag --bogus"),
        (["incr", "--bogus"], "a key that begins with '-' goes after '--'"),
        (["ky", "get", "k"], "unknown command 'ky'"),
    ],
)
def test_bad_verbs(call: Call, words: list[str], said: str) -> None:
    result = call(KY, *words)
    assert result.failed_clearly
    assert said in result.err


def test_what_is_passed_on_is_not_read(call: Call) -> None:
    for words in (["exec"], ["c"], ["kyc"]):
        command, _, arguments = parse([*words, "k", "-q", "--", "--scope"], KY)
        assert (command.name, arguments) == ("kyc", ["k", "-q", "--", "--scope"])
