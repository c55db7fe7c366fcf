//! What the user asked for: `WHOFREED_OPTIONS="key=value:key=value"`.
//!
//! The text is copied when the library is loaded, before the host can change its environment, and read at the
//! first event, so that a process that never has one is left alone.

use std::ffi::CStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use once_cell::race::OnceBox;
use whofreed_report::printable;

use crate::sys;
use crate::tally;

/// What happens at an excess free, besides recording it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExcess {
    /// Nothing.
    #[default]
    Record,
    /// A line and a stack on stderr.
    Print,
    /// SIGTRAP.
    Trap,
    /// abort().
    Abort,
}

/// What a thread does that has no room for its next event, since the writer thread has made none ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It lets the trace grow, and nothing is lost: a file system that does not answer is waited for, but not for ever.
    #[default]
    Grow,
    /// It goes on, and what does not find room is counted.
    Drop,
}

/// The options that matter inside the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the trace goes, for [`expand_path`]; `None`: into memory.
    pub trace: Option<Vec<u8>>,
    /// Stacks at allocates and first frees, not at excess frees only.
    pub all_stacks: bool,
    /// The most frames of those stacks.
    pub depth: usize,
    /// Hold excess frees back.
    pub guard: bool,
    /// What a thread does when no chunk is ready.
    pub overflow: Overflow,
    /// What to do at one.
    pub on_excess: OnExcess,
    /// Record in child processes.
    pub follow_children: bool,
    /// Print a summary at the exit of a linked host.
    pub summary: bool,
    /// Record all of argv.
    pub record_args: bool,
    /// Unwind every stack twice.
    pub check_stacks: bool,
    /// The launcher's number for this run, 0 without a launcher.
    pub session: u64,
    /// Started by the launcher, which reports.
    pub is_run: bool,
    /// The launcher's process, and its descriptor of the memory in which excess frees are counted.
    pub tally: Option<(u32, u32)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trace: None,
            all_stacks: true,
            depth: 64,
            guard: false,
            overflow: Overflow::Grow,
            on_excess: OnExcess::Record,
            follow_children: true,
            summary: true,
            record_args: false,
            check_stacks: false,
            session: 0,
            is_run: false,
            tally: None,
        }
    }
}

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

const NAME: &CStr = c"WHOFREED_OPTIONS";

// Set by race: the loser throws its copy away, and nobody waits for anybody.
static TEXT: OnceBox<Vec<u8>> = OnceBox::new();
static OPTIONS: OnceBox<Options> = OnceBox::new();
static COMPLAINED: AtomicBool = AtomicBool::new(false);

/// Copies the environment's text. Called once, when the library is loaded or at the first event, whichever comes first.
pub fn start() {
    TEXT.get_or_init(|| Box::new(environment()));
    let (options, _) = read();
    if let Some((launcher, descriptor)) = options.tally {
        tally::start(launcher, descriptor);
    }
    if options.is_run && !options.follow_children {
        leave_children_alone();
    }
}

/// The text in the environment. Before the C library has set up its own copy, the kernel's is asked.
fn environment() -> Vec<u8> {
    // SAFETY: getenv is called while the library is being loaded, when the host is not running yet to change its
    // environment; its answer is NULL or a NUL-terminated string.
    if let Some(text) = unsafe { libc::getenv(NAME.as_ptr()).as_ref() } {
        // SAFETY: as above.
        return unsafe { CStr::from_ptr(text) }.to_bytes().to_vec();
    }
    // SAFETY: a read of a pointer that is written before any thread is made.
    if unsafe { !environ.is_null() } {
        return Vec::new();
    }
    let all = std::fs::read("/proc/self/environ").unwrap_or_default();
    let mut entries = all.split(|byte| *byte == 0);
    let value = entries.find_map(|entry| entry.strip_prefix(NAME.to_bytes())?.strip_prefix(b"="));
    value.unwrap_or_default().to_vec()
}

/// Programs that the host starts are not to be recorded: what the launcher put into `LD_PRELOAD` is taken out, what the
/// user had there stays. In place, since a shell hands on the very strings that it was started with.
fn leave_children_alone() {
    // SAFETY: as in `environment`.
    let Some(list) = NonNull::new(unsafe { libc::getenv(c"LD_PRELOAD".as_ptr()) }) else {
        return;
    };
    // SAFETY: getenv answers with a NUL-terminated string.
    let kept = without_own(unsafe { CStr::from_ptr(list.as_ptr()) }.to_bytes());
    overwrite(list, &kept);
    // A child that is linked with the library gets it all the same, and is then a host like any other.
    // SAFETY: as in `environment`.
    if let Some(text) = NonNull::new(unsafe { libc::getenv(NAME.as_ptr()) }) {
        overwrite(text, b"");
    }
}

/// Replaces a value in the environment by one that is no longer.
fn overwrite(value: NonNull<libc::c_char>, by: &[u8]) {
    // SAFETY: the caller gives a value of the environment that `by` is no longer than; its memory belongs to the
    // process and may be written to, and the host is not running yet, so nobody else reads it.
    unsafe {
        ptr::copy_nonoverlapping(by.as_ptr(), value.as_ptr().cast(), by.len());
        value.add(by.len()).write(0);
    }
}

/// The entries of an `LD_PRELOAD` that are not ours.
fn without_own(list: &[u8]) -> Vec<u8> {
    let is_own = |entry: &&[u8]| {
        let name = entry.rsplit(|byte| *byte == b'/').next().unwrap_or(entry);
        name == b"libwhofreed.so" || (name.starts_with(b"whofreed-hooks") && name.ends_with(b".so"))
    };
    let entries = list.split(|byte| matches!(byte, b':' | b' '));
    let kept: Vec<&[u8]> = entries
        .filter(|entry| !entry.is_empty() && !is_own(entry))
        .collect();
    kept.join(&b':')
}

fn read() -> (Options, Vec<String>) {
    parse(TEXT.get().map_or(&b""[..], Vec::as_slice))
}

/// The options; bad ones are told on stderr the first time.
pub fn get() -> &'static Options {
    OPTIONS.get_or_init(|| {
        let (options, complaints) = read();
        if !COMPLAINED.swap(true, Ordering::Relaxed) {
            for complaint in complaints {
                sys::complain(&complaint);
            }
        }
        Box::new(options)
    })
}

/// Reads the text, and says what is wrong in it; what is wrong keeps its default.
#[must_use]
pub fn parse(text: &[u8]) -> (Options, Vec<String>) {
    let mut options = Options::default();
    let mut complaints = Vec::new();
    for part in text
        .split(|byte| *byte == b':')
        .filter(|part| !part.is_empty())
    {
        // A path is bytes; everything else is text.
        if let Some(path) = part.strip_prefix(b"trace=").filter(|path| !path.is_empty()) {
            options.trace = Some(path.to_vec());
            continue;
        }
        let part = String::from_utf8_lossy(part);
        let (key, value) = part.split_once('=').unwrap_or((&part, ""));
        if let Err(expected) = set(&mut options, key, value) {
            let shown = format!("{key}={value}");
            complaints.push(format!(
                "WHOFREED_OPTIONS: {}: {expected}",
                printable(&shown)
            ));
        }
    }
    (options, complaints)
}

fn set(options: &mut Options, key: &str, value: &str) -> Result<(), &'static str> {
    match key {
        "trace" => return Err("a path is expected"),
        "stacks" => {
            options.all_stacks = match value {
                "all" => true,
                "excess" => false,
                _ => return Err("all or excess is expected"),
            }
        }
        "depth" => {
            options.depth = match value.parse() {
                Ok(depth) if (1..=crate::stack::MAX_FRAMES).contains(&depth) => depth,
                _ => return Err("a number from 1 to 512 is expected"),
            }
        }
        "guard" => options.guard = switch(value)?,
        "on_excess" => {
            options.on_excess = match value {
                "record" => OnExcess::Record,
                "print" => OnExcess::Print,
                "trap" => OnExcess::Trap,
                "abort" => OnExcess::Abort,
                _ => return Err("record, print, trap or abort is expected"),
            }
        }
        "overflow" => {
            options.overflow = match value {
                "grow" => Overflow::Grow,
                "drop" => Overflow::Drop,
                _ => return Err("grow or drop is expected"),
            }
        }
        "follow_children" => options.follow_children = switch(value)?,
        "summary" => options.summary = switch(value)?,
        "record_args" => options.record_args = switch(value)?,
        "check_stacks" => options.check_stacks = switch(value)?,
        "run" => options.is_run = switch(value)?,
        "session" => {
            options.session =
                u64::from_str_radix(value, 16).map_err(|_| "a hexadecimal number is expected")?;
        }
        "tally" => {
            let numbers = value.split_once('/');
            let numbers = numbers.map(|(pid, file)| (pid.parse().ok(), file.parse().ok()));
            let Some((Some(launcher), Some(descriptor))) = numbers else {
                return Err("a process and a descriptor are expected");
            };
            options.tally = Some((launcher, descriptor));
        }
        // Of the launcher; nothing is to be done about them here.
        "report" | "format" | "adapters" => {}
        _ => {
            return Err(
                "there is no such option; there are trace, report, format, stacks, depth, guard, overflow, on_excess, \
                 adapters, follow_children, summary, record_args and check_stacks",
            );
        }
    }
    Ok(())
}

fn switch(value: &str) -> Result<bool, &'static str> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err("0 or 1 is expected"),
    }
}

/// The path of a trace: `%p` is the pid. A colon separates options, so the launcher writes one in a path as `%3A`,
/// and a per cent sign as `%25`.
#[must_use]
pub fn expand_path(path: &[u8], pid: u32) -> PathBuf {
    let mut expanded = Vec::new();
    let mut rest = path;
    while let Some((first, behind)) = rest.split_first() {
        let replaced = [
            (&b"%p"[..], pid.to_string()),
            (b"%3A", ":".into()),
            (b"%25", "%".into()),
        ];
        let escape = replaced
            .into_iter()
            .find_map(|(escape, meaning)| Some((rest.strip_prefix(escape)?, meaning)));
        match escape {
            Some((behind, meaning)) => {
                expanded.extend(meaning.into_bytes());
                rest = behind;
            }
            None => {
                expanded.push(*first);
                rest = behind;
            }
        }
    }
    PathBuf::from(OsString::from_vec(expanded))
}

#[cfg(test)]
mod tests {
    use super::OnExcess;
    use super::expand_path;
    use super::parse;
    use super::without_own;

    #[test]
    fn only_our_own_entries_are_taken_out_of_a_preload_list() {
        let list =
            b"/opt/lib/libwhofreed.so:/tmp/x/whofreed-hooks.so:/usr/lib/libtcmalloc.so my.so";
        assert_eq!(without_own(list), b"/usr/lib/libtcmalloc.so:my.so");
        assert_eq!(without_own(b"libwhofreed.so"), b"");
    }

    #[test]
    fn what_is_wrong_is_told_and_keeps_its_default() {
        let (options, complaints) = parse(
            b"guard=1:depth=0:nonsense=2:on_excess=print::stacks=some:trace=/a%3A%25p.%p:trace=",
        );
        assert!(options.guard);
        assert_eq!(options.depth, 64);
        assert_eq!(options.on_excess, OnExcess::Print);
        assert!(options.all_stacks);
        let path = expand_path(options.trace.as_deref().unwrap_or_default(), 7);
        assert_eq!(path.to_str(), Some("/a:%p.7"));
        assert_eq!(
            complaints,
            [
                "WHOFREED_OPTIONS: depth=0: a number from 1 to 512 is expected",
                "WHOFREED_OPTIONS: nonsense=2: there is no such option; there are trace, report, format, stacks, depth, \
                 guard, overflow, on_excess, adapters, follow_children, summary, record_args and check_stacks",
                "WHOFREED_OPTIONS: stacks=some: all or excess is expected",
                "WHOFREED_OPTIONS: trace=: a path is expected",
            ]
        );
    }
}
