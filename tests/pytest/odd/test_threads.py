"""Frees outside of the test's own thread and process."""

import os
import threading

from pool_host import Buffer


def free_again():
    buffer = Buffer()
    buffer.free()
    buffer.free()


def test_on_a_thread():
    thread = threading.Thread(target=free_again)
    thread.start()
    thread.join()


def test_in_a_child():
    child = os.fork()
    if child == 0:
        free_again()
        os._exit(0)
    os.waitpid(child, 0)


def test_nothing():
    Buffer().free()
