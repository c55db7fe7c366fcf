# A tensor is deallocated twice, by force and without.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)
ttnn.deallocate(x)
ttnn.deallocate(x)  # excess
assert not x.is_allocated()

x = tensor(device, 64, 64)
ttnn.deallocate(x, force=False)
ttnn.deallocate(x, force=False)  # excess

close_board(device)
