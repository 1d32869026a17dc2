"""Listing by pattern: what matches, what it reads for that, and what is no pattern."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from typing import Any

import apsw
import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from kycli import Kycore
from kycli.core.operations import patterns
from kycli.core.operations.patterns import select
from kycli.errors import InvalidKeyError, MisuseError

# Few characters, so that patterns and keys meet; some that are special, some whose
# neighbours in Unicode, in UTF-8 or in case are not what they seem.
LETTERS = "abkKsſéÉÿĀ\ud7ff\ue000\U0010ffff\n.*]-!"
KEYS = st.lists(st.text(LETTERS, min_size=1, max_size=6), unique=True, max_size=30)


def atoms() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(LETTERS).map(re.escape),
        st.sampled_from([".", "[ab]", "[^a]", "[a-ké-ſ]", r"\w", r"\d", r"\b", "$", "^", "(?:)"]),
        st.sampled_from(["ab", "ſK", "é."]).map(re.escape),
    )


def compounds(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map("(?:{})".format),
        inner.map("({})".format),
        inner.map("(?:{})?".format),
        inner.map("(?:{})*".format),
        inner.map("(?:{})+".format),
        inner.map("(?:{}){{1,2}}".format),
    )


EXPRESSIONS = st.recursive(atoms(), compounds, max_leaves=8)
FLAGS = st.sampled_from(["", "", "", "(?i)", "(?s)", "(?m)", "^", "(?is)^"])


@pytest.fixture(scope="module")
def many() -> Any:
    """A store that examples share; each clears it."""
    with Kycore(":memory:") as store:
        yield store


def filled(store: Kycore, keys: list[str]) -> list[str]:
    store.delete_many(prefix="")
    store.save_many((key, 1) for key in keys)
    return sorted(keys)


@given(keys=KEYS, flags=FLAGS, expression=EXPRESSIONS)
@example(keys=["abc", "b"], flags="", expression="a|b")
@example(keys=["K", "k", "\u212a"], flags="(?i)", expression="k")
@example(keys=["ab", "ab\ue000", "ac"], flags="", expression="ab.*")
@example(keys=["\ud7ff", "\ue000"], flags="", expression="\ud7ff")
def test_a_pattern_finds_what_a_full_scan_finds(
    many: Kycore, keys: list[str], flags: str, expression: str
) -> None:
    pattern = flags + expression
    present = filled(many, keys)
    matches = re2.compile(pattern).match
    expected = [key for key in present if matches(key)]
    assert many.listkeys(pattern) == expected
    assert many.listkeys(pattern, limit=2) == expected[:2]
    assert many.listkeys(pattern, prefix="a") == [k for k in expected if k[0] == "a"]


@given(keys=KEYS, expression=EXPRESSIONS)
def test_a_pattern_means_what_it_means_to_python(
    many: Kycore, keys: list[str], expression: str
) -> None:
    ends = expression.replace("$", r"\Z")  # Python's $ also stands before a last newline
    ours = expression.replace("$", r"\z")
    try:
        matches = re.compile(ends, re.ASCII).match
        expected = [key for key in filled(many, keys) if matches(key)]
    except re.error:
        return  # such as a * behind a ^
    assert many.listkeys(ours) == expected


@given(
    keys=KEYS,
    glob=st.lists(
        st.sampled_from([*LETTERS, "*", "*", "?", "[ab]", "[!a-é]", "[]a]", "[", "[!]]", "[a-]"]),
        max_size=6,
    ).map("".join),
)
@example(keys=["a]", "ab"], glob="[")
def test_a_glob_means_what_it_means_to_a_shell(many: Kycore, keys: list[str], glob: str) -> None:
    # A range whose end is before its start is none to Python, and an error to us.
    try:
        filled(many, keys)
        found = many.listkeys(glob=glob)
    except InvalidKeyError:
        assert re.search(r"\[.*-", glob, re.DOTALL)
        return
    assert found == [key for key in sorted(keys) if fnmatch.fnmatchcase(key, glob)]


def test_a_glob_takes_the_shell_s_escapes(store: Kycore) -> None:
    store.save_many((key, 1) for key in ("a*b", "axb", "a[b", "a\\", "é", "]", "x-y", "^"))
    assert store.listkeys(glob=r"a\*b") == ["a*b"]
    assert store.listkeys(glob=r"a\[b") == ["a[b"]
    assert store.listkeys(glob="a\\") == ["a\\"]
    assert store.listkeys(glob="a[*[]b") == ["a*b", "a[b"]
    assert store.listkeys(glob="[!a-z]") == ["]", "^", "é"]
    assert store.listkeys(glob="[^^]") == ["]", "é"]
    assert store.listkeys(glob=r"[\]]") == ["]"]
    assert store.listkeys(glob=r"x[\-x]y") == ["x-y"]
    assert store.listkeys(glob="") == []


@pytest.mark.parametrize(
    ("pattern", "first", "past"),
    [
        (r"user\.abc.*", "user.abc", "user.abd"),
        ("^user", "user", "uses"),
        ("user", "user", "uses"),
        (r"user\.(a|c)+x", "user.a", "user.d"),
        ("user|usher", "user", "ushes"),
        ("us?er", "uer", "uses"),
        ("user$", "user", "user\0"),
        ("(?i)user", "USER", "uſes"),
        (r"\Quser.\E.", "user.", "user/"),
        ("é+", "é", "ê"),
        (".*user", "", b""),
        ("", "", b""),
        ("^", "", b""),
        ("\U0010ffff", "\U0010ffff", b""),
    ],
)
def test_a_pattern_reads_the_range_that_it_implies(
    pattern: str, first: str, past: str | bytes
) -> None:
    least, end, _ = select(pattern, None)
    assert least >= first
    assert end == past or (isinstance(end, str) and isinstance(past, str) and end <= past)


@pytest.mark.parametrize(
    ("glob", "first", "past"),
    [
        ("user*", "user", "uses"),
        ("user.?bc*", "user.", "user/"),
        ("user", "user", "user\0"),
        ("[a-c]x*", "ax", "cy"),
        ("*user", "", b""),
    ],
)
def test_a_glob_reads_the_range_that_it_implies(glob: str, first: str, past: str | bytes) -> None:
    least, end, _ = select(None, glob)
    assert least >= first
    assert end == past or (isinstance(end, str) and isinstance(past, str) and end <= past)


def test_a_range_is_all_that_is_read(store: Kycore) -> None:
    store.save_many((f"{letter}{n:04}", 1) for letter in "abc" for n in range(2000))
    (connection,) = (c for c in apsw.connections() if c.filename == store.path)
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    connection.set_progress_handler(count, 20)  # at every 20th instruction of SQLite's
    assert store.listkeys(".*b0007") == ["b0007"]
    all_steps, steps = steps, 0
    assert store.listkeys("b000[7]") == store.listkeys(glob="b00?7", prefix="b000") == ["b0007"]
    assert all_steps > 1000
    assert steps < all_steps / 20


def test_what_is_only_a_prefix_needs_no_engine() -> None:
    program = (
        "import sys; from kycli import Kycore; kv = Kycore(':memory:'); kv['a.b'] = 1; "
        "assert kv.listkeys(r'^a\\.b.*') == kv.listkeys(glob='a.*') == ['a.b']; "
        "assert kv.listkeys() == ['a.b']; assert 're2' not in sys.modules; "
        "assert kv.listkeys('a.b') == ['a.b'] and 're2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(?:a?){500}a{500}$", "(.*a){12}$", "(a*)*b"]
)
def test_a_hostile_pattern_does_not_hang(
    store: Kycore, pattern: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # Python's own engine would take longer than the universe has been there.
    store.save_many(("a" * (4000 + n) + "b", n) for n in range(8))
    assert store.listkeys(pattern + "x") == []
    assert capfd.readouterr() == ("", "")


def test_a_hostile_glob_does_not_hang(store: Kycore) -> None:
    store["a" * 4000] = 1
    assert store.listkeys(glob="*a" * 200 + "b") == []


@pytest.mark.parametrize(
    "glob", ["[", "[!", "[a-", "[a-b", "[]", "[\\]", "*", "?", "*?", "[[:alpha:]", "\\"]
)
def test_a_long_glob_takes_no_quadratic_time(
    store: Kycore, glob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    whole = patterns._member

    def counted(glob: str, at: int) -> tuple[str, int]:
        nonlocal looked
        looked += 1
        return whole(glob, at)

    monkeypatch.setattr(patterns, "_member", counted)
    text = glob * (8000 // len(glob))
    assert store.listkeys(glob=text) == []
    assert looked <= 2 * len(text)


@pytest.mark.parametrize(
    ("glob", "key"),
    [
        ("[", "["),
        ("a[[b", "a[[b"),
        ("[z-a", "[z-a"),
        ("[]", "[]"),
        ("[!]x[", "[!]x["),
        ("[a][b", "a[b"),
    ],
)
def test_a_bracket_that_is_not_closed_is_one(store: Kycore, glob: str, key: str) -> None:
    store[key] = 1
    assert store.listkeys(glob=glob) == [key]


@pytest.mark.parametrize("pattern", ["a{1,1000}" * 200, "(a?){1,50}" * 3000, r"\pL?" * 3000])
def test_a_pattern_that_grows_too_large_is_refused(store: Kycore, pattern: str) -> None:
    with pytest.raises(InvalidKeyError, match="too large"):
        store.listkeys(pattern)


@pytest.mark.parametrize("kind", ["pattern", "glob"])
def test_a_pattern_has_a_limit(store: Kycore, kind: str) -> None:
    for text in ("a?" * 20_000, "é" * 16_385):
        with pytest.raises(InvalidKeyError, match=r"has [\d,]+ bytes") as caught:
            store.listkeys(**{kind: text})  # type: ignore[arg-type]
        assert "32,768" in (caught.value.hint or "")
    store["k"] = 1
    assert store.listkeys("|".join(["k", *(f"key:{n:08}" for n in range(2000))])) == ["k"]


@pytest.mark.parametrize(
    ("pattern", "reason", "hint"),
    [
        ("(", "missing )", "regular expressions of RE2"),
        ("[a", "missing ]", "regular expressions of RE2"),
        ("*a", "no argument for repetition", "regular expressions of RE2"),
        ("a++", "bad repetition", "regular expressions of RE2"),
        (r"(a)\1", "invalid escape", "linear time"),
        ("(?=a)", "invalid perl operator", "linear time"),
        ("(?!a)", "invalid perl operator", "linear time"),
        ("(?<=a)b", "invalid perl operator", "linear time"),
        ("(?<!a)b", "invalid perl operator", "linear time"),
        ("(?P<n>a)(?P=n)", "invalid perl operator", "linear time"),
        (r"a\Z", "invalid escape", r"\z"),
        (r"(?:\pL{1,100}.){2,9}", "too large", "regular expressions of RE2"),
        ("a)(b", "unexpected )", "regular expressions of RE2"),
        ("\ud800", "not valid text", ""),
    ],
)
def test_what_is_no_pattern_is_one_clear_error(
    store: Kycore, pattern: str, reason: str, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidKeyError, match=re.escape(reason)) as caught:
        store.listkeys(pattern)
    assert hint in (caught.value.hint or "")
    assert capfd.readouterr() == ("", "")  # RE2 would write a log of its own


def test_what_is_no_glob_is_one_clear_error(store: Kycore) -> None:
    with pytest.raises(InvalidKeyError, match="range z-a is empty"):
        store.listkeys(glob="[z-a]")
    with pytest.raises(MisuseError, match="exclude each other"):
        store.listkeys("a", glob="a")


def test_a_pattern_streams(store: Kycore) -> None:
    store.save_many((f"{n:05}", 1) for n in range(3000))
    found = store.iterkeys(pattern=".*9")
    assert next(found) == "00009"
    store.delete_many(prefix="00")
    assert next(found) == "00019"  # of the page that was read
    assert "01009" in found
