"""A board of the real runtime, for a session of tests."""

import pytest
import ttnn

from board import close_board
from board import open_board
from board import tensor


@pytest.fixture(scope="session")
def device():
    board = open_board()
    yield board
    close_board(board)


__all__ = ["device", "tensor", "ttnn"]
