# The device is closed while tensors are alive: the first free of one comes late but is its own, the second is too many.
# expect: late = 1, declined = 0

import gc

import ttnn
from board import close_board, open_board, tensor

device = open_board()

tensors = [tensor(device, 64, 64) for _ in range(5)]
total = ttnn.add(tensors[0], tensors[1])
close_board(device)

assert tensors[0].is_allocated()
ttnn.deallocate(tensors[0])
ttnn.deallocate(tensors[0])  # excess
del tensors, total
gc.collect()
