//! The end of a host whose threads have all ended without an `exit`: our own thread must not keep it alive.
//!
//! The C library ends a process when its last thread ends, and the kernel too; the writer thread is one more. So when a
//! thread that had events has ended, it looks a few times whether it is the only one left, and then does what would
//! have happened. A thread that the kernel kills (seccomp) tells nobody, so it looks now and then without a word too.
//! Not always: a host may have forbidden itself to open files.

use std::fs::File;
use std::io::Read;

use crate::thread;

/// How often it is looked after the end of a thread, which tells of it a little before.
const LOOKS: u32 = 3;
/// So many times it does not look where nothing was heard of a thread's end: some two seconds.
const PATIENCE: u32 = 6;

/// What the writer thread keeps of that.
#[derive(Debug, Default)]
pub(super) struct Watch {
    looks_left: u32,
    passed_over: u32,
}

impl Watch {
    /// Ends the process where no thread of the host's is left.
    pub(super) fn look(&mut self) {
        if thread::has_ended() {
            self.looks_left = LOOKS;
        }
        if self.looks_left > 0 {
            self.looks_left -= 1;
        } else if self.passed_over < PATIENCE {
            self.passed_over += 1;
            return;
        }
        self.passed_over = 0;
        end_if_alone();
    }
}

/// What of a process's `stat` is of interest (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// Of the thread that the process began with: it stays as a zombie until all others have ended.
    is_zombie: bool,
    threads: u32,
    /// How that thread ended, as wait(2) tells it.
    exit: i32,
}

fn end_if_alone() {
    let mut bytes = [0; 1024];
    let read = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut bytes));
    let Some(stat) = read.ok().and_then(|len| stat_of(&bytes[..len])) else {
        return;
    };
    // The zombie and we.
    if !stat.is_zombie || stat.threads != 2 {
        return;
    }
    if libc::WIFSIGNALED(stat.exit) {
        end_by(libc::WTERMSIG(stat.exit));
    }
    if libc::WIFEXITED(stat.exit) && libc::WEXITSTATUS(stat.exit) != 0 {
        // It went by the system call, past the C library.
        // SAFETY: there is nobody left whom this could take by surprise.
        unsafe { libc::_exit(libc::WEXITSTATUS(stat.exit)) };
    }
    // SAFETY: as the C library does for the last thread of a process.
    unsafe { libc::exit(0) };
}

/// Ends the process by a signal, as the kernel does when it has killed the last thread.
fn end_by(signal: i32) {
    // SAFETY: there is nobody left who could have a use for the signal's handler or for the mask.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut only = std::mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
    }
}

fn stat_of(text: &[u8]) -> Option<Stat> {
    // The name, in parentheses, may have any bytes.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_end + 1..)?).ok()?;
    // The first one behind the name is the third of the manual's. No list: that would be an allocation on the host's
    // heap.
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3);
    Some(Stat {
        is_zombie: field(3)? == "Z",
        threads: field(20)?.parse().ok()?,
        exit: field(52)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_stat() {
        let fields = (3..=52).map(|number| match number {
            3 => " Z".to_owned(),
            20 => " 2".to_owned(),
            52 => " 768".to_owned(),
            other => format!(" {other}"),
        });
        let text = format!("4711 (a) b){}\n", fields.collect::<String>());
        let expected = Stat {
            is_zombie: true,
            threads: 2,
            exit: 768,
        };
        assert_eq!(stat_of(text.as_bytes()), Some(expected));
        assert_eq!(stat_of(b"4711 (a) S 1 2"), None);
        assert_eq!(stat_of(b""), None);
        let own = std::fs::read("/proc/self/stat").ok();
        let own = own.as_deref().and_then(stat_of);
        assert!(
            own.is_some_and(|own| !own.is_zombie && own.threads > 0),
            "{own:?}"
        );
    }
}
