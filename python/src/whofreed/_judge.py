"""The verdict at the end of the session, in the process that tells the results: alone, or the controller of xdist's workers.

All traces of the session are analysed together, when the last test has run. Earlier would be wrong: whether a free was one too
many may show only tests later, when the one whose buffer it took frees it.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation
from _pytest._code.code import TerminalRepr
from _pytest._io import TerminalWriter

from whofreed import _verdict
from whofreed._junit import Entries
from whofreed._launch import OPTIONS
from whofreed._launch import Recording
from whofreed._verdict import Allowance
from whofreed._verdict import Charge
from whofreed._verdict import Culprit
from whofreed._verdict import Judged
from whofreed._verdict import Unexplained
from whofreed._verdict import Window
from whofreed._watch import NOTE

#: So often the traces are read as long as something in them seems broken.
_MOST_ATTEMPTS = 4
#: So many culprits that are no test's doing are shown with their stacks.
_MOST_BLOCKS = 3
#: So many places are told of what no culprit explains.
_MOST_PLACES = 5
#: The attribute of a report that this module made.
OURS = "whofreed_verdict"


@dataclass
class _Test:
    """What was reported of a test."""

    reports: dict[str, pytest.TestReport] = field(default_factory=dict)
    window: Window | None = None
    allowance: Allowance = field(default_factory=Allowance)

    @property
    def outcome(self) -> pytest.TestReport:
        """The report that says how it went; of a test whose process was ended, the one that says so."""
        told = self.reports.get("call") or self.reports.get("setup")
        return told or next(iter(self.reports.values()))


class Blame(TerminalRepr):
    """The text of a failure."""

    def __init__(self, message: str, text: str, where: tuple[str, int]) -> None:
        self.reprcrash = ReprFileLocation(where[0], where[1], message)
        self.text = text

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in self.text.splitlines():
            tw.line(line, red=line.startswith("whofreed: "))


class Judge:
    """Analyses, fails tests, and tells."""

    def __init__(self, config: pytest.Config, recording: Recording, binary: str, baseline: Path | None) -> None:
        self._config = config
        self._recording = recording
        self._binary = binary
        self._baseline = baseline
        self._folder = Path(config.invocation_params.dir)
        self._tests: dict[str, _Test] = {}
        self._entries: Entries | None = None
        self._report: dict[str, Any] = {}
        self._blocks: dict[int, str] = {}
        self._trouble = ""
        self._judged: list[Judged] = []
        self._nobody: list[Charge] = []
        self._unexplained = Unexplained(0, ())

    # What is reported meanwhile.

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, OURS):
            return
        test = self._tests.setdefault(report.nodeid, _Test())
        test.reports[report.when or ""] = report
        note = getattr(report, NOTE, None)
        if note:
            test.window = Window(note["pid"], note["start_ns"], note["end_ns"])
            test.allowance = Allowance(note["most"], note["patterns"])
        if self._entries is None:
            self._entries = Entries(self._config)
        self._entries.remember(report)

    # The end.

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, None]:
        yield
        try:
            self._report, self._blocks = self._analyse()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._trouble = f"no verdict: {error}"
            return
        ran = {name: test.window for name, test in self._tests.items()}
        allowances = {name: test.allowance for name, test in self._tests.items()}
        charged = _verdict.charges(self._report, ran)
        self._judged, self._nobody = _verdict.judge(charged, allowances)
        self._unexplained = _verdict.unexplained(self._report)
        order = {name: number for number, name in enumerate(self._tests)}
        self._judged.sort(key=lambda judged: order[judged.test])
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and any(judged.status == "failed" for judged in self._judged):
            reporter.ensure_newline()
            reporter.write_line("whofreed: these tests freed in excess")
        self._judged = [self._tell(judged) for judged in self._judged]
        self._tell_of_all()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._fails_session() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _fails_session(self) -> bool:
        """Whether something is wrong that is no test's doing for certain."""
        return bool(self._trouble or self._nobody or self._unexplained.frees)

    def _analyse(self) -> tuple[dict[str, Any], dict[int, str]]:
        traces = [str(path) for path in self._recording.traces()]
        if not traces:
            return {}, {}
        report = self._settled(traces)
        named = self._config.getoption("whofreed_report")
        if named:
            # The tests may have gone elsewhere.
            (self._folder / named).write_text(json.dumps(report, indent=1) + "\n")
        found = len(report.get("culprits", []))
        if found == 0:
            return report, {}
        return report, _verdict.blocks(self._run(["--culprits", str(found), *traces]))

    def _settled(self, traces: list[str]) -> dict[str, Any]:
        """The report in JSON. The library's writer may still be moving events about in the traces: then some seem broken,
        and a moment later they are not."""
        known = ["--baseline", str(self._baseline)] if self._baseline else []
        for attempt in range(_MOST_ATTEMPTS):
            report: dict[str, Any] = json.loads(self._run(["--format", "json", *known, *traces]))
            if not report.get("damage"):
                break
            time.sleep(0.1 * 2**attempt)
        return report

    def _run(self, arguments: list[str]) -> str:
        environment = {key: value for key, value in os.environ.items() if key not in (OPTIONS, "LD_PRELOAD")}
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        width = reporter._tw.fullwidth if reporter is not None else 100
        environment["COLUMNS"] = str(max(width, 80))
        done = subprocess.run(
            [self._binary, "report", *arguments],
            env=environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        if done.returncode != 0:
            raise OSError(_verdict.printable(done.stderr.decode(errors="replace").strip()))
        return done.stdout.decode(errors="replace")

    def _tell(self, judged: Judged) -> Judged:
        """Fails a test where it has to, in all places where results are kept."""
        test = self._tests[judged.test]
        report = test.outcome
        message = _message(judged)
        text = self._text(judged)
        properties = self._properties(judged)
        fails = judged.status == "failed"
        if hasattr(report, "wasxfail") and fails:
            judged = Judged(judged.test, "xfail", judged.charges)
            fails = False
        for one in test.reports.values():
            if one.failed:
                # It has failed already; what it freed may be why.
                one.sections.append(("whofreed", text))
                fails = False
                break
        entries = self._entries
        assert entries is not None, "made with the first report"
        is_told = entries.tell(report, properties, (message, text) if fails else None)
        if fails:
            self._fail(report, Blame(message, text, _where(judged, report)), properties, is_told)
        return judged

    def _fail(self, report: pytest.TestReport, blame: Blame, properties: list[tuple[str, str]], in_junit: bool) -> None:
        failed = copy.copy(report)
        failed.when = "call"
        failed.outcome = "failed"
        failed.longrepr = blame
        failed.user_properties = [*report.user_properties, *properties]
        setattr(failed, OURS, True)
        manager = self._config.pluginmanager
        reporter = manager.get_plugin("terminalreporter")
        if reporter is not None:
            for reports in reporter.stats.values():
                if report in reports:
                    reports.remove(report)
        hook = self._config.hook.pytest_runtest_logreport
        if in_junit and self._entries is not None:
            hook = manager.subset_hook_caller("pytest_runtest_logreport", [self._entries.plugin])
        hook(report=failed)

    def _tell_of_all(self) -> None:
        if self._entries is not None and "totals" in self._report:
            for key in ("excess", "unexplained", "dropped_events"):
                self._entries.tell_of_all(f"whofreed.{key}", str(self._report["totals"][key]))

    # The summary.

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write = terminalreporter.write_line
        terminalreporter.write_sep("=", "whofreed")
        if self._trouble:
            write(self._trouble, red=True)
            return
        totals = self._report.get("totals", {})
        if not totals.get("events"):
            write("no event was recorded: no adapter in force hooked a function that was called", yellow=True)
            return
        rows = [
            (judged.status, str(charge.frees), judged.test, self._called(charge.culprit) + self._doubt(charge.culprit))
            for judged in self._judged
            for charge in judged.charges
        ]
        rows += [(charge.why, str(charge.frees), "", self._called(charge.culprit)) for charge in self._nobody]
        if rows:
            for row in _table([("", "excess", "test", "culprit"), *rows]):
                write(row)
        for rank in list(dict.fromkeys(charge.culprit.rank for charge in self._nobody))[:_MOST_BLOCKS]:
            for line in ["", *self._blocks.get(rank, "").splitlines(), ""]:
                write(line)
        if self._unexplained.frees:
            count = _count(self._unexplained.frees)
            write(f"explained by no culprit: {count}; this fails the session, and no test", yellow=True)
            for function, place, seen in self._unexplained.places[:_MOST_PLACES]:
                write(f"  {seen} seen at {function} ({self._here(place)}), not necessarily guilty")
        for damage in self._report["damage"]:
            write(f"a trace could not be read in full: {_verdict.printable(damage['what'])}", yellow=True)
        if totals["dropped_events"]:
            write(f"events that were lost: {totals['dropped_events']}; this is the account of a part", yellow=True)
        write(
            f"{totals['allocations']} allocations, {totals['deallocations']} deallocations, {totals['excess']} of these in"
            f" excess; traces in {self._here(str(self._recording.folder))}"
        )

    # Words.

    def _text(self, judged: Judged) -> str:
        parts = []
        for charge in judged.charges:
            culprit = charge.culprit
            what = f"{_count(charge.frees)} in this test by culprit {culprit.rank}, {self._called(culprit)}"
            parts.append(f"whofreed: {what}{self._doubt(culprit)}")
            if culprit.rank in self._blocks:
                parts.append(self._blocks[culprit.rank])
        return "\n\n".join(parts)

    def _properties(self, judged: Judged) -> list[tuple[str, str]]:
        properties = [("whofreed.status", judged.status), ("whofreed.excess", str(judged.frees))]
        properties += [("whofreed.culprit", self._called(charge.culprit)) for charge in judged.charges]
        return properties

    def _called(self, culprit: Culprit) -> str:
        return f"{culprit.function} ({self._here(culprit.place)})"

    def _doubt(self, culprit: Culprit) -> str:
        """Who else it may have been, where the record does not decide."""
        if culprit.confidence != "undecided" or not culprit.alternatives:
            return ""
        (function, place), *others = culprit.alternatives
        more = f" and {len(others)} more" if others else ""
        return f", or {function} ({self._here(place)}){more}: undecided"

    def _here(self, path: str) -> str:
        """A path as it is typed where the user stands."""
        return path.removeprefix(str(self._folder) + os.sep)


def _message(judged: Judged) -> str:
    names = ", ".join(dict.fromkeys(charge.culprit.function for charge in judged.charges))
    return f"whofreed: {_count(judged.frees)} by {names}"


def _where(judged: Judged, report: pytest.TestReport) -> tuple[str, int]:
    file, _, line = judged.charges[0].culprit.place.rpartition(":")
    if file and line.isdecimal():
        return file, int(line)
    return report.location[0], (report.location[1] or 0) + 1


def _count(frees: int) -> str:
    return "1 excess free" if frees == 1 else f"{frees} excess frees"


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{status:<{widths[0]}}  {frees:>{widths[1]}}  {test:<{widths[2]}}  {culprit}".rstrip()
        for status, frees, test, culprit in rows
    ]
