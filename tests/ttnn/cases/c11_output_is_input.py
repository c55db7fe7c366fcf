# An operation that writes into its input returns that input.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

a = tensor(device, 64, 64)
b = tensor(device, 64, 64)
c = ttnn.add(a, b, output_tensor=a)
assert c.buffer_address() == a.buffer_address()
ttnn.deallocate(c)
ttnn.deallocate(a)  # excess

a = tensor(device, 64, 64)
c = ttnn.add_(a, b)
ttnn.deallocate(a)
ttnn.deallocate(c)  # excess

close_board(device)
