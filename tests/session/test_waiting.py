"""Waiting awake for the next request: when it is done, for how long, and when it is left."""

from kycli.session.waiting import Load, Waiter

EVENT = [(7, 1)]


class World:
    """Requests that come at given times, and a clock that goes on with each look."""

    def __init__(self, *times: float) -> None:
        self.now = 0.0
        self.times = [*times]
        self.slept: list[float] = []
        self.looks = 0
        self.asked = 0
        self.is_free = True

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        if seconds == 0:
            self.looks += 1
            self.now += 1e-6
        else:
            self.slept.append(self.now)
            self.now = max(self.now, self.times[0])
        if self.times[0] > self.now:
            return []
        self.times.pop(0)
        return EVENT

    def free(self) -> bool:
        self.asked += 1
        return self.is_free

    def waiter(self) -> Waiter:
        return Waiter(self.poll, self.free, lambda: self.now)


def test_the_first_request_is_slept_for_and_those_right_after_it_are_not() -> None:
    world = World(5.0, 5.0001, 5.0002, 5.0003, 5.0004)
    waiter = world.waiter()
    assert [waiter.wait(-1) for _ in range(5)] == [EVENT] * 5
    # The second and third ones show that they come fast.
    assert world.slept == [0.0, 5.0, 5.0001]
    assert 150 < world.looks < 250


def test_a_pause_is_looked_into_once() -> None:
    world = World(1.0, 1.0001, 1.0002, 1.0003, 9.0, 20.0)
    waiter = world.waiter()
    for _ in range(6):
        waiter.wait(-1)
    assert len(world.slept) == 5
    assert world.looks < 1200
    assert abs(world.slept[3] - 1.0013) < 1e-5  # 1 ms after the last request
    assert world.slept[4] == 9.0


def test_connections_with_one_request_each_are_slept_for() -> None:
    times = [moment for n in range(1, 50) for moment in (n, n + 1e-4)]
    world = World(*times)
    waiter = world.waiter()
    for _ in times:
        waiter.wait(-1)
    assert world.looks == 0


def test_no_event_in_time_is_told() -> None:
    answers = [EVENT, EVENT]
    asked: list[float] = []

    def poll(seconds: float) -> list[tuple[int, int]]:
        asked.append(seconds)
        return answers.pop() if answers else []

    waiter = Waiter(poll, lambda: False, lambda: 0.0)
    assert [waiter.wait(0.25) for _ in range(3)] == [EVENT, EVENT, []]
    assert asked == [0.25, 0.25, 0.25]


def test_where_others_have_use_for_the_cpu_it_sleeps_and_looks_again_later() -> None:
    world = World(*(1 + i * 1e-4 for i in range(1000)))
    world.is_free = False
    waiter = world.waiter()
    for _ in range(500):
        waiter.wait(-1)
    assert world.looks == 0
    assert 2 <= world.asked <= 4  # every 20 ms
    world.is_free = True
    for _ in range(400):
        waiter.wait(-1)
    assert world.looks > 1000
    world.is_free = False
    slept = len(world.slept)
    for _ in range(99):
        waiter.wait(-1)
    assert len(world.slept) - slept > 99 - 17 - 1  # from the next look on


def test_the_load_of_this_system() -> None:
    load = Load()
    assert load.has_free_cpu() in (True, False)
    load._cpus = 0
    assert not load.has_free_cpu()  # this process runs
    load._cpus = 1_000_000
    assert load.has_free_cpu() is (load._file >= 0)
    load._file = -1
    assert not load.has_free_cpu()
