"""The probe library in both ways of calling it, and the interpreter's own answer beside it."""

import ctypes
import os
import sys
import traceback

SIZE = 1 << 18
MOST_TEXT = 512


class Probe:
    """`released`: the GIL is released around each call; else it is held."""

    def __init__(self, released):
        library = (ctypes.CDLL if released else ctypes.PyDLL)(os.environ["WHOFREED_PROBE"])
        for name in ("probe_capture", "probe_status"):
            function = getattr(library, name)
            function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
            function.restype = ctypes.c_size_t
        library.probe_many.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p]
        library.probe_many.restype = ctypes.c_uint64
        library.probe_evaluations.restype = ctypes.c_size_t
        library.probe_foreign_thread.restype = ctypes.c_size_t
        self.library = library
        self.released = released

    def text(self, function):
        buffer = ctypes.create_string_buffer(SIZE)
        size = function(buffer, SIZE)
        return buffer.raw[:size]

    def status(self):
        return self.text(self.library.probe_status).decode()

    def many(self, times, most=64):
        cost = ctypes.c_double()
        total = self.library.probe_many(times, most, ctypes.byref(cost))
        return total, cost.value


def cut(text, keep_end):
    encoded = text.encode("utf-8", "surrogateescape")
    if len(encoded) <= MOST_TEXT:
        return encoded
    if text.isascii():
        return encoded[-MOST_TEXT:] if keep_end else encoded[:MOST_TEXT]
    kept = []
    size = 0
    for character in reversed(text) if keep_end else text:
        piece = character.encode("utf-8", "surrogateescape")
        if size + len(piece) > MOST_TEXT:
            break
        kept.append(piece)
        size += len(piece)
    return b"".join(reversed(kept) if keep_end else kept)


def name_of(code):
    return code.co_qualname if sys.version_info >= (3, 11) else code.co_name


def compare(probe, traced=True):
    """Captures here, and compares everything but this frame's own line. Returns the frames."""
    buffer = ctypes.create_string_buffer(SIZE)
    size = probe.library.probe_capture(buffer, SIZE)
    evaluations = probe.library.probe_evaluations()
    expected = []
    frame = sys._getframe()
    while frame is not None:
        code = frame.f_code
        expected.append(
            (frame.f_lineno or 0, code.co_firstlineno, cut(name_of(code), False), cut(code.co_filename, True))
        )
        frame = frame.f_back
    frames = []
    entries = 0
    captured = buffer.raw[:size]
    for line in captured.split(b"\n")[:-1]:
        entry, line, first, name, file = line.split(b"\t")
        entries += int(entry)
        frames.append((int(line), int(first), name, file))
    if frames[0][1:] != expected[0][1:] or frames[1:] != expected[1:]:
        raise AssertionError(f"captured {frames}\nexpected {expected}")
    if traced:
        public = traceback.extract_stack()
        got = [(cut(each.filename, True), each.lineno) for each in reversed(public)]
        if [(each[3], each[0]) for each in frames[1:]] != got[1:]:
            raise AssertionError(f"captured {frames}\nextract_stack {got}")
    if entries != evaluations:
        raise AssertionError(f"{entries} entries, {evaluations} evaluation loops on the native stack: {captured}")
    return frames
