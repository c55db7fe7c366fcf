//! What the shim tells besides the traces: how many excess frees it counted, for when they are in no trace, how many
//! events are in none, and which descriptors the traces have. See src/tally.rs of the package `whofreed`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::process;

/// As the shim expects it.
const SIZE: libc::off_t = 4096;
/// The words of the file.
const WORDS: u64 = SIZE as u64 / 8;
/// The word that says that this process gives no more traces their names.
const IS_OVER: u64 = 3;
/// The word of the first trace.
const FIRST_TRACE: u64 = 4;

/// The memory in which every process of the run counts.
#[derive(Debug)]
pub(super) struct Tally(File);

impl Tally {
    /// Memory that begins as zero. `None` where the kernel has none to give: then the traces alone tell.
    pub(super) fn new() -> Option<Self> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name is NUL-terminated.
        let descriptor = unsafe { libc::memfd_create(c"whofreed-tally".as_ptr(), flags) };
        if descriptor < 0 {
            return None;
        }
        // SAFETY: the descriptor has just been made and is nobody else's.
        let file = unsafe { File::from_raw_fd(descriptor) };
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
        // SAFETY: both calls work on the descriptor alone.
        let is_made = unsafe {
            libc::ftruncate(descriptor, SIZE) == 0
                && libc::fcntl(descriptor, libc::F_ADD_SEALS, seals) == 0
        };
        is_made.then_some(Self(file))
    }

    /// What the shim is told: this process, and the descriptor that it has open.
    pub(super) fn option(&self) -> String {
        format!("{}/{}", process::id(), self.0.as_raw_fd())
    }

    /// The excess frees so far.
    pub(super) fn excess(&self) -> u64 {
        self.word(0)
    }

    /// The events that were lost so far and of which no trace tells.
    pub(super) fn untold(&self) -> u64 {
        self.word(1)
    }

    /// The same memory, for another thread.
    pub(super) fn share(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// From now on every trace has its own name from its beginning. Those from before have to get theirs now.
    pub(super) fn end(&self) {
        // Where this fails, traces of processes that live on keep the names that they have while they are written.
        let _ = self.0.write_all_at(&1_u64.to_ne_bytes(), IS_OVER * 8);
    }

    /// How many traces there are of which [`Tally::descriptor`] may tell.
    pub(super) fn traces(&self) -> u64 {
        self.word(2).min(WORDS - FIRST_TRACE)
    }

    /// The process of a trace, and its descriptor there; `None` where it is not yet told.
    pub(super) fn descriptor(&self, number: u64) -> Option<(u32, u32)> {
        let word = self.word(FIRST_TRACE + number);
        let descriptor = (word as u32).checked_sub(1)?;
        Some(((word >> 32) as u32, descriptor))
    }

    fn word(&self, number: u64) -> u64 {
        let mut word = [0; 8];
        match self.0.read_exact_at(&mut word, number * 8) {
            Ok(()) => u64::from_ne_bytes(word),
            Err(_) => 0,
        }
    }
}
