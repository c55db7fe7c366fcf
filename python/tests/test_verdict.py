"""Whose doing an excess free is."""

from dataclasses import replace

import pytest

from whofreed._verdict import Allowance
from whofreed._verdict import Charge
from whofreed._verdict import Culprit
from whofreed._verdict import Unexplained
from whofreed._verdict import Window
from whofreed._verdict import blocks
from whofreed._verdict import charges
from whofreed._verdict import judge
from whofreed._verdict import printable
from whofreed._verdict import unexplained

WINDOWS = {"t.py::a": Window(7, 100, 200), "t.py::b": Window(7, 210, 300), "t.py::c": Window(8, 100, 300)}


def row(scope, frees=1, or_scope=None, pid=7, at=(0, 0)):
    return {"pid": pid, "scope": scope, "or_scope": or_scope, "frees": frees, "first_ns": at[0], "last_ns": at[1]}


def report(*rows, confidence="proven", rank=1, processes=()):
    culprit = {
        "rank": rank,
        "function": "cache::evict(int)",
        "file": "/src/cache.cpp",
        "line": 41,
        "confidence": confidence,
        "alternatives": [],
        "scopes": list(rows),
    }
    return {"culprits": [culprit], "processes": list(processes)}


def told(*args, **kwargs):
    return [(charge.test, charge.frees, charge.why) for charge in charges(report(*args, **kwargs), WINDOWS)]


def test_a_free_belongs_to_the_test_whose_scope_it_was_in():
    assert told(row("t.py::a", 2), row("t.py::c")) == [("t.py::a", 2, ""), ("t.py::c", 1, "")]


def test_scopes_inside_a_test_are_the_test_s():
    assert told(row("t.py::a > decode > layer", 2), row("t.py::a", 3)) == [("t.py::a", 5, "")]


def test_a_thread_without_a_scope_is_told_by_the_time():
    assert told(row("", 1, at=(120, 190))) == [("t.py::a", 1, "")]
    assert told(row("native label", 1, at=(220, 230))) == [("t.py::b", 1, "")]
    # The same moment in another process.
    assert told(row("", 1, pid=8, at=(120, 190))) == [("t.py::c", 1, "")]


def test_what_spans_several_tests_or_none_is_nobody_s():
    assert told(row("", 3, at=(120, 230))) == [(None, 3, "outside of any test")]
    assert told(row("", 1, at=(203, 204))) == [(None, 1, "outside of any test")]
    assert told(row("", 1, pid=99, at=(120, 130))) == [(None, 1, "outside of any test")]


def test_a_child_process_belongs_to_the_test_that_started_it():
    processes = [{"pid": 31, "parent_pid": 30}, {"pid": 30, "parent_pid": 8}, {"pid": 8, "parent_pid": 8}]
    assert told(row("", 1, pid=31, at=(120, 190)), processes=processes) == [("t.py::c", 1, "")]
    # A circle of parents ends.
    assert told(row("", 1, pid=5, at=(1, 2)), processes=[{"pid": 5, "parent_pid": 5}])[0][0] is None


def test_undecided_within_one_test_is_that_test_s_doing():
    for scope, other in [("t.py::a", "t.py::a"), ("t.py::a > one", "t.py::a > two")]:
        assert told(row(scope, or_scope=other), confidence="undecided") == [("t.py::a", 1, "")]
    assert told(row("", or_scope="", at=(120, 130)), confidence="undecided") == [("t.py::a", 1, "")]


def test_undecided_between_tests_accuses_nobody():
    [(test, frees, why)] = told(row("t.py::a", or_scope="t.py::b"), confidence="undecided")
    assert (test, frees, why) == (None, 1, "undecided between t.py::a and t.py::b")
    for other in (None, ""):
        [(test, _, why)] = told(row("t.py::a", or_scope=other), confidence="undecided")
        assert (test, why) == (None, "undecided between t.py::a and outside of any test")


CULPRIT = Culprit(1, "cache::evict(int)", "/src/cache.cpp:41", "proven")
OTHER = Culprit(2, "pool::give", "/src/pool.cpp:9", "proven")
KNOWN = replace(CULPRIT, known=True)


def status(allowance, *charged):
    judged, _ = judge(charged, {"t": allowance})
    [judged] = judged
    return judged.status, judged.frees


def test_a_number_of_excess_frees_is_allowed_and_not_one_more():
    assert status(Allowance(3), Charge(CULPRIT, "t", 3)) == ("allowed", 3)
    assert status(Allowance(3), Charge(CULPRIT, "t", 3), Charge(OTHER, "t", 1)) == ("failed", 4)
    assert status(Allowance(), Charge(CULPRIT, "t", 1)) == ("failed", 1)


@pytest.mark.parametrize(
    "pattern", ["cache::evict", "cache::*", "cache.cpp", "cache.cpp:41", "/src/*.cpp:41", "cache::evict(int)"]
)
def test_a_pattern_allows_one_culprit_however_often(pattern):
    assert status(Allowance(0, [pattern]), Charge(CULPRIT, "t", 99)) == ("allowed", 99)
    assert status(Allowance(0, [pattern]), Charge(CULPRIT, "t", 99), Charge(OTHER, "t", 1)) == ("failed", 1)


def test_a_pattern_for_something_else_allows_nothing():
    for pattern in ("evict", "cache.cpp:42", "pool::*"):
        assert status(Allowance(0, [pattern]), Charge(CULPRIT, "t", 1)) == ("failed", 1)


def test_what_the_baseline_knows_fails_nothing():
    assert status(Allowance(), Charge(KNOWN, "t", 5)) == ("known", 5)
    assert status(Allowance(), Charge(KNOWN, "t", 5), Charge(OTHER, "t", 1)) == ("failed", 1)
    _, nobody = judge([Charge(KNOWN, None, 1), Charge(OTHER, None, 1)], {})
    assert nobody == [Charge(OTHER, None, 1)]


def test_what_nobody_explains_is_what_is_neither_a_culprit_s_nor_known():
    seen = {"function": "give", "file": "/src/pool.cpp", "line": 7, "observed": 2}
    told = {
        "culprits": [{"explains": 5, "known": False}, {"explains": 3, "known": True}],
        "unexplained": [seen, {**seen, "line": 8, "known": True}],
        "standing": {"unsettled": 7},
    }
    assert unexplained(told) == Unexplained(2, (("give", "/src/pool.cpp:7", 2),))
    assert unexplained({}) == Unexplained(0, ())


def test_hostile_names_do_nothing():
    assert printable("a\x1b[31m\n\u202eb\u2028ä") == "a\\x1b[31m\\n\\u202eb\\u2028ä"
    hostile = report(row("t.py::a"))
    hostile["culprits"][0]["function"] = "f\x1b]0;x\x07"
    assert "\x1b" not in charges(hostile, WINDOWS)[0].culprit.function


def test_the_blocks_of_a_text_report_are_found_by_rank():
    text = """whofreed: 2 excess frees

==7==ERROR: whofreed: excess free of 0x1 on device 1, in
    somewhere
culprit 1: f (a.c:1) explains 1
freed again:
    #0 f

==7==ERROR: whofreed: excess free of 0x2 on device 1
culprit 2: undecided: g (a.c:2) would explain 1

looks guilty, is not: h because of culprit 1:
"""
    found = blocks(text)
    assert sorted(found) == [1, 2]
    assert found[1].startswith("==7==ERROR") and found[1].endswith("#0 f")
