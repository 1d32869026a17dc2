"""Points in time: how they are given, and how the history writes them.

Text without a zone is UTC, since that is what the history prints: a time copied
from it means the same moment in every place.
"""

from __future__ import annotations

import math
import time as clock
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from kycli.core.durations import parse_ttl, shown
from kycli.errors import InvalidTimeError, InvalidTTLError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Time: TypeAlias = "str | float | datetime"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_YEAR = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_YEAR_10000 = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MILLISECOND + 86_400_000
_AGO = " ago"
_HINT = (
    "a time is ISO 8601, such as '2026-11-20 13:55:00' (UTC) or 2026-11-20T13:55:00+01:00, "
    "seconds since the epoch, or '10m ago'"
)
# Seconds that are past the year 5000 are milliseconds by mistake.
_FAR_SECONDS = 100_000_000_000


def parse_time(time: Time, now: int) -> int:
    """Return a time as milliseconds since the epoch.

    Parameters:
        time: text: ISO 8601, a date or a date and a time, UTC when it names no zone;
            seconds since the epoch; or a length of time with a unit
            (``30s 5m 2h 1d 1w 1M 1y``) and ``ago``. A number: seconds since the epoch.
            Or a ``datetime``, UTC when it has no zone. What is finer than a millisecond
            is cut off.
        now: the time now, in milliseconds since the epoch.

    Raises:
        InvalidTimeError: when it is none of these, before 1970, or later than ``now``.

    >>> parse_time("2023-11-14T23:13:20+01:00", now=1_700_000_060_000)
    1700000000000
    >>> parse_time("1m ago", now=1_700_000_060_000)
    1700000000000
    """
    ms = milliseconds(time, now)
    if ms < 0:
        raise InvalidTimeError(f"{shown(time)} is before 1970", hint=_HINT)
    if ms > now:
        seconds = ms // 1000
        hint = _HINT
        if seconds > _FAR_SECONDS:
            hint = "a number is in seconds since the epoch, not in milliseconds"
        raise InvalidTimeError(f"{shown(time)} is in the future", hint=hint)
    return ms


def fixed_time(text: str) -> str:
    """Return a time as the same point in time whenever it is read later, unlike ``10m ago``.

    Raises:
        InvalidTimeError: when it is none, as ``parse_time`` does.
    """
    return time_text(parse_time(text, int(clock.time() * 1000)))


def milliseconds(time: Time, now: int) -> int:
    """Return any time, also one to come, as milliseconds since the epoch."""
    if isinstance(time, datetime):
        return _of_datetime(time)
    if isinstance(time, str):
        return _of_text(time, now)
    if isinstance(time, bool) or not isinstance(time, (int, float)):
        raise InvalidTimeError(
            f"a time is text, a number or a datetime, not {type(time).__name__}", hint=_HINT
        )
    return _of_seconds(time, time)


def _of_text(text: str, now: int) -> int:
    words = text.strip()
    if words.endswith(_AGO):
        try:
            return now - parse_ttl(words[: -len(_AGO)].rstrip())
        except InvalidTTLError:
            raise InvalidTimeError(
                f"{shown(text)} is not a time: before 'ago' stands a length of time, "
                "more than zero and up to 10,000 years",
                hint=_HINT,
            ) from None
    # float() would also take 'nan', '1_000' and other scripts' digits.
    if words and all(c in "0123456789.eE+" for c in words):
        try:
            return _of_seconds(
                float(words) if "." in words or "e" in words.lower() else int(words), text
            )
        except ValueError:
            pass
    try:
        return _of_datetime(datetime.fromisoformat(words))
    except ValueError:
        raise InvalidTimeError(f"{shown(text)} is not a time", hint=_HINT) from None


def _of_seconds(seconds: float, given: object) -> int:
    if isinstance(seconds, int):
        return seconds * 1000
    if not math.isfinite(seconds):
        raise InvalidTimeError(f"{shown(given)} is not a time", hint=_HINT)
    if abs(seconds) > _FAR_SECONDS:  # where a product may be too large, and no fraction counts
        return int(seconds) * 1000
    # The nearest microsecond first: 0.001 has no exact double, and must not become 0.
    return round(seconds * 1_000_000) // 1000


def _of_datetime(time: datetime) -> int:
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // _MILLISECOND


def time_text(ms: int) -> str:
    """Return a time in UTC as ``YYYY-MM-DD HH:MM:SS.mmm``.

    Parameters:
        ms: milliseconds since the epoch.

    >>> time_text(1_700_000_000_123)
    '2023-11-14 22:13:20.123'
    """
    if not _FIRST_YEAR <= ms < _YEAR_10000:  # only a wrong clock can write these
        return f"{ms} ms"
    return f"{_second_text(ms // 1000)}.{ms % 1000:03d}"


@lru_cache(maxsize=256)  # changes that are listed together were often made together
def _second_text(seconds: int) -> str:
    # strftime takes four times as long.
    year, month, day, hour, minute, second, *_ = clock.gmtime(seconds)
    return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
