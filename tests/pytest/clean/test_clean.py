"""Nothing is freed too often."""

import whofreed
from pool_host import Buffer


def test_frees_once():
    before = whofreed.stats()
    with whofreed.scope("inside"):
        assert Buffer().free() == 1
    assert whofreed.stats().deallocations == before.deallocations + 1


def test_keeps():
    Buffer()


def test_takes_nothing():
    assert whofreed.is_active()
    whofreed.flush()
