"""The program keeps no account of owners, and one line frees all that there is: too seldom wrongly to be told from others."""

from pool_host import Buffer


def test_many_that_are_freed_once():
    for buffer in [Buffer() for _ in range(20)]:
        buffer.free()


def test_freed_twice_by_one_line():
    buffer = Buffer()
    for _ in range(2):
        buffer.free()
