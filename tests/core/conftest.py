"""Fixtures for the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kycli.core import storage


@pytest.fixture(params=["native", "apsw"])
def _both_statements(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test twice: with the statements of the engine's own, and with APSW's alone.

    Both must pass the same tests, so that each is the other's oracle.
    """
    storage._use_native_statements(request.param == "native")
    yield
    storage._use_native_statements(True)
