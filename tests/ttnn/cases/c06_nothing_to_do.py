# An operation with nothing to do returns its input. `typecast` to the same type is none of these: it copies.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)
y = ttnn.to_memory_config(x, ttnn.DRAM_MEMORY_CONFIG)
ttnn.deallocate(x)
assert not y.is_allocated()
ttnn.deallocate(y)  # excess

x = tensor(device, 64, 64)
y = ttnn.to_layout(x, ttnn.TILE_LAYOUT)
ttnn.deallocate(x)
ttnn.deallocate(y)  # excess

x = tensor(device, 64, 64)
y = ttnn.typecast(x, ttnn.bfloat16)
ttnn.deallocate(x)
assert y.is_allocated()
ttnn.deallocate(y)

x = tensor(device, 64, 64)
y = ttnn.to_device(x, device)
ttnn.deallocate(x)
ttnn.deallocate(y)  # excess

close_board(device)
