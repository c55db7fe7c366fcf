"""Captures while it is imported; tests/python/frames.py sets `probe` and reloads it."""

import probe as tools

if "probe" not in globals():
    probe = tools.Probe(True)
frames = tools.compare(probe)
