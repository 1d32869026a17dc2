"""`kycli stream`: ProntoDB's tokens to keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.harness import Call, Result
from hypothesis import example, given
from hypothesis import strategies as st

from kycli import Kycore
from kycli.errors import FormatError, KycliError
from kycli.transfer.tokens import Tokens


def stream(call: Call, text: str | bytes, *flags: str) -> Result:
    given = text.encode() if isinstance(text, str) else text
    return call("kycli", "stream", *flags, stdin=given)


def read(text: str, scope: str = "default", delimiter: str = ".") -> list[tuple[str, ...]]:
    """Return what the tokens of a text say: scope, key, value and time to live."""
    return [
        (scope, token.key, token.value, run.ttl or "")
        for scope, runs in Tokens(text.encode(), scope, delimiter).runs.items()
        for run in runs
        for token in run.tokens
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ;; ;\n", []),
        ("k=v", [("default", "k", "v", "")]),
        ("\ufeffk=v", [("default", "k", "v", "")]),
        ("k=v;", [("default", "k", "v", "")]),
        (" k = v ;", [("default", "k", "v", "")]),
        ("k=;", [("default", "k", "", "")]),
        ('k="";', [("default", "k", "", "")]),
        ("k=a=b==;", [("default", "k", "a=b==", "")]),
        ("k=a\nb;", [("default", "k", "a\nb", "")]),
        ('k=say "hi";', [("default", "k", 'say "hi"', "")]),
        ("k='a;", [("default", "k", "'a", "")]),
        ('k={"a":1};', [("default", "k", '{"a":1}', "")]),
        ('k = " a;b=c " ;', [("default", "k", " a;b=c ", "")]),
        (r'k="\"\\\n\r\t";', [("default", "k", '"\\\n\r\t', "")]),
        ('"a;b=c" = v;', [("default", "a;b=c", "v", "")]),
        ('"meta:x"=v;', [("default", "meta:x", "v", "")]),
        ("k__ctx=v;", [("default", "k__ctx", "v", "")]),
        ("meta:path=a.b;k=v;", [("a.b", "k", "v", "")]),
        ("meta:ns=a.b;k=v;", [("a.b", "k", "v", "")]),
        ("meta:path=a;k=v;", [("a", "k", "v", "")]),
        ("meta:path=a.default;k=v;", [("a", "k", "v", "")]),
        ("meta:project=a; meta:namespace=b; k=v;", [("a.b", "k", "v", "")]),
        ("meta:namespace=b; k=v;", [("default.b", "k", "v", "")]),
        ("meta:path=a.b; meta:project=c; k=v;", [("c", "k", "v", "")]),
        ("meta:delim=|; meta:path=a|b; x.y=v;", [("a.b", "x.y", "v", "")]),
        ('meta:delim=";"; meta:path="a;b"; x.y=v;', [("a.b", "x.y", "v", "")]),
        (
            "a=1; meta:ttl=60; b=2; meta:ttl=1.5m; c=3; meta:ttl=; d=4",
            [
                *(("default", "a", "1", ""), ("default", "b", "2", "60")),
                *(("default", "c", "3", "1.5m"), ("default", "d", "4", "")),
            ],
        ),
        (
            "a=1; meta:path=x; b=2; meta:path=default; c=3;",
            [("default", "a", "1", ""), ("default", "c", "3", ""), ("x", "b", "2", "")],
        ),
    ],
)
def test_tokens_say_where_keys_go(text: str, expected: list[tuple[str, ...]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=1; b", "token 2 (line 1, column 6): no '=' after the key 'b'"),
        ("a=1;\n\n  b;", "token 2 (line 3, column 3): no '=' after the key 'b'"),
        ("=1", "token 1 (line 1, column 1): no key before '='"),
        ('""=1', "token 1 (line 1, column 1): no key before '='"),
        ('""', "token 1 (line 1, column 1): no key"),
        ('a="1', "token 1 (line 1, column 1): a quote is not closed"),
        ('a="1\\"', "token 1 (line 1, column 1): a quote is not closed"),
        ('a="1"2', "token 1 (line 1, column 1): text after the closing quote of the value"),
        ('"a"b=2', "token 1 (line 1, column 1): no '=' after the key 'a'"),
        ('a="\\x"', "token 1 (line 1, column 1): unknown escape '\\\\x'"),
        ("meta:x=1", "token 1 (line 1, column 1): unknown directive 'meta:x'"),
        ("meta:path=", "token 1 (line 1, column 1): an empty project name"),
        ("meta:path=a.", "token 1 (line 1, column 1): an empty namespace name"),
        ("meta:path=a.b.c", "token 1 (line 1, column 1): the path 'a.b.c' has 3 parts"),
        ("meta:path=a b", "token 1 (line 1, column 1): bad project name 'a b'"),
        ("meta:project=a.b", "token 1 (line 1, column 1): bad project name 'a.b'"),
        ("meta:delim=", "token 1 (line 1, column 1): '' cannot be the delimiter"),
        ("meta:delim=ab", "token 1 (line 1, column 1): 'ab' cannot be the delimiter"),
        ("meta:ttl=soon", "token 1 (line 1, column 1): 'soon' is not a length of time"),
        ("a.b=1", "token 1 (line 1, column 1): the key 'a.b' contains the delimiter '.'"),
        ("meta:delim=|; a|b=1", "token 2 (line 1, column 15): the key 'a|b' contains"),
    ],
)
def test_a_bad_token_is_named_and_nothing_is_saved(
    call: Call, database: Path, text: str, said: str
) -> None:
    result = stream(call, f"{text};" if "not closed" not in said else text)
    assert result.failed_clearly
    assert result.err.startswith(f"kycli: {said}")
    result = stream(call, f"meta:path=x.y; good=1;\n{text}")
    assert result.failed_clearly
    assert not database.exists()


LETTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(";=\"\\. \n\r\t'|:")
TEXT = st.text(LETTERS, max_size=8)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.tuples(TEXT.filter(lambda key: key and "|" not in key), TEXT), max_size=5))
@example([("meta:path", ";"), (" ", "\\n")])
def test_any_text_passes_in_quotes(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{quoted(key)}={quoted(value)};\n" for key, value in pairs)
    assert read(text, delimiter="|") == [("default", *pair, "") for pair in pairs]


@given(TEXT)
def test_any_text_is_read_or_refused(text: str) -> None:
    said = "token "
    try:
        read(text)
    except KycliError as error:
        said = str(error)
    assert said.startswith("token ")


def test_bytes_that_are_no_text_are_refused(call: Call) -> None:
    result = stream(call, b"a=1;\nb=\xff;")
    assert result.failed_clearly
    assert result.err == "kycli: not UTF-8, at line 2, byte 3\n"


def test_the_summary_counts_as_an_import_does(call: Call, database: Path) -> None:
    call("kycli", "set", "alpha.x.a", "0")
    call("kycli", "set", "alpha.x.b", "2")
    text = "meta:path=alpha.x; a=1; b=2; c=3; meta:path=beta; a=1;"
    dry = stream(call, text, "--dry-run")
    counts = "alpha.x: 3 keys: 1 created, 1 overwritten, 1 unchanged"
    assert dry.err == (
        f"{counts} (nothing was changed)\nbeta: 1 key: 1 created (nothing was changed)\n"
    )
    assert call("kycli", "scan", "alpha.x").out == b"a=0\nb=2\n"
    done = stream(call, text)
    assert done == (0, b"", f"{counts}\nbeta: 1 key: 1 created\n")
    with Kycore(database, scope="beta") as store:
        (change,) = store.get_history("a")
        assert (change.operation, change.command) == ("imported", "import standard input")
    answer = json.loads(stream(call, text, "--json", "-q").out)
    assert answer["read"] == answer["unchanged"] == 4
    assert answer["scopes"]["alpha.x"]["unchanged"] == 3
    assert call("kycli", "undo", "--scope", "beta").code == 0
    assert call("kycli", "scan", "--scope", "beta").out == b""


def test_a_dry_run_makes_no_database(call: Call, database: Path) -> None:
    assert (
        stream(call, "a=1", "--dry-run").err == "default: 1 key: 1 created (nothing was changed)\n"
    )
    assert stream(call, "").code == 0
    assert not database.exists()


def test_a_scope_is_saved_as_a_whole_or_not(call: Call) -> None:
    text = (
        "meta:path=good; a=1; meta:path=bad.ns; a=1;\nmeta:ttl=5; b=2; meta:ttl=; meta:path=z; a=1"
    )
    result = stream(call, text)
    assert result.code == 1
    assert result.err == (
        "good: 1 key: 1 created\n"
        "kycli: token 6 (line 2, column 13): 'bad.ns' is not a cache, so its keys take no TTL\n"
        "hint: to make it one: kycli admin create-cache bad.ns timeout=SEC\n"
    )
    assert call("kycli", "nss").out == b"good\n"
    result = stream(call, f"a=1; {'k' * 5000}=2; meta:path=good; a=2;")
    assert result.failed_clearly
    assert result.err.startswith("kycli: token 2 (line 1, column 6): the key 'kk")
    assert call("kycli", "nss").out == b"good\n"


def test_keys_live_as_long_as_the_stream_and_the_cache_say(call: Call) -> None:
    call("kycli", "create-cache", "shop.cart", "500")
    result = stream(call, "meta:path=shop.cart; a=1; meta:ttl=60; b=1; meta:path=plain; c=1")
    assert result.code == 0
    for key, ttl in {"shop.cart.a": b"500", "shop.cart.b": b"60", "plain.default.c": b"60"}.items():
        assert call("kycli", "ttl", key).out.strip() == ttl


def test_flags_say_where_keys_go_first(call: Call) -> None:
    assert stream(call, "a=1; meta:namespace=n; b=1", "--scope", "alpha.x").code == 0
    assert stream(call, "x.y=1; meta:path=beta|n; a=1", "--ns-delim", "|").code == 0
    assert call("kycli", "nss").out == b"alpha.n\nalpha.x\nbeta.n\ndefault\n"
    assert call("kyg", "x.y").out == b"1\n"


def test_credentials_are_passed_over(call: Call, database: Path) -> None:
    result = stream(call, "meta:sec:pass=s3cret; meta:sec:user=ada; a=1;")
    assert result.code == 0
    assert "meta:sec: is ignored" in result.err
    assert "s3cret" not in result.err
    assert b"s3cret" not in database.read_bytes()


def test_it_takes_no_arguments_and_needs_input(call: Call) -> None:
    assert call("kycli", "stream", "file.txt").failed_clearly
    with pytest.raises(FormatError):
        Tokens(b"\xff", "default", ".")
