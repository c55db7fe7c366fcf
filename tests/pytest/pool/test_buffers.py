"""Twelve tests, three of which free what they have freed: the lines that say so, each in its own way."""

import threading

import pytest

from pool_host import Buffer

kept = []


def test_one_buffer():
    buffer = Buffer()
    assert buffer.free() == 1


@pytest.mark.parametrize("count", [2, 30])
def test_many_buffers(count):
    buffers = [Buffer() for _ in range(count)]
    for buffer in buffers:
        buffer.free()


def test_freed_twice():
    buffer = Buffer()
    buffer.free()
    buffer.free()  # excess


def test_leaves_a_buffer_for_later():
    kept.append(Buffer())


def test_stale_free_takes_a_buffer_of_another_test():
    stale = Buffer()
    stale.free()
    kept.append(Buffer())
    assert kept[-1].address == stale.address
    stale.free()  # excess


def test_frees_what_was_left():
    while kept:
        kept.pop().free()


@pytest.fixture
def lent():
    buffer = Buffer()
    yield buffer
    buffer.free()


def test_uses_a_fixture(lent):
    assert lent.address


@pytest.fixture
def freed_by_its_teardown():
    buffer = Buffer()
    yield buffer
    buffer.free()
    buffer.free()  # excess


def test_whose_teardown_frees_twice(freed_by_its_teardown):
    assert freed_by_its_teardown.address


def test_on_a_thread():
    thread = threading.Thread(target=lambda: Buffer().free())
    thread.start()
    thread.join()


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_at_all(count):
    assert count
