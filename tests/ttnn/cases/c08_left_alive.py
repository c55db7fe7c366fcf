# The process ends without closing the device, with tensors alive: nothing is freed too often.
# expect: late = 0, declined = 0

import ttnn
from board import open_board, tensor

device = open_board()

tensors = [tensor(device, 64, 64) for _ in range(5)]
total = ttnn.add(tensors[0], tensors[1])
