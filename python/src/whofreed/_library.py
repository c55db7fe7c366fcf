"""The C functions of the library that is in this process, if there is one."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from dataclasses import fields

_NAME = "libwhofreed.so"


@dataclass(frozen=True)
class Stats:
    """Totals of this process so far, over all threads; all zero where nothing is recorded."""

    allocations: int = 0
    deallocations: int = 0
    excess: int = 0
    unknown: int = 0
    late: int = 0
    declined: int = 0
    invalid: int = 0
    blocked: int = 0
    live: int = 0
    dropped_events: int = 0
    distinct_addresses: int = 0
    distinct_stacks: int = 0


# As `wf_stats_t` of whofreed.h has them, in this order, between its size and what is reserved.
_TOTALS = tuple(field.name for field in fields(Stats))


class _RawStats(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("size", *_TOTALS)),
        ("reserved", ctypes.c_uint64 * 8),
    ]


class _Library:
    """The functions with their types."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.scope_enter = library.wf_scope_enter
        self.scope_enter.argtypes = [ctypes.c_char_p]
        self.scope_enter.restype = ctypes.c_uint64
        self.scope_leave = library.wf_scope_leave
        self.scope_leave.argtypes = [ctypes.c_uint64]
        self.scope_leave.restype = None
        self.stats = library.wf_stats
        self.stats.argtypes = [ctypes.POINTER(_RawStats)]
        self.stats.restype = None
        self.flush = library.wf_flush
        self.flush.argtypes = []
        self.flush.restype = ctypes.c_int
        self.version = library.wf_version
        self.version.argtypes = []
        self.version.restype = ctypes.c_char_p


_found: _Library | None = None


def library() -> _Library | None:
    """The library; looked for again as long as there is none, since a host that is linked with it may come later."""
    global _found
    if _found is None:
        # Preloaded, or linked by the program; else linked by a module that Python loaded for itself alone.
        for name, mode in ((None, ctypes.DEFAULT_MODE), (_NAME, os.RTLD_NOLOAD | os.RTLD_LAZY)):
            try:
                _found = _Library(ctypes.CDLL(name, mode=mode))
                break
            except (OSError, AttributeError):
                continue
    return _found


def is_active() -> bool:
    """Whether the library is in this process. Without it every function of this package does nothing."""
    return library() is not None


def stats() -> Stats:
    """The totals so far; each number is exact for events whose call has returned."""
    found = library()
    if found is None:
        return Stats()
    raw = _RawStats()
    found.stats(ctypes.byref(raw))
    return Stats(**{name: getattr(raw, name) for name in _TOTALS})


def flush() -> None:
    """Writes what was recorded to the disk, safe against power loss too. Raises OSError where that fails."""
    found = library()
    code = found.flush() if found else 0
    if code != 0:
        raise OSError(-code, os.strerror(-code))


def version() -> str:
    """The version of the library; empty where there is none."""
    found = library()
    return found.version().decode() if found else ""
