//! The limit on the size of files, as `ulimit -f` sets it: a file that cannot be written is to be a message, and not
//! the silent end of the process.

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
