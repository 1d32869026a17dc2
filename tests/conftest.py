"""Fixtures for all tests: a store with a clock that the test turns, and the final check."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import re
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import invariants
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.errors import InvalidArgument

from kycli import Kycore
from kycli.errors import NewerFormatError

# A shell starts what runs in the background (`make test &`) with Ctrl-C ignored, and the
# programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test may depend on how busy the machine is, so Hypothesis looks at no clock. What it
# tries is the same in each run; `make soak` runs the same tests with the other profile. Tests
# import this file too, as a module of its own, which must not change the profile again.
try:
    settings.get_profile("steady")
except InvalidArgument:
    settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile(
        "steady", settings.get_profile("random"), derandomize=True, max_examples=30
    )
    settings.load_profile("steady")


def examples(most: int) -> int:
    """Return how many examples a test tries: all in `make soak`, else a part of them.

    More of what is the same in each run would show nothing new.
    """
    return max(1, most // 4) if settings().derandomize else most


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Keep the garbage collector off, for a test that interrupts what is running.

    From Python 3.12 on the collector may run where signals are looked for. A handler that
    raises inside one of its callbacks, of Hypothesis or of a weak reference, is reported by
    Python and forgotten: the test would see nothing of the interrupt.
    """
    gc.disable()
    yield
    gc.enable()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a long value by its length: ids are escaped, kept and sent from process to process."""
    if isinstance(val, str | bytes) and len(val) > 100:
        return f"{argname} of {len(val)}"
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Tell xdist which tests one worker has to run: `pytest -n auto`.

    Tests that share a fixture of their module share it only in one process. Tests that are
    marked ``alone`` run one after the other. All others go to whichever worker is free.
    """
    grouped = []
    for item in items:
        group = None
        if item.get_closest_marker("alone"):
            group = "alone"
        elif isinstance(item, pytest.Function) and shares_a_fixture(item):
            group = item.nodeid.partition("::")[0]
        if group and item.config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(group))
            grouped.append(item)
    yield
    for item in grouped:
        # xdist says the group in the name. Where it does not, it has dropped the group.
        if hasattr(item.config, "workerinput") and "@" not in item.nodeid:
            raise pytest.UsageError("this pytest-xdist and this pytest ignore groups of tests")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from looking at thousands of tests again and again.

    Later it looks less often than usual: that takes a fifteenth less time.
    """
    gc.disable()
    result = yield
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Say how many workers `-n auto` starts: more than there are processors.

    A test spends a third of its time waiting: for a lock, a server, a signal, the disk.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist takes it
    usable = getattr(os, "sched_getaffinity", None)
    processors = len(usable(0)) if usable else os.cpu_count() or 1
    return processors * 3 // 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    if config.option.dist != "loadgroup":
        return None
    from scheduling import Scheduler

    return Scheduler(config, log)


MEMORY = "/dev/shm"
ROOM = 2 << 30


def pytest_configure(config: pytest.Config) -> None:
    """Have the tests write into memory where there is room; the long ones write to the disk.

    Nearly each test makes a database, and waits for the disk again and again. What a killed
    process leaves is the same in both.
    """
    is_short = config.option.markexpr == "not soak"
    if is_short and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


def shares_a_fixture(item: pytest.Function) -> bool:
    """Whether a test uses a fixture that is made once for its module."""
    definitions = item._fixtureinfo.name2fixturedefs
    return any(found[-1].scope == "module" for found in definitions.values())


class Clock:
    """A clock that stands still until it is told to go on; milliseconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


_directories = itertools.count(1)


@pytest.fixture
def tmp_path(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """An empty directory, which stays if the test fails.

    For each of pytest's own, the names of all that were made before are read.
    """
    name = re.sub(r"\W", "_", request.node.name)[:30]
    path = tmp_path_factory.getbasetemp() / f"{name}{next(_directories)}"
    path.mkdir(mode=0o700)
    failed = request.session.testsfailed
    yield path
    if request.session.testsfailed == failed:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def disk_path() -> Iterator[Path]:
    """An empty directory that is not below /dev, where the servers do nothing for a caller."""
    with tempfile.TemporaryDirectory(prefix="kycli-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kycli.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[Kycore]:
    with Kycore(path, clock=clock) as store:
        yield store


@pytest.fixture(autouse=True)
def _every_database_is_sound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Check each database that a test leaves behind, unless it damages them on purpose."""
    yield
    if request.node.get_closest_marker("damages"):
        return
    # Doctor takes five times as long as these checks: after each third test, and all in soak.
    looks = zlib.crc32(request.node.name.encode()) % 3 == 0 or not settings().derandomize
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    for file in files:
        if os.access(file, os.F_OK) and not os.access(file, os.W_OK):
            file.chmod(0o600)  # a test made it read-only, or its side files were
    for file in files:
        if file.exists() and file.stat().st_size >= 512 and invariants.is_database(file):
            invariants.check(file)
            if looks and file.stat().st_size < 4 << 20:
                with contextlib.suppress(NewerFormatError), Kycore(file) as store:
                    assert store.check() == []  # doctor does not say otherwise
