"""The program keeps no account of owners, and each of these happens once."""

from pool_host import Buffer

left = []


def test_freed_twice():
    buffer = Buffer()
    buffer.free()
    buffer.free()


def test_leaves_a_dead_buffer():
    left.append(Buffer())
    left[0].free()


def test_frees_what_was_left():
    left.pop().free()
