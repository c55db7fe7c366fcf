"""A decode loop in the shape of a transformer's, with a bug to choose.

model_like.py [ITERATIONS] [LAYERS] [none|double|alias|leak]

Prints `steady=`, the seconds of all iterations but the first, which compiles.
"""

import sys
import time

import ttnn
from board import close_board, open_board, tensor

ITERATIONS, LAYERS, BUG = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
SEQUENCE, HIDDEN, FEED_FORWARD = 32, 256, 512
L1 = ttnn.L1_MEMORY_CONFIG
CACHED = 8

device = open_board()


class Layer:
    def __init__(self):
        self.w_qkv = tensor(device, 1, 1, HIDDEN, 3 * HIDDEN)
        self.w_out = tensor(device, 1, 1, HIDDEN, HIDDEN)
        self.w_up = tensor(device, 1, 1, HIDDEN, FEED_FORWARD)
        self.w_down = tensor(device, 1, 1, FEED_FORWARD, HIDDEN)
        self.norm_attention = tensor(device, 1, 1, 1, HIDDEN)
        self.norm_mlp = tensor(device, 1, 1, 1, HIDDEN)
        self.cache = []

    def attention(self, x):
        normed = ttnn.rms_norm(x, weight=self.norm_attention, memory_config=L1)
        qkv = ttnn.linear(normed, self.w_qkv, memory_config=L1)
        ttnn.deallocate(normed)
        q, k, v = (
            ttnn.slice(qkv, [0, 0, 0, part * HIDDEN], [1, 1, SEQUENCE, (part + 1) * HIDDEN]) for part in range(3)
        )
        ttnn.deallocate(qkv)
        k_transposed = ttnn.permute(k, (0, 1, 3, 2))
        self.cache += [ttnn.to_memory_config(k, ttnn.DRAM_MEMORY_CONFIG), v]
        scores = ttnn.matmul(q, k_transposed, memory_config=L1)
        weights = ttnn.softmax(scores, dim=-1, memory_config=L1)
        ttnn.deallocate(scores)
        ttnn.deallocate(k_transposed)
        ttnn.deallocate(q)
        mixed = ttnn.matmul(weights, v, memory_config=L1)
        ttnn.deallocate(weights)
        result = ttnn.linear(mixed, self.w_out, memory_config=L1)
        ttnn.deallocate(mixed)
        while len(self.cache) > CACHED:
            ttnn.deallocate(self.cache.pop(0))
        return result

    def mlp(self, x):
        normed = ttnn.rms_norm(x, weight=self.norm_mlp, memory_config=L1)
        up = ttnn.linear(normed, self.w_up, activation="gelu", memory_config=L1)
        ttnn.deallocate(normed)
        down = ttnn.linear(up, self.w_down, memory_config=L1)
        ttnn.deallocate(up)
        return down

    def forward(self, x, iteration):
        attended = self.attention(x)
        middle = ttnn.add(x, attended, memory_config=L1)
        ttnn.deallocate(attended)
        fed = self.mlp(middle)
        result = ttnn.add(middle, fed, memory_config=L1)
        ttnn.deallocate(fed)
        ttnn.deallocate(middle)
        if BUG == "double" and iteration % 7 == 3:
            ttnn.deallocate(middle)  # excess (double)
        if BUG == "alias":
            # The reshape changes nothing, so the caller's own free of its tensor is the second one.
            same = ttnn.reshape(result, (1, 1, SEQUENCE, HIDDEN))
            ttnn.deallocate(x)
            return same
        return result


layers = [Layer() for _ in range(LAYERS)]
kept = []
start = time.monotonic()
for iteration in range(ITERATIONS):
    x = tensor(device, 1, 1, SEQUENCE, HIDDEN, memory_config=L1)
    for layer in layers:
        y = layer.forward(x, iteration)
        ttnn.deallocate(x)  # excess (alias)
        x = y
    if BUG == "leak" and iteration % 5 == 0:
        kept.append(ttnn.clone(x))
    ttnn.deallocate(x)
    if iteration == 0:
        warm = time.monotonic()
print(f"steady={time.monotonic() - warm:.3f}s warm={warm - start:.3f}s", flush=True)
# The weights and the cached tensors are still alive.
close_board(device)
