"""Every file of every release is read as that release reads it, and stays as it is.

The expectations are what the releases themselves reported (``make_fixtures.py``). Where the
release could not say what it had been given, ``reported`` has the rule, by name.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from legacy.old_release import DOCUMENTS, KEY, LONG, OTHER_KEY, TEXTS, parsed
from legacy.reading import open_old, read_archive, read_history, read_rows

from kycli.core.layout import CREATED, DELETED, EXPIRED, OVERWRITTEN
from kycli.core.migration import legacy
from kycli.errors import MasterKeyError

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
CASES = [
    (name, number)
    for name in NAMES
    for number, _ in enumerate(json.loads((FIXTURES / f"{name}.json").read_text())["reports"])
]

NO_KEY = "[ENCRYPTED: Provide a master key to view this value]"
WRONG_KEY = "[DECRYPTION FAILED: Incorrect master key]"


class Fixture:
    """A copy of a fixture, and one report on it."""

    def __init__(self, name: str, number: int, directory: Path) -> None:
        document = json.loads((FIXTURES / f"{name}.json").read_text())
        self.name = name
        self.release = parsed(document["release"])
        self.report: dict[str, Any] = document["reports"][number]
        self.master_key: str | None = self.report["master_key"]
        (source,) = (path for path in FIXTURES.glob(f"{name}.*") if path.suffix in (".db", ".pkl"))
        self.path = directory / source.name
        for file in FIXTURES.glob(f"{source.name}*"):
            shutil.copy(file, directory)
        # A checkout makes files anew; the old programs wrote just before the report.
        written = seconds(self.report.get("read_at", "2026-11-20 14:30:00"))
        os.utime(self.path, (written, written))

    def open(self) -> legacy.OldStore:
        return open_old(str(self.path), self.master_key)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def milliseconds(text: str | None) -> int | None:
    return None if text is None else int(seconds(text[:19])) * 1000 + int((text[20:] + "000")[:3])


@pytest.fixture
def fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fixture]:
    """The fixture, of which every byte must be the same afterwards, and nothing beside it."""
    name, number = request.param
    made = Fixture(name, number, tmp_path)
    tmp_path.chmod(0o555)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    yield made
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    tmp_path.chmod(0o755)


everything = pytest.mark.parametrize(
    "fixture", CASES, indirect=True, ids=[f"{name}-{number}" for name, number in CASES]
)


def named(*names: str, since: str = "0.0.1") -> pytest.MarkDecorator:
    """Run a test on the first report on each fixture whose name ends like one of these."""
    chosen = [name for name in NAMES if name.endswith(names)]
    chosen = [name for name in chosen if parsed(name.partition("-")[0]) >= parsed(since)]
    assert chosen
    return pytest.mark.parametrize("fixture", [(n, 0) for n in chosen], indirect=True, ids=chosen)


def reported(fixture: Fixture, key: str, value: Any, kind: int | None) -> list[Any]:
    """Return what the release says of a value that we read."""
    release, text = fixture.release, isinstance(value, str)
    if isinstance(value, bytes):
        if release == (0, 0, 1):  # what was typed was not UTF-8, and came as half surrogates
            return ["str", value.decode("utf-8", "surrogateescape")]
        if release >= (0, 1, 2):  # of what an earlier release left; read as C reads texts
            return ["str", value.partition(b"\0")[0].decode()]
        return ["bytes", base64.b64encode(value).decode()]
    if kind is None or (text and value.startswith("enc:") and release >= (0, 1, 7)):
        opened = fixture.master_key and key == "encmarker" and "encrypted" in fixture.name
        if kind is None or not opened:
            return ["str", WRONG_KEY if fixture.master_key else NO_KEY]
    if value is None and release >= (0, 1, 7) and key in ("null", "none", "nothing"):
        return ["str", "[DELETED]"]  # NULL, where only deletions should have it
    if text and (0, 1, 2) <= release < (0, 2, 0):
        value = value.partition("\0")[0]  # they read texts as C does, though they keep them whole
    compressed = release >= (0, 4, 0) and len(value if text else "") >= 1024
    if text and release >= (0, 3, 0) and not fixture.master_key and not compressed:
        value = value.strip()  # what is stored has its blanks
    if key == "surrogate" and release >= (0, 1, 5):
        value = "\ud800"  # which is not a text that can be stored
    if release >= (0, 4, 0) and key == "cmpmarker":
        return ["error", "ValueError: Compressed value is corrupted"]
    if release >= (0, 4, 0) and key == "lookalike":
        return ["error", "ValueError: Compressed value is corrupted"]
    if release >= (0, 4, 0) and key == "cmpshort":
        value = "short"  # the user's own text, taken for what 0.4 itself would not write
    if isinstance(value, float):
        return ["float", repr(value)]
    answer = [type(value).__name__, value]
    if key != key.lower().strip() and release >= (0, 1, 2):
        if release == (0, 1, 8):
            return ["error", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"]
        return ["dict", {key: value}]  # not found under its name, but as a pattern
    return answer


@everything
def test_keys_and_values_are_those_of_the_release(fixture: Fixture) -> None:
    if fixture.report.get("refused"):
        with pytest.raises(MasterKeyError):
            fixture.open()
        return
    if "values" not in fixture.report:
        return
    read_at = milliseconds(fixture.report["read_at"])
    assert read_at is not None
    with fixture.open() as old:
        rows = [row for row in read_rows(old) if row.expires_at is None or row.expires_at > read_at]
    assert [row.key for row in rows] == sorted(fixture.report["listing"])
    for key, value, kind, _, _ in rows:
        assert reported(fixture, key, value, kind) == fixture.report["values"][key], key


@named("plain")
def test_everything_that_was_saved_comes_back(fixture: Fixture) -> None:
    with fixture.open() as old:
        values = {row.key: row.value for row in read_rows(old)}
    json_since = fixture.release >= (0, 1, 5)
    for key, text in TEXTS:
        if key == "notfoundtext" and fixture.release >= (0, 1, 2):
            continue  # what a key that is not there seems to have already
        if key == "nulinside" and fixture.release >= (0, 2, 0):
            assert values[key] == "before"  # the rest is not in the file
            continue
        expected: Any = text
        if json_since and key != "surrogate":
            try:
                expected = json.loads(text)
            except ValueError:
                pass
        assert repr(values[key.lower()]) == repr(expected), key
    if json_since:
        for key, document in DOCUMENTS:
            assert repr(values[key]) == repr(document), key


@everything
def test_the_history_is_that_of_the_release(fixture: Fixture) -> None:
    if fixture.report.get("refused") or "history" not in fixture.report:
        return
    with fixture.open() as old:
        changes = list(read_history(old))
        decoder = legacy.Decoder(old.variant)
    fails = fixture.report.get("history_fails", [])
    rows = [change for change in reversed(changes) if change.key not in fails]
    report = fixture.report["history"]
    if fails or "history_fails" in fixture.report:
        rows.sort(key=lambda change: change.key)
        report.sort(key=lambda row: row[0])
    assert [(c.key, c.timestamp) for c in rows] == [(k, milliseconds(t)) for k, _, t in report]
    for change, (key, text, _) in zip(rows, report, strict=True):
        if change.operation == DELETED or change.value == "":
            # To 0.1.6 there was no mark for a deletion, and the empty text is the empty text.
            assert text in (None, "[DELETED]", "")
            continue
        answer = reported(fixture, key, change.value, change.kind)
        if isinstance(change.value, str):
            # The text as it is stored, and so perhaps in quotes.
            assert text in (change.value, answer[1], json.dumps(answer[1])), key
        else:
            assert repr(decoder.value(text)[0]) == repr(change.value), key


@everything
def test_the_archive_is_that_of_the_release(fixture: Fixture) -> None:
    if fixture.report.get("refused") or "archive" not in fixture.report:
        return
    with fixture.open() as old:
        removed = list(read_archive(old))
        decoder = legacy.Decoder(old.variant)
    # Opening the file made the release archive what had expired, after what was there.
    report = fixture.report["archive"][: len(removed)]
    assert [(r.key, r.deleted_at) for r in removed] == [(k, milliseconds(t)) for k, _, t in report]
    for row, (key, text, _) in zip(removed, report, strict=True):
        if row.kind is None:
            assert text in (NO_KEY, WRONG_KEY)
        else:
            assert repr(decoder.value(text)[0]) == repr(row.value), key


@everything
def test_keys_expire_when_the_release_says(fixture: Fixture) -> None:
    if fixture.report.get("refused") or "expiry" not in fixture.report:
        return
    read_at = milliseconds(fixture.report["read_at"])
    assert read_at is not None
    with fixture.open() as old:
        times = {row.key: row.expires_at for row in read_rows(old) if row.expires_at is not None}
        archived = old.counts().archive
    assert {key: time for key, time in times.items() if time > read_at} == {
        key: milliseconds(text) for key, text in fixture.report["expiry"]
    }
    expired = [key for key, time in times.items() if time <= read_at]
    assert expired == [row[0] for row in fixture.report["archive"][archived:]]


@everything
def test_the_queue_and_the_settings_are_those_of_the_release(fixture: Fixture) -> None:
    if fixture.report.get("refused") or "queue" not in fixture.report:
        return
    with fixture.open() as old:
        items, settings = list(old.queue()), old.settings()
    assert settings == {k: v for k, v in fixture.report["meta"] if v is not None}
    report = fixture.report["queue"]
    assert len(items) == len(report)
    for item, (id, _, priority, created, *later) in zip(items, report, strict=True):
        available, lease, receipt, attempts = later or (None, None, None, "0")
        assert (item.id, item.priority, item.attempts) == (int(id), int(priority), int(attempts))
        assert item.created_at == milliseconds(created)
        assert (item.available_at, item.lease_until) == (
            milliseconds(available),
            milliseconds(lease),
        )
        assert item.receipt_id == receipt
    if settings.get("type") is None:
        return
    # In the order in which the release gave them out; what is leased or waits was not.
    ready = [i for i in items if i.available_at is None and i.lease_until is None]
    if settings["type"] == "stack":
        ready.reverse()
    if settings["type"] == "priority_queue":
        ready.sort(key=lambda item: (-item.priority, item.id))
    popped = fixture.report["popped"]
    assert len(ready) == len(popped)
    for item, (kind, value) in zip(ready, popped, strict=True):
        if item.kind is None:
            assert value == WRONG_KEY
        else:
            assert (type(item.value).__name__, item.value) == (kind, value)


# What the reports cannot say


@named("plain", since="0.1.7")  # which was the first to record deletions
def test_the_history_tells_a_deletion_from_an_empty_value(fixture: Fixture) -> None:
    with fixture.open() as old:
        changes = [c for c in read_history(old) if c.key in ("hollow", "emptytext", "twice")]
    told = [(c.key, c.value, c.operation) for c in changes]
    assert [row for row in told if row[0] == "hollow"] == [
        ("hollow", "full", CREATED),
        ("hollow", "", OVERWRITTEN),
        ("hollow", "full again", OVERWRITTEN),
        ("hollow", None, DELETED),
    ]
    assert [row for row in told if row[0] == "emptytext"] == [("emptytext", "", CREATED)]
    assert [row[1:] for row in told if row[0] == "twice"] == [
        ("1st", CREATED),
        (None, DELETED),
        ("2nd", CREATED),
        (None, DELETED),
    ]


@named("plain")
def test_all_that_is_archived_was_deleted(fixture: Fixture) -> None:
    with fixture.open() as old:
        assert EXPIRED not in {removed.operation for removed in read_archive(old)}


@named("encrypted")
def test_two_keys_open_what_was_written_under_two(fixture: Fixture) -> None:
    with open_old(str(fixture.path), [OTHER_KEY, KEY]) as old:
        assert old.counts().sealed == 0
        values = {row.key: row.value for row in read_rows(old)}
    assert values["secret"] == "s3cret: ключ"
    assert values["encmarker"] == "enc:hello"
    assert values["answer"] == 42
    assert values["hollow"] == ""
    assert values["long"] == LONG
    if fixture.release < (0, 2, 0):
        assert values["other"] == "under another key"
        assert values["open"] == "for all to read"


@named("rotated")
def test_the_queue_of_a_rotated_workspace_may_need_the_old_key(fixture: Fixture) -> None:
    with fixture.open() as old:
        items = list(old.queue())
        if fixture.release >= (0, 3, 0):
            assert [item.kind is None for item in items] == [True, False]
            assert items[0].value.startswith("enc:")
            assert old.counts().sealed == 1
    with open_old(str(fixture.path), [OTHER_KEY, KEY]) as old:
        assert [item.value for item in old.queue()] == [
            "under the old key",
            "under the new key",
        ][: len(items)]
        assert {row.key: row.value for row in read_rows(old)}["secret"] == "s3cret"


@named("settings")
def test_a_workspace_with_a_threshold_of_its_own_is_decompressed(fixture: Fixture) -> None:
    with fixture.open() as old:
        values = {row.key: row.value for row in read_rows(old)}
    assert values["packed"] == "a short text, and compressed all the same"
    assert values["lookalike"] == "cmp:zlib:x"


@named("plain", "encrypted", "upgraded", "wal")
def test_a_file_is_recognised(fixture: Fixture) -> None:
    found = legacy.identify(str(fixture.path))
    assert found is not None
    release = fixture.release
    family = "pickle" if release == (0, 0, 1) else "plain" if release < (0, 2, 0) else "blob"
    assert found.variant.family == family
    assert legacy.holds_encrypted(found) is fixture.name.endswith("encrypted")
    newest = found.variant.releases.replace(" to ", " or ").split(" or ")
    assert parsed(newest[0]) <= release <= (*parsed(newest[-1]), 9)
    assert found.description.count("KyCLI") == 1
