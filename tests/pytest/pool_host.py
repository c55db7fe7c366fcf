"""The pool of pool.c, for Python."""

import ctypes
import os

_pool = ctypes.CDLL(os.environ["SUITE_POOL"])
for _name in ("pool_new_owner", "pool_take"):
    getattr(_pool, _name).restype = ctypes.c_uint64
_pool.pool_take.argtypes = [ctypes.c_uint64]
_pool.pool_give.argtypes = [ctypes.c_uint64, ctypes.c_uint64]

#: Whether buffers tell who holds them.
HAS_OWNERS = os.environ.get("SUITE_OWNERS", "1") == "1"


class Buffer:
    def __init__(self):
        self.owner = _pool.pool_new_owner() if HAS_OWNERS else 0
        self.address = _pool.pool_take(self.owner)

    def free(self):
        return _pool.pool_give(self.address, self.owner)


def no_event():
    """A call that is no event, to measure what others cost."""
    return _pool.pool_new_owner()
