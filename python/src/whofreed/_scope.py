"""Labels on events: which operation, which test they belong to."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any
from typing import TypeVar

from whofreed._library import library

#: Between the names of nested scopes.
SEPARATOR = " > "
#: The longest label that the library keeps, in bytes.
MOST_BYTES = 4096

_F = TypeVar("_F", bound=Callable[..., Any])
_thread = threading.local()


def label_of(name: str) -> str:
    """A name as a label that the library keeps whole: one that is too long ends in a number made of all of it."""
    # C ends a string at its first NUL.
    text = name.replace("\0", "\\0").encode("utf-8", "backslashreplace")
    if len(text) > MOST_BYTES:
        number = hashlib.sha256(text).hexdigest()[:16]
        text = text[: MOST_BYTES - 32].decode("utf-8", "ignore").encode() + f"... {number}".encode()
    return text.decode()


class scope(ContextDecorator):
    """Attaches a name to the events of this thread, as `with scope("decode"):` or as a decorator of a function.

    Scopes nest: what happens inside of two has the label "outer > inner". A scope belongs to the thread that entered it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._number = 0
        self._outer: str | None = None

    def _recreate_cm(self) -> scope:
        # Each call of a decorated function has a scope of its own, so that it may call itself.
        return scope(self._name)

    def __call__(self, func: _F) -> _F:
        if inspect.iscoroutinefunction(func) or inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError("scope() decorates plain functions: a coroutine or generator gives its thread to others midway")
        return super().__call__(func)

    def __enter__(self) -> scope:
        self._outer = getattr(_thread, "label", None)
        label = self._name if self._outer is None else self._outer + SEPARATOR + self._name
        _thread.label = label
        found = library()
        self._number = found.scope_enter(label_of(label).encode()) if found else 0
        return self

    def __exit__(self, *_: object) -> None:
        _thread.label = self._outer
        found = library()
        if found and self._number:
            found.scope_leave(self._number)
        self._number = 0
