"""Captures with and without the GIL while other threads push, pop, make and drop Python frames."""

import gc
import sys
import threading

from probe import Probe
from probe import compare

CAPTURES = int(sys.argv[1])
BATCH = 500

sys.setswitchinterval(0.0005)
done = threading.Event()
start = threading.Barrier(4)
failures = []


def churn(number):
    def down(depth):
        return 0 if depth == 0 else 1 + down(depth - 1)

    def numbers(count):
        for each in range(count):
            yield each

    turn = 0
    while not done.is_set():
        turn += 1
        down(turn % 200)
        sum(numbers(50))
        scope = {}
        exec(compile(f"def größe_{turn}(x):\n return x + {turn}\n", f"/x/ü{turn}.py", "exec"), scope)
        scope[f"größe_{turn}"](1)
        sorted(range(20), key=lambda each: -each)
        if turn % 50 == 0:
            gc.collect()


def record(released, times, extra):
    probe = Probe(released)

    def at_depth(depth):
        if depth:
            return at_depth(depth - 1)
        for turn in range(times // BATCH):
            expected = len(compare(probe))
            total, _ = probe.many(BATCH)
            # `compare` runs where `many` does: as deep as this.
            if total != BATCH * expected:
                failures.append((released, total, BATCH * expected))

    try:
        # All first captures at once: the interpreter is being looked for then.
        start.wait()
        at_depth(extra)
    except BaseException as error:
        failures.append(error)


churners = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
recorders = [
    threading.Thread(target=record, args=(released, CAPTURES // 4, extra))
    for released in (True, False)
    for extra in (0, 25)
]
for thread in churners + recorders:
    thread.start()
for thread in recorders:
    thread.join()
done.set()
for thread in churners:
    thread.join()
assert not failures, failures[:3]
print("ok", CAPTURES)
