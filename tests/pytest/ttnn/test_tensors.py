"""Twelve tests of a model's parts on the real runtime. Three free a tensor too often: the lines that say so."""

import pytest

from ttnn_host import tensor
from ttnn_host import ttnn

kept = []


def test_a_tensor_is_freed_once(device):
    ttnn.deallocate(tensor(device, 64, 64))


def test_a_tensor_goes_with_its_name(device):
    x = tensor(device, 64, 64)
    del x


def test_a_tensor_is_freed_twice(device):
    x = tensor(device, 64, 64)
    ttnn.deallocate(x)
    ttnn.deallocate(x)  # excess


@pytest.mark.parametrize("operation", [ttnn.add, ttnn.multiply])
def test_two_tensors_make_a_third(device, operation):
    a, b = tensor(device, 32, 32), tensor(device, 32, 32)
    c = operation(a, b)
    for x in (a, b, c):
        ttnn.deallocate(x)


def test_a_product_of_matrices(device):
    a, b = tensor(device, 64, 32), tensor(device, 32, 64)
    c = ttnn.matmul(a, b)
    assert list(c.shape) == [64, 64]


def test_a_reshape_that_changes_nothing_is_freed_by_both_names(device):
    x = tensor(device, 1, 1, 32, 64)
    same = ttnn.reshape(x, (1, 1, 32, 64))
    ttnn.deallocate(x)
    ttnn.deallocate(same)  # excess


def test_weights_stay(device):
    kept.append(tensor(device, 32, 32))


def test_weights_are_used(device):
    ttnn.deallocate(ttnn.exp(tensor(device, 32, 32)))
    while kept:
        ttnn.deallocate(kept.pop())


def test_softmax(device):
    x = tensor(device, 32, 64)
    y = ttnn.softmax(x, dim=-1)
    ttnn.deallocate(x)
    ttnn.deallocate(y)


def test_a_list_is_freed_and_its_last_again(device):
    tensors = [tensor(device, 32, 32) for _ in range(4)]
    for x in tensors:
        ttnn.deallocate(x)
    ttnn.deallocate(tensors[-1])  # excess


def test_nothing_is_allocated(device):
    assert device is not None
