# Operations that throw in the middle, allocations that do not fit, operations on a freed tensor: no free is one too many.
# expect: declined = 0

import ttnn
from board import close_board, fails, open_board, tensor

device = open_board()

a = tensor(device, 64, 64)
b = tensor(device, 32, 32)
for _ in range(3):
    fails(lambda: ttnn.matmul(a, b))
fails(lambda: tensor(device, 64, 32 * 1024 * 8, memory_config=ttnn.L1_MEMORY_CONFIG))
fails(lambda: ttnn.empty((1, 1, 65536, 262144), dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=device))
ttnn.deallocate(a)
fails(lambda: ttnn.add(a, b))
fails(lambda: ttnn.matmul(b, a))
fails(a.buffer_address)

close_board(device)
