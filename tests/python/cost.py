"""Nanoseconds per capture at some depths (for people; no test depends on it)."""

import sys

from probe import Probe

for released in (False, True):
    probe = Probe(released)

    def down(depth):
        return min(probe.many(20000)[1] for _ in range(5)) if depth == 0 else down(depth - 1)

    # Two frames of this file and `many` itself lie below and above.
    costs = [f"{depth + 4} frames {down(depth):.0f} ns" for depth in (1, 11, 26)]
    print(sys.version.split()[0], "released" if released else "held", *costs, sep="  ")
