# A view of a view, then the view between them and the root: one allocation, three frees. Then a root freed before its view:
# the view still says that it is allocated, and its free is too many.
# expect: late = 0, declined = 0

import ttnn
from board import close_board, open_board, tensor

device = open_board()

x = tensor(device, 64, 64)
y = ttnn.unsqueeze(x, 0)
z = ttnn.squeeze(y, 0)
for each in (z, y, x):
    ttnn.deallocate(each)  # excess x2

x = tensor(device, 64, 64)
view = ttnn.experimental.view(x, (1, 64, 64))
ttnn.deallocate(x)
assert view.is_allocated()
ttnn.deallocate(view)  # excess

close_board(device)
