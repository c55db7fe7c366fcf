"""From a report in JSON to tests: whose doing each excess free is. Pure: no pytest, no files, no processes.

A free is charged to the test in whose scope the *surplus* free was, not to the one in which an excess free was seen: a stale
free takes the address from its new owner, and then that one's own free, maybe tests later, looks excessive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Any

from whofreed._scope import SEPARATOR
from whofreed._scope import label_of


@dataclass(frozen=True)
class Culprit:
    """A call site that freed in excess."""

    rank: int
    function: str
    place: str
    confidence: str
    #: The baseline names it.
    known: bool = False
    #: Who else it may have been: function and place.
    alternatives: tuple[tuple[str, str], ...] = ()

    def is_like(self, pattern: str) -> bool:
        """Whether a pattern of `allow` means it: by its function, its file, or `file:line`."""
        file, _, line = self.place.rpartition(":")
        base = file.rpartition("/")[2]
        names = {self.function, self.function.split("(")[0], self.place, file, base, f"{base}:{line}"}
        return any(fnmatchcase(name, pattern) for name in names)


@dataclass(frozen=True)
class Charge:
    """Surplus frees of one culprit in one test; in none where `test` is None, and then `why` says what is known."""

    culprit: Culprit
    test: str | None
    frees: int
    why: str = ""


@dataclass(frozen=True)
class Window:
    """When a test ran in which process: for frees of threads that are in no scope of a test."""

    pid: int
    start_ns: int
    end_ns: int


@dataclass
class Allowance:
    """What a test may do, by its marks."""

    most: int = 0
    patterns: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Judged:
    """What is said of one test, with the charges that are neither allowed nor known."""

    test: str
    status: str
    charges: tuple[Charge, ...]

    @property
    def frees(self) -> int:
        return sum(charge.frees for charge in self.charges)


def printable(text: str) -> str:
    """Names come from anywhere: nothing in them acts on a terminal, or hides."""
    hostile = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return "".join(
        character if unicodedata.category(character) not in hostile else character.encode("unicode_escape").decode()
        for character in text
    )


@dataclass(frozen=True)
class Unexplained:
    """Excess frees that no culprit explains, and that no baseline knows."""

    frees: int
    #: Where they were seen, function and place, the most first, and how many: who frees there may have done nothing wrong.
    places: tuple[tuple[str, str, int], ...]


def unexplained(report: Mapping[str, Any]) -> Unexplained:
    """What is left over of a report that was given the baseline."""
    if not report:
        return Unexplained(0, ())
    explained = sum(value["explains"] for value in report["culprits"] if not value.get("known"))
    places = [place for place in report["unexplained"] if not place.get("known")]
    return Unexplained(
        max(0, report["standing"]["unsettled"] - explained),
        tuple((*_site(place), place["observed"]) for place in places),
    )


def culprits(report: Mapping[str, Any]) -> list[Culprit]:
    """The culprits of a report."""
    return [_culprit(value) for value in report.get("culprits", [])]


def _culprit(value: Mapping[str, Any]) -> Culprit:
    function, place = _site(value)
    return Culprit(
        rank=value["rank"],
        function=function,
        place=place,
        confidence=value["confidence"],
        known=value.get("known", False),
        alternatives=tuple(_site(other) for other in value.get("alternatives", [])),
    )


def _site(value: Mapping[str, Any]) -> tuple[str, str]:
    """Function and place of a call site."""
    function = printable(value.get("function") or "??")
    if value.get("file"):
        return function, f"{printable(value['file'])}:{value['line']}"
    return function, f"{printable(value.get('module') or '??')}+{value.get('offset', 0):#x}"


class Tests:
    """Which test a free belongs to."""

    def __init__(self, tests: Mapping[str, Window | None], parents: Mapping[int, int]) -> None:
        self._by_label = {label_of(test): test for test in tests}
        self._windows = sorted((of.pid, of.start_ns, of.end_ns, test) for test, of in tests.items() if of)
        self._pids = {pid for pid, *_ in self._windows}
        self._parents = parents

    def of_label(self, label: str) -> str | None:
        """The test whose scope this is, or that this scope lies in."""
        while label:
            if label in self._by_label:
                return self._by_label[label]
            label = label.rpartition(SEPARATOR)[0]
        return None

    def of_time(self, pid: int, first_ns: int, last_ns: int) -> str | None:
        """The test that ran in that process all the while, or in the one that started it."""
        seen = set()
        while pid not in self._pids and pid in self._parents and pid not in seen:
            seen.add(pid)
            pid = self._parents[pid]
        for of, start, end, test in self._windows:
            if of == pid and start <= first_ns and last_ns <= end:
                return test
        return None


def charges(report: Mapping[str, Any], ran: Mapping[str, Window | None]) -> list[Charge]:
    """All that the culprits of a report did, test by test. Of a test whose process was ended there is no window."""
    parents = {process["pid"]: process.get("parent_pid", 0) for process in report.get("processes", [])}
    tests = Tests(ran, parents)
    summed: dict[tuple[int, str | None, str], int] = {}
    by_rank = {}
    for value in report.get("culprits", []):
        culprit = _culprit(value)
        by_rank[culprit.rank] = culprit
        for row in value.get("scopes", []):
            test, why = _whose(culprit, row, tests)
            key = (culprit.rank, test, why)
            summed[key] = summed.get(key, 0) + row["frees"]
    return [Charge(by_rank[rank], test, frees, why) for (rank, test, why), frees in summed.items()]


def _whose(culprit: Culprit, row: Mapping[str, Any], tests: Tests) -> tuple[str | None, str]:
    test = tests.of_label(row["scope"])
    by_time = test is None
    if by_time:
        test = tests.of_time(row["pid"], row["first_ns"], row["last_ns"])
    if culprit.confidence == "undecided":
        # It is this test's doing only if the record leaves no other: of two frees in one test, either is this test's.
        other = row.get("or_scope")
        same = other is not None and (other == row["scope"] if by_time else tests.of_label(other) == test)
        if not same:
            sides = [name or "outside of any test" for name in (test, tests.of_label(other or "") or other)]
            return None, f"undecided between {sides[0]} and {sides[1]}"
    if test is None:
        return None, "outside of any test"
    return test, ""


def judge(charged: Iterable[Charge], allowances: Mapping[str, Allowance]) -> tuple[list[Judged], list[Charge]]:
    """What is said of each test that freed in excess, and the charges against nobody."""
    by_test: dict[str, list[Charge]] = {}
    nobody = []
    for charge in charged:
        if charge.test is None:
            nobody.append(charge)
        else:
            by_test.setdefault(charge.test, []).append(charge)
    judged = []
    for test, own in by_test.items():
        allowance = allowances.get(test, Allowance())
        is_allowed = {charge for charge in own if any(charge.culprit.is_like(pattern) for pattern in allowance.patterns)}
        rest = [charge for charge in own if not charge.culprit.known and charge not in is_allowed]
        if not rest:
            judged.append(Judged(test, "allowed" if is_allowed else "known", tuple(own)))
        elif sum(charge.frees for charge in rest) <= allowance.most:
            judged.append(Judged(test, "allowed", tuple(own)))
        else:
            judged.append(Judged(test, "failed", tuple(rest)))
    return judged, [charge for charge in nobody if not charge.culprit.known]


def blocks(text: str) -> dict[int, str]:
    """The culprits' blocks of a report in text, by their ranks."""
    found = {}
    for block in text.split("\n\n"):
        rank = re.search(r"^culprit (\d+): ", block, re.MULTILINE)
        if rank and re.match(r"==\d+==ERROR: whofreed: ", block):
            found[int(rank[1])] = block.strip("\n")
    return found
