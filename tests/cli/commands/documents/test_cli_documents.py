"""kyg with paths, and patch, push and remove."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from cli.harness import Call, program

USER = '{"profile": {"email": "a@b.c", "age": 36}, "tags": ["x", "y", "z"], "none": null}'


@pytest.fixture(autouse=True)
def user(call: Call) -> None:
    assert call("kys", "user", "--json", USER).code == 0
    assert call("kycli", "set", "alpha.prod.user", "--json", USER).code == 0


def value(call: Call, key: str = "user") -> str:
    return call("kyg", key, "--json").out.decode().strip()


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["user.profile.email"], "a@b.c\n"),
        (["user.profile.age"], "36\n"),
        (["user.profile"], '{"age":36,"email":"a@b.c"}\n'),
        (["user.tags[0]"], "x\n"),
        (["user.tags[-1]"], "z\n"),
        (["user.tags[0:2]"], '["x","y"]\n'),
        (["user.tags[-2:]"], '["y","z"]\n'),
        (["user.none"], "null\n"),
        (["user.profile.email", "--json"], '"a@b.c"\n'),
        (["user.profile.email", "--raw"], "a@b.c"),
        (["user", "--path", "$.tags[1]"], "y\n"),
        (["user", "--path", "tags[1]"], "y\n"),
        (["user.nothing", "--default", "d"], "d\n"),
        (["user.profile.age", "user.tags[0]"], "36\nx\n"),
        (["user.tags[0]", "user.tags[1]", "--json"], '{"user.tags[0]":"x","user.tags[1]":"y"}\n'),
    ],
)
def test_kyg_reads_paths(call: Call, words: list[str], out: str) -> None:
    assert call("kyg", *words) == (0, out.encode(), "")


def test_addresses_have_path(call: Call) -> None:
    assert call("kycli", "get", "alpha.prod.user", "--path", "$.tags[0:2]").out == b'["x","y"]\n'
    assert call("kycli", "get", "-p", "alpha", "-n", "prod", "user", "--path", "tags").code == 0
    assert call("kycli", "get", "user.tags").code == 2  # the key tags of the namespace user
    assert call("kycli", "get", "user[0]").code == 2
    missing = call("kycli", "get", "user", "--path", "$.nope")
    assert (missing.code, missing.out) == (2, b"")
    assert "'$.nope'" in missing.err


def test_a_key_of_that_name_goes_first(call: Call) -> None:
    call("kys", "user.tags", "a key")
    assert call("kyg", "user.tags").out == b"a key\n"
    assert call("kyg", "user", "--path", "tags[0]").out == b"x\n"


def test_paths_into_what_was(call: Call) -> None:
    then = time.time()
    time.sleep(0.002)  # more than the milliseconds of --at are rounded by
    call("kypatch", "user.tags[0]", "new")
    assert call("kyg", "user.tags[0]", "--at", f"{then:.3f}").out == b"x\n"
    assert call("kyg", "user.tags[0]").out == b"new\n"


@pytest.mark.parametrize(
    "key", ["nobody", "nobody.x", "user.nope", "user.tags[3]", "user.tags[-4]", "user.none.x"]
)
def test_what_is_missing_is_2(call: Call, key: str) -> None:
    result = call("kyg", key)
    assert (result.code, result.out) == (2, b"")
    assert repr(key) in result.err


NOT_PATHS = [("user.tags[x]", "at character 11"), ("user..tags", "at character 6")]
NOWHERE = [
    ("user.tags.first", "user.tags is a list"),
    ("user.profile[0]", "user.profile is an object"),
    ("user.profile.age.x", "user.profile.age is a number"),
    ("text.x", "'text' is text, not JSON"),
    ("text[0]", "'text' is text, not JSON"),
    ("almost.x", "'almost' is text: not JSON"),
    ("bytes.x", "'bytes' is bytes"),
]


@pytest.fixture
def _no_documents(call: Call) -> None:
    call("kys", "text", "plain")
    call("kys", "almost", "{plain")
    call("kys", "bytes", "-", stdin=b"\xff")


@pytest.mark.usefixtures("_no_documents")
@pytest.mark.parametrize(("key", "said"), NOT_PATHS + NOWHERE)
def test_what_does_not_fit_cannot_be_changed(call: Call, key: str, said: str) -> None:
    for words in (["kypatch", key, "v"], ["kypush", key, "v"], ["kyrem", key, "v"]):
        result = call(*words)
        assert result.failed_clearly
        assert said in result.err
    assert call("kyg", "text", "almost").out == b"plain\n{plain\n"
    assert len(call("kyv", "user").lines) == 1


@pytest.mark.parametrize(("key", "said"), NOT_PATHS)
def test_what_is_no_path_is_1_and_says_where(call: Call, key: str, said: str) -> None:
    result = call("kyg", key)
    assert result.failed_clearly
    assert said in result.err


@pytest.mark.usefixtures("_no_documents")
@pytest.mark.parametrize(("key", "said"), NOWHERE)
def test_a_path_that_leads_nowhere_is_missing(call: Call, key: str, said: str) -> None:
    time.sleep(0.005)
    now = f"{time.time():.3f}"
    for words in (["kyg", key], ["kyg", key, "--json"], ["kyg", "--at", now, key]):
        result = call(*words)
        assert (result.code, result.out) == (2, b"")
        assert f"no key {key!r}" in result.err
        assert said in result.err
    some = call("kyg", "user.tags[0]", key)
    assert (some.code, some.out) == (2, b"x\n")
    assert call("kyg", key, "--default", "d") == (0, b"d\n", "")
    assert call("kyc", key).code == 2


@pytest.mark.usefixtures("_no_documents")
def test_a_path_behind_an_address_may_lead_nowhere(call: Call) -> None:
    for words in (["text", "--path", "$.x"], ["user", "--path", "tags.first"]):
        result = call("kycli", "get", *words)
        assert (result.code, result.out) == (2, b"")
        assert call("kycli", "get", *words, "--default", "d") == (0, b"d\n", "")
    assert call("kycli", "get", "user", "--path", "tags[", "--default", "d").failed_clearly


def test_text_from_a_pipe_is_read_as_json(call: Call) -> None:
    call("kys", "response", "-", stdin=b'{"items": [{"id": 7}]}\n')
    assert call("kyg", "response.items[0].id").out == b"7\n"
    assert call("kyg", "response").out == b'{"items": [{"id": 7}]}\n\n'


def test_kypatch_sets_a_place(call: Call) -> None:
    assert call("kypatch", "user.profile.age", "25") == (0, b"", "")
    assert call("kyg", "user.profile.age", "--json").out == b'"25"\n'
    assert call("kypatch", "user.profile.age", "--json", "25") == (0, b"", "")
    assert call("kyg", "user.profile.age", "--json").out == b"25\n"
    assert call("kypatch", "user.new[0].deep", "-", stdin=b"\xff").code == 0
    assert call("kyg", "user.new[0].deep", "--b64").out == b"/w==\n"
    assert call("kypatch", "fresh.a.b", "c").code == 0
    assert value(call, "fresh") == '{"a":{"b":"c"}}'
    assert call("kypatch", "user", "--path", "$.tags[0]", "first").code == 0
    assert call("kyg", "user.tags[0]").out == b"first\n"


def test_addresses_are_patched(call: Call) -> None:
    assert call("kycli", "patch", "alpha.prod.user", "--path", "$.tags[0]", "v").code == 0
    assert call("kycli", "get", "alpha.prod.user", "--path", "tags[0]").out == b"v\n"
    assert call("kycli", "push", "alpha.prod.user", "--path", "tags", "w").code == 0
    assert call("kycli", "push", "alpha.prod.list", "w").code == 0
    assert call("kycli", "remove", "alpha.prod.user", "--path", "tags", "y").code == 0
    found = call("kycli", "get", "alpha.prod.user", "--path", "tags").out
    assert found == b'["v","z","w"]\n'
    assert call("kycli", "get", "alpha.prod.list").out == b'["w"]\n'
    assert call("kycli", "patch", "alpha.prod.user", "whole").code == 0
    assert call("kycli", "get", "alpha.prod.user").out == b"whole\n"
    assert value(call).startswith('{"none"')


def test_merge(call: Call) -> None:
    patch = '{"none": 1, "tags": null, "profile": {"age": null, "x": {}}}'
    assert call("kycli", "patch", "user", "--merge", patch) == (0, b"", "")
    assert value(call) == '{"none":1,"profile":{"email":"a@b.c","x":{}}}'
    assert call("kypatch", "user.profile", "--merge", "-", stdin=b'{"x": 2}').code == 0
    assert call("kyg", "user.profile.x").out == b"2\n"


def test_json_patch(call: Call, home: Path) -> None:
    (home / "changes.json").write_text(
        '[{"op": "test", "path": "/tags/0", "value": "x"}, {"op": "remove", "path": "/tags/0"}]'
    )
    assert call("kycli", "patch", "user", "--json-patch", "changes.json") == (0, b"", "")
    assert call("kyg", "user.tags").out == b'["y","z"]\n'
    again = call("kypatch", "user", "--json-patch", "changes.json")
    assert again.failed_clearly
    assert "operation 1" in again.err
    patch = b'[{"op": "add", "path": "/-", "value": 5}]'
    assert call("kypatch", "user.tags", "--json-patch", "-", stdin=patch).code == 0
    assert call("kyg", "user.tags").out == b'["y","z",5]\n'
    assert call("kypatch", "nobody", "--json-patch", "-", stdin=patch).code == 2


def test_push_and_remove(call: Call) -> None:
    assert call("kypush", "l", "a") == (0, b"", "")
    assert call("kypush", "l", "--json", "5") == (0, b"", "")
    assert call("kypush", "l", "5", "--unique") == (0, b"", "")
    assert call("kypush", "l", "a", "--unique") == (0, b"", "")
    assert call("kypush", "l", "-", stdin=b"from a pipe").code == 0
    assert value(call, "l") == '["a",5,"5","from a pipe"]'
    assert call("kyrem", "l", "5") == (0, b"", "")
    again = call("kyrem", "l", "5")
    assert (again.code, again.out) == (0, b"")
    assert "nothing to remove" in again.err
    assert call("kyrem", "l", "--json", "5").code == 0
    assert value(call, "l") == '["a","from a pipe"]'
    assert call("kypush", "user.tags", "w").code == 0
    assert call("kyrem", "user.tags", "x").code == 0
    assert call("kyg", "user.tags").out == b'["y","z","w"]\n'


@pytest.mark.parametrize("words", [["nobody"], ["user.nothing"], ["user", "--path", "$.nothing"]])
def test_removing_from_what_is_missing_is_2(call: Call, words: list[str]) -> None:
    result = call("kyrem", *words, "--", "v")
    assert (result.code, result.out) == (2, b"")
    assert "no key" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["patch", "user", "v", "--merge", "{}"], "exclude"),
        (["patch", "user", "--merge", "{}", "--json-patch", "f"], "exclude"),
        (["patch", "user", "--merge", "{}", "--json"], "exclude"),
        (["patch", "user", "--merge", "{a: 1}"], "--merge: not JSON"),
        (["patch", "user", "--merge", '{"a":1,"a":2}'], "twice"),
        (["patch", "user", "--json-patch", "nofile.json"], "nofile.json: No such file"),
        (["patch", "user", "--json-patch", "."], ".: Is a directory"),
        (["patch", "user", "--json-patch", "-"], "-: not JSON"),
        (["patch", "user", "--path", "", "v"], "empty"),
        (["patch", "user", "--path", "$.", "v"], "character 3"),
        (["patch", "user", "--json", "{"], "not JSON"),
        (["patch", "user", "--path", "$.tags[0:1]", "v"], "slice"),
        (["patch", "user", "--path", "$.tags[9]", "v"], "has 3 items"),
        (["get", "user", "--path", "x", "--meta"], "exclude"),
        (["push", "user", "v"], "user is an object, not a list"),
        (["push", "user", "--path", "$.none", "v"], "user.none is null, not a list"),
        (["remove", "user", "v"], "user is an object, not a list"),
        (["patch"], "ADDRESS"),
        (["kypush"], "KEY"),
    ],
)
def test_bad_input_changes_nothing(call: Call, words: list[str], said: str) -> None:
    before = value(call)
    result = call("kycli", *words)
    assert result.failed_clearly
    assert said in result.err
    assert value(call) == before
    assert len(call("kyv", "user").lines) == 1


def test_a_patch_that_is_no_patch(call: Call) -> None:
    result = call("kypatch", "user", "--json-patch", "-", stdin=b'{"op": "add"}')
    assert result.failed_clearly
    assert "list of operations" in result.err


def test_contexts_make_keys_and_no_paths(call: Call) -> None:
    assert call("kyg", "user.profile", "--context", "prod").code == 2
    assert call("kypush", "user.tags", "v", "--context", "prod").code == 0
    assert call("kyg", "user.tags__prod").out == b'["v"]\n'


def test_shells_that_push_at_once_lose_nothing() -> None:
    loop = f'for i in $(seq 10); do {program("kypush")} list "$0$i" || exit 1; done'
    shells = [subprocess.Popen(["sh", "-c", loop, name]) for name in "abcd"]
    assert [shell.wait(120) for shell in shells] == [0] * 4
    out = subprocess.run([program("kyg"), "list[:]"], capture_output=True, check=True).stdout
    assert sorted(json.loads(out)) == sorted(f"{name}{i}" for name in "abcd" for i in range(1, 11))


def test_the_history_names_the_command(call: Call) -> None:
    call("kypush", "user.tags", "v")
    assert b"kypush" in call("kycli", "blame", "user").out
