"""Dispatch, flags, help, and bad command lines."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli.harness import Call, program

from kycli.cli.commands import KY, UNIVERSAL, aliases, all_commands, known, short_names
from kycli.cli.env import Environment
from kycli.cli.help import page
from kycli.cli.parse import FLAGS, parse

COMMANDS = all_commands()
PROGRAMS = short_names()
ALIASES = aliases()
NAMES = sorted(COMMANDS)
KEYED = [name for name in NAMES if known(name).takes_keys]


def test_no_arguments(run: Call) -> None:
    result = run("kycli")
    assert (result.code, result.out) == (1, b"")
    assert result.err.startswith("Usage: kycli ")
    assert result.err == run("kycli", "help").out.decode()


@pytest.mark.parametrize("words", [["help"], ["-h"], ["--help"], ["-q", "help"]])
def test_help_is_data(run: Call, words: list[str]) -> None:
    result = run("kycli", *words)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(b"Usage: kycli ")
    assert run("kyh").out == run("kycli", "help").out


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(call: Call, name: str) -> None:
    command = known(name)
    assert command.summary
    assert command.examples
    assert command.parts() or callable(command.load())
    if " " in name:
        assert command in known(name.split()[0]).parts()
    shown = call("kycli", "help", *name.split())
    assert (shown.code, shown.err) == (0, "")
    text = shown.out.decode()
    assert command.usage in text
    assert all(example in text for example in command.examples)
    assert f"  {name} " in call("kycli", "help", "--all").out.decode()
    assert call("kycli", *name.split(), "--help") == shown
    assert call("kycli", "-h", *name.split()) == shown
    assert call("kycli", *name.split(), "-h") == shown
    if name in PROGRAMS:
        assert call(name, "--help") == shown


@pytest.mark.parametrize("name", NAMES)
def test_flags_of_the_registry_exist_and_are_explained(name: str) -> None:
    command = known(name)
    assert set(command.flags) <= FLAGS.keys()
    assert set(command.flags).isdisjoint(set(UNIVERSAL) - {"yes"})
    assert len(command.flags) == len(set(command.flags))
    text = page(Environment(), command)
    for flag in command.flags:
        assert f"--{flag}" in text
    asks = name in ("del", "kyd", "drop-scope")
    assert ("--yes" in text) == asks, "shown only where it answers something"
    parse(["-y", *name.split(), "--help"], None)


@pytest.mark.parametrize("name", ["", "--all", *NAMES])
def test_help_fits_a_terminal(call: Call, name: str) -> None:
    lines = call("kycli", "help", *name.split()).out.decode().splitlines()
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_json_is_here(name: str) -> None:
    command = known(name)
    lines = page(Environment(), command).splitlines()
    for flag in {"json", "jsonl", "b64"} & set(command.flags):
        (line,) = (line for line in lines if line.startswith(f"      --{flag} "))
        assert not line.endswith(f"  {FLAGS[flag].meaning}"), "explained in general only"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("keys", "array of names"),
        ("scan", "array of records"),
        ("scan", "milliseconds since the epoch"),
        ("get", "milliseconds since the epoch"),
        ("set", "VALUE is JSON"),
        ("set", "printf - | kys KEY"),
        ("get", "an argument is a key"),
        ("copy", "both are keys of that scope"),
        ("scan", "also: ls"),
        ("del", "also: delete"),
        ("keys", "the only argument is a prefix"),
        ("persist", "of a cache"),
        ("projects", "keys or caches"),
        ("use", "whatever the delimiter"),
    ],
)
def test_help_says_it(call: Call, name: str, said: str) -> None:
    assert said in " ".join(call("kycli", "help", name).out.decode().split())


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["help", "get", "more"], "'more'"),
        (["kyh", "kys", "more"], "'more'"),
        (["help", "admin", "create-cache", "more"], "'more'"),
        (["help", "config", "sett"], "config sett"),
    ],
)
def test_help_refuses_extra_words(call: Call, words: list[str], extra: str) -> None:
    result = call(*words) if words[0] in PROGRAMS else call("kycli", *words)
    assert result.failed_clearly
    assert extra in result.err


def test_admin_alone_lists_its_commands(call: Call) -> None:
    result = call("kycli", "admin")
    assert result.failed_clearly
    for name in ("create-cache", "set-cache", "drop-cache", "list-caches"):
        assert name in result.err
        assert name in call("kycli", "admin", "--help").out.decode()


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_command_lines_of_their_command(name: str) -> None:
    for example in known(name).examples:
        words = shlex.split(example.replace('"$(', " ").replace(')"', " "), comments=True)
        for start, word in enumerate(words):
            if word not in (*PROGRAMS, "kycli"):
                continue
            stop = next((n for n in range(start, len(words)) if words[n][0] in "|<>;"), len(words))
            command, _, _ = parse(
                [w.rstrip(";") for w in words[start + 1 : stop]], word if word != "kycli" else None
            )
            if command.called.startswith(name):
                break
        else:
            pytest.fail(f"{example!r} does not show {name!r}")


@pytest.mark.parametrize("name", KEYED)
def test_two_dashes_are_in_the_help_of_what_takes_keys_and_work(call: Call, name: str) -> None:
    (line,) = (s for s in call("kycli", "help", name).lines if s.startswith("      -- "))
    assert "a key may begin with '-'" in line
    program = name if name in PROGRAMS else None
    words = [] if program else [name]
    required = [word for word in known(name).arguments.split() if word[0] != "["]
    given = ["-a", "--db"][: len(required) or 1]
    command, flags, arguments = parse([*words, "-q", "--", *given], program)
    assert (command.called, flags, arguments) == (name, {"quiet": ""}, given)


def test_keys_that_begin_with_a_dash(call: Call) -> None:
    assert call("kys", "--", "-k", "-v").code == 0
    for words in (["kyg"], ["ky", "get"], ["kycli", "get"], ["kycli", "get", "--raw"]):
        assert call(*words, "--", "-k").out.rstrip() == b"-v"
    assert call("kycli", "incr", "--", "--n", "-5").out == b"-5\n"
    assert call("kycli", "keys", "--", "-").lines == ["--n", "-k"]
    unknown = call("kyg", "-k")
    assert unknown.failed_clearly
    assert "'--'" in unknown.err
    assert call("kyd", "--", "-k", "--n").code == 0


def test_programs_are_installed_for_all_short_commands() -> None:
    for name in ("kycli", KY, *PROGRAMS):
        assert os.access(program(name), os.X_OK)
    assert set(ALIASES.values()) <= COMMANDS.keys()
    assert set(ALIASES).isdisjoint(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gte", "get"),
        ("lst-scopes", "list-scopes"),
        ("sett", "set"),
        ("kygg", "kyg"),
        ("rm", "del"),
        ("put", "set"),
        ("list-keys", "keys"),
        ("Get", "get"),
        ("SCAN", "scan"),
        ("set-cache", "admin set-cache"),
    ],
)
def test_unknown_commands_name_the_nearest(call: Call, typed: str, meant: str) -> None:
    result = call("kycli", typed, "x", "--no-such-flag")
    assert result.failed_clearly
    assert f"unknown command '{typed}'" in result.err
    assert f" {meant}" in result.err.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get"], "ADDRESS"),
        (["set"], "ADDRESS"),
        (["expire", "k"], "TTL"),
        (["copy", "k"], "DESTINATION"),
        (["rename-scope"], "SCOPE and NEW-NAME"),
        (["set", "k", "two", "words"], "'words'"),
        (["version", "x"], "'x'"),
        (["config", "sett", "x"], "config sett"),
        (["get", "k", "--jsn"], "--json"),
        (["get", "k", "--ttl", "5"], "--ttl"),
        (["get", "k", "--json=1"], "--json"),
        (["get", "k", "--default"], "--default"),
        (["get", "k", "-Z"], "-Z"),
        (["get", "k", "-qZ"], "-qZ"),
        (["get", "k", "-hello"], "-e"),
        (["get", "k", "--scope", "a", "--scope", "b"], "twice"),
        (["--bogus", "get", "k"], "--bogus"),
        (["help", "nope"], "nope"),
        (["", "k"], "''"),
        (["use", "-p", "a"], "--project"),
        (["-d", "", "get", "k"], "path"),
    ],
)
def test_bad_command_lines(call: Call, words: list[str], said: str) -> None:
    result = call("kycli", *words)
    assert result.failed_clearly
    assert said in result.err


def test_errors_stay_on_one_line(call: Call) -> None:
    result = call("kycli", "get", "a\nb\033[31m.c.d.e.f")
    assert result.failed_clearly
    assert "\033" not in result.err


def test_flags_before_and_after_and_joined() -> None:
    _, flags, arguments = parse(["-qp", "alpha", "set", "-nprod", "k", "--ttl=5s", "v"], None)
    assert flags == {"quiet": "", "project": "alpha", "namespace": "prod", "ttl": "5s"}
    assert arguments == ["k", "v"]
    _, flags, arguments = parse(["-q", "k", "-q", "--", "-q", "--"], "kyg")
    assert (flags, arguments) == ({"quiet": ""}, ["k", "-q", "--"])
    _, flags, arguments = parse(["k", "--default", "--json", "-0"], "kyg")
    assert (flags, arguments) == ({"default": "--json", "null": ""}, ["k"])


def test_some_flags_may_be_given_several_times() -> None:
    _, flags, _ = parse(["--scope", "a", "env", "--scope=b,c", "--map", "x=Y", "--map=z=W"], None)
    assert flags == {"scope": "a,b,c", "map": "x=Y,z=W"}
    _, flags, _ = parse(["migrate", "--map", "a=b", "--map", "c=d"], None)
    assert flags == {"map": "a=b,c=d"}


@pytest.mark.parametrize("number", ["-5", "-0.5", "-.5", "-1e3", "-0x", "-00"])
def test_negative_numbers_are_arguments(number: str) -> None:
    _, flags, arguments = parse(["k", number], "kys")
    assert (flags, arguments) == ({}, ["k", number])


def test_version(run: Call) -> None:
    from importlib.metadata import version

    expected = f"kycli {version('kycli')}\n".encode()
    for words in (["version"], ["--version"], ["-V"], ["get", "k", "--version"], ["get", "-qV"]):
        assert run("kycli", *words) == (0, expected, "")
    for name in ("kyg", "kyr", "ky"):
        assert run(name, "--version").out == run(name, "-V").out == expected


def test_aliases(call: Call) -> None:
    call("kys", "k", "v")
    assert call("kycli", "ls") == call("kycli", "scan") == (0, b"k=v\n", "")
    assert call("kycli", "delete", "k") == (0, b"", "deleted 1 key\n")
    for alias, name in ALIASES.items():
        shown = call("kycli", "help", alias)
        assert shown.code == 0
        assert shown == call("kycli", "help", *name.split())
        assert shown == call("kycli", alias, "--help")


def test_the_module_is_a_program(home: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-m", "kycli", *words], capture_output=True)

    assert run("set", "k", "v").returncode == 0
    assert run("get", "k").stdout == b"v\n"
    assert run("get", "no").returncode == 2
    assert run().stderr.startswith(b"Usage: kycli ")


@pytest.mark.parametrize(
    "words",
    [
        ["kys", b"\xff", "v"],
        ["kys", "k", b"\xc3("],
        ["kyg", b"k\xed\xa0\x80"],
        ["kycli", "set", "-p", b"\xfe", "k", "v"],
        ["kycli", b"\xff"],
    ],
)
def test_arguments_that_are_not_utf8(run: Call, words: list[str | bytes]) -> None:
    result = run(*words)
    assert result.failed_clearly
    assert "UTF-8" in result.err
    assert run("kyl").out == b""


@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "C"}])
def test_utf8_does_not_depend_on_the_locale(run: Call, locale: dict[str, str]) -> None:
    assert run("kys", "clé🙂", "välue", environ=locale).code == 0
    assert run("kyg", "clé🙂", environ=locale).out == "välue\n".encode()
    assert run("kyl", environ={**locale, "PYTHONUTF8": "0"}).out == "clé🙂\n".encode()
    missing = run("kyg", "ñ", environ=locale)
    assert missing.code == 2
    assert "no key" in missing.err


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("setting", ["--db", "KYCLI_DB_PATH", "HOME", "XDG_DATA_HOME"])
def test_paths_do_not_depend_on_the_locale(run: Call, home: Path, setting: str) -> None:
    directory = home / "größe"
    directory.mkdir()
    path = str(directory / "ü.db") if setting in ("--db", "KYCLI_DB_PATH") else str(directory)
    flags = ["--db", path] if setting == "--db" else []
    variables = {} if setting == "--db" else {setting: path}
    assert run("kys", "k", "v", *flags, environ={**ASCII, **variables}) == (0, b"", "")
    assert run("kyg", "k", *flags, environ={**ASCII, **variables}).out == b"v\n"
    assert run("kyg", "k", *flags, environ=variables).out == b"v\n"
    used = run("kycli", "use", "größe", environ={**ASCII, **variables})
    assert used.code == 0
    assert "größe" in used.err
    assert "größe" in run("kycli", "config", *flags, environ={**ASCII, **variables}).out.decode()


def test_scopes_do_not_depend_on_the_locale(run: Call) -> None:
    environ = {**ASCII, "KYCLI_SCOPE": "größe.ü"}
    assert run("kys", "k", "v", environ=environ) == (0, b"", "")
    assert run("kyg", "k", "--scope", "größe.ü").out == b"v\n"
    assert run("kycli", "use", environ=environ).out == "größe.ü\n".encode()


@pytest.mark.parametrize("variable", ["KYCLI_DB_PATH", "KYCLI_SCOPE", "HOME", "KYCLI_CONFIG"])
def test_variables_that_are_not_utf8(run: Call, home: Path, variable: str) -> None:
    for locale in ({}, ASCII):
        result = run("kyg", "k", environ={**locale, variable: f"{home}/\udcff"})
        assert "bug" not in result.err
        assert result.failed_clearly or result.code == 2


def test_debug_shows_the_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in call("kyg", "").err
    monkeypatch.setenv("KYCLI_DEBUG", "1")
    shown = call("kyg", "").err
    assert shown.startswith("Traceback")
    assert shown.splitlines()[-2].startswith("kycli: ")


def test_a_bug_is_one_line_too(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("kycli.cli.commands.values.reading.print_values", broken)
    result = call("kyg", "k")
    assert result.code == 1
    assert result.err.splitlines()[0] == "kycli: unexpected ZeroDivisionError: oh"
    assert "KYCLI_DEBUG" in result.err.splitlines()[1]


@pytest.mark.parametrize("name", ["kycli", "ky"])
def test_an_empty_command_is_unknown(call: Call, name: str) -> None:
    result = call(name, "", "key", "value")
    assert (result.code, result.out) == (1, b"")
    assert "unknown command ''" in result.err
    assert call("kyg", "key").code == 2


@pytest.mark.parametrize(
    "words", [["kyr", "k", "--version"], ["kycli", "restore", "k", "--version"]]
)
def test_a_version_that_was_left_out_is_not_the_version_of_kycli(
    call: Call, words: list[str]
) -> None:
    result = call(*words)
    assert (result.code, result.out) == (1, b"")
    assert "--version needs a value" in result.err


def test_dash_n_without_a_number_is_named_as_it_was_typed(call: Call) -> None:
    assert "kycli: -n needs a value\n" in call("kycli", "search", "x", "-n").err
