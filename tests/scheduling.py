"""Which tests a worker of pytest-xdist runs."""

from __future__ import annotations

from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController


class Scheduler(LoadGroupScheduling):  # type: ignore[misc]
    """The scheduler of ``--dist=loadgroup``, which looks only at what is still to be done.

    The original goes through all that a worker has ever been given, after each test. With
    thousands of tests that are groups of their own, that takes as long as hundreds of tests.
    """

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        name = self.registered_collections[node][item_index]
        group = self._split_scope(name)
        tests = self.assigned_work[node][group]
        tests[name] = True
        if all(tests.values()):
            del self.assigned_work[node][group]
        self._reschedule(node)
