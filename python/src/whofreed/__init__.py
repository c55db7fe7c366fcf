"""Scopes and totals of whofreed, from Python.

Under `whofreed run`, or in a process that has loaded `libwhofreed.so`, these act on the recording; anywhere else they do
nothing, and `is_active()` says so.
"""

from whofreed._library import Stats
from whofreed._library import flush
from whofreed._library import is_active
from whofreed._library import stats
from whofreed._library import version
from whofreed._scope import scope

__all__ = ["Stats", "flush", "is_active", "scope", "stats", "version"]
