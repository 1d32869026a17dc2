"""The text of a config after a change: what is changed, and what is kept."""

from __future__ import annotations

import json
import tomllib

import pytest
from conftest import examples
from directories import PIECES, Directories, write
from hypothesis import given, settings
from hypothesis import strategies as st

from kycli.config import editing, load_config, parse_config, save_config
from kycli.config.editing import edited
from kycli.errors import ConfigError


def changed(text: str, name: str, value: str | int | None) -> str:
    """Return the text of a config with one setting changed."""
    bare = text.removeprefix("\ufeff")
    mark = text[: len(text) - len(bare)]
    return mark + edited(bare, ".kyclirc", bare.lstrip().startswith("{"), name, value)


@st.composite
def json_objects(draw: st.DrawFn) -> str:
    """An object with some layout, that has members but none of kycli's."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )
    members = draw(st.dictionaries(st.text(max_size=5), values, min_size=1, max_size=4))
    indent = draw(st.sampled_from([None, 0, 1, 4, "\t"]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(members, indent=indent, separators=separators, ensure_ascii=ascii_only)
    return draw(st.sampled_from(["", "\n"])) + text + draw(st.sampled_from(["", "\n", " \r\n"]))


@settings(max_examples=examples(100), deadline=None)
@given(json_objects(), st.text(max_size=5))
def test_setting_added_to_json_and_taken_out_leaves_the_text(text: str, value: str) -> None:
    new = text
    for written in (value, value + "é"):
        new = changed(new, "db_path", written)
        assert json.loads(new) == {**json.loads(text), "db_path": written}
    assert changed(new, "db_path", None) == text


NAMES = st.sampled_from(
    ["a", "b", "-", "1", '"q.r"', "'s'", '"\\u0061"', "db_path", '"db_path"', "'x y'"]
)
DOTTED = st.lists(NAMES, min_size=1, max_size=3).flatmap(
    lambda names: st.sampled_from([".".join(names), " . ".join(names)])
)
SCALARS = st.sampled_from(
    [
        *("1", "-1_0", "0xff", "1.5e3", "nan", "-inf", "-0.0", "true", "1979-05-27 07:32:00"),
        *("07:32:00.5", '""', '"é#"', '"\\"]"', "''", "'#'", "'\\'", "'[t]'"),
        *('"""\n[a]\n"""', '"""""x"""""', '"""\\""""', "'''\nb = 1 # \n'''", "''''x'''''"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=2).map(
            lambda items: "[ # ]\n" + "".join(f"  {item} , # {{\n" for item in items) + "]"
        ),
        st.lists(st.tuples(DOTTED, inner), max_size=2).map(
            lambda items: "{" + ", ".join(f"{name} = {item}" for name, item in items) + "}"
        ),
    ),
    max_leaves=4,
)
LINES = st.one_of(
    st.sampled_from(["", "  ", "# x = 1", "#", "\t# [t] \u2028\x85"]),
    st.tuples(DOTTED, st.sampled_from(["=", " = ", "\t=  "]), VALUES, st.sampled_from(["", " # c"]))
    .map("".join),
    DOTTED.map(lambda name: f"[{name}]"),
    DOTTED.map(lambda name: f" [[ {name} ]] # t"),
)  # fmt: skip


@st.composite
def toml_documents(draw: st.DrawFn) -> str:
    """Valid TOML in any layout, often with kycli's settings in it, as values or as tables."""
    text = ""
    for line in draw(st.lists(LINES, max_size=8)):
        try:
            tomllib.loads(text + line)
        except tomllib.TOMLDecodeError:
            continue  # most often because the name is taken
        text += line + "\n"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text


SETTINGS = st.one_of(
    st.tuples(st.just("db_path"), st.text(max_size=5) | st.none()),
    st.tuples(st.sampled_from(["busy_timeout_ms", "a"]), st.integers(0, 9) | st.none()),
)


@settings(max_examples=examples(300), deadline=None)
@given(toml_documents(), st.lists(SETTINGS, min_size=1, max_size=3))
def test_any_toml_becomes_what_it_was_and_the_change(
    text: str, changes: list[tuple[str, str | int | None]]
) -> None:
    wanted = tomllib.loads(text.removeprefix("\ufeff"))
    for name, value in changes:
        before = text
        try:
            text = changed(text, name, value)
        except ConfigError:
            # tomlkit cannot replace every table that is spread over a file.
            assert isinstance(wanted[name], (dict, list))
            continue
        replaced = wanted.pop(name, None)
        if value is not None:
            wanted[name] = value
        found = tomllib.loads(text.removeprefix("\ufeff"))
        assert repr(sorted(found.items())) == repr(sorted(wanted.items()))
        assert text.startswith("\ufeff") == before.startswith("\ufeff")
        if not isinstance(replaced, (dict, list)):  # comments in a table go with it
            assert text.count("# x = 1") == before.count("# x = 1")
        if before.count("\r\n") == before.count("\n") > 0:
            assert text.count("\r\n") == text.count("\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a.b.c='x'", "a.b.c='x'\nS"),
        ("a.b.c='x'\r\n[t]", "a.b.c='x'\r\nS[t]\r\n"),
        ("[[t]]\nx = 1\n[[t]]", "S[[t]]\nx = 1\n[[t]]\n"),
        ("# at the end", "# at the end\nS"),
        ("x = {a.b = 1, c = '#'} # end\n\n# more\n", "x = {a.b = 1, c = '#'} # end\n# more\nS"),
        ("x = '''\n[t]\n'''", "x = '''\n[t]\n'''\nS"),
        ("current_scope.x = 1\na = 1\ncurrent_scope.y = 2\n", "a = 1\nS"),
        ("[a]\n[current_scope]\nx = 1\n[current_scope.y]\n[b]\n", "S[a]\n[b]\n"),
        ("\"current\\u005fscope\" = [1,\r\n2]\t# c\r\n", "\"current\\u005fscope\" = V\t# c\r\n"),
    ],
)  # fmt: skip
def test_setting_is_added_to_toml_in_a_line_of_its_own(before: str, after: str) -> None:
    newline = "\r\n" if "\r\n" in before else "\n"
    after = after.replace("S", f'current_scope = "alpha"{newline}').replace("V", '"alpha"')
    found = changed(before, "current_scope", "alpha")
    # The releases of tomlkit differ in the blank lines that they put before a table.
    lines = found.splitlines(keepends=True)
    assert "".join(line for line in lines if line.strip()) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{\n    "a": 1\n  , "b": 2\n}', '{\n    "a": 1\n  , "b": 2\n  , S\n}'),
        ('{"a":1,"b":2}  \n\n', '{"a":1,"b":2,S}  \n\n'),
        ('\ufeff{\r\n}\r\n', '\ufeff{\r\n  S\r\n}\r\n'),
        ('{"a": {"current_scope": 1}}', '{"a": {"current_scope": 1}, S}'),
        ('{"current_scope": {"a": [1]}, "x": NaN}', '{S, "x": NaN}'),
    ],
)  # fmt: skip
def test_setting_is_added_to_json_in_the_layout_of_the_rest(before: str, after: str) -> None:
    after = after.replace("S", '"current_scope": "alpha"')
    assert changed(before, "current_scope", "alpha") == after


@pytest.mark.parametrize("text", ["a = 1\n", '{"a": 1}'])
@pytest.mark.parametrize("wrong", ["", "a = 2\ncurrent_scope = 'b'\n", '{"a": 1.0}', "{", "= 1"])
def test_edit_that_went_wrong_never_replaces_the_file(
    dirs: Directories, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
) -> None:
    path = write(dirs.work / ".kyclirc", text)
    monkeypatch.setattr(editing, "_edited_toml", lambda *_: wrong)
    monkeypatch.setattr(editing, "_edited_json", lambda *_: wrong)
    with pytest.raises(ConfigError, match="left as it was") as caught:
        save_config("current_scope", "alpha")
    assert caught.value.hint == "change it in an editor"
    assert path.read_text() == text
    assert not dirs.litter()


def test_deeply_nested_json_is_edited_or_refused_and_never_ruined(dirs: Directories) -> None:
    for depth in (10, 100, 300, 900, 990, 5000, 100_000):
        text = '{"a": ' + "[" * depth + "]" * depth + "}"
        path = write(dirs.work / ".kyclirc.json", text)
        try:
            save_config("current_scope", "alpha")
        except ConfigError:
            assert path.read_text() == text
        else:
            assert load_config().current_scope == "alpha"
            assert path.read_text() == text[:-1] + ', "current_scope": "alpha"}'


@settings(max_examples=examples(100), deadline=None)
@given(PIECES, st.text(max_size=5))
def test_setting_added_to_toml_and_taken_out_leaves_the_rest(text: str, value: str) -> None:
    try:
        before = parse_config(text, ".kyclirc")
    except ConfigError:
        return
    new = changed(text, "db_path", value)
    assert parse_config(new, ".kyclirc") == {**before, "db_path": value}
    assert parse_config(changed(new, "db_path", None), ".kyclirc") == before
