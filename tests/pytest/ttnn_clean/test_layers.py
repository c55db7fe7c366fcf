"""Nothing is freed too often."""

import os

import pytest

from ttnn_host import tensor
from ttnn_host import ttnn

TESTS = int(os.environ.get("SUITE_TESTS", "4"))


@pytest.mark.parametrize("layer", range(TESTS))
def test_a_layer(device, layer):
    x, w = tensor(device, 32, 64), tensor(device, 64, 64)
    for _ in range(8):
        y = ttnn.add(ttnn.matmul(x, w), x)
        ttnn.deallocate(x)
        x = y
    ttnn.deallocate(x)
    ttnn.deallocate(w)
    assert layer >= 0
