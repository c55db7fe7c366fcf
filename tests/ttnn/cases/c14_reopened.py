# A tensor of the closed device is freed after the device was opened again: late, and no business of the new device.
# expect: late = 1, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()
x = tensor(device, 64, 64)
close_board(device)

device = open_board()
y = tensor(device, 64, 64)
assert x.is_allocated()
ttnn.deallocate(x)
assert y.is_allocated()
ttnn.add(y, y)
close_board(device)
