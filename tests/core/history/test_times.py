"""Points in time, as people and programs give them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kycli.core.history.times import parse_time, time_text
from kycli.errors import InvalidTimeError

NOW = 1_763_646_960_000  # 2025-11-20 13:56:00 UTC


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2025-11-20T13:55:00Z", NOW - 60_000),
        ("2025-11-20T13:55:00", NOW - 60_000),
        ("2025-11-20 13:55:00.123", NOW - 60_000 + 123),
        ("2025-11-20 13:55:00,1239", NOW - 60_000 + 123),
        ("2025-11-20T14:55:00+01:00", NOW - 60_000),
        ("20251120T085500-0500", NOW - 60_000),
        ("2025-11-20", NOW - (13 * 60 + 56) * 60_000),
        (" 2025-11-20 13:55 ", NOW - 60_000),
        ("1763646900", NOW - 60_000),
        ("1763646900.0015", NOW - 60_000 + 1),
        ("0", 0),
        (1763646900, NOW - 60_000),
        (1763646900.123, NOW - 60_000 + 123),
        ("1m ago", NOW - 60_000),
        ("1.5h ago", NOW - 5_400_000),
        ("90 ago", NOW - 90_000),
        ("1d  ago", NOW - 86_400_000),
        (datetime(2025, 11, 20, 13, 55), NOW - 60_000),
        (datetime(2025, 11, 20, 15, 55, tzinfo=timezone(timedelta(hours=2))), NOW - 60_000),
        (NOW / 1000, NOW),
    ],
)
def test_times_are_understood(given: Any, expected: int) -> None:
    assert parse_time(given, NOW) == expected


@pytest.mark.parametrize(
    "given",
    [
        "", " ", "yesterday", "13:55", "2025-13-01", "2025-02-30", "10 minutes ago", "ago",
        "-1", "1_000", "nan", "inf", "1e999", "٣", "2025-11-20T13:55:00+25:00", "-5m ago", "0s ago",
        "2025-11-20 13:55:00 CET", "9" * 5000, "1.2.3", "5+5", "\0", "60000y ago", "99y ago",
        "1e308", "-1e308", 1e308, -1e308, 2.0**63, pytest.param(10**5000, id="huge"), "1e308y ago",
        float("nan"), float("inf"), -1, -0.5, None, True, b"2025", [2025], 10**400,
        datetime(1969, 12, 31), "1969-12-31", "0001-01-01T00:00:00+14:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(given: Any) -> None:
    with pytest.raises(InvalidTimeError) as caught:
        parse_time(given, NOW)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert "TTL" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("given", ["2025-11-20 13:56:00.001", 1763646961, "1763646960.5"])
def test_the_future_is_refused(given: Any) -> None:
    with pytest.raises(InvalidTimeError, match="in the future"):
        parse_time(given, NOW)


def test_milliseconds_in_place_of_seconds_are_explained() -> None:
    with pytest.raises(InvalidTimeError) as caught:
        parse_time(NOW, NOW)
    assert "not in milliseconds" in str(caught.value.hint)


@given(st.integers(0, NOW))
def test_a_time_that_was_printed_means_the_same_again(moment: int) -> None:
    assert parse_time(time_text(moment), NOW) == moment
    assert parse_time(moment / 1000, NOW) == moment
    assert parse_time(f"{moment // 1000}.{moment % 1000:03d}", NOW) == moment


@given(
    st.floats()
    | st.integers()
    | st.integers().map(lambda exponent: 10 ** abs(exponent % 6000))
    | st.floats().map(repr)
    | st.text("0123456789.eE+- smyTZ:ago", max_size=30)
    | st.datetimes(timezones=st.none() | st.timezones())
)
def test_whatever_is_given_is_a_time_or_is_refused(given: Any) -> None:
    try:
        moment = parse_time(given, NOW)
    except InvalidTimeError as refused:
        error = str(refused)
    else:
        assert 0 <= moment <= NOW
        error = ""
    assert len(error) < 200


def test_a_clock_gone_wrong_can_be_printed() -> None:
    assert time_text(10**17) == "100000000000000000 ms"
