//! A trace after its process has ended: as short as it can be.

use std::fs::File;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::Path;

use whofreed_trace::layout;

use crate::output::complain;
use crate::output::shown;
use crate::traces;

use super::process::Ended;

/// Writes into the command's own trace how it ended, which the shim could not know, and makes it as short as it can be.
pub(super) fn note_exit(path: &Path, ended: &Ended) {
    let result = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .and_then(|file| {
            if traces::pid_of(path) == Some(ended.pid) {
                finish(path, &file);
                layout::write_exit(&file, ended.exit)
            } else {
                Ok(())
            }
        });
    if let Err(error) = result {
        complain(&format!(
            "{}: the exit cannot be noted: {error}",
            shown(path)
        ));
    }
}

/// Compresses what the process had no time for, and gives back what the file does not use. A file system that cannot do
/// this keeps it.
fn finish(path: &Path, file: &File) {
    if let Err(error) = whofreed_trace::compress_rest(file) {
        complain(&format!(
            "{}: stays longer than it could be: {error}",
            shown(path)
        ));
    }
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
