//! What the fuzz targets share: a heap that has a limit, files without a folder, and traces that are made of few bytes.
//!
//! A target holds promise P5: whatever the bytes are, the answer is a value or an error with its place; no panic, no
//! hang (`-timeout`), and no more memory than a small multiple of the input.

pub mod heap;
pub mod made;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::panic;
use std::path::PathBuf;

/// A file in memory that holds these bytes.
///
/// # Panics
/// When there is none to be had.
#[must_use]
pub fn file_of(bytes: &[u8]) -> File {
    // SAFETY: the name is a C string; the descriptor that is handed out is nobody else's.
    let mut file = unsafe {
        let descriptor = libc::memfd_create(c"fuzz".as_ptr(), libc::MFD_CLOEXEC);
        assert!(descriptor >= 0, "no memory file");
        File::from_raw_fd(descriptor)
    };
    file.write_all(bytes).expect("room in memory");
    file
}

/// A path that leads to an open file.
#[must_use]
pub fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Lets panics that the code under test catches by itself pass without a word: libFuzzer's hook would end the process
/// at each. One that nobody catches still ends the target.
pub fn expect_caught_panics() {
    panic::set_hook(Box::new(|_| {}));
}

/// What no text for a person may hold: control characters but for ends of lines, and those that change the direction
/// of a line or are not seen.
///
/// # Panics
/// Where there is one.
pub fn assert_printable(text: &str) {
    let odd = text.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    });
    assert!(odd.is_none(), "{odd:?} is in {text:?}");
}
