"""Names of files: every key has one, reads back from it, and shares it with no other."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kycli.address import split_context
from kycli.errors import FormatError
from kycli.transfer.mirror.names import (
    HASHED,
    Clashes,
    Names,
    distinct_name_of,
    is_path_of,
    key_of,
    name_of,
    parts_of,
    plain_path,
    text_of,
)

PIECES = ["/", ".", "-", "~", "%", "__", "_", " ", "a", "A", "é", "E\u0301", "\u0301", "\n", "\\"]
PIECES += ["ß", "日本", "😀", "\u202e", "\x7f", "prod", ":", "?", "con", "\ufdd0", "Å", "\u212b"]
KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join),
)
SCOPES = st.sampled_from(["default", "alpha", "Alpha", "alpha.prod", "-x._", "Straße.é"])


def folded(name: str) -> str:
    """Return what a file system that folds case and accents takes a name for."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def is_safe(name: str) -> bool:
    return (
        0 < len(name.encode()) <= 255
        and name[0] not in ".-"
        and name[-1] not in ". ~"
        and "/" not in name
        and name.isprintable()
        and unicodedata.is_normalized("NFC", name)
    )


@given(SCOPES, KEYS)
@example("default", "..")
@example("default", "\x01\u0301")  # A%01 would compose with the accent
@example("default", "a__")
@example("default", "__init__")
@example("default", "a____b")
@example("default", "x___" + "y" * 4000)
def test_every_key_has_a_safe_path_and_reads_back_from_it(scope: str, key: str) -> None:
    path = plain_path(scope, key)
    names = path.split("/")
    assert all(map(is_safe, names))
    parts = parts_of(scope, key)
    assert is_path_of(path, parts)
    if HASHED not in path:
        assert key_of(tuple(map(text_of, names))) == (scope, key)
        # As a file system gives it back that stores names decomposed.
        decomposed = [unicodedata.normalize("NFD", name) for name in names]
        assert key_of(tuple(map(text_of, decomposed))) == (scope, key)


@given(KEYS)
def test_a_name_for_fat_has_none_of_what_it_refuses(text: str) -> None:
    name = name_of(text, foreign=True)
    assert text_of(name) == text
    assert not set(name) & set('<>:"\\|?*/')
    assert name.lower().partition(".")[0] not in ("con", "nul", "com1")


@given(KEYS, st.booleans())
def test_the_other_name_of_a_text_reads_back_and_is_another(text: str, is_file: bool) -> None:
    name = distinct_name_of(text, is_file=is_file)
    if HASHED not in name:
        assert is_safe(name) or len(name) > 255
        assert text_of(name) == text
        assert folded(name) == name.lower()
    assert not is_file or name not in (name_of(text), distinct_name_of(text, is_file=False))


@given(st.lists(st.tuples(SCOPES, KEYS), unique=True, max_size=30))
@example([("default", "prod"), ("default", "x__prod"), ("default", "x__Prod")])
@example([("default", "Prod"), ("default", "x__Prod"), ("default", "y__PROD")])
@example([("default", "/"), ("default", "x__/"), ("default", "-"), ("default", "x__-")])
@example([("default", "é"), ("default", "É"), ("default", "e\u0301"), ("default", "x__é")])
@example([("default", "STRASSE"), ("default", "straße"), ("alpha", "a"), ("Alpha", "a")])
@example([("default", letters) for letters in map("".join, itertools.product("aA", repeat=3))])
def test_no_two_keys_share_a_path_where_case_is_folded(keys: list[tuple[str, str]]) -> None:
    clashes = Clashes()
    for scope, key in keys:
        clashes.add_scope(scope)
        clashes.add(scope, key)
    names = Names()
    names.clashes = clashes.found()
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for scope, key in keys:
        path = names.path(scope, key)
        assert is_path_of(path, parts_of(scope, key))
        assert files.setdefault(folded(path), path) == path
        for end in range(1, path.count("/") + 1):
            folder = "/".join(path.split("/")[:end])
            assert folders.setdefault(folded(folder), folder) == folder
    assert len(files) == len(keys)
    assert not files.keys() & folders.keys()


@pytest.mark.parametrize("key", ["API_URL", "user:1", "a b", "user.name", "a@b,c=d+e", "日本", "é"])
def test_usual_keys_are_their_own_names(key: str) -> None:
    assert name_of(key) == key


def test_contexts_are_directories() -> None:
    assert plain_path("alpha.web", "api_url__prod") == "alpha/web/prod/api_url"
    assert plain_path("alpha", "api_url") == "alpha/default/api_url"
    assert plain_path("default", "a__") == "default/default/a__"


@pytest.mark.parametrize("name", ["50%", "%zz", "%FF", "a\udcff", "x%~" + 32 * "0"])
def test_a_name_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        text_of(name)


@pytest.mark.parametrize("context", ["_x", "a__b", "__"])
def test_a_directory_that_is_no_context_is_refused(context: str) -> None:
    assert split_context(f"key__{context}") != ("key", context)
    with pytest.raises(FormatError, match="no context"):
        key_of(("p", "n", context, "key"))


@pytest.mark.parametrize("path", ["../../x", "p/n/..", "p//x", "/etc/passwd", "p/n/.x"])
def test_a_path_out_of_the_mirror_is_of_no_key(path: str) -> None:
    names = tuple(path.split("/"))
    assert not is_path_of(path, names)
