//! Limits of the process. That on the size of files, as `ulimit -f` sets it: a file that cannot be written is to be a message,
//! and not the silent end of the process. And that on open files, of which each trace is one.

/// Lets a write beyond the limit fail with EFBIG instead of ending the process with SIGXFSZ.
pub(crate) fn survive() {
    // SAFETY: `sigaction` is plain data, for which zero is a value: no flags, nothing masked.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    // A handler, and not SIG_IGN, which the command would inherit: `exec` puts the default back.
    new.sa_sigaction = nothing as extern "C" fn(libc::c_int) as *const () as usize;
    new.sa_flags = libc::SA_RESTART;
    // SAFETY: the signal exists, and `old` has room.
    let read = unsafe { libc::sigaction(libc::SIGXFSZ, std::ptr::null(), &raw mut old) };
    // What was ignored before us stays ignored, for the command too.
    if read == 0 && old.sa_sigaction != libc::SIG_IGN {
        // SAFETY: the handler does nothing.
        unsafe { libc::sigaction(libc::SIGXFSZ, &raw const new, std::ptr::null_mut()) };
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// Lets as many files be open as are allowed at all: there may be thousands of traces. For a command that starts no others
/// any more, since they would inherit it.
pub(crate) fn open_many() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the place for the answer is valid.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0 {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the limit is read alone. Where it stays as it was, some traces cannot be read, which is told.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
}
