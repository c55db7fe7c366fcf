"""A Python host with a known culprit, for the truth corpus: python_host.py PATTERN unknown|unique|pointers [SEED].

Without arguments it lists its patterns. It tells whofreed by ctypes, so the innermost frames that are its own are
lines of this file. Its last line says by its own account which function freed too often. It is to run with
libwhofreed.so in its process, as under `whofreed run`.
"""

import contextlib
import ctypes
import json
import random
import sys

STEPS = 500

# Of either it may be the fault, for one who does not know the owners.
PAIRS = {"explicit_then_del": ["Machine.explicit_then_del", "Machine.forget"]}


class Handle:
    """What a holder keeps: an address, and the number of the life that is meant."""

    def __init__(self, address, life):
        self.address = address
        self.life = life


class Device:
    """Hands out the block that came back last, and keeps account of who freed what."""

    def __init__(self, owners):
        self.library = ctypes.CDLL(None)
        self.library.wf_allocate.argtypes = [
            ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint64]
        self.library.wf_deallocate.argtypes = [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64]
        if owners == "pointers":
            self.library.wf_owners_are_pointers(1)
        self.owners = owners
        self.free_blocks = [block * 4096 for block in range(1, 257)]
        self.holders = {}
        self.open = {}
        self.lives = self.allocations = self.deallocations = self.seen_at_addresses = 0
        self.culprits = {}
        self.here = None

    def owner(self, handle):
        # CPython's own pool of objects gives the same pointer to later handles.
        return {"unknown": 0, "unique": handle.life, "pointers": id(handle)}[self.owners]

    def allocate(self):
        self.lives += 1
        self.allocations += 1
        handle = Handle(self.free_blocks.pop(), self.lives)
        self.holders[handle.address] = handle.life
        self.open[handle.address] = self.open.get(handle.address, 0) + 1
        self.library.wf_allocate(0, handle.address, 4096, 1, self.owner(handle))
        return handle

    def free(self, handle):
        self.deallocations += 1
        self.library.wf_deallocate(0, handle.address, self.owner(handle))
        if self.open[handle.address] > 0:
            self.open[handle.address] -= 1
        else:
            self.seen_at_addresses += 1
        if self.holders.get(handle.address) == handle.life:
            del self.holders[handle.address]
            self.free_blocks.append(handle.address)
        else:
            culprit = self.here if sys.version_info >= (3, 11) else self.here.rpartition(".")[2]
            self.culprits[culprit] = self.culprits.get(culprit, 0) + 1

    @contextlib.contextmanager
    def culprit(self, function):
        before, self.here = self.here, function
        yield
        self.here = before


class Later:
    """What is to be done at a later step."""

    def __init__(self):
        self.entries = []

    def put(self, entry, due):
        self.entries.append((entry, due))

    def take(self, now):
        due = [entry for entry in self.entries if entry[1] <= now]
        self.entries = [entry for entry in self.entries if entry[1] > now]
        return [entry for entry, _ in due]


class Tensor:
    """Frees when nobody refers to it any more."""

    def __init__(self, device):
        self.device = device
        self.handle = device.allocate()

    def __del__(self):
        self.device.free(self.handle)


class Machine:
    """The program: innocent parts, and one pattern."""

    def __init__(self, pattern, owners, seed):
        self.device = Device(owners)
        self.random = random.Random(seed)
        self.now = 0
        self.pattern = getattr(self, pattern)
        self.activations = Later()
        self.kept = Later()
        self.stale = Later()
        self.callbacks = Later()

    def soon(self, within):
        return self.now + 1 + self.random.randrange(within)

    def late(self):
        return self.now + 5 + self.random.randrange(5)

    def embed(self):
        table = self.device.allocate()
        self.tick()
        self.device.free(table)

    def matmul(self):
        sums = self.device.allocate()
        self.activations.put(self.device.allocate(), self.soon(7))
        self.tick()
        self.device.free(sums)

    def sample(self):
        self.kept.put(Tensor(self.device), self.soon(11))
        self.tick()

    def retire(self, now):
        for handle in self.activations.take(now):
            self.device.free(handle)

    def tick(self):
        if self.random.randrange(100) < 30:
            self.pattern()

    def evict(self, now):
        with self.device.culprit("Machine.evict"):
            for handle in self.stale.take(now):
                self.device.free(handle)

    def stale_cache(self):
        handle = self.device.allocate()
        self.activations.put(handle, self.soon(4))
        if self.random.randrange(2):
            self.stale.put(handle, self.late())
        self.evict(self.now)

    def explicit_then_del(self):
        tensor = Tensor(self.device)
        if self.random.randrange(2):
            self.kept.put(tensor, self.late())
            return
        # Freed by hand, and then by the last reference.
        self.stale.put(tensor, self.late())
        self.device.free(tensor.handle)
        del tensor
        self.forget(self.now)

    def forget(self, now):
        with self.device.culprit("Machine.forget"):
            self.stale.take(now)

    def callback(self):
        handle = self.device.allocate()

        def free():
            with self.device.culprit("Machine.callback.<locals>.free"):
                self.device.free(handle)

        self.callbacks.put(free, self.soon(4))
        if self.random.randrange(2):
            self.callbacks.put(free, self.late())
        self.call(self.now)

    def call(self, now):
        for callback in self.callbacks.take(now):
            callback()

    def clean(self):
        self.device.free(self.device.allocate())

    def run(self):
        while self.now < STEPS:
            self.random.choice([self.embed, self.matmul, self.sample])()
            self.retire(self.now)
            self.kept.take(self.now)
            self.now += 1
        end = self.now + 1000
        self.retire(end)
        self.kept.take(end)
        self.call(end)
        self.forget(end) if self.pattern == self.explicit_then_del else self.evict(end)


def main():
    if len(sys.argv) < 3:
        print("stale_cache\nexplicit_then_del\ncallback\nclean")
        return
    pattern, owners = sys.argv[1:3]
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    machine = Machine(pattern, owners, seed)
    machine.run()
    device = machine.device
    excess = device.seen_at_addresses if owners == "unknown" else sum(device.culprits.values())
    print(json.dumps({
        "pattern": pattern, "seed": seed, "owners": owners, "allocations": device.allocations,
        "deallocations": device.deallocations, "excess": excess, "culprits": device.culprits,
        "pair": PAIRS.get(pattern, []), "clean": not device.culprits}))


if __name__ == "__main__":
    main()
