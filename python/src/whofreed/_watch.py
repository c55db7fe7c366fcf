"""What happens in each process that runs tests: every test is a scope, and its report tells when it ran."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from typing import Any

import pytest

from whofreed._scope import scope

#: The attribute of a teardown's report with what the judge needs; reports go from workers to their controller as they are.
NOTE = "whofreed_note"


class Watch:
    """Setup, call and teardown of a test are one scope, its node id."""

    def __init__(self) -> None:
        self._start_ns = 0

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, None]:
        self._start_ns = time.monotonic_ns()
        with scope(item.nodeid):
            yield

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        outcome = yield
        if call.when != "teardown" or outcome.excinfo is not None:
            return
        most, patterns = _allowed(item)
        note = {
            "pid": os.getpid(),
            "start_ns": self._start_ns,
            "end_ns": time.monotonic_ns(),
            "most": most,
            "patterns": patterns,
        }
        setattr(outcome.get_result(), NOTE, note)


def _allowed(item: pytest.Item) -> tuple[int, list[str]]:
    """What the marks of a test allow: the largest number, and all patterns."""
    most, patterns = 0, []
    for mark in item.iter_markers("whofreed"):
        allow = mark.kwargs.get("allow", ())
        for value in allow if isinstance(allow, (list, tuple)) else (allow,):
            if isinstance(value, int):
                most = max(most, value)
            else:
                patterns.append(str(value))
    return most, patterns


def check_marks(items: list[pytest.Item]) -> None:
    """A mark that says something else is a mistake that would let every test pass, or none."""
    for item in items:
        for mark in item.iter_markers("whofreed"):
            allow = mark.kwargs.get("allow")
            values = allow if isinstance(allow, (list, tuple)) else (allow,)
            right = all(isinstance(value, (int, str)) and not isinstance(value, bool) for value in values)
            if mark.args or set(mark.kwargs) != {"allow"} or not right:
                raise pytest.UsageError(
                    f'{item.nodeid}: @pytest.mark.whofreed takes allow=N, allow="pattern", or a list of these'
                )
