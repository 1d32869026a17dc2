"""set, get, del, incr, append, copy, move and the short commands for them."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.harness import Call, Terminal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kycli.cli.env import MAX_LINE, Environment
from kycli.core.storage import Kycore

same_store = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # An object with one of these members stands for something that JSON has no word for.
    | texts.filter(lambda text: not text.startswith("$")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts.filter(lambda text: not text.startswith("$")), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_set_and_get_as_programs(run: Call) -> None:
    assert run("kys", "user.name", "Alice") == (0, b"", "")
    assert run("kyg", "user.name") == (0, b"Alice\n", "")
    assert run("kyg", "user.name", "--raw") == (0, b"Alice", "")
    assert run("kycli", "kyg", "user.name") == (0, b"Alice\n", "")
    assert run("kycli", "set", "alpha.prod.k", "v") == (0, b"", "")
    assert run("kycli", "get", "alpha.prod.k") == (0, b"v\n", "")


def test_a_missing_key_is_exit_2_with_nothing_on_stdout(run: Call) -> None:
    result = run("kyg", "nope")
    assert (result.code, result.out) == (2, b"")
    assert result.err == "kycli: no key 'nope' in scope 'default'\n"
    assert run("kyg", "-q", "nope") == (2, b"", "")


def test_reading_makes_no_files(call: Call, home: Path) -> None:
    assert call("kyg", "nope").code == 2
    assert call("kyd", "nope").code == 2
    assert call("kycli", "keys") == (0, b"", "")
    assert call("kycli", "list-scopes").code == 0
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("value", ["007", "", " ", "-", "true", "null", "a\nb", "é🙂", "1e5"])
def test_values_stay_as_they_are_typed(call: Call, value: str) -> None:
    if value != "-":
        assert call("kys", "k", value).code == 0
        assert call("kyg", "k", "--raw").out == value.encode()
    assert call("kys", "k", "--", "x").code == 0
    assert call("kys", "k", "-", stdin=value.encode()).code == 0
    assert call("kyg", "k", "--json").out == json.dumps(value, ensure_ascii=False).encode() + b"\n"


@given(st.binary(max_size=2000))
@same_store
def test_any_bytes_come_back_from_standard_input(call: Call, data: bytes) -> None:
    assert call("kys", "k", "-", stdin=data) == (0, b"", "")
    assert call("kyg", "k", "--raw").out == data
    encoded = call("kyg", "k", "--b64").out
    assert base64.b64decode(encoded, validate=False) == data
    assert call("kys", "again", "--b64", "-", stdin=encoded).code == 0
    assert call("kyg", "again", "--raw").out == data
    assert call("kyg", "again", "--json").out == call("kyg", "k", "--json").out


def test_bytes_come_back_through_pipes(run: Call) -> None:
    data = bytes(range(256)) * 1000
    assert run("kys", "k", "-", stdin=data).code == 0
    assert run("kyg", "k", "--raw").out == data
    assert run("kyg", "k").out == data + b"\n"


def typed(value: Any) -> Any:
    """The value with all its types spelled out, so that 1, 1.0 and True differ."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value).__name__, repr(value)


@given(documents)
@same_store
def test_json_goes_in_and_out_unchanged(call: Call, value: Any) -> None:
    assert call("kys", "k", "--json", "-", stdin=json.dumps(value).encode()) == (0, b"", "")
    printed = call("kyg", "k", "--json").out
    assert typed(json.loads(printed)) == typed(value)
    # What is printed is canonical: setting it again changes nothing, to the byte.
    assert call("kys", "other", "--json", "--", printed.decode()).code == 0
    assert call("kyg", "other", "--json").out == printed
    assert call("kyg", "other", "--jsonl").out == printed


@pytest.mark.parametrize(
    ("given_json", "printed"),
    [
        ("true", "true"),
        ("null", "null"),
        ("12", "12"),
        ("-7.5", "-7.5"),
        ('"text"', "text"),
        ('{"b": [1, 2.0], "a": "x y"}', '{"a":"x y","b":[1,2.0]}'),
        ('{"$base64": "aGk="}', "hi"),
        (str(10**30), str(10**30)),
    ],
)
def test_plain_printing_of_typed_values(call: Call, given_json: str, printed: str) -> None:
    assert call("kys", "k", "--json", "--", given_json).code == 0
    assert call("kyg", "k").out == printed.encode() + b"\n"


def test_get_of_several_keys(call: Call) -> None:
    call("kys", "a", "1")
    call("kys", "b", "--json", "[2]")
    assert call("kyg", "a", "b") == (0, b"1\n[2]\n", "")
    assert call("kyg", "a", "b", "-0").out == b"1\0[2]\0"
    assert call("kyg", "a", "b", "--raw").out == b"1[2]"
    assert call("kyg", "b", "a", "--json").out == b'{"a":"1","b":[2]}\n'
    assert call("kyg", "a", "b", "--jsonl").out == b'"1"\n[2]\n'
    some = call("kyg", "a", "gone", "b")
    assert (some.code, some.out) == (2, b"1\n[2]\n")
    assert some.err == "kycli: no key 'gone' in scope 'default'\n"
    assert call("kyg", "gone", "a", "--json", "-q") == (2, b'{"a":"1"}\n', "")
    assert call("kyg", "gone", "lost", "--json", "-q") == (2, b"", "")


class Meddled:
    """A store into which somebody else writes after each read."""

    def __init__(self, store: Kycore, meddle: Callable[[], object]) -> None:
        self._store = store
        self._meddle = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def getkey(self, *arguments: Any, **options: Any) -> Any:
        value = self._store.getkey(*arguments, **options)
        self._meddle()
        return value

    def get_entry(self, *arguments: Any, **options: Any) -> Any:
        entry = self._store.get_entry(*arguments, **options)
        self._meddle()
        return entry


@pytest.mark.parametrize("form", ["--raw", "--json", "--jsonl", "--meta"])
def test_several_keys_are_read_as_of_one_moment(
    call: Call, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    opened = Environment.store
    with Kycore() as other:
        other.save_many({"a": 0, "b": 0})

        def meddle() -> None:
            with other.transaction():
                other.incr("a"), other.incr("b")

        def meddled(env: Environment) -> Any:
            return Meddled(opened(env), meddle)

        monkeypatch.setattr(Environment, "store", meddled)
        whole = call("kyg", "a", "b", form)
        assert other.getkey("a") == 2
    assert (whole.code, whole.err) == (0, "")
    numbers = (
        whole.out
        if form != "--meta"
        else b"".join(b"%d" % json.loads(line)["value"] for line in whole.lines)
    )
    assert [digit for digit in numbers.decode() if digit.isdigit()] == ["0", "0"]


def test_an_expired_key_among_several_is_missing(call: Call) -> None:
    call("kys", "a", "1")
    call("kys", "b", "2", "--ttl", "0.01")
    time.sleep(0.02)
    some = call("kyg", "a", "b")
    assert (some.code, some.out) == (2, b"1\n")


def test_get_default(call: Call) -> None:
    assert call("kyg", "gone", "--default", "none") == (0, b"none\n", "")
    assert call("kyg", "gone", "--default=", "--raw") == (0, b"", "")
    assert call("kyg", "gone", "--default", "-x").out == b"-x\n"
    assert call("kyg", "gone", "--json", "--default", "[1, 2]").out == b"[1,2]\n"
    assert call("kyg", "gone", "--json", "--default", "[1,").failed_clearly
    call("kys", "here", "x")
    assert call("kyg", "here", "gone", "--default", "d").out == b"x\nd\n"


def test_meta_gives_what_a_script_needs_for_if_version(call: Call) -> None:
    call("kycli", "set", "alpha.prod.k", "1")
    call("kycli", "set", "alpha.prod.k", "2")
    record = json.loads(call("kycli", "get", "alpha.prod.k", "--meta").out)
    assert record.keys() == {"key", "scope", "value", "version", "updated_at"}
    assert (record["scope"], record["value"], record["version"]) == ("alpha.prod", "2", 2)
    call("kys", "t", "v", "--ttl", "100")
    record = json.loads(call("kyg", "t", "--meta").out)
    assert 0 < record["expires_at"] - record["updated_at"] <= 100_000
    assert call("kyg", "gone", "--meta").code == 2


def test_if_absent_and_if_version(call: Call) -> None:
    assert call("kys", "k", "1", "--if-absent").code == 0
    again = call("kys", "k", "2", "--if-absent")
    assert again.failed_clearly
    assert "'k' exists" in again.err
    assert call("kys", "k", "2", "--if-version", "0").failed_clearly
    assert call("kys", "k", "2", "--if-version", "1").code == 0
    assert call("kys", "k", "3", "--if-version=1").failed_clearly
    assert call("kys", "new", "1", "--if-version", "0").code == 0
    assert call("kyg", "k", "new").out == b"2\n1\n"


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "", "9" * 40])
def test_if_version_takes_a_whole_number(call: Call, number: str) -> None:
    assert call("kys", "k", "v", "--if-version", number).failed_clearly
    assert call("kyg", "k").code == 2


def test_a_value_is_typed_where_that_is_asked_for(call: Call) -> None:
    assert call("kys", "k", stdin=Terminal(b"typed")).failed_clearly
    assert call("kys", "k", "-", stdin=Terminal(b"typed")).code == 0
    assert call("kyg", "k").out == b"typed\n"


def test_del(call: Call) -> None:
    for key in "abc":
        call("kys", key, key)
    assert call("kyd", "a") == (0, b"", "deleted 1 key\n")
    some = call("kycli", "del", "b", "gone", "c")
    assert (some.code, some.out) == (2, b"")
    assert some.err == "kycli: no key 'gone' in scope 'default'\ndeleted 2 keys\n"
    assert call("kyd", "a", "-q") == (2, b"", "")
    assert call("kyl").out == b""


def test_del_is_all_or_nothing(call: Call) -> None:
    call("kys", "a", "1")
    assert call("kyd", "a", "").failed_clearly
    assert call("kyg", "a").code == 0


def test_del_prefix(call: Call) -> None:
    for key in ("t.1", "t.2", "tx", "t%"):
        call("kys", key, "v")
    refused = call("kyd", "--prefix", "t.")
    assert refused.failed_clearly
    assert "-y" in refused.err
    assert call("kyd", "--prefix", "t.", "-y") == (0, b"", "deleted 2 keys\n")
    assert call("kyd", "--prefix", "t.", "-y").code == 2
    assert call("kyl").lines == ["t%", "tx"]
    assert call("kyd", "--prefix", "t", "tx", "-y").failed_clearly
    assert call("kyd").failed_clearly


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"YES\n", 0), (b"n\n", 1), (b"", 1)])
def test_del_prefix_asks_on_a_terminal(call: Call, answer: bytes, code: int) -> None:
    call("kys", "t", "v")
    result = call("kyd", "--prefix", "t", stdin=Terminal(answer), tty=True)
    assert (result.code, result.out) == (code, b"")
    question, rest = result.err.split(" [y/N] ")
    assert question == "delete 1 key with the prefix 't' in scope 'default'?"
    # The user's Enter ends the line; at the end of the input nobody has.
    assert rest.startswith("\n") == (answer == b"")
    assert rest.lstrip() == ("deleted 1 key\n" if code == 0 else "nothing was changed\n")
    assert call("kyg", "t").code == (2 if code == 0 else 0)


def test_nobody_is_asked_who_does_not_see_the_question(call: Call) -> None:
    call("kys", "t", "v")
    refused = call("kyd", "--prefix", "t", stdin=Terminal(b"y\n"))
    assert refused.failed_clearly
    assert "-y" in refused.err
    assert call("kyg", "t").code == 0


@pytest.mark.parametrize("words", [["kyd", "--prefix", ""], ["kycli", "del", "--prefix="]])
def test_an_empty_prefix_deletes_nothing(call: Call, words: list[str]) -> None:
    call("kys", "k", "v", "-p", "alpha")
    refused = call(*words, "-p", "alpha", "-y")
    assert refused.failed_clearly
    assert "kycli drop-scope alpha" in refused.err
    assert call("kyg", "k", "-p", "alpha").code == 0


def test_incr(call: Call) -> None:
    assert call("kycli", "incr", "n") == (0, b"1\n", "")
    assert call("kycli", "incr", "n", "41").out == b"42\n"
    assert call("kycli", "incr", "n", "-5").out == b"37\n"
    assert call("kycli", "incr", "n", "-.5").out == b"36.5\n"
    assert call("kyg", "n", "--json").out == b"36.5\n"
    call("kys", "text", "abc")
    assert call("kycli", "incr", "text").failed_clearly
    assert call("kyg", "text").out == b"abc\n"


def test_incr_by_more_digits_than_python_reads(call: Call) -> None:
    assert call("kycli", "incr", "n", "9" * 5000).failed_clearly
    assert call("kyg", "n").code == 2


@pytest.mark.parametrize("by", ["x", "1_000", "nan", "inf", "1 ", "٣", "--1", "1e", ""])
def test_incr_by_nonsense(call: Call, by: str) -> None:
    assert call("kycli", "incr", "--", "n", by).failed_clearly
    assert call("kyg", "n").code == 2


def test_append(call: Call) -> None:
    assert call("kycli", "append", "log", "one") == (0, b"", "")
    assert call("kycli", "append", "log", "-", stdin=b" two") == (0, b"", "")
    assert call("kycli", "append", "log", "-", stdin=b"\xff").code == 0
    assert call("kyg", "log", "--raw").out == b"one two\xff"
    call("kycli", "incr", "n")
    assert call("kycli", "append", "n", "x").failed_clearly


def test_copy_and_move(call: Call) -> None:
    call("kycli", "set", "alpha.prod.a", "1")
    assert call("kycli", "copy", "alpha.prod.a", "b") == (0, b"", "")
    assert call("kyg", "b").out == b"1\n"
    call("kys", "c", "2")
    refused = call("kycli", "move", "b", "c")
    assert refused.failed_clearly
    assert "--force" in refused.err
    assert call("kycli", "move", "b", "c", "-f").code == 0
    assert call("kyl").lines == ["c"]
    assert call("kyg", "c").out == b"1\n"
    assert call("kycli", "copy", "gone", "x").code == 2
    assert call("kycli", "move", "gone", "x", "-q") == (2, b"", "")
    assert call("kycli", "copy", "-p", "alpha", "-n", "prod", "a", "z").code == 0
    assert call("kycli", "keys", "alpha.prod").lines == ["a", "z"]


def test_flags_that_exclude_each_other(call: Call) -> None:
    call("kys", "k", "v")
    for flags in (["--json", "--raw"], ["-0", "--b64"], ["--meta", "--default", "x"]):
        assert call("kyg", "k", *flags).failed_clearly
    assert call("kys", "k", "1", "--if-absent", "--if-version", "1").failed_clearly
    assert call("kys", "k", "--json", "--b64", "-", stdin=b"1").failed_clearly
    assert call("kys", "k", "1", "--json", "--b64").failed_clearly


def test_bad_values(call: Call) -> None:
    assert call("kys", "k", "--json", "{'a': 1}").failed_clearly
    assert call("kys", "k", "--json", "-", stdin=b"\xff").failed_clearly
    assert call("kys", "k", "--b64", "a").failed_clearly
    assert call("kyg", "k").code == 2


@pytest.mark.parametrize(
    ("text", "advised"),
    [("hello", True), ("", True), ("{'a': 1}", False), ('  {"a": 1', False), ("[1,]", False)],
)
def test_advice_against_json_is_only_for_what_does_not_look_like_it(
    call: Call, text: str, advised: bool
) -> None:
    for words in ([text], ["-"]):
        refused = call("kys", "k", "--json", *words, stdin=text.encode())
        assert refused.failed_clearly
        assert "not JSON" in refused.err
        assert ("leave --json out" in refused.err) == advised


def test_a_dash_is_stored_from_standard_input(run: Call) -> None:
    assert run("kys", "k", "-", stdin=b"-").code == 0
    assert run("kyg", "k").out == b"-\n"


def test_long_messages_are_shortened_in_the_middle(call: Call) -> None:
    key = "k" * 4000
    missing = call("kyg", key)
    assert missing.code == 2
    assert len(missing.err) <= MAX_LINE + 1
    assert missing.err.startswith("kycli: no key 'kkk")
    assert missing.err.endswith("kkk' in scope 'default'\n")
    refused = call("kycli", "get", "." * 100_000)
    assert refused.failed_clearly
    assert all(len(line) <= MAX_LINE for line in refused.err.splitlines())


def test_interrupted_input_stores_nothing(call: Call) -> None:
    class Interrupted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    assert call("kys", "k", "-", stdin=Interrupted()) == (130, b"", "")
    assert call("kyg", "k").code == 2
