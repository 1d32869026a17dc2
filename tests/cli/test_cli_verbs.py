"""``ky VERB KEY``, and what is said where an address was not what was meant."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from cli.harness import Call, Result

import kycli.cli
from kycli.cli.commands import KY, Command, all_commands, find, known, short_names
from kycli.cli.env import Environment
from kycli.cli.help import examples, page
from kycli.cli.parse import parse

COMMANDS = all_commands()
PROGRAMS = short_names()
VERBS = [name for name in COMMANDS if name not in PROGRAMS and known(name).takes_keys]
OTHERS = [name for name in COMMANDS if name not in PROGRAMS and name not in VERBS]


def verb(name: str) -> Command:
    """Return a command as ``ky`` knows it."""
    command = find(name, KY)
    assert command is not None
    return command


# The verbs


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_made_from_the_registry(name: str) -> None:
    command = verb(name)
    assert command.is_short
    assert command.handler == COMMANDS[name].handler
    assert command.usage.startswith(f"ky {name} [FLAGS]")
    assert "ADDRESS" not in command.arguments
    assert "NAMESPACE" not in command.arguments
    assert "ns-delim" not in command.flags
    assert {"scope", "project", "namespace"} <= set(command.flags)
    if command.short:
        same = known(command.short.name)
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
    for flag in verb(name).flags:
        assert f"--{flag}" in text
    assert f"  {name} " in call(KY, "help").out.decode()


@pytest.mark.parametrize("name", VERBS)
def test_examples_of_verbs_are_command_lines(name: str) -> None:
    command = verb(name)
    shown = examples(command)
    assert shown
    for example in shown:
        assert example in page(Environment(), command)
        words = shlex.split(example)
        start = words.index(KY)
        stop = words.index("|", start) if "|" in words[start:] else len(words)
        parsed, _, arguments = parse(words[start + 1 : stop], KY)
        assert parsed.full_name == command.full_name
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
        assert (command.name, arguments) == ("exec", ["k", "-q", "--", "--scope"])


# An address where a key was meant


def remarks(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if line.startswith("hint: ")]


@pytest.mark.parametrize(
    ("line", "code", "way"),
    [
        ("get user.k", 2, "ky get user.k"),
        ("get user.k --default x", 0, "ky get user.k …"),
        ("get user.k --path a", 2, "ky get user.k …"),
        ("get user.k --context c", 2, "ky get user.k__c"),
        ("get user.k --json", 2, "ky get user.k …"),
        ("del user.k", 2, "ky del user.k"),
        ("delete user.k", 2, "ky del user.k"),
        ("ttl user.k", 2, "ky ttl user.k"),
        ("persist user.k", 2, "ky persist user.k"),
        ("expire user.k 5m", 1, "ky expire user.k …"),
        ("remove user.k x", 2, "ky remove user.k …"),
        ("history user.k", 2, "ky history user.k"),
        ("blame user.k", 2, "ky blame user.k"),
        ("restore user.k", 2, "ky restore user.k"),
        ("restore user.gone", 2, "ky restore user.gone"),
        ("exec user.k", 2, "ky exec user.k"),
        ("copy user.k other", 2, "ky copy user.k …"),
        ("move user.k other", 2, "ky move user.k …"),
        ("set user.k v --ttl 5", 1, "ky set user.k …"),
        ("set user.k v --if-version 3", 1, "ky set user.k …"),
        ("set user.k v", 0, "ky set user.k …"),
        ("set user.k --if-absent v", 0, "ky set user.k …"),
        ("incr user.k", 0, "ky incr user.k"),
        ("incr user.k 5", 0, "ky incr user.k …"),
        ("append user.k x", 0, "ky append user.k …"),
        ("push user.k x", 0, "ky push user.k …"),
        ("patch user.k x --path a", 0, "ky patch user.k …"),
        ("patch user.k --merge {}", 0, "ky patch user.k …"),
        ("copy plain user.k", 0, "ky copy … user.k"),
        ("move plain user.k", 0, "ky move … user.k"),
        ("set default.user.k v", 0, None),
        ("get user.other", 2, None),
        ("incr user.other", 0, None),
        ("incr -n user k", 0, None),
        ("get -n user k", 2, None),
        ("get user|k --ns-delim |", 2, None),
    ],
)
def test_a_key_of_the_current_scope_that_was_read_as_an_address(
    call: Call, line: str, code: int, way: str | None
) -> None:
    call("kys", "user.k", "v")
    call("kys", "user.k__c", "v")
    call("kys", "plain", "v")
    call("kys", "user.gone", "v")
    call("kyd", "user.gone")
    result = call("kycli", *line.split())
    assert result.code == code
    found = remarks(result)
    if way is None:
        assert not any(" ky " in line for line in found)
        return
    (said,) = found
    assert said.endswith(f": {way}")
    assert "scope 'default'" in said
    assert ("this created" in said) == (code == 0 and "--default" not in line)


def test_what_is_shown_can_be_typed(call: Call, tmp_path: Path) -> None:
    database = str(tmp_path / "it is.db")
    for key in ("user.it's", "-x.y"):
        call("kys", "-d", database, "--", key, "5")
        (said,) = remarks(call("kycli", "incr", "-d", database, "--", key))
        line = shlex.split(said.partition(": ky ")[2])
        assert call(KY, *line).out == b"6\n"


def test_each_key_that_was_missed_is_named(call: Call) -> None:
    for key in ("a.x", "a.y"):
        call("kys", key, "v")
    call("kycli", "set", "-n", "a", "z", "v")
    result = call("kycli", "get", "a.x", "a.z", "a.y", "a.none")
    assert (result.code, result.out) == (2, b"v\n")
    assert [line.rpartition(": ")[2] for line in remarks(result)] == ["ky get a.x", "ky get a.y"]


def test_a_remark_is_left_out_with_q(call: Call) -> None:
    call("kys", "user.k", "v")
    assert call("kycli", "-q", "get", "user.k") == (2, b"", "")
    assert call("kycli", "-q", "incr", "user.k") == (0, b"1\n", "")


def test_nothing_is_said_where_the_address_had_a_key(call: Call) -> None:
    call("kycli", "set", "user.n", "--json", "0")
    call("kycli", "set", "user.text", "")
    for key in ("user.n", "user.text"):
        call("kys", key, "5")
    # Neither sum nor length tells that these were there.
    assert call("kycli", "incr", "user.n", "3") == (0, b"3\n", "")
    assert call("kycli", "append", "user.text", "x") == (0, b"", "")
    assert call("kycli", "get", "user.n", "--default", "3") == (0, b"3\n", "")


@pytest.mark.parametrize(
    ("line", "lookups"),
    [
        ("get user.k", 0),
        ("get user.k user.k", 0),
        ("get user.k --default 1", 0),
        ("set user.k 2", 0),
        ("set user.k 1", 0),
        ("incr user.k", 0),
        ("append user.k 5", 0),
        ("ttl user.k", 0),
        ("del user.k", 0),
        ("get no", 0),
        ("set new 1", 0),
        ("set -n user new 1", 0),
        ("get user.no", 1),
        ("get user.no --default 1", 1),
        ("set user.new 1", 1),
        ("incr user.new", 1),
        ("append user.new x", 1),
        ("ttl user.no", 1),
        ("del user.no", 1),
    ],
)
def test_only_what_missed_or_made_a_key_looks_for_another(
    call: Call, monkeypatch: pytest.MonkeyPatch, line: str, lookups: int
) -> None:
    call("kycli", "set", "user.k", "1")
    count = 0
    is_known = kycli.cli._is_known

    def counted(*arguments: Any) -> bool:
        nonlocal count
        count += 1
        return is_known(*arguments)

    monkeypatch.setattr(kycli.cli, "_is_known", counted)
    call("kycli", *line.split())
    assert count == lookups


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("get a.b.c.d", "'ky' instead of 'kycli'"),
        ("set user. v", "'ky' instead of 'kycli'"),
        ("set https://example.org v", "'ky' instead of 'kycli'"),
        ("get -n prod a.b", "'ky' instead of 'kycli'"),
    ],
)
def test_what_is_no_address_may_be_a_key(call: Call, line: str, way: str) -> None:
    words = line.split()
    refused = call("kycli", *words)
    assert refused.failed_clearly
    assert way in refused.err
    assert call("ky", *words).code in (0, 2)
