"""A session with somebody at the terminal, who answers, and then has had enough."""

import sys
import time

from pool_host import Buffer


def test_asks():
    assert sys.stdin.isatty() and sys.stdout.isatty()
    assert input("which? ") == "this"


def test_frees_twice():
    buffer = Buffer()
    buffer.free()
    buffer.free()


def test_goes_on_forever():
    print("waits", flush=True)
    while True:
        # A pause could begin just after the signal came.
        time.sleep(0.01)
