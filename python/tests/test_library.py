"""`import whofreed` where no recording is, and where one is."""

import os
import subprocess
import sys

import pytest

import whofreed

SHIM = os.environ.get("WHOFREED_TEST_SHIM")

needs_shim = pytest.mark.skipif(not SHIM, reason="WHOFREED_TEST_SHIM names no library")

recorded = pytest.mark.skipif(whofreed.is_active(), reason="these tests run under whofreed themselves")


def run(script: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@recorded
def test_without_the_library_nothing_happens():
    assert not whofreed.is_active()
    assert whofreed.version() == ""
    assert whofreed.stats() == whofreed.Stats()
    whofreed.flush()
    with whofreed.scope("a\0b"), whofreed.scope("c"):
        pass


def test_a_decorated_function_is_itself_and_may_call_itself():
    @whofreed.scope("fac")
    def fac(n: int) -> int:
        """Doc."""
        return 1 if n < 2 else n * fac(n - 1)

    assert fac(5) == 120
    assert (fac.__name__, fac.__doc__) == ("fac", "Doc.")


def test_what_gives_its_thread_away_is_refused():
    async def coroutine():
        pass

    def generator():
        yield

    for function in (coroutine, generator):
        with pytest.raises(TypeError, match="plain functions"):
            whofreed.scope("name")(function)


def test_a_scope_is_left_by_an_exception_too():
    from whofreed._scope import _thread

    with pytest.raises(KeyError), whofreed.scope("outer"):
        raise KeyError
    assert _thread.label is None


def test_long_labels_stay_apart():
    from whofreed._scope import MOST_BYTES
    from whofreed._scope import label_of

    one, other = label_of("ä" * 3000 + "1"), label_of("ä" * 3000 + "2")
    assert one != other
    assert len(one.encode()) <= MOST_BYTES
    assert label_of("short[ä]") == "short[ä]"
    assert label_of("a\0b\ud800") == "a\\0b\\ud800"


@needs_shim
def test_with_the_library_preloaded_it_is_active():
    script = "import whofreed; print(whofreed.is_active(), whofreed.version()); whofreed.flush()"
    active, version = run(script, LD_PRELOAD=SHIM).split()
    assert active == "True"
    assert version[0].isdigit()


@needs_shim
def test_a_library_that_a_module_brings_along_is_found_when_it_comes():
    script = f"""
import ctypes, os, whofreed
before = whofreed.is_active()
ctypes.CDLL({SHIM!r}, mode=os.RTLD_LOCAL)
print(before, whofreed.is_active())
"""
    assert run(script) == "False True"


@needs_shim
def test_totals_and_nested_scopes_are_the_library_s():
    script = """
import ctypes, whofreed
library = ctypes.CDLL(None)
allocate, free = library.wf_allocate, library.wf_deallocate
allocate.argtypes = [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint64]
free.argtypes = [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64]
allocate(1, 64, 8, 0, 1)
with whofreed.scope("outer"), whofreed.scope("inner"):
    free(1, 64, 1)
    free(1, 64, 1)
stats = whofreed.stats()
print(stats.allocations, stats.deallocations, stats.excess, stats.distinct_addresses)
library.wf_dump_culprits(1)
"""
    told = run(script, LD_PRELOAD=SHIM, WHOFREED_OPTIONS="summary=0")
    assert told.splitlines()[0] == "1 2 1 1"
    assert "in outer > inner" in " ".join(told.split())
