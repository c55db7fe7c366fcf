//! Whether writing to a pipe without a reader was to end this process, before Rust's runtime had its way: the command is to
//! find that as it would without us.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

static IS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`, and before the runtime ignores the signal.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: `sigaction` is plain data, for which zero is a value: no flags, nothing masked.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the signal exists, and `before` has room.
    let read = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut before) };
    let is_ignored = read == 0 && before.sa_sigaction == libc::SIG_IGN;
    IS_IGNORED.store(is_ignored, Ordering::Relaxed);
}

/// Lets the command ignore SIGPIPE if we were started so; the standard library gives it the default.
pub(super) fn inherit(command: &mut Command) {
    if !IS_IGNORED.load(Ordering::Relaxed) {
        return;
    }
    let ignore = || -> io::Result<()> {
        // SAFETY: the signal exists, and to ignore it runs no code.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        Ok(())
    };
    // SAFETY: between fork and exec it does nothing but one system call.
    unsafe { command.pre_exec(ignore) };
}
