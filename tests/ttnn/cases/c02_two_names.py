# Two Python names of one tensor: not forced, the only holder frees it all the same; the second name's free is too many.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)
y = x
ttnn.deallocate(x, force=False)
assert not y.is_allocated()
ttnn.deallocate(y, force=True)  # excess

close_board(device)
