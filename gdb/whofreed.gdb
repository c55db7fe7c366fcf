# Stops at every excess free: gdb -x whofreed.gdb --args PROGRAM..., with libwhofreed.so in the program (linked, or
# preloaded by `set environment LD_PRELOAD=.../libwhofreed.so`), or attached to a process of `whofreed run`.
#
#   whofreed-stop      stop at the next excess frees; it is in force from the beginning
#   whofreed-go        do not stop any more
#   whofreed-excess    where it stopped: which buffer, who freed it, and what it was
#   whofreed-culprits  the report of everything that happened so far, on the program's stderr

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

# By registers, so that it needs no debug information of the library.
define whofreed-excess
  python
import gdb
frame = gdb.newest_frame()
if frame.name() != "wf_excess_break":
    print("whofreed: not at an excess free (wf_excess_break)")
else:
    names = {"i386:x86-64": ("rsi", "rdx", "rcx", "r8"), "aarch64": ("x1", "x2", "x3", "x4")}
    registers = names.get(frame.architecture().name())
    address, owner, device, verdict = (int(frame.read_register(name)) for name in registers)
    what = {1: "already freed", 2: "freed by a stale owner", 4: "freed by who never held it"}
    mask = (1 << 64) - 1
    print("whofreed: excess free of %#x on device %d by owner %#x: %s" % (
        address & mask, device & 0xffffffff, owner & mask, what.get(verdict & 0xff, verdict & 0xff)))
  end
end
document whofreed-excess
Tell which buffer was freed too often, where the program has stopped for it.
end

define whofreed-culprits
  call (int) wf_dump_culprits(2)
end
document whofreed-culprits
Write the report of everything so far to the program's stderr.
end

set breakpoint pending on
break wf_excess_break
set $whofreed_stop = $bpnum
commands $whofreed_stop
  silent
  whofreed-excess
  # The caller's frames are those of the free; ours are above them.
  backtrace
end
