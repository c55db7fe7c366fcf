# Everything on the device is released at once and the memory given to a new tensor; then the old tensor is freed by its
# holder, and takes the memory from the new one. The guard holds it back.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)
ttnn._ttnn.device.deallocate_buffers(device)
y = tensor(device, 64, 64)
assert x.buffer_address() == y.buffer_address()
ttnn.deallocate(x)  # excess
ttnn.deallocate(y)

close_board(device)
