# Everything on the device is released at once, then a tensor is freed by its holder: late, not too often.
# expect: late = 1, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)
ttnn._ttnn.device.deallocate_buffers(device)
assert x.is_allocated()
ttnn.deallocate(x)
y = tensor(device, 64, 64)

close_board(device)
