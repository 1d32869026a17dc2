"""Copying and moving many keys on the command line."""

from __future__ import annotations

import pytest
from cli.harness import Call


@pytest.fixture(autouse=True)
def _filled(call: Call) -> None:
    for key, value in {"user.1": "Ada", "user.2": "Grace", "visits": "7"}.items():
        call("kys", "--scope", "shop.prod", key, value)


def scan(call: Call, scope: str) -> list[str]:
    return call("kycli", "scan", "--scope", scope).lines


def test_a_prefix_to_another_scope(call: Call) -> None:
    words = ["copy", "--scope", "shop.prod", "--prefix", "user.", "--to", "shop.test"]
    result = call("kycli", *words)
    assert (result.code, result.out, result.err) == (0, b"", "copied 2 keys\n")
    assert scan(call, "shop.test") == ["user.1=Ada", "user.2=Grace"]
    assert len(scan(call, "shop.prod")) == 3
    assert call("kycli", "undo", "--scope", "shop.test").code == 0
    assert scan(call, "shop.test") == []


def test_a_prefix_becomes_another(call: Call) -> None:
    words = ["move", "-p", "shop", "-n", "prod", "--prefix", "user.", "--to-prefix", "member."]
    assert call("kycli", *words).err == "moved 2 keys\n"
    assert scan(call, "shop.prod") == ["member.1=Ada", "member.2=Grace", "visits=7"]
    words = ["copy", "--scope", "shop.prod", "--prefix", "m", "--to", "s", "--to-prefix", "M"]
    assert call("kycli", *words).code == 0
    assert scan(call, "s") == ["Member.1=Ada", "Member.2=Grace"]


def test_a_whole_scope(call: Call) -> None:
    assert call("kycli", "copy-scope", "shop.prod", "backup").err == "copied 3 keys\n"
    assert scan(call, "backup") == scan(call, "shop.prod")
    result = call("kycli", "copy-scope", "none", "other")
    assert (result.code, result.out) == (2, b"")
    assert "no scope 'none'" in result.err


def test_conflicts(call: Call) -> None:
    call("kys", "--scope", "backup", "visits", "1")
    result = call("kycli", "copy-scope", "shop.prod", "backup")
    assert result.failed_clearly
    assert "'visits'" in result.err
    assert scan(call, "backup") == ["visits=1"]
    skipped = call("kycli", "copy-scope", "shop.prod", "backup", "--on-conflict", "skip")
    assert (skipped.code, skipped.err) == (0, "copied 2 keys, skipped 1\n")
    assert scan(call, "backup") == ["user.1=Ada", "user.2=Grace", "visits=1"]
    call("kys", "--scope", "shop.prod", "visits", "8")
    assert (
        call("kycli", "copy-scope", "shop.prod", "backup", "--on-conflict", "overwrite").code == 0
    )
    assert scan(call, "backup") == scan(call, "shop.prod")
    words = ["move", "--scope", "backup", "--prefix", "v", "--to", "shop.prod", "--force"]
    assert call("kycli", *words).code == 0
    assert scan(call, "shop.prod")[-1] == "visits=8"
    assert call("kycli", "copy-scope", "shop.prod", "b", "--on-conflict", "merge").failed_clearly


def test_one_key_takes_the_policies_too(call: Call) -> None:
    words = ["kycli", "copy", "--scope", "shop.prod", "user.1", "visits", "--ns-delim", "|"]
    assert call(*words).failed_clearly
    skipped = call(*words, "--on-conflict", "skip")
    assert (skipped.code, skipped.out) == (0, b"")
    assert "skipped" in skipped.err
    assert scan(call, "shop.prod")[-1] == "visits=7"
    assert call(*words, "--on-conflict", "overwrite") == (0, b"", "")
    assert scan(call, "shop.prod")[-1] == "visits=Ada"
    assert call(*words, "--on-conflict", "overwrite", "--force").failed_clearly


def test_nothing_to_copy_is_2(call: Call) -> None:
    result = call("kycli", "copy", "--prefix", "none", "--to", "s")
    assert (result.code, result.out) == (2, b"")
    assert "no key with the prefix 'none' in scope 'default'" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["copy"], "SOURCE and DESTINATION"),
        (["move", "k"], "DESTINATION"),
        (["copy", "a", "b", "--to", "s"], "--prefix"),
        (["copy", "a", "b", "--to-prefix", "s"], "--prefix"),
        (["copy", "--prefix", "a"], "where to"),
        (["copy", "--prefix", "a", "b", "--to", "s"], "--prefix"),
        (["copy", "--prefix", "", "--to", "s"], "empty prefix"),
        (["copy", "--prefix", "a", "--to", "bad scope"], "'bad scope'"),
        (["copy", "--prefix", "a", "--to-prefix", "ab"], "overlap"),
        (["copy-scope", "shop.prod", "shop.prod"], "both source and destination"),
        (["copy-scope", "shop.prod"], "TO-SCOPE"),
    ],
)
def test_bad_command_lines(call: Call, words: list[str], said: str) -> None:
    result = call("kycli", *words)
    assert result.failed_clearly
    assert said in result.err


def test_lifetimes_need_a_cache_in_a_namespace(call: Call) -> None:
    call("kys", "short", "v", "--ttl", "1h")
    result = call("kycli", "copy-scope", "default", "shop.named")
    assert result.failed_clearly
    assert "kycli admin create-cache shop.named" in result.err
    call("kycli", "admin", "create-cache", "shop.named", "timeout=60")
    assert call("kycli", "copy-scope", "default", "shop.named").code == 0
    assert int(call("kycli", "ttl", "shop.named.short").out) > 3500
