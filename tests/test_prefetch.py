"""What is loaded ahead: one value after the one that was taken, each once, and nothing once it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from backtape.errors import RepositoryTimeout
from backtape.prefetch import Prefetch

LONG_S = 60.0


class Loads:
    """Loads the squares of numbers, one number after the other, and tells on which threads."""

    def __init__(self, last: int = 9) -> None:
        self.seen: list[int] = []
        self.threads: list[threading.Thread] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._last = last

    def load(self, number: int) -> tuple[int, int]:
        self.seen.append(number)
        self.threads.append(threading.current_thread())
        assert self.may_go_on.wait(LONG_S)
        return number, number**2

    def follow(self, value: tuple[int, int]) -> int | None:
        return value[0] + 1 if value[0] < self._last else None


def prefetch_of(loads: Loads, timeout_s: float | None = LONG_S) -> Prefetch[int, tuple[int, int]]:
    return Prefetch(loads.load, name="test", source="a store", timeout_s=timeout_s, follow=loads.follow)


def wait_until_idle(prefetch: Prefetch[int, tuple[int, int]]) -> None:
    for thread in prefetch.threads():
        thread.join()


@contextmanager
def held_up(loads: Loads) -> Iterator[None]:
    """What is begun meanwhile does not come to an end."""
    loads.may_go_on.clear()
    yield
    loads.may_go_on.set()


def test_each_value_is_loaded_once_and_one_ahead() -> None:
    loads = Loads(last=4)
    prefetch = prefetch_of(loads)
    for number in range(1, 5):
        assert prefetch.take(number) == (number, number**2)
        wait_until_idle(prefetch)
        assert loads.seen == list(range(1, min(number + 1, 4) + 1))


def test_as_many_are_loaded_ahead_as_there_is_room_for() -> None:
    loads = Loads()
    prefetch = Prefetch(
        loads.load,
        name="test",
        source="a store",
        timeout_s=LONG_S,
        follow=loads.follow,
        has_room=lambda waiting: sum(number for number, _ in waiting) < 9,
    )
    ahead = []
    assert prefetch.take(1) == (1, 1)
    wait_until_idle(prefetch)
    assert len(set(loads.threads)) == 1, "a thread goes on while there is room"
    ahead.append(loads.seen[1:])
    for number in range(2, 6):
        assert prefetch.take(number) == (number, number**2)
        wait_until_idle(prefetch)
        ahead.append(loads.seen[number:])
    assert loads.seen == list(range(1, max(loads.seen) + 1))
    assert ahead == [[2, 3, 4], [3, 4, 5], [4, 5], [5, 6], [6, 7]]


def test_without_what_follows_nothing_is_loaded_ahead() -> None:
    loads = Loads()
    prefetch = Prefetch(loads.load, name="test", source="a store", timeout_s=LONG_S)
    assert prefetch.take(1) == (1, 1)
    wait_until_idle(prefetch)
    assert loads.seen == [1]


def test_after_a_timeout_nothing_follows_until_the_value_is_taken() -> None:
    loads = Loads()
    prefetch = prefetch_of(loads, timeout_s=0.01)
    with held_up(loads), pytest.raises(RepositoryTimeout, match="a store did not give 1 within"):
        prefetch.take(1)
    wait_until_idle(prefetch)
    assert loads.seen == [1]
    assert prefetch.take(1) == (1, 1)
    wait_until_idle(prefetch)
    assert loads.seen == [1, 2]


def test_once_stopped_nothing_follows() -> None:
    loads = Loads()
    prefetch = prefetch_of(loads)
    prefetch.take(1)
    wait_until_idle(prefetch)
    with held_up(loads):
        assert prefetch.take(2) == (2, 4)
        consumer = threading.Thread(target=prefetch.take, args=(3,))
        consumer.start()
        prefetch.stop()
        consumer.join()
    wait_until_idle(prefetch)
    assert loads.seen == [1, 2, 3]
    assert prefetch.take(3) is None


def test_a_fault_of_what_follows_is_raised_where_it_is_taken() -> None:
    loads = Loads()

    def load(number: int) -> tuple[int, int]:
        assert number < 2, "no more"
        return loads.load(number)

    prefetch = Prefetch(load, name="test", source="a store", timeout_s=LONG_S, follow=loads.follow)
    assert prefetch.take(1) == (1, 1)
    with pytest.raises(AssertionError, match="no more"):
        prefetch.take(2)
    wait_until_idle(prefetch)
    assert prefetch.threads() == []
