from ttnn_host import device  # noqa: F401
