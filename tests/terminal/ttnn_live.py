"""A loop on the real runtime that goes on until its input ends: each turn it keeps a tensor, frees one twice, and says so."""

import sys

import ttnn

device = ttnn.open_device(device_id=0)


def tensor(*shape):
    return ttnn.ones(shape, dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=device)


def evict(entry):
    ttnn.deallocate(entry)


kept = []
print("ready", flush=True)
for _ in sys.stdin:
    for _ in range(10):
        kept.append(tensor(64, 64))
        entry = tensor(32, 32)
        ttnn.deallocate(entry)
        evict(entry)
    print(len(kept), flush=True)
ttnn.close_device(device)
