"""Fixtures for the tests of what earlier releases wrote."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _keys_are_derived_once() -> Iterator[None]:
    """Remember derived keys: the fixtures share a few secrets, and one takes 100,000 rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "pbkdf2_hmac", functools.cache(hashlib.pbkdf2_hmac))
        yield
