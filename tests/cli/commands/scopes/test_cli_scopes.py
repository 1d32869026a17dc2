"""Addresses, scopes and listings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.harness import Call, Terminal


def fill(call: Call, *addresses: str) -> None:
    for address in addresses:
        assert call("kycli", "set", address, f"<{address}>").code == 0


# Addresses


@pytest.mark.parametrize(
    "words",
    [
        ["get", "alpha.prod.k"],
        ["-p", "alpha", "-n", "prod", "get", "k"],
        ["get", "k", "-palpha", "-nprod"],
        ["get", "-p", "alpha", "k", "--namespace=prod"],
        ["--scope", "alpha.prod", "get", "k"],
        ["get", "alpha|prod|k", "--ns-delim", "|"],
        ["-q0", "get", "alpha.prod.k"],
        ["kyg", "k", "--scope=alpha.prod"],
        ["kyg", "-p", "alpha", "-n", "prod", "k"],
    ],
)
def test_ways_to_name_a_key(call: Call, words: list[str]) -> None:
    call("kycli", "set", "alpha.prod.k", "v")
    end = b"\0" if "-q0" in words else b"\n"
    assert call("kycli", *words) == (0, b"v" + end, "")


def test_parts_left_out_are_those_of_the_current_scope(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(call, "alpha.prod.k", "alpha.test.k", "k")
    monkeypatch.setenv("KYCLI_SCOPE", "alpha.prod")
    assert call("kycli", "get", "k").out == b"<alpha.prod.k>\n"
    assert call("kycli", "get", "test.k").out == b"<alpha.test.k>\n"
    assert call("kycli", "get", "k", "-n", "test").out == b"<alpha.test.k>\n"
    assert call("kycli", "get", "default.default.k").out == b"<k>\n"
    assert call("kyg", "k").out == b"<alpha.prod.k>\n"


def test_dots_belong_to_the_key_of_a_short_command(call: Call) -> None:
    call("kys", "a.b.c.d.e", "v")
    assert call("kyg", "a.b.c.d.e").out == b"v\n"
    call("kys", "a.b.c", "w", "-p", "alpha")
    assert call("kyl", "-p", "alpha").lines == ["a.b.c"]
    assert call("kycli", "get", "a.b.c.d.e", "--ns-delim", "|").out == b"v\n"


def test_context(call: Call) -> None:
    call("kys", "url", "u", "--context", "prod")
    assert call("kyg", "url__prod").out == b"u\n"
    assert call("kycli", "get", "url", "--context=prod").out == b"u\n"
    assert call("kyg", "url__prod", "--context", "prod").failed_clearly
    assert call("kys", "url", "v", "--context", "a.b").failed_clearly
    assert call("kyl").lines == ["url__prod"]


@pytest.mark.parametrize(
    "words",
    [
        ["a.b.c.d"],
        ["a..k"],
        [".k"],
        ["k."],
        [""],
        ["a b.k"],
        ["a.b.k", "-p", "x"],
        ["k", "--scope", "a", "-p", "b"],
        ["k", "-p", ""],
        ["k", "-n", "a/b"],
        ["k", "--scope", "a.b.c"],
        ["k", "--ns-delim", "ab"],
        ["k", "--ns-delim", "x"],
        ["k", "--ns-delim", ""],
        ["k" * 5000],
        ["-p", "a" * 200, "k"],
    ],
)
def test_bad_addresses(call: Call, words: list[str]) -> None:
    assert call("kycli", "set", *words, "value").failed_clearly
    assert call("kycli", "get", *words).failed_clearly
    assert call("kycli", "nss").out == b""


# Listings


def test_keys_and_scan(call: Call) -> None:
    fill(call, "a1", "a2", "b", "alpha.prod.x", "alpha.prod.y")
    assert call("kycli", "keys") == (0, b"a1\na2\nb\n", "")
    assert call("kycli", "ls", "a").lines == ["a1=<a1>", "a2=<a2>"]
    assert call("kycli", "keys", "alpha.prod", "y").lines == ["y"]
    assert call("kycli", "keys", "-p", "alpha", "-n", "prod").lines == ["x", "y"]
    assert call("kycli", "keys", "--limit", "2").lines == ["a1", "a2"]
    assert call("kycli", "keys", "--limit", "0").out == b""
    assert call("kycli", "keys", "-0").out == b"a1\0a2\0b\0"
    assert call("kycli", "keys", "--json").out == b'["a1","a2","b"]\n'
    assert call("kycli", "keys", "--jsonl").out == b'"a1"\n"a2"\n"b"\n'
    assert call("kycli", "scan", "a").lines == ["a1=<a1>", "a2=<a2>"]
    assert call("kycli", "scan", "alpha.prod").lines == ["x=<alpha.prod.x>", "y=<alpha.prod.y>"]
    assert call("kycli", "scan", "--ns-delim", "|", "alpha|prod", "x", "-0").out == (
        b"x=<alpha.prod.x>\0"
    )
    assert call("kycli", "keys", "no.such") == (0, b"", "")
    assert call("kycli", "scan", "--scope", "empty", "--json") == (0, b"[]\n", "")
    assert call("kycli", "keys", "alpha.prod", "x", "more").failed_clearly
    assert call("kycli", "keys", "--limit", "-1").failed_clearly


@pytest.mark.parametrize("name", ["keys", "scan"])
def test_prefix_as_a_flag(call: Call, name: str) -> None:
    fill(call, "a1", "b", "alpha.prod.x", "alpha.prod.y")
    call("kys", "a.1", "v")

    def keys(*words: str) -> list[str]:
        done = call("kycli", name, *words)
        assert (done.code, done.err) == (0, "")
        return [line.partition("=")[0] for line in done.lines]

    assert keys("--prefix", "a") == ["a.1", "a1"]
    assert keys("--prefix", "a.") == ["a.1"], "a prefix and no scope"
    assert keys("--prefix", "") == keys() == ["a.1", "a1", "b"]
    assert keys("alpha.prod", "--prefix", "y") == ["y"]
    assert keys("-p", "alpha", "-n", "prod", "--prefix=x") == ["x"]
    for words in (["b"], ["alpha.prod", "x"], ["-p", "alpha", "x"]):
        both = call("kycli", name, *words, "--prefix", "x")
        assert both.failed_clearly
        assert "exclude" in both.err


def test_a_prefix_that_was_taken_for_a_scope(call: Call) -> None:
    call("kys", "user.name", "v")
    for name, shown in (("keys", b"user.name\n"), ("ls", b"user.name=v\n")):
        said = call("kycli", name, "user.na")
        assert (said.code, said.out) == (0, b"")
        assert said.err.startswith("hint: scope 'default' has keys that begin with 'user.na': ky ")
        assert call("ky", name, "user.na") == (0, shown, "")
        assert call("kycli", name, "user.na", "-q").err == ""
    call("kycli", "set", "-p", "user", "-n", "na", "k", "v")
    assert call("kycli", "keys", "user.na") == (0, b"k\n", "")
    assert call("kycli", "keys", "user.na", "x") == (0, b"", "")
    bad = call("kycli", "keys", "user.")
    assert bad.failed_clearly
    assert "--prefix user." in bad.err
    assert call("kycli", "keys", "--prefix", "user.").lines == ["user.name"]


def test_scan_prints_records(call: Call) -> None:
    call("kys", "t", "--json", "[1]", "--ttl", "50")
    call("kys", "u", "-", stdin=b"\xff")
    records = json.loads(call("kycli", "scan", "--json").out)
    lines = [json.loads(line) for line in call("kycli", "scan", "--jsonl").lines]
    assert records == lines
    first, second = records
    assert first.keys() == {"key", "value", "version", "expires_at", "updated_at"}
    assert second.keys() == {"key", "value", "version", "updated_at"}
    assert (first["key"], first["value"], first["version"]) == ("t", [1], 1)
    assert second["value"] == {"$base64": "/w=="}


def test_prefixes_are_literal(call: Call) -> None:
    for key in ("a%", "ab", "a_", "a*", "[a]"):
        call("kys", key, "v")
    assert call("kycli", "keys", "a%").lines == ["a%"]
    assert call("kycli", "keys", "[").lines == ["[a]"]
    assert call("kyl", "--prefix", "a_").lines == ["a_"]


def test_kyl(call: Call) -> None:
    for key in ("user.1", "user.22", "other", "auser.3"):
        call("kys", key, "v")
    assert call("kyl").lines == ["auser.3", "other", "user.1", "user.22"]
    assert call("kyl", "user\\.").lines == ["user.1", "user.22"]
    assert call("kyl", "user.*2$").lines == ["user.22"]
    assert call("kyl", ".*", "--prefix", "user", "--limit", "1").lines == ["user.1"]
    assert call("kyl", "--glob", "*user*").lines == ["auser.3", "user.1", "user.22"]
    assert call("kyl", "--glob", "user.?").lines == ["user.1"]
    assert call("kyl", "--glob", "*.?", "--prefix", "u", "--json").out == b'["user.1"]\n'
    both = call("kyl", "user", "--glob", "user*")
    assert both.failed_clearly
    assert "exclude each other" in both.err
    assert call("kyl", r"(u)\1").failed_clearly
    assert call("kyl", "nothing") == (0, b"", "")
    assert call("kyl", "--json").out == b'["auser.3","other","user.1","user.22"]\n'
    assert call("kyl", "(").failed_clearly
    assert call("kyl", "a", "b").failed_clearly


def test_long_listings_are_whole(call: Call) -> None:
    from kycli.core.storage import Kycore

    call("kys", "x", "v")
    with Kycore() as store:
        store.save_many((f"{n:06}", n) for n in range(12_345))
    assert call("kycli", "keys", "0").lines == [f"{n:06}" for n in range(12_345)]
    assert json.loads(call("kycli", "keys", "0", "--json").out) == [
        f"{n:06}" for n in range(12_345)
    ]


# Scopes


def test_discovery(call: Call) -> None:
    fill(call, "k", "alpha.prod.k", "alpha.test.k", "beta.default.k")
    assert call("kycli", "nss").lines == ["alpha.prod", "alpha.test", "beta", "default"]
    assert call("kycli", "projects").lines == ["alpha", "beta", "default"]
    assert call("kycli", "namespaces", "-p", "alpha").lines == ["prod", "test"]
    assert call("kycli", "namespaces", "-p", "beta").lines == ["default"]
    for flags in ([], ["-n", "prod"]):
        unnamed = call("kycli", "namespaces", *flags)
        assert unnamed.failed_clearly
        assert "'kycli nss'" in unnamed.err or flags
    assert call("kycli", "namespaces", "-p", "nope") == (0, b"", "")
    assert call("kycli", "projects", "--json").out == b'["alpha","beta","default"]\n'
    assert call("kycli", "nss", "-0").out == b"alpha.prod\0alpha.test\0beta\0default\0"


def test_use_persists_and_says_so(call: Call, home: Path) -> None:
    assert call("kycli", "use") == (0, b"default\n", "from default\n")
    used = call("kycli", "use", "alpha.prod")
    config = home / ".config/kycli/config.json"
    assert (used.code, used.out) == (0, b"")
    assert used.err == "the current scope is 'alpha.prod', written to ~/.config/kycli/config.json\n"
    assert json.loads(config.read_text()) == {"current_scope": "alpha.prod"}
    assert call("kyuse") == (0, b"alpha.prod\n", "from ~/.config/kycli/config.json\n")
    call("kys", "k", "v")
    assert call("kycli", "get", "alpha.prod.k").out == b"v\n"
    assert call("kyuse", "beta.default", "-q") == (0, b"", "")
    assert call("kycli", "use", "-q") == (0, b"beta\n", "")


def test_use_warns_when_the_environment_goes_first(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KYCLI_SCOPE", "env")
    assert "KYCLI_SCOPE" in call("kycli", "use", "alpha").err
    assert call("kycli", "use") == (0, b"env\n", "from KYCLI_SCOPE\n")


def test_a_bad_scope_in_the_environment_defeats_no_flag(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(call, "alpha.prod.k", "alpha.default.k")
    monkeypatch.setenv("KYCLI_SCOPE", "bad scope")
    assert call("kyg", "k").failed_clearly
    assert call("kyg", "k", "-n", "prod").failed_clearly
    assert call("kyg", "k", "-p", "alpha").out == b"<alpha.default.k>\n"
    assert call("kyg", "k", "-p", "alpha", "-n", "prod").out == b"<alpha.prod.k>\n"
    assert call("kycli", "get", "k", "--scope", "alpha.prod").out == b"<alpha.prod.k>\n"
    assert call("kycli", "keys", "--scope", "alpha.prod").lines == ["k"]
    assert call("kycli", "nss").lines == ["alpha", "alpha.prod"]


def test_a_scope_is_written_with_a_dot_whatever_the_delimiter(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(call, "x.y.k")
    call("kycli", "config", "set", "ns_delim", "|")
    for words in (
        ["use", "x|y"],
        ["config", "set", "current_scope", "x|y"],
        ["get", "k", "--scope", "x|y"],
        ["rename-scope", "x|y", "z"],
        ["drop-scope", "x|y", "-y"],
        ["admin", "create-cache", "x|y", "timeout=5"],
        ["use", "x.y", "--ns-delim", "."],
    ):
        assert call("kycli", *words).failed_clearly, words
    assert call("kycli", "keys", "x|y").lines == ["k"]
    assert call("kycli", "use", "x.y").code == 0
    assert call("kyuse").out == b"x.y\n"
    assert call("kycli", "get", "x|y|k").out == b"<x.y.k>\n"
    monkeypatch.setenv("KYCLI_SCOPE", "x|y")
    assert call("kyg", "k").failed_clearly


@pytest.mark.parametrize("scope", ["", "a b", "a.b.c", ".", "a.", "../x"])
def test_use_refuses_bad_names(call: Call, home: Path, scope: str) -> None:
    assert call("kycli", "use", scope).failed_clearly
    assert list(home.iterdir()) == []


def test_list_scopes(call: Call) -> None:
    fill(call, "k", "alpha.prod.k", "alpha.prod.j")
    assert call("kycli", "list-scopes") == (0, b"  alpha.prod\n* default\n", "")
    assert call("kycli", "list-scopes", "-l").out == b"  alpha.prod\t2\n* default\t1\n"
    call("kycli", "use", "new")
    assert call("kycli", "list-scopes").lines == ["  alpha.prod", "  default", "* new"]
    assert json.loads(call("kycli", "list-scopes", "--long", "--json").out) == [
        {"scope": "alpha.prod", "current": False, "keys": 2},
        {"scope": "default", "current": False, "keys": 1},
        {"scope": "new", "current": True, "keys": 0},
    ]


def test_rename_scope(call: Call) -> None:
    fill(call, "alpha.test.k", "beta.k")
    call("kycli", "use", "alpha.test")
    renamed = call("kycli", "rename-scope", "alpha.test", "alpha.staging")
    assert (renamed.code, renamed.out) == (0, b"")
    assert "kycli use alpha.staging" in renamed.err
    assert call("kycli", "get", "alpha.staging.k").out == b"<alpha.test.k>\n"
    assert call("kycli", "get", "alpha.test.k").code == 2
    assert call("kycli", "rename-scope", "alpha.staging", "default.beta").failed_clearly
    gone = call("kycli", "rename-scope", "nope", "other")
    assert (gone.code, gone.out) == (2, b"")


def test_drop_scope(call: Call) -> None:
    fill(call, "alpha.test.k", "alpha.test.j", "k")
    assert call("kycli", "drop-scope", "alpha.test").failed_clearly
    declined = call("kycli", "drop-scope", "alpha.test", stdin=Terminal(b"no\n"), tty=True)
    assert (declined.code, declined.out) == (1, b"")
    assert call("kycli", "nss").lines == ["alpha.test", "default"]
    assert call("kycli", "drop-scope", "alpha.test", "-y") == (0, b"", "deleted 2 keys\n")
    assert call("kycli", "nss").lines == ["default"]
    assert call("kycli", "drop-scope", "alpha.test", "-y").code == 2


# Colour


def test_colour_only_on_a_terminal(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("kys", "k", "v")
    assert b"\033[" in call("kycli", "list-scopes", tty=True).out
    assert b"\033[" in call("kycli", "help", tty=True).out
    assert b"\033[" not in call("kycli", "list-scopes").out
    assert b"\033[" not in call("kycli", "list-scopes", "-q", tty=True).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\033[" not in call("kycli", "list-scopes", tty=True).out
