"""kyr, kyrt and undo, and what they refuse."""

from __future__ import annotations

import json

import pytest
from cli.commands.history.test_cli_history import pause
from cli.harness import Call


def test_a_key_is_brought_back(call: Call) -> None:
    call("kys", "k", "one")
    call("kys", "k", "two")
    call("kyd", "k")
    assert call("kyr", "k") == (0, b"", "restored 'k'\n")
    assert call("kyg", "k").out == b"two\n"
    assert call("kycli", "restore", "k", "-q") == (0, b"", "")
    assert call("kyg", "k").out == b"one\n"
    assert call("kyv", "k", "-n", "1").lines[0].split("\t")[1] == "restored"


def test_nothing_to_restore_is_missing(call: Call) -> None:
    assert call("kyr", "k") == (
        2, b"", "kycli: nothing to restore: no key 'k' in scope 'default'\n",
    )  # fmt: skip
    call("kys", "k", "one")
    assert call("kyr", "k").code == 2
    assert call("kyr", "k", "--version", "7").code == 2


@pytest.mark.parametrize("flag", [["--version", "1"], ["--version=1"], ["--at-version", "1"]])
def test_an_older_version_is_brought_back(call: Call, flag: list[str]) -> None:
    for value in ("one", "two", "three"):
        call("kys", "k", value)
    assert call("kyr", "k", *flag).code == 0
    assert call("kyg", "k").out == b"one\n"
    assert call("kycli", "restore", *flag, "k").err == "'k' has that value already\n"


def test_the_version_of_kycli_is_still_told(call: Call) -> None:
    told = call("kycli", "--version").out
    assert call("kyr", "--version").out == told
    assert call("kycli", "restore", "--version").out == told
    assert call("kycli", "--version", "restore", "k").out == told


def test_an_empty_or_unfit_version_is_named_as_it_was_typed(call: Call) -> None:
    call("kys", "k", "one")
    for word in ("", "0", "x"):
        said = call("kyr", "k", "--version", word).err
        assert said == f"kycli: --version {word!r}: not a whole number of 1 or more\n"


HUGE = "9" * 5000


@pytest.mark.parametrize("given", ["1e308", "-1e308", "9e307", HUGE, f"{HUGE}s ago", "1e308y ago"])
def test_a_time_or_number_beyond_all_bounds_is_an_error_like_any_other(
    call: Call, given: str
) -> None:
    call("kys", "k", "one")
    call("kys", "k", "two")
    for command in (
        *(("kyg", "k", "--at", given), ("kyr", "k", "--at", given), ("kyrt", given)),
        *(("kyv", "k", "--since", given), ("kyv", "--until", given), ("kycli", "undo", given)),
        *(("kyr", "k", "--version", given), ("kyv", "k", "-n", given), ("kyco", given)),
        *(("kys", "k", "v", "--ttl", given), ("kycli", "expire", "k", given)),
        ("kycli", "admin", "create-cache", "a.b", f"timeout={given}"),
        ("kycli", "admin", "set-scope", "a", f"history_days={given}"),
        ("kycli", "admin", "set-scope", "a", f"history_versions={given}"),
        ("kycli", "config", "set", "busy_timeout_ms", given),
    ):
        assert call(*command).failed_clearly, command
    assert call("kyg", "k").out == b"two\n"


def test_a_key_is_brought_back_as_it_was_at_a_time(call: Call) -> None:
    call("kys", "k", "one")
    then = pause()
    call("kys", "k", "two")
    call("kys", "new", "two")
    assert call("kyr", "k", "--at", then).code == 0
    assert call("kyg", "k").out == b"one\n"
    missing = call("kyr", "new", "--at", then)
    assert (missing.code, missing.out) == (2, b"")


def test_a_scope_goes_back_to_a_time_and_forward_again(call: Call) -> None:
    call("kys", "kept", "1")
    call("kys", "changed", "1")
    call("kys", "gone", "1")
    call("kycli", "set", "other.x.k", "1")
    then = pause()
    call("kys", "changed", "2")
    call("kyd", "gone")
    call("kys", "new", "2")
    call("kycli", "set", "other.x.k", "2")
    listed = call("kyrt", then, "--dry-run")
    assert sorted(listed.lines) == ["deleted\tnew", "restored\tchanged", "restored\tgone"]
    assert json.loads(call("kyrt", then, "--dry-run", "--json").out)[0] == {
        "key": "changed", "operation": "restored", "scope": "default",
    }  # fmt: skip
    everywhere = call("kycli", "restore-to", then, "--dry-run", "--all-scopes", "-0")
    assert b"restored\tother.x\tk\0" in everywhere.out
    assert call("kyg", "changed").out == b"2\n"
    assert call("kyrt", then) == (0, b"", "restored 3 keys\n")
    assert call("kycli", "scan").lines == ["changed=1", "gone=1", "kept=1"]
    assert call("kycli", "get", "other.x.k").out == b"2\n"
    assert call("kyrt", then).err == "nothing had changed\n"
    assert call("kycli", "undo").code == 0
    assert call("kycli", "scan").lines == ["changed=2", "kept=1", "new=2"]
    assert call("kyrt", then, "--all-scopes").err == "restored 4 keys\n"
    assert call("kycli", "get", "other.x.k").out == b"1\n"


def test_one_command_is_one_change_and_is_undone_as_one(call: Call) -> None:
    for key in ("a", "b", "c"):
        call("kys", key, "1")
    call("kyd", "a", "b")
    change = call("kyv", "a", "-n", "1").lines[0].split("\t")[3]
    assert call("kyv", "b", "-n", "1").lines[0].split("\t")[3] == change
    call("kys", "c", "2")
    assert call("kycli", "undo", change) == (0, b"", "reverted 2 keys\n")
    assert call("kycli", "scan").lines == ["a=1", "b=1", "c=2"]
    assert call("kycli", "undo").code == 0
    assert call("kyl").lines == ["c"]


def test_undoing_what_has_expired_says_that_it_is_gone_already(call: Call) -> None:
    call("kys", "k", "v", "--ttl", "0.05")
    pause()
    while call("kyg", "k").code != 2:
        pause()
    undone = call("kycli", "undo", "1")
    assert (undone.code, undone.out) == (0, b"")
    assert undone.err == "nothing to revert: everything is as it was before that change\n"


def test_undo_refuses_what_changed_since_unless_forced(call: Call) -> None:
    call("kys", "k", "1")
    call("kys", "k", "2")
    refused = call("kycli", "undo", "1")
    assert refused.failed_clearly
    assert "changed since change 1: 'k'" in refused.err
    assert call("kyg", "k").out == b"2\n"
    assert call("kycli", "undo", "1", "--force").code == 0
    assert call("kyg", "k").code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["kycli", "undo", "99"],
        ["kycli", "undo", "0"],
        ["kycli", "undo", "-1"],
        ["kycli", "undo", "last"],
        ["kycli", "undo", "9" * 5000],
        ["kycli", "undo", "1", "2"],
        ["kyrt"],
        ["kyrt", ""],
        ["kyrt", "nonsense"],
        ["kyrt", "2999-01-01"],
        ["kyrt", "1980-01-01"],
        ["kyrt", "10m"],
        ["kyrt", "1h ago", "--json"],
        ["kyrt", "1h ago", "--all-scopes", "--scope", "x"],
        ["kyr"],
        ["kyr", "k", "--at", "nonsense"],
        ["kyr", "k", "--at", "2999-01-01"],
        ["kyr", "k", "--version", "x"],
        ["kyr", "k", "--version", "0"],
        ["kyr", "k", "--version", ""],
        ["kyr", "k", "--version="],
        ["kycli", "restore", "k", "--version", ""],
        ["kyr", "k", "--version", "1", "--version", "2"],
        ["kyr", "k", "--version", "1", "--at", "1m ago"],
        ["kycli", "undo", "x", "--force"],
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(call: Call, words: list[str]) -> None:
    call("kys", "k", "v")
    before = call("kyv", "--json").out
    result = call(*words)
    assert result.failed_clearly
    assert "at-version" not in result.err
    assert call("kyv", "--json").out == before


def test_without_a_database_there_is_nothing_to_bring_back(call: Call) -> None:
    assert call("kyr", "k").code == 2
    assert call("kyrt", "1h ago") == (0, b"", "nothing had changed\n")
    assert call("kycli", "undo").code == 2
    assert call("kyv") == (0, b"", "")


def test_there_is_nothing_to_undo_in_a_scope_without_changes(call: Call) -> None:
    call("kys", "k", "v")
    done = call("kycli", "undo", "--scope", "never")
    assert done == (2, b"", "kycli: there is nothing to undo in scope 'never'\n")
    assert call("kycli", "undo", "--scope", "never", "99").code == 1
    assert call("kycli", "undo", "-d", "missing.db").code == 2
