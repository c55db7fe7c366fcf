# Nobody frees by force what two tensors share: 0.67 takes the share of the tensor that asks, later releases take nothing.
# Asked again, that tensor has nothing left to let go of; that the other one holds the memory still is its good right.

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 1, 1, 64, 64)
y = ttnn.reshape(x, (1, 64, 64))
ttnn.deallocate(y, force=False)
ttnn.deallocate(y, force=False)
ttnn.deallocate(x, force=False)
ttnn.deallocate(x, force=False)  # excess (0.67.4)

x = tensor(device, 1, 1, 64, 64)
y = ttnn.reshape(x, (1, 64, 64))
ttnn.deallocate(x, force=False)
ttnn.deallocate(x, force=False)
assert y.is_allocated()
ttnn.deallocate(y)
ttnn.deallocate(y)  # excess

close_board(device)
