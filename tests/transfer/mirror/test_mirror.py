"""Mirrors: what is exported comes back equal, and what others do to the files is respected."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Clock, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transfer.samples import TYPES

from kycli import Kycore
from kycli.errors import ConflictError, FileError, FormatError, InputError, UsageError
from kycli.transfer.mirror import (
    Exported,
    MirrorExport,
    MirrorImport,
    MirrorImported,
    Selection,
    tree,
)

VALUES: dict[str, Any] = {
    **TYPES,
    "lines": "a\r\nb\n",
    "nul": "a\0b",
    "no members": {},
    "a/b\n": "key",
    "..": "up",
    "host__prod": "in a context",
    "prod": "as a context",
    "Prod": "in another case",
    "x" * 4096: "long",
    "API_URL__" + "é" * 1000: "long context",
}


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


def export(store: Kycore, mirror: Path, *selected: str, **options: Any) -> Exported:
    selection = Selection(frozenset(selected) if selected else None, options.pop("prefix", ""))
    return MirrorExport(store, mirror, selection, **options).run()


def load(store: Kycore, mirror: Path, *selected: str, **options: Any) -> MirrorImported:
    selection = Selection(frozenset(selected) if selected else None, options.pop("prefix", ""))
    return MirrorImport(store, mirror, selection, **options).run()


def contents(store: Kycore) -> list[Any]:
    return [
        (scope, e.key, type(e.value), repr(e.value), e.expires_at)
        for scope in store.scopes()
        for e in store.entries(scope=scope)
    ]


def files(mirror: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(mirror)): file.read_bytes()
        for file in sorted(mirror.rglob("*"))
        if file.is_file() and not file.name.startswith(".kycli-mirror")
    }


def states(mirror: Path) -> dict[str, tuple[int, int]]:
    """Return which file is which, and when it was changed."""
    return {
        str(file): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in mirror.rglob("*")
        if file.is_file() and not file.name.startswith(".kycli-mirror")
    }


@pytest.fixture
def other(tmp_path: Path, clock: Clock) -> Iterator[Kycore]:
    with Kycore(tmp_path / "other.db", clock=clock) as store:
        yield store


def test_what_was_exported_comes_back_equal(store: Kycore, other: Kycore, mirror: Path) -> None:
    store.save_many(VALUES)
    store.save("expires", 1, ttl=60)
    store.create_cache("p.cache", 60)
    other.create_cache("p.cache", 60)
    store.save("cached", "x", scope="p.cache")
    store.save("plain", "x", scope="p")
    store.save("plain", "x", scope="P")
    done = export(store, mirror)
    assert done == Exported(len(VALUES) + 4, len(VALUES) + 4, 0, 0, 0, 0)
    assert load(other, mirror).rows.created == len(VALUES) + 4
    assert contents(other) == contents(store)
    assert load(other, mirror).rows.unchanged == len(VALUES) + 4
    assert other.get_history("text")[0].command == f"import {mirror}"


def test_files_are_where_and_what_the_issue_says(store: Kycore, mirror: Path) -> None:
    store.save("key", "text")
    store.save("host__prod", "db", scope="alpha.web")
    store.save("k", {"b": 1, "a": [True]}, scope="alpha")
    export(store, mirror)
    assert files(mirror) == {
        "alpha/default/k": b'{\n  "b": 1,\n  "a": [\n    true\n  ]\n}\n',
        "alpha/web/prod/host": b"db",
        "default/default/key": b"text",
    }
    for path in mirror.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_an_export_touches_only_what_changed(store: Kycore, mirror: Path) -> None:
    store.save_many({"a": 1, "b": 2, "c__x": 3, "d__x": 4})
    export(store, mirror)
    before = states(mirror)
    assert export(store, mirror) == Exported(4, 0, 0, 4, 0, 0)
    assert states(mirror) == before
    store.save("a", 10)
    store.delete_many(["b", "c__x", "d__x"])
    store.save("e", 5)
    assert export(store, mirror, dry_run=True) == Exported(2, 1, 1, 0, 3, 0)
    assert states(mirror) == before
    assert export(store, mirror) == Exported(2, 1, 1, 0, 3, 0)
    assert files(mirror) == {"default/default/a": b"10\n", "default/default/e": b"5\n"}
    assert not (mirror / "default/default/x").exists()  # nor empty directories


def test_a_file_has_the_time_of_its_key(store: Kycore, clock: Clock, mirror: Path) -> None:
    store.save("a", 1)
    export(store, mirror)
    entry = store.get_entry("a")
    assert entry is not None
    assert (mirror / "default/default/a").stat().st_mtime_ns == entry.updated_at * 1_000_000


def test_an_expired_key_has_no_file(store: Kycore, clock: Clock, mirror: Path) -> None:
    store.save("a", 1, ttl=10)
    store.save("b", 1)
    export(store, mirror)
    clock.advance(11)
    assert export(store, mirror).removed == 1
    assert list(files(mirror)) == ["default/default/b"]


def test_an_edited_file_is_kept_until_force(store: Kycore, mirror: Path) -> None:
    store.save_many({"a": "1", "b": "2", "gone": "3"})
    export(store, mirror)
    (mirror / "default/default/a").write_text("mine")
    (mirror / "default/default/gone").write_text("mine too")
    os.utime(mirror / "default/default/b")  # touched, and not edited
    store.save_many({"a": "1.1", "b": "2.2"})
    store.delete("gone")
    work = MirrorExport(store, mirror)
    assert work.run() == Exported(2, 0, 1, 0, 0, 2)
    assert work.first_kept == str(mirror / "default/default/a")
    assert files(mirror)["default/default/a"] == b"mine"
    assert files(mirror)["default/default/b"] == b"2.2"
    assert export(store, mirror).kept == 1  # the key of the other one is gone
    assert export(store, mirror, force=True).overwritten == 1
    assert files(mirror)["default/default/a"] == b"1.1"


def test_a_file_of_somebody_else_is_not_removed(store: Kycore, mirror: Path) -> None:
    store.save("a", "1")
    export(store, mirror)
    (mirror / "default/default/mine").write_text("x")
    (mirror / "notes.txt").write_text("x")
    store.delete("a")
    export(store, mirror)
    assert files(mirror) == {"default/default/mine": b"x", "notes.txt": b"x"}
    store.save("mine", "another")
    assert export(store, mirror).kept == 1


def test_one_scope_or_prefix_leaves_the_rest_of_the_mirror_alone(
    store: Kycore, mirror: Path
) -> None:
    for scope in ("a", "b", "c"):
        store.save_many({"x1": 1, "x2": 1, "y": 1}, scope=scope)
    export(store, mirror)
    for scope in ("a", "b", "c"):
        store.delete_many(["x1", "y"], scope=scope)
    assert export(store, mirror, "b", prefix="x") == Exported(1, 0, 0, 1, 1, 0)
    assert sorted(files(mirror)) == [
        *("a/default/x1", "a/default/x2", "a/default/y", "b/default/x2", "b/default/y"),
        *("c/default/x1", "c/default/x2", "c/default/y"),
    ]
    assert export(store, mirror, "a", "c").removed == 4
    assert export(store, mirror) == Exported(3, 0, 0, 3, 1, 0)


def test_edits_new_files_and_deletions_come_in_as_one_change(store: Kycore, mirror: Path) -> None:
    store.save_many({"n": 1, "doc": {"a": 1}, "text": "t", "bytes": b"\xff", "gone": 1, "same": 1})
    store.save("expires", "x", ttl=60)
    export(store, mirror)
    expires_at = store.get_entry("expires").expires_at  # type: ignore[union-attr]
    before = contents(store)
    folder = mirror / "default/default"
    (folder / "n").write_text(" 2.5 \n")
    (folder / "doc").write_text('{"a": [2]}')
    (folder / "text").write_text("edited\n")
    (folder / "bytes").write_text("ascii")
    (folder / "expires").write_bytes(b"\xfe")
    (folder / "new file").write_text("new")
    (folder / "ctx").mkdir()
    (folder / "ctx/new").write_bytes(b"\xfe")
    (folder / "text~").write_text("of an editor")
    (folder / ".text.swp").write_text("of an editor")
    (folder / "gone").unlink()
    assert load(store, mirror).missing == 1
    assert store.getkey("gone") == 1
    store.undo()
    assert contents(store) == before
    done = load(store, mirror, delete=True, strip_newline=True)
    assert (done.deleted, done.missing) == (1, 0)
    assert done.rows[1:5] == (2, 5, 1, 0)
    got = {e.key: e.value for e in store.entries()}
    assert got == {
        "n": 2.5, "doc": {"a": [2]}, "text": "edited", "bytes": b"ascii", "expires": b"\xfe",
        "new file": "new", "new__ctx": b"\xfe", "same": 1,
    }  # fmt: skip
    assert store.get_entry("expires").expires_at == expires_at  # type: ignore[union-attr]
    store.undo()
    assert contents(store) == before


def test_newer_leaves_keys_alone_that_changed_after_their_files(
    store: Kycore, clock: Clock, mirror: Path
) -> None:
    store.save_many({"theirs": "1", "mine": "1"})
    export(store, mirror)
    clock.advance(10)
    store.save("theirs", "2")
    file = mirror / "default/default/mine"
    file.write_text("2")
    os.utime(file, ns=(0, clock() * 1_000_000))
    assert load(store, mirror, on_conflict="newer").rows[1:5] == (0, 1, 0, 1)
    assert {e.key: e.value for e in store.entries()} == {"theirs": "2", "mine": "2"}


def test_a_dry_run_of_an_import_changes_nothing(store: Kycore, mirror: Path) -> None:
    store.save_many({"a": "1", "b": "1"})
    export(store, mirror)
    (mirror / "default/default/a").unlink()
    (mirror / "default/default/b").write_text("2")
    before = contents(store)
    done = load(store, mirror, delete=True, dry_run=True)
    assert (done.rows.overwritten, done.deleted, done.rows.change) == (1, 1, None)
    assert contents(store) == before


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("default/default/n", "{", "not JSON"),
        ("default/default/50%", "x", "not the name of a key"),
        ("default/default/%00", "x", "NUL"),
        ("bad name/default/k", "x", "bad project name"),
        ("default/default/_x/k", "x", "no context"),
        ("default/default/%6E", "x", "another file is the key 'n'"),
        ("default/default/host__prod", "x", "another file is the key 'host__prod'"),
        ("default/default/x%~" + "0" * 32, "x", "manifest does not know"),
    ],
)
def test_a_file_that_is_no_key_fails_the_import(
    store: Kycore, mirror: Path, name: str, content: str, says: str
) -> None:
    store.save_many({"n": 1, "host__prod": "h"})
    export(store, mirror)
    (mirror / name).parent.mkdir(parents=True, exist_ok=True)
    (mirror / name).write_text(content)
    (mirror / "default/default/new").write_text("x")
    before = contents(store)
    with pytest.raises(InputError, match=says) as caught:
        load(store, mirror)
    assert str(caught.value).startswith(str(mirror / name))
    assert contents(store) == before


def test_a_name_that_is_no_text_fails_the_import(store: Kycore, mirror: Path) -> None:
    store.save("a", 1)
    export(store, mirror)
    Path(os.fsdecode(bytes(mirror / "default/default") + b"/\xff")).write_text("x")
    with pytest.raises(FormatError, match="not the name of a key"):
        load(store, mirror)


def test_other_files_are_counted_and_left(store: Kycore, mirror: Path) -> None:
    store.save("a", 1)
    export(store, mirror)
    (mirror / "README").write_text("x")
    (mirror / "default/default/c/d").mkdir(parents=True)
    (mirror / "default/default/c/d/deep").write_text("x")
    os.mkfifo(mirror / "default/default/pipe")
    (mirror / "default/default/link").symlink_to("/etc/hostname")
    work = MirrorImport(store, mirror)
    assert work.run().rows.read == 1
    assert work.ignored[0] == 4


@pytest.mark.parametrize("what", ["file", "folder", "manifest"])
def test_no_symbolic_link_is_followed(
    store: Kycore, mirror: Path, tmp_path: Path, what: str
) -> None:
    store.save("a", "1")
    export(store, mirror)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("secret")
    moved = {
        "file": mirror / "default/default/a",
        "folder": mirror / "default/default",
        "manifest": mirror / ".kycli-mirror",
    }[what]
    moved.rename(tmp_path / "moved")
    moved.symlink_to(outside if what == "folder" else outside / "a")
    store.save("a", "2")
    with pytest.raises(FileError):
        export(store, mirror, force=True)
    with pytest.raises(FileError):
        load(store, mirror)
    assert [file.read_text() for file in outside.iterdir()] == ["secret"]
    assert store.getkey("a") == "2"


def test_the_directory_itself_may_be_a_link(store: Kycore, mirror: Path, tmp_path: Path) -> None:
    mirror.mkdir()
    link = tmp_path / "link"
    link.symlink_to(mirror)
    store.save("a", "1")
    export(store, link)
    assert files(mirror) == {"default/default/a": b"1"}


def test_a_directory_of_others_is_refused(store: Kycore, mirror: Path) -> None:
    mirror.mkdir()
    (mirror / "x").write_text("x")
    with pytest.raises(UsageError, match="not a mirror, and not empty"):
        export(store, mirror)
    with pytest.raises(UsageError, match="not a mirror"):
        load(store, mirror)
    assert files(mirror) == {"x": b"x"}


HOSTILE = [
    b"",
    b"no json\n",
    b'{"kycli_mirror":1}\n{"scope":"../..","key":"x","digest":"","size":0,"time":0}\n',
    b'{"kycli_mirror":1}\n{"scope":"a","key":"x","digest":"","size":0,"time":0,"path":"../x"}\n',
    b'{"kycli_mirror":1}\n{"scope":"a","key":"","digest":"","size":0,"time":0}\n',
    b'{"kycli_mirror":1}\n{"scope":"a","key":"x","digest":"","size":"0","time":0}\n',
    b'{"kycli_mirror":1}\n{"scope":"a","key":"x"}\n',
    b'{"kycli_mirror":1}\n[]\n',
    b'{"kycli_mirror":99}\n',
]


@pytest.mark.parametrize("text", HOSTILE[1:])
def test_a_damaged_manifest_is_refused(store: Kycore, mirror: Path, text: bytes) -> None:
    mirror.mkdir()
    (mirror / ".kycli-mirror").write_bytes(text)
    (mirror.parent / "x").write_text("outside")
    for work in (export, load):
        with pytest.raises(FormatError):
            work(store, mirror)
    assert (mirror.parent / "x").read_text() == "outside"


def test_an_empty_manifest_makes_a_mirror_of_any_files(store: Kycore, mirror: Path) -> None:
    (mirror / "alpha/web/prod").mkdir(parents=True)
    (mirror / "alpha/web/prod/host").write_text("db")
    (mirror / "alpha/web/port").write_text("80")
    (mirror / ".kycli-mirror").touch()
    assert load(store, mirror).rows.created == 2
    assert dict(store.scan(scope="alpha.web")) == {"host__prod": "db", "port": "80"}
    assert export(store, mirror).unchanged == 2


def test_two_at_once_are_refused(store: Kycore, mirror: Path) -> None:
    store.save("a", 1)
    export(store, mirror)
    tried = []

    def again(*_: Any) -> None:
        with pytest.raises(FileError, match="another process"):
            export(store, mirror)
        tried.append(True)

    load(store, mirror, progress=again)
    assert tried


def journal_of(mirror: Path) -> Path:
    return mirror / ".kycli-mirror.new"


class _Stop(BaseException):
    """Stops a program anywhere, as a kill does."""


@pytest.mark.parametrize("when", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("after_write", [False, True])
def test_an_interrupted_export_leaves_a_mirror_that_the_next_one_completes(
    store: Kycore, mirror: Path, monkeypatch: pytest.MonkeyPatch, when: int, after_write: bool
) -> None:
    from kycli.transfer.mirror.tree import Tree

    store.save_many({"a": "1", "b": "1", "gone": "1", "s": "same"})
    export(store, mirror)
    store.delete("gone")
    store.save_many({"a": "2", "b": "2", "new": 3, "x__b": 4})
    put = Tree.put
    calls: list[str] = []

    def stopping(self: Tree, path: str, data: bytes, time: int) -> None:
        if after_write:
            put(self, path, data, time)
        if len(calls) == when:
            raise _Stop
        calls.append(path)
        if not after_write:
            put(self, path, data, time)

    with monkeypatch.context() as patch:
        patch.setattr(Tree, "put", stopping)
        if when < 4:
            with pytest.raises(_Stop):
                export(store, mirror)
        else:
            export(store, mirror)
    assert journal_of(mirror).exists() == (when < 4)
    with Kycore(":memory:") as copy:
        load(copy, mirror)
        assert set(copy.listkeys()) <= {"a", "b", "new", "s", "x__b"}
        if when < 4:
            with pytest.raises(UsageError, match="interrupted"):
                load(copy, mirror, delete=True)
    store.save("b", "3")
    done = export(store, mirror)
    assert done.kept == 0
    with Kycore(":memory:") as copy:
        load(copy, mirror)
        assert dict(copy.scan()) == dict(store.scan())
    assert not [name for name in os.listdir(mirror) if name.startswith(".kycli-mirror.")]


def test_a_torn_line_of_an_interrupted_export_is_passed_over(store: Kycore, mirror: Path) -> None:
    store.save_many({"a": "1", "b": "1"})
    export(store, mirror)
    whole = (mirror / ".kycli-mirror").read_bytes()
    journal_of(mirror).write_bytes(whole[:-10])
    assert export(store, mirror) == Exported(2, 0, 0, 2, 0, 0)
    assert (mirror / ".kycli-mirror").read_bytes() == whole


def test_names_change_when_a_clash_comes_or_goes(store: Kycore, mirror: Path) -> None:
    store.save("prod", "key")
    store.save("Key", "1")
    export(store, mirror)
    assert sorted(files(mirror)) == ["default/default/Key", "default/default/prod"]
    store.save("host__prod", "db")
    store.save("key", "2")
    assert export(store, mirror) == Exported(4, 2, 0, 2, 0, 0)
    clashing = ["%4Bey", "%70rod", "key", "prod/host"]
    assert sorted(files(mirror)) == [f"default/default/{name}" for name in clashing]
    store.delete_many(["host__prod", "key"])
    assert export(store, mirror) == Exported(2, 0, 0, 2, 2, 0)
    assert sorted(files(mirror)) == ["default/default/Key", "default/default/prod"]


def test_only_the_selected_is_imported(store: Kycore, other: Kycore, mirror: Path) -> None:
    for scope in ("a", "b", "c"):
        store.save_many({"x1": 1, "y": 1}, scope=scope)
    export(store, mirror)
    (mirror / "a/default/x2").write_text("new")
    (mirror / "c/default/x2").write_text("new")
    load(other, mirror, "a", "b", prefix="x")
    assert {s: other.listkeys(scope=s) for s in other.scopes()} == {"a": ["x1", "x2"], "b": ["x1"]}


def test_a_conflict_fails_the_import_and_names_the_file(store: Kycore, mirror: Path) -> None:
    store.save("a", 1)
    export(store, mirror)
    with pytest.raises(ConflictError, match="default/default/a: the key 'a' exists already"):
        load(store, mirror, on_conflict="error")


def test_a_disk_error_names_the_file_and_leaves_the_rest(
    store: Kycore, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save_many({"a": "1", "b": "1" * 5000})
    write = os.write

    def full(handle: int, data: Any) -> int:
        if len(data) > 1000:
            raise OSError(28, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        export(store, mirror)
    assert caught.value.filename == str(mirror / "default/default/b")
    assert files(mirror) == {"default/default/a": b"1"}
    monkeypatch.undo()
    assert export(store, mirror) == Exported(2, 1, 0, 1, 0, 0)


@settings(
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    st.lists(
        st.dictionaries(
            st.text(st.sampled_from("aAbß/._-%~é \u0301"), min_size=1, max_size=5),
            st.sampled_from(["", "x", b"x", b"\xff", 1, None, {"a": "\u2028"}]),
            max_size=8,
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_a_mirror_follows_its_store(
    tmp_path_factory: pytest.TempPathFactory, states: list[dict[str, Any]]
) -> None:
    mirror = tmp_path_factory.mktemp("follow") / "m"
    with Kycore(":memory:") as store:
        for state in states:
            store.delete_many(prefix="")
            store.save_many(state)
            done = export(store, mirror)
            assert (done.keys, done.kept) == (len(state), 0)
            assert len(files(mirror)) == len(state)
            with Kycore(":memory:") as copy:
                load(copy, mirror)
                assert contents(copy) == contents(store)


def test_what_a_killed_export_tried_the_file_system_with_is_removed(
    store: Kycore, mirror: Path
) -> None:
    store.save("a", 1)
    export(store, mirror)
    (mirror / tree._FOREIGN_NAME).touch()
    export(store, mirror)
    assert sorted(os.listdir(mirror)) == [".kycli-mirror", "default"]


def test_a_mirror_whose_path_is_not_utf8(store: Kycore, tmp_path: Path) -> None:
    mirror = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff"))
    store.save_many({"a": "x", "b": 1})
    before = contents(store)
    export(store, mirror)
    store.delete_many(prefix="")
    load(store, mirror)
    assert contents(store) == before


def test_the_manifest_is_lines_of_json(store: Kycore, mirror: Path) -> None:
    store.save("a", 1, ttl=60)
    export(store, mirror)
    lines = [json.loads(line) for line in (mirror / ".kycli-mirror").read_text().splitlines()]
    assert lines[0] == {"kycli_mirror": 1}
    assert lines[1]["type"] == "json"
    assert lines[1]["expires_at"] == store.get_entry("a").expires_at  # type: ignore[union-attr]


@pytest.mark.parametrize("edited", [False, True])
def test_a_directory_where_the_file_of_a_key_was_that_is_gone(
    store: Kycore, mirror: Path, edited: bool
) -> None:
    store.save("port", "1")
    export(store, mirror)
    if edited:
        (mirror / "default/default/port").write_text("2")
    store.delete("port")
    store.save("host__port", "3")
    if edited:
        with pytest.raises(FileError, match="port is not a directory"):
            export(store, mirror)
    done = export(store, mirror, force=edited)
    assert (done.created, done.removed, done.kept) == (1, 1, 0)
    assert files(mirror) == {"default/default/port/host": b"3"}
    assert load(store, mirror, delete=True).deleted == 0


def test_a_key_that_changes_case_keeps_its_file_where_case_is_folded(
    store: Kycore, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folding(call: Any) -> Any:
        return lambda self, path, *given: call(self, path.lower(), *given)

    for name in ("status", "open", "put", "remove"):
        monkeypatch.setattr(tree.Tree, name, folding(getattr(tree.Tree, name)))
    for old, new in (("key", "Key"), ("Key", "key")):
        store.delete_many(prefix="")
        store.save(old, "same")
        export(store, mirror, force=True)
        store.delete(old)
        store.save(new, "same")
        export(store, mirror)
        assert files(mirror) == {"default/default/key": b"same"}
