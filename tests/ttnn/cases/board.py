"""What every case needs: the board that the test asks for (MESH=1: eight chips, otherwise one), and tensors on it."""

import os

import ttnn

MESH = os.environ.get("MESH") == "1"


def open_board():
    return ttnn.open_mesh_device(ttnn.MeshShape(2, 4)) if MESH else ttnn.open_device(device_id=0)


def close_board(device):
    (ttnn.close_mesh_device if MESH else ttnn.close_device)(device)


def tensor(device, *shape, **where):
    return ttnn.ones(shape, dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=device, **where)


def fails(operation):
    """The operation is expected to raise; the case goes on."""
    try:
        operation()
    except RuntimeError:
        return
    raise SystemExit("an operation that has to fail did not")
