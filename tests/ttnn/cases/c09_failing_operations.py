# Operations that throw in the middle, allocations that do not fit, operations on a freed tensor: no free is one too many.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, fails, open_board, tensor

device = open_board()

a = tensor(device, 64, 64)
b = tensor(device, 32, 32)
for _ in range(3):
    fails(lambda: ttnn.matmul(a, b))
for shape, memory in [((1, 1, 4096, 65536), ttnn.L1_MEMORY_CONFIG), ((1, 1, 65536, 262144), ttnn.DRAM_MEMORY_CONFIG)]:
    fails(lambda: ttnn.empty(shape, ttnn.bfloat16, ttnn.TILE_LAYOUT, device, memory))
ttnn.deallocate(a)
fails(lambda: ttnn.add(a, b))
fails(lambda: ttnn.matmul(b, a))
fails(a.buffer_address)

close_board(device)
