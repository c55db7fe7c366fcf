"""The end of an interpreter, with daemon threads in the middle of captures."""

import ctypes
import os
import sys
import threading
import time

from probe import Probe

probe = Probe(True)
held = Probe(False)


def down(depth, tool):
    if depth:
        down(depth - 1, tool)
    else:
        tool.many(3)


def forever(tool):
    while True:
        down(10, tool)


for tool in (probe, probe, probe, held):
    threading.Thread(target=forever, args=(tool,), daemon=True).start()
probe.library.probe_capture_forever()
probe.library.probe_capture_at_exit()


class LastWords:
    """Dies when the modules are torn down, in the thread that finalizes."""

    # Keeps what it needs: by then the modules' names are gone.
    def __del__(self, capture=probe.library.probe_capture, buffer=ctypes.create_string_buffer(4096), write=os.write):
        size = capture(buffer, 4096)
        write(1, b"last words of " + buffer.raw[:size].split(b"\t")[3] + b"\n")


# A global of this module would not do: the daemon threads' frames keep those.
sys.last_words = LastWords()
time.sleep(int(sys.argv[1]) % 11 / 1000)
