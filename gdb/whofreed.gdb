# Stops at every excess free: gdb -x whofreed.gdb --args PROGRAM..., with libwhofreed.so in the program (linked, or
# preloaded by `set environment LD_PRELOAD=.../libwhofreed.so`), or attached to a process of `whofreed run`.
#
#   whofreed-stop      stop at the next excess frees; it is in force from the beginning
#   whofreed-go        do not stop any more
#   whofreed-excess    where it stopped: which buffer, who freed it, and what it was
#   whofreed-culprits  the report of everything that happened so far, on the program's stderr; not where it stopped for an
#                      excess free, but anywhere else

define whofreed-stop
  enable $whofreed_stop
end
document whofreed-stop
Stop at every excess free from now on.
end

define whofreed-go
  disable $whofreed_stop
end
document whofreed-go
Do not stop at excess frees any more.
end

# By registers and memory, so that it needs no debug information of the library. The record is `struct wf_excess` of whofreed.h.
define whofreed-excess
  python
import gdb
import struct

def told():
    frame = gdb.newest_frame()
    if frame.name() != "wf_excess_break":
        return ["whofreed: not at an excess free (wf_excess_break)"]
    record = {"i386:x86-64": "rdi", "aarch64": "x0"}[frame.architecture().name()]
    record = int(frame.read_register(record)) & (1 << 64) - 1
    bytes = gdb.selected_inferior().read_memory(record, 48).tobytes()
    _, verdict, device, kind, address, owner, thread, sequence = struct.unpack("4I4Q", bytes)
    what = {1: "already freed", 2: "freed by a stale owner", 4: "freed by who never held it"}
    lines = ["whofreed: excess free of %#x on device %d by owner %#x: %s" % (address, device, owner, what.get(verdict, verdict)),
             "  thread %d, kind %d, event %d at this address" % (thread, kind, sequence)]
    # Who frees is above our own frames.
    level = 0
    while frame is not None:
        ours = "libwhofreed.so" in (gdb.solib_name(frame.pc()) or "") or (frame.name() or "").startswith("wf_weak_")
        if not ours:
            place = frame.find_sal()
            where = " at %s:%d" % (place.symtab.filename, place.line) if place.symtab else " in %s" % gdb.solib_name(frame.pc())
            lines.append("#%-3d %s%s" % (level, frame.name() or "??", where))
        frame, level = frame.older(), level + 1
    return lines

for line in told():
    print(line)
  end
end
document whofreed-excess
Tell which buffer was freed too often, and from where, where the program has stopped for it.
end

define whofreed-culprits
  python
import gdb
import re
said = gdb.execute("with language c -- call ((int (*)(int)) wf_dump_culprits)(2)", to_string=True)
code = int(re.search(r"= (-?\d+)", said)[1])
if code == -16:
    print("whofreed: this thread is in the middle of a free: go on to where it has returned")
elif code != 0:
    print("whofreed: the report cannot be written: error %d" % -code)
  end
end
document whofreed-culprits
Write the report of everything so far to the program's stderr, when no call of the library's is under way on this thread.
end

set breakpoint pending on
break wf_excess_break
set $whofreed_stop = $bpnum
commands $whofreed_stop
  silent
  whofreed-excess
end
