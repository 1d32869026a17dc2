"""Addresses: one argument, two or three, read as the scope and the key that were meant."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kycli.address import (
    add_context,
    check_delimiter,
    fixed_key,
    fixed_scope,
    parse_address,
    parse_listing,
    split_context,
)
from kycli.core.names import join_scope, split_scope
from kycli.errors import (
    InvalidAddressError,
    InvalidKeyError,
    InvalidScopeError,
    KycliError,
    UsageError,
)

NAMES = st.text(
    st.characters(categories=["L", "Nd", "M"], include_characters="_-"), min_size=1, max_size=20
)
SCOPES = st.builds(join_scope, NAMES, NAMES)
DELIMITERS = st.characters(categories=["P", "S", "Zs"], exclude_characters="_-").filter(
    str.isprintable
)
KEYS = st.text(min_size=1, max_size=40)
HOSTILE = [
    *("..", "../../etc/passwd", "a b", "a\0b", "a\nb", "x" * 129, "é\u200b", "🙂", "\udcff"),
    *("'; DROP TABLE kvstore; --", "%s", "{0}", "$HOME", "*", "\\", '"'),
]


# Addresses.


@pytest.mark.parametrize(
    ("text", "current", "scope", "key"),
    [
        ("name", "default", "default", "name"),
        ("name", "alpha.users", "alpha.users", "name"),
        ("users.name", "default", "default.users", "name"),
        ("users.name", "alpha", "alpha.users", "name"),
        ("users.name", "alpha.other", "alpha.users", "name"),
        ("default.name", "alpha.other", "alpha", "name"),
        ("beta.users.name", "alpha.other", "beta.users", "name"),
        ("beta.default.name", "alpha.other", "beta", "name"),
        ("beta.users.Full Name__prod", "default", "beta.users", "Full Name__prod"),
        ("größe.中文. key ", "default", "größe.中文", " key "),
    ],
)
def test_parts_are_read_from_the_right(text: str, current: str, scope: str, key: str) -> None:
    assert parse_address(text, current=current) == (scope, key)


def test_current_scope_is_the_default_one_unless_told() -> None:
    assert parse_address("name") == ("default", "name")


@given(NAMES, NAMES, KEYS, SCOPES, DELIMITERS)
def test_full_address_comes_back_as_its_parts(
    project: str, namespace: str, key: str, current: str, delimiter: str
) -> None:
    assume(delimiter not in key)
    scope, back = parse_address(
        delimiter.join((project, namespace, key)), current=current, delimiter=delimiter
    )
    assert scope == join_scope(project, namespace)
    assert back == key


@given(NAMES, KEYS, SCOPES, DELIMITERS)
def test_shorter_addresses_take_the_rest_from_the_current_scope(
    namespace: str, key: str, current: str, delimiter: str
) -> None:
    assume(delimiter not in key)
    assert parse_address(key, current=current, delimiter=delimiter) == (current, key)
    assert parse_address(f"{namespace}{delimiter}{key}", current=current, delimiter=delimiter) == (
        join_scope(split_scope(current)[0], namespace),
        key,
    )


@given(st.text(), DELIMITERS)
def test_text_is_an_address_or_refused_with_a_hint(text: str, delimiter: str) -> None:
    hint: str | None = "none needed"
    try:
        _, key = parse_address(text, delimiter=delimiter)
    except KycliError as error:
        hint = error.hint
    else:
        assert text.endswith(key)
        assert delimiter not in key
    assert hint


def test_key_may_hold_dots_under_another_delimiter() -> None:
    assert parse_address("a|b|user.name", delimiter="|") == ("a.b", "user.name")
    assert parse_address("user.name", delimiter="|") == ("default", "user.name")


def test_address_of_more_than_three_parts_says_how_many_and_a_way_out() -> None:
    with pytest.raises(InvalidAddressError, match=r"'a\.b\.c\.d' has 4 parts") as caught:
        parse_address("a.b.c.d")
    assert caught.value.hint is not None
    assert "project.namespace.key" in caught.value.hint
    assert "--ns-delim '|'" in caught.value.hint


def test_way_out_is_a_delimiter_that_the_text_does_not_hold() -> None:
    with pytest.raises(InvalidAddressError) as caught:
        parse_address("a.b|c/d.e.f")
    assert caught.value.hint is not None
    assert "--ns-delim ':'" in caught.value.hint
    with pytest.raises(InvalidAddressError) as caught:
        parse_address("a.b.c.|/:;,%@")
    assert caught.value.hint is not None
    assert "--ns-delim" not in caught.value.hint


@pytest.mark.parametrize("text", ["", ".", "..", ".key", "a.", "a..key", ".a.key", "a.b."])
def test_address_with_an_empty_part_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddressError, match="empty") as caught:
        parse_address(text)
    assert caught.value.hint is not None
    assert "namespace.key" in caught.value.hint


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_name_in_an_address_is_refused_and_named(name: str) -> None:
    for text in (f"{name}|ns|key", f"project|{name}|key", f"{name}|key"):
        with pytest.raises(InvalidScopeError) as caught:
            parse_address(text, delimiter="|")
        assert "project name" in str(caught.value) or "namespace name" in str(caught.value)
        assert caught.value.hint is not None
        assert "1 to 128 characters" in caught.value.hint


@pytest.mark.parametrize("key", HOSTILE)
def test_key_is_kept_whatever_it_holds(key: str) -> None:
    assert parse_address(f"a|b|{key}", delimiter="|") == ("a.b", key)
    assert fixed_key(key, "|") == key


# Delimiters.


@pytest.mark.parametrize("delimiter", [".", "|", "/", ":", " ", "%", "{", "→", "·", "。"])
def test_delimiter_is_one_printable_character(delimiter: str) -> None:
    assert check_delimiter(delimiter) == delimiter


@given(DELIMITERS)
def test_character_that_no_name_holds_may_be_the_delimiter(delimiter: str) -> None:
    assert check_delimiter(delimiter) == delimiter


@pytest.mark.parametrize(
    "delimiter",
    [
        *("", "a", "Z", "0", "_", "-", "..", "||", "\t", "\n", "\0", "\x7f"),
        *("é", "中", "²", "\u0301", "\u200b", "\udcff", "\xa0", "🇩🇪"),
    ],
)
def test_other_delimiters_are_refused(delimiter: str) -> None:
    with pytest.raises(InvalidAddressError) as caught:
        check_delimiter(delimiter)
    assert repr(delimiter) in str(caught.value)
    assert caught.value.hint is not None
    assert "one printable character" in caught.value.hint


# Flags.


def fix(
    project: str | None = None,
    namespace: str | None = None,
    scope: str | None = None,
    *,
    current: str = "alpha",
) -> str:
    return fixed_scope(project=project, namespace=namespace, scope=scope, current=lambda: current)


@pytest.mark.parametrize(
    ("project", "namespace", "scope", "fixed"),
    [
        ("beta", None, None, "beta"),
        ("beta", "logs", None, "beta.logs"),
        ("beta", "default", None, "beta"),
        (None, "logs", None, "alpha.logs"),
        (None, "default", None, "alpha"),
        (None, None, "beta", "beta"),
        (None, None, "beta.logs", "beta.logs"),
        (None, None, "beta.default", "beta"),
    ],
)
def test_flags_fix_the_scope(
    project: str | None, namespace: str | None, scope: str | None, fixed: str
) -> None:
    assert fix(project, namespace, scope, current="alpha.users") == fixed


@pytest.mark.parametrize(("project", "namespace"), [("a", None), (None, "b"), ("a", "b"), ("", "")])
def test_scope_together_with_its_parts_is_an_error(
    project: str | None, namespace: str | None
) -> None:
    with pytest.raises(UsageError, match="--scope c together with -") as caught:
        fix(project, namespace, "c")
    assert caught.value.hint is not None


@pytest.mark.parametrize("name", ["", *HOSTILE])
def test_bad_name_in_a_flag_is_refused(name: str) -> None:
    with pytest.raises(InvalidScopeError):
        fix(project=name)
    with pytest.raises(InvalidScopeError):
        fix(namespace=name)
    with pytest.raises(InvalidScopeError):
        fix(scope=name)


@pytest.mark.parametrize(
    ("project", "namespace", "scope"), [("a", None, None), ("a", "b", None), (None, None, "a.b")]
)
def test_current_scope_is_not_asked_for_where_flags_name_another(
    project: str | None, namespace: str | None, scope: str | None
) -> None:
    def unusable() -> str:
        pytest.fail("the current scope was asked for")

    assert fixed_scope(project=project, namespace=namespace, scope=scope, current=unusable)


def test_project_flag_with_a_whole_scope_is_told_of_the_right_flag() -> None:
    with pytest.raises(InvalidScopeError, match=r"'alpha\.users'") as caught:
        fix(project="alpha.users")
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("--scope alpha.users")


def test_key_beside_flags_may_not_hold_the_delimiter() -> None:
    assert fixed_key("user.name", "|") == "user.name"
    with pytest.raises(
        InvalidKeyError, match=r"'user\.name' contains the delimiter '\.'"
    ) as caught:
        fixed_key("user.name", ".")
    assert caught.value.hint is not None
    assert "--ns-delim '|'" in caught.value.hint
    with pytest.raises(InvalidKeyError, match="empty"):
        fixed_key("", ".")


# Contexts.


@pytest.mark.parametrize(
    ("key", "base", "context"),
    [
        ("api_url__prod", "api_url", "prod"),
        ("api_url", "api_url", None),
        ("a_b", "a_b", None),
        ("a__b__c", "a__b", "c"),
        ("__init__", "__init__", None),
        ("__prod", "__prod", None),
        ("a__", "a__", None),
        ("a___b", "a_", "b"),
        ("__", "__", None),
        ("", "", None),
    ],
)
def test_context_is_what_follows_the_last_two_underscores(
    key: str, base: str, context: str | None
) -> None:
    assert split_context(key) == (base, context)


@given(KEYS, NAMES)
def test_context_that_was_added_is_the_context_of_the_key(key: str, context: str) -> None:
    assume(split_context(key)[1] is None)
    assume(context[0] != "_" and "__" not in context)
    assert split_context(add_context(key, context)) == (key, context)


@given(st.text())
def test_key_without_the_flag_stays_as_it_is(key: str) -> None:
    assert add_context(key, None) == key


def test_suffix_and_flag_together_are_an_error_that_names_both() -> None:
    with pytest.raises(InvalidAddressError, match=r"'api_url__prod'.*'test'") as caught:
        add_context("api_url__prod", "test")
    assert caught.value.hint is not None
    assert "'api_url' with --context test" in caught.value.hint


@pytest.mark.parametrize("context", ["", "a.b", "a b", "_a", "a__b", "__", *HOSTILE])
def test_bad_context_is_refused(context: str) -> None:
    with pytest.raises(InvalidScopeError, match="context name") as caught:
        add_context("key", context)
    assert caught.value.hint is not None


# Listings.


@pytest.mark.parametrize(
    ("args", "scope", "prefix"),
    [
        ([], "alpha.users", None),
        (["user"], "alpha.users", "user"),
        ([""], "alpha.users", None),
        (["beta.logs"], "beta.logs", None),
        (["beta.default"], "beta", None),
        (["beta.logs", "user"], "beta.logs", "user"),
        (["beta.logs", "user.n%*_"], "beta.logs", "user.n%*_"),
        (["beta.logs", ""], "beta.logs", None),
    ],
)
def test_listing_takes_a_scope_and_a_prefix(
    args: list[str], scope: str, prefix: str | None
) -> None:
    assert parse_listing(args, fixed=None, current="alpha.users", delimiter=".") == (scope, prefix)


def test_listing_in_a_fixed_scope_takes_a_prefix_that_may_hold_dots() -> None:
    for args, prefix in (([], None), (["user."], "user."), ([""], None)):
        assert parse_listing(args, fixed="beta", current="alpha", delimiter=".") == (
            "beta",
            prefix,
        )


def test_listing_with_another_delimiter() -> None:
    assert parse_listing(["b|c"], fixed=None, current="a", delimiter="|") == ("b.c", None)
    assert parse_listing(["b.c"], fixed=None, current="a", delimiter="|") == ("a", "b.c")


@given(SCOPES, st.text(), DELIMITERS)
def test_listing_reads_back_every_scope_and_prefix(scope: str, prefix: str, delimiter: str) -> None:
    text = delimiter.join(split_scope(scope))
    assert parse_listing([text, prefix], fixed=None, current="a", delimiter=delimiter) == (
        scope,
        prefix or None,
    )


@pytest.mark.parametrize(
    ("args", "fixed", "error", "words"),
    [
        (["a.b", "c", "d"], None, UsageError, "too many arguments: 'd'"),
        (["a.b", "c"], "beta", UsageError, "too many arguments: 'c'"),
        (["a", "b"], None, InvalidAddressError, "'a' is not a scope: it does not contain '.'"),
        (["", "b"], None, InvalidAddressError, "'' is not a scope"),
        (["a.b.c"], None, InvalidAddressError, "'a.b.c' is not a scope: it is not two names"),
        (["a."], None, InvalidAddressError, "'a.' is not a scope"),
        ([".b"], None, InvalidAddressError, "'.b' is not a scope"),
        (["."], None, InvalidAddressError, "'.' is not a scope"),
        (["a b.c"], None, InvalidScopeError, "'a b.c': bad project name 'a b'"),
        (["a.b c", "x"], None, InvalidScopeError, "'a.b c': bad namespace name 'b c'"),
    ],
)
def test_listing_of_something_else_is_refused_with_a_hint(
    args: list[str], fixed: str | None, error: type[KycliError], words: str
) -> None:
    with pytest.raises(error) as caught:
        parse_listing(args, fixed=fixed, current="alpha", delimiter=".")
    assert words in str(caught.value)
    assert caught.value.hint


def test_reading_an_address_loads_nothing_else() -> None:
    program = (
        "import sys, types; before = set(sys.modules);"
        "package = types.ModuleType('kycli'); package.__path__ = [sys.argv[1]];"
        "sys.modules['kycli'] = package;"
        "from kycli.address import parse_address, check_delimiter;"
        "check_delimiter('.'); parse_address('a.b.c');"
        "print(*sorted(set(sys.modules) - before))"
    )
    package = sys.modules["kycli"].__path__[0]
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, package], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        *("__future__", "kycli", "kycli.address", "kycli.core", "kycli.core.names", "kycli.errors"),
    ]
