# The program cache is emptied and switched off between operations: no free is one too many.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

a = tensor(device, 64, 64)
for _ in range(3):
    x = ttnn.add(a, a)
    y = ttnn.softmax(x, dim=-1)
    ttnn.deallocate(x)
    ttnn.deallocate(y)
assert device.num_program_cache_entries() > 0
device.clear_program_cache()
x = ttnn.add(a, a)
device.disable_and_clear_program_cache()
x = ttnn.add(a, a)
del x

close_board(device)
