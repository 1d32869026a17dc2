"""What people type is parsed to a query that FTS5 takes, whatever it is."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kycli.core.search import folding
from kycli.core.search.folding import fold, is_word_character, words
from kycli.core.search.queries import parse
from kycli.core.sql.fts import TextIndex

TEXTS = ["error timeout", "connection refused", "debug error", "user.name 12:30 Crème", "東京都"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("error", [0, 2]),
        ("error timeout", [0]),
        ("error AND timeout", [0]),
        ('"error timeout"', [0]),
        ('"timeout error"', []),
        ("time*", [0]),
        ('"connection ref"*', [1]),
        ("timeout OR debug", [0, 2]),
        ("error timeout OR refused", [0, 1]),
        ("error NOT debug", [0]),
        ("error NOT timeout debug", [2]),
        ("error NOT (timeout OR debug)", []),
        ("(timeout OR debug) error", [0, 2]),
        ("value:error", [0, 2]),
        ("key:error", []),
        ("key:k3", [3]),
        ("key:(k1 OR k2)", [1, 2]),
        ("user.name", [3]),
        ("name.user", []),
        ("12:30", [3]),
        ("creme", [3]),
        ("京都", [4]),
        ("都京", []),
        # No queries, so words.
        ('error "', [0, 2]),
        ("(error", [0, 2]),
        ("error)", [0, 2]),
        ("NOT error", []),
        ("error AND", []),
        ("key:", []),
        ("key: k3", []),
        # Parts without a word count for nothing.
        ("error --- ()", [0, 2]),
        ("error AND ---", [0, 2]),
        ("error OR ***", [0, 2]),
        ("error NOT -", [0, 2]),
        ("--error", [0, 2]),
        ("*error", [0, 2]),
        ("^error", [0, 2]),
        ("error\0timeout\ud800", [0]),
    ],
)
def test_a_query_finds_what_it_says(query: str, found: list[int]) -> None:
    assert matching(query) == found


def test_a_query_without_a_word_is_none() -> None:
    for query in ("", " ", "---", '"', '""', "()", "*", "\u200d"):
        assert parse(query) is None


def matching(query: str) -> list[int]:
    """Return which of ``TEXTS``, under the keys k0, k1 … match a query."""
    index = TextIndex()
    try:
        index.add_keys(("", str(id), f"k{id}", fold(text)) for id, text in enumerate(TEXTS))
        parsed = parse(query)
        if parsed is None:
            return []
        return sorted(int(key) for _, _, key in index.find(parsed, -1))
    finally:
        index.close()


PIECES = ["AND", "OR", "NOT", "(", ")", '"', '""', "*", "key:", "value:", "a", "é", "東", "-", ":"]
PIECES += ["'", "^", "+", "{", "}", ",", ";", "NEAR(", "\0", "\ud800", "🦀", "\u0301", "\n", "%"]


@given(
    st.one_of(
        st.text(),
        st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3))).map(" ".join),
        st.lists(st.sampled_from(PIECES)).map("".join),
    )
)
@example("(" * 200 + "a" + ")" * 200)
@example("key:" * 200 + "a")
@example("(a NOT " * 60 + "a" + ")" * 60)
@example("(key:(a OR " * 60 + "a" + "))" * 60)
@example(" ".join(f"w{n}" for n in range(20_000)))
@example(" OR ".join(f"w{n}" for n in range(20_000)))
def test_no_text_is_a_syntax_error(query: str) -> None:
    matching(query)


@given(st.lists(st.text(st.characters(exclude_characters='"')), min_size=1))
def test_words_in_quotation_marks_are_found_where_they_stand(texts: list[str]) -> None:
    text = " ".join(texts)
    index = TextIndex()
    index.add_keys([("", "k", "", fold(text.encode("utf-8", "replace").decode()))])
    query = parse(f'"{texts[0]}"')
    found = query is None or len(index.find(query, -1)) == 1
    index.close()
    assert found


def test_a_word_is_the_same_to_the_queries_and_to_the_index() -> None:
    """For each character: if the index did not see the word, AND with it would find nothing."""
    index = TextIndex()
    characters = [
        chr(c)
        for c in range(1, sys.maxunicode + 1)
        if unicodedata.category(chr(c)) not in ("Cs", "Co", "Cn") or c % 97 == 0
    ]
    characters = [c for c in characters if not "\ud800" <= c < "\ue000"]
    index.add((ord(c), "", fold(c)) for c in characters)
    index.query("CREATE VIRTUAL TABLE vocabulary USING fts5vocab (fts, instance)")
    seen: dict[int, list[str]] = {}
    for doc, term in index.query("SELECT doc, term FROM vocabulary ORDER BY doc, offset"):
        seen.setdefault(doc, []).append(term)
    index.close()
    wrong = [c for c in characters if len(words(c)) != len(seen.get(ord(c), []))]
    assert wrong == []


@given(st.text())
def test_each_character_is_folded_by_itself(text: str) -> None:
    text = unicodedata.normalize("NFC", text + "é東ﷺ\u00ad\0\U0001f980")
    assert fold(text) == "".join(map(folding._fold, text))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("plain ASCII, A_b", "plain ASCII, A_b"),
        ("Crème BRÛLÉE", "creme brulee"),
        ("cre\u0300me", "creme"),
        ("Straße", "strasse"),
        ("Łódź Ærø", "lodz aero"),
        ("ΣΊΣΥΦΟΣ σίσυφος", "σισυφοσ σισυφοσ"),
        ("ﬁn ｆｕｌｌ", "fin full"),
        ("مُحَمَّد", "محمد"),
        ("soft\xadhyphen", "softhyphen"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_case_accents_and_forms_are_folded(text: str, folded: str) -> None:
    assert fold(text).lower() == folded.lower()  # ASCII is left to FTS5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("東京都", ["東", "京", "都"]),
        ("가나 다", ["가", "나", "다"]),
        ("กิน", ["ก", "ิ", "น"]),
        ("a東b", ["a", "東", "b"]),
        ("ok🎉🦀", ["ok", "🎉", "🦀"]),
        ("👍🏽", ["👍"]),
        ("か\u3099", ["が"]),
        ("user_name-x", ["user", "name", "x"]),
    ],
)
def test_words_are_found_in_any_script(text: str, found: list[str]) -> None:
    assert words(text) == found
    assert all(map(is_word_character, "".join(found)))
