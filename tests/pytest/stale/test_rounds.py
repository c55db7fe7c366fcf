"""The program keeps no account of owners. In one round a cache evicts what is not its own any more: half of the addresses
went to four models, and only when these are unloaded, each in a test of its own, are those excess frees seen."""

import pytest

from pool_host import Buffer

kept = []
loaded = {}


def evict():
    while kept:
        kept.pop().free()


def unload_encoder():
    for buffer in loaded.pop("encoder"):
        buffer.free()


def unload_decoder():
    for buffer in loaded.pop("decoder"):
        buffer.free()


def unload_head():
    for buffer in loaded.pop("head"):
        buffer.free()


def unload_tables():
    for buffer in loaded.pop("tables"):
        buffer.free()


@pytest.mark.parametrize("turn", range(6), scope="class")
class TestRound:
    def test_fill(self, turn):
        kept.extend(Buffer() for _ in range(40))
        for buffer in kept:
            buffer.free()

    def test_load(self, turn):
        for name in ("encoder", "decoder", "head", "tables"):
            loaded[name] = [Buffer() for _ in range(5)]

    def test_evict(self, turn):
        if turn == 3:
            evict()
        kept.clear()

    @pytest.mark.parametrize("unload", [unload_encoder, unload_decoder, unload_head, unload_tables])
    def test_unload(self, turn, unload):
        unload()
