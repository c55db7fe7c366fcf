# Four threads free one tensor: one of them is right.
# expect: late = 0, declined = 0

import threading

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)


def free():
    ttnn.deallocate(x)  # excess x3


threads = [threading.Thread(target=free) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

close_board(device)
