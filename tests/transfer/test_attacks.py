"""What hostile files and moments did to imports and exports once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kycli import Kycore
from kycli.errors import FormatError, UsageError


def test_a_bad_byte_costs_one_row(store: Kycore, tmp_path: Path) -> None:
    source = tmp_path / "e.csv"
    source.write_bytes(b"key,value\na,1\nb,\xff\nc,3\nd,\xff\ne,5\n")
    done = store.import_data(source, rejects=tmp_path / "r.csv")
    assert (done.created, done.rejected, list(store)) == (3, 2, ["a", "c", "e"])
    assert b"a,1" not in (tmp_path / "r.csv").read_bytes()


def test_a_bad_byte_in_the_header_is_an_error(store: Kycore, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(b"key,val\xffue\na,1\n")
    with pytest.raises(FormatError, match="line 1"):
        store.import_data(tmp_path / "e.csv", on_error="skip")


@pytest.mark.parametrize(
    "text", ['{"a":1}', '{"b":2,"a":1.5}', '[["a",1]]', '{"a":1 }', '{"a":[1]}']
)
def test_a_number_at_the_end_of_json_is_a_number(store: Kycore, text: str) -> None:
    store.import_data(io.BytesIO(text.encode()), format="json")
    assert "a" in store


def test_a_dotenv_value_of_many_lines(store: Kycore) -> None:
    store.save("K", 'it\'s "quoted" $x\\\n' * 50_000)  # took minutes: it was quadratic
    out = io.BytesIO()
    store.export_data(out, "dotenv")
    with Kycore(":memory:") as copy:
        copy.import_data(io.BytesIO(out.getvalue()), format="dotenv")
        assert copy["K"] == store["K"]


def test_doctor_knows_the_scope_of_checkpoints(store: Kycore, tmp_path: Path) -> None:
    source = tmp_path / "big.csv"
    source.write_text("key,value\n" + "".join(f"k{n},{n}\n" for n in range(100)))
    store.import_data(source, batch=10)
    store.compact(0)
    assert store.check() == []


def test_imports_of_one_file_into_two_scopes_do_not_meet(store: Kycore, tmp_path: Path) -> None:
    source = tmp_path / "big.csv"
    source.write_text("key,value\n" + "".join(f"k{n},{n}\n" for n in range(100)))

    with source.open("a") as file:
        file.write("bad\n")
    with pytest.raises(FormatError):
        store.import_data(source, scope="a", batch=10)
    with pytest.raises(FormatError):
        store.import_data(source, scope="b", batch=10)
    assert store.count(scope="a") == store.count(scope="b") == 100
    store.undo(scope="a")
    assert store.count(scope="a") == 0
    assert store.count(scope="b") == 100


def test_rejects_that_cannot_be_written_fail_the_import(store: Kycore, tmp_path: Path) -> None:
    source = tmp_path / "bad.csv"
    source.write_text("key,value\na,1\n,2\nb,3\n")
    with pytest.raises(OSError, match="No space left"):
        store.import_data(source, rejects="/dev/full")
    assert list(store) == []


def test_a_database_is_not_exported_onto_itself(path: Path) -> None:
    with Kycore(path) as store:
        store.save("k", 1)
        for name in (path, f"{path}-wal"):
            with pytest.raises(UsageError, match="the database itself"):
                store.export_data(name)
        assert store["k"] == 1


def test_what_has_landed_is_told(store: Kycore) -> None:
    landed = [0]
    store.import_rows([("a", 1), ("b", 2)], landed=landed)
    with store.transaction():
        store.import_rows([("c", 1)], landed=landed)
    assert landed == [2]
