"""Keys that are the same in any case, in scopes that came from where they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from kycli import Kycore

NOW = 1_700_000_000_000


def declare(path: Path, scope: str) -> None:
    with Kycore(path) as kv:
        kv._query(
            "INSERT INTO sys_namespaces (scope, fold_keys, created_at) VALUES (?, 1, ?)",
            (scope, NOW),
        )


@pytest.fixture
def kv(path: Path) -> Kycore:
    declare(path, "old")
    return Kycore(path, scope="old")


def test_every_way_to_a_key_finds_it_in_any_case(kv: Kycore) -> None:
    with kv:
        assert kv.save("API_KEY", "v") == "created"
        assert kv.listkeys() == ["api_key"]
        for name in ("api_key", "API_KEY", "Api_Key"):
            assert kv.getkey(name) == "v"
            assert kv.get_many([name]) == {"api_key": "v"}
            assert name in kv
            entry = kv.get_entry(name)
            assert entry is not None
            assert entry.key == "api_key"
            assert kv.save(name, "v") == "nochange"
        assert kv.append("API_key", "w") == 2
        assert kv.incr("Hits") == kv.incr("hits") - 1
        assert kv.expire("HITS", 60)
        assert kv.persist("hits")
        assert kv.copy("HITS", "COPY")
        assert kv.save_many({"Ä": 1, "ä": 2}) == 2
        assert kv.getkey("Ä") == 2
        assert [change.value for change in kv.get_history("API_KEY")] == ["vw", "v"]
        assert kv.delete("API_KEY")
        assert kv.restore("Api_Key") == "restored"
        assert kv.delete_many(["API_KEY", "Copy"]) == 2
        assert kv.listkeys() == ["hits", "ä"]


def test_documents_are_found_by_paths_whose_members_keep_their_case(kv: Kycore) -> None:
    with kv:
        kv.save("User", {"Name": "Ada", "name": "other"})
        assert kv.get_path("USER.Name") == "Ada"
        assert kv.get_path("user.name") == "other"


def test_other_scopes_tell_keys_apart(kv: Kycore) -> None:
    with kv:
        kv.save("Key", "upper", scope="new")
        kv.save("key", "lower", scope="new")
        assert kv.getkey("Key", scope="new") == "upper"
        assert kv.listkeys(scope="new") == ["Key", "key"]


def test_a_long_lived_store_learns_of_a_scope(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with Kycore(path) as kv:
        kv.save("KEY", "v")
        declare(path, "later")
        time.sleep(1.1)
        kv.save("KEY", "v", scope="later")
        assert kv.listkeys(scope="later") == ["key"]
