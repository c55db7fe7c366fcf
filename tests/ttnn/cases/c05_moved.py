# `move` and `reallocate` free their input themselves.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

gap = tensor(device, 64, 64)
x = tensor(device, 64, 64)
ttnn.deallocate(gap)
y = ttnn.move(x)
ttnn.deallocate(x)  # excess
ttnn.deallocate(y)

gap = tensor(device, 64, 64, memory_config=ttnn.L1_MEMORY_CONFIG)
x = tensor(device, 64, 64, memory_config=ttnn.L1_MEMORY_CONFIG)
ttnn.deallocate(gap)
y = ttnn.reallocate(x)
ttnn.deallocate(x)  # excess
ttnn.deallocate(y)

close_board(device)
