# A reshape that copies nothing is a view: freeing it takes the original along. Not forced, neither of the two goes.
# expect: late = 0, declined = 2

import ttnn
from board import close_board, fails, open_board, tensor

device = open_board()

x = tensor(device, 1, 1, 64, 64)
y = ttnn.reshape(x, (1, 64, 64))
assert x.buffer_address() == y.buffer_address()
ttnn.deallocate(y)
assert not x.is_allocated()
ttnn.deallocate(x)  # excess
fails(lambda: ttnn.add(x, x))

x = tensor(device, 1, 1, 64, 64)
y = ttnn.reshape(x, (1, 64, 64))
ttnn.deallocate(y, force=False)
assert x.is_allocated()
ttnn.deallocate(x, force=False)
assert x.is_allocated()

close_board(device)
