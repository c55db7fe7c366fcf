"""Runs a command in a terminal of its own, as somebody who answers its question, and interrupts it when it waits."""

import os
import pty
import sys

ANSWERS = [(b"which? ", b"this\n"), (b"waits", b"\x03")]

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
answers = list(ANSWERS)
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    if answers and answers[0][0] in said:
        os.write(terminal, answers.pop(0)[1])
sys.stdout.write(said.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
