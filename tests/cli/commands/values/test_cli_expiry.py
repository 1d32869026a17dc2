"""Lifetimes: --ttl, expire, ttl, persist and caches."""

from __future__ import annotations

import json
import time

import pytest
from cli.harness import Call


def wait_until_gone(call: Call, key: str) -> None:
    deadline = time.monotonic() + 30
    while call("kyg", "-q", key).code == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ttl_rounds_up_and_permanent_is_minus_one(call: Call) -> None:
    call("kys", "k", "v", "--ttl", "1.5m")
    assert call("kycli", "ttl", "k") == (0, b"90\n", "")
    assert call("kycli", "persist", "k") == (0, b"", "")
    assert call("kycli", "ttl", "k").out == b"-1\n"
    assert call("kycli", "expire", "k", "2h") == (0, b"", "")
    assert call("kycli", "ttl", "k").out == b"7200\n"
    call("kys", "k", "other")
    assert call("kycli", "ttl", "k").out == b"-1\n"


@pytest.mark.parametrize("command", [["ttl"], ["persist"], ["expire"]])
def test_lifetimes_of_missing_keys(call: Call, command: list[str]) -> None:
    arguments = ["gone", "5"] if command == ["expire"] else ["gone"]
    result = call("kycli", *command, *arguments)
    assert (result.code, result.out) == (2, b"")
    assert "'gone'" in result.err


def test_an_expired_key_is_missing(call: Call) -> None:
    call("kys", "k", "v", "--ttl", "0.05")
    wait_until_gone(call, "k")
    assert call("kyg", "k").code == 2
    assert call("kyl").out == b""
    assert call("kycli", "scan").out == b""
    assert call("kycli", "ttl", "k").code == 2


def test_include_expired_shows_what_is_not_swept(call: Call) -> None:
    call("kys", "stays", "w")
    call("kys", "k", "v", "--ttl", "0.05")
    time.sleep(0.06)
    assert call("kycli", "scan").lines == ["stays=w"]
    assert call("kycli", "scan", "--include-expired").lines == ["k=v", "stays=w"]
    assert call("kyg", "k", "--include-expired") == (0, b"v\n", "")


@pytest.mark.parametrize("ttl", ["0", "-5", "abc", "", "5x", "nan", "1e99"])
def test_bad_ttl_changes_nothing(call: Call, ttl: str) -> None:
    call("kys", "k", "v")
    assert call("kys", "k", "w", "--ttl", ttl).failed_clearly
    assert call("kycli", "expire", "--", "k", ttl).failed_clearly
    assert call("kyg", "k").out == b"v\n"
    assert call("kycli", "ttl", "k").out == b"-1\n"


def test_caches(call: Call) -> None:
    refused = call("kycli", "set", "alpha.sess.k", "v", "--ttl", "5")
    assert refused.failed_clearly
    assert "kycli admin create-cache alpha.sess" in refused.err
    assert call("kycli", "get", "alpha.sess.k").code == 2

    assert call("kycli", "admin", "create-cache", "alpha.sess", "timeout=100") == (0, b"", "")
    call("kycli", "set", "alpha.sess.k", "v")
    assert call("kycli", "ttl", "alpha.sess.k").out == b"100\n"
    call("kycli", "set", "alpha.sess.k", "v", "--ttl", "5m")
    assert call("kycli", "ttl", "alpha.sess.k").out == b"300\n"

    assert call("kycli", "admin", "create-cache", "alpha.sess", "timeout=1").failed_clearly
    assert call("kycli", "admin", "set-cache", "alpha.sess", "timeout=0.5").code == 0
    assert call("kycli", "admin", "list-caches").out == b"alpha.sess\t0.5\n"
    call("kycli", "admin", "create-cache", "b.c", "timeout=1h")
    listed = json.loads(call("kycli", "admin", "list-caches", "--json").out)
    assert listed == [
        {"scope": "alpha.sess", "timeout": 0.5},
        {"scope": "b.c", "timeout": 3600},
    ]
    assert call("kycli", "admin", "drop-cache", "b.c").code == 0
    assert call("kycli", "admin", "drop-cache", "b.c").code == 2
    assert call("kycli", "admin", "set-cache", "b.c", "timeout=5").code == 2


def test_lifetimes_in_a_cache(call: Call) -> None:
    call("kycli", "admin", "create-cache", "alpha.sess", "timeout=100")
    call("kycli", "set", "alpha.sess.k", "v")
    assert call("kycli", "persist", "alpha.sess.k").code == 0
    assert call("kycli", "ttl", "alpha.sess.k").out == b"-1\n"
    call("kycli", "set", "alpha.sess.k", "w")
    assert call("kycli", "ttl", "alpha.sess.k").out == b"100\n"
    call("kys", "permanent", "v")
    call("kys", "short", "v", "--ttl", "50")
    for key, left in (("permanent", b"100\n"), ("short", b"50\n")):
        assert call("kycli", "copy", key, f"alpha.sess.{key}").code == 0
        assert call("kycli", "ttl", f"alpha.sess.{key}").out == left
    assert call("kycli", "copy", "short", "alpha.plain.short").failed_clearly


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["create-cache"],
        ["create-cache", "a.b"],
        ["create-cache", "a.b", ""],
        ["create-cache", "a.b", "=5"],
        ["create-cache", "a.b", "5=timeout"],
        ["create-cache", "a.b", "time=5"],
        ["create-cache", "a.b", "timeout="],
        ["create-cache", "a.b", "timeout=0"],
        ["create-cache", "a", "timeout=5"],
        ["create-cache", "a.b.c", "timeout=5"],
        ["create-cache", "a.b", "timeout=5", "more"],
        ["create-cash", "a.b", "timeout=5"],
        ["drop-cache"],
    ],
)
def test_bad_admin_commands(call: Call, arguments: list[str]) -> None:
    assert call("kycli", "admin", *arguments).failed_clearly
    assert call("kycli", "admin", "list-caches").out == b""


@pytest.mark.parametrize("words", [["admin", "create-cache"], ["create-cache"]])
@pytest.mark.parametrize("timeout", ["timeout=90", "90", "1.5m"])
def test_ways_to_declare_a_cache(call: Call, words: list[str], timeout: str) -> None:
    assert call("kycli", *words, "a.b", timeout) == (0, b"", "")
    assert call("kycli", "admin", "list-caches").lines == ["a.b\t90"]
    assert call("kycli", "admin", "set-cache", "a.b", "60") == (0, b"", "")
    assert call("kycli", "admin", "list-caches").lines == ["a.b\t60"]
