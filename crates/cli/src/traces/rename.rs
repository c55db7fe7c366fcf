//! Gives a file a name without taking it from another one, at once where the system can.

use std::io;
use std::path::Path;

use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use whofreed_trace::live_name;

/// Renames, unless there is something of that name: then it says [`io::ErrorKind::AlreadyExists`].
pub(super) fn rename(path: &Path, name: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, path, CWD, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Not every file system can do that.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            live_name::rename_in_two_steps(path, name)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_that_is_taken_is_left_to_whoever_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        fs::write(file("trace"), "ours").expect("a file");
        fs::write(file("taken"), "theirs").expect("a file");
        let refused = rename(&file("trace"), &file("taken")).expect_err("it is taken");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(file("taken")).expect("a file"), b"theirs");
        rename(&file("trace"), &file("free")).expect("it is free");
        assert_eq!(fs::read(file("free")).expect("a file"), b"ours");
        assert!(!file("trace").exists());
    }
}
