"""Fixtures for the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kycli.core import storage


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests that use the fixture ``_both_statements`` twice."""
    once = any(mark.name == "native_only" for mark in metafunc.definition.iter_markers())
    if "_both_statements" in metafunc.fixturenames and not once:
        metafunc.parametrize("_both_statements", ["native", "apsw"], indirect=True)


@pytest.fixture
def _both_statements(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test twice: with the statements of the engine's own, and with APSW's alone.

    Both must pass the same tests, so that each is the other's oracle. A test that is marked
    ``native_only`` runs once.
    """
    storage._use_native_statements(getattr(request, "param", "native") == "native")
    yield
    storage._use_native_statements(True)
