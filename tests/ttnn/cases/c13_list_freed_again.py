# Views in a list, whose memory a layer frees with the tensor below; then the list is freed, and freed again.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()


def layer(x):
    """Uses up its input, as layers do."""
    y = ttnn.add(x, x)
    ttnn.deallocate(x)
    return y


inputs = [tensor(device, 1, 1, 32, 32) for _ in range(5)]
views = [ttnn.reshape(x, (1, 32, 32)) for x in inputs]
outputs = [layer(x) for x in inputs]
for _ in range(2):
    for view in views:
        ttnn.deallocate(view)  # excess x10
for output in outputs:
    ttnn.deallocate(output)

close_board(device)
