"""What tests say of themselves: each frees too often, as often as its argument says."""

import pytest

from pool_host import Buffer


def free_again(times):
    buffer = Buffer()
    buffer.free()
    for _ in range(times):
        buffer.free()


def evict_again():
    buffer = Buffer()
    buffer.free()
    buffer.free()


@pytest.mark.whofreed(allow=2)
def test_allowed_by_number():
    free_again(2)


@pytest.mark.whofreed(allow=2)
def test_more_than_allowed():
    free_again(3)


@pytest.mark.whofreed(allow="evict_*")
def test_allowed_by_name():
    evict_again()


@pytest.mark.whofreed(allow="evict_*")
def test_another_than_allowed():
    evict_again()
    free_again(1)


@pytest.mark.whofreed(allow=["evict_again", 1])
def test_allowed_by_both():
    evict_again()
    free_again(1)


@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    free_again(1)


def test_that_fails_anyhow():
    free_again(1)
    raise AssertionError("its own reason")


def test_that_is_skipped_midway():
    free_again(1)
    pytest.skip("not here")
