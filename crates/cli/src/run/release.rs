//! Space on the disk that a finished trace does not need.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Gives back what the trace of a process that has ended does not use. A file system that cannot do this keeps it.
pub(super) fn unused(file: &File) {
    let Ok(parts) = whofreed_trace::unused(file) else {
        return;
    };
    for part in parts {
        let (start, len) = (part.start as i64, (part.end - part.start) as i64);
        let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: fallocate works on the descriptor alone, which is open.
        if unsafe { libc::fallocate(file.as_raw_fd(), hole, start, len) } != 0 {
            return;
        }
    }
}
