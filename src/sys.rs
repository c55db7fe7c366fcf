//! The few things that the shim asks of the kernel, outside an event's way: memory, clocks, a line on stderr.

use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use whofreed_report::printable;

/// Maps `bytes` of zeroed private memory of which only what is touched is ever backed. Memory that the host
/// forbids (RLIMIT_AS, strict overcommit) is `None`.
#[must_use]
pub fn reserve(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(memory.cast())
}

/// Like [`reserve`], for `count` items of `size` bytes, or half as many, and so on down to `least`. Also says
/// how many there are.
#[must_use]
pub fn reserve_items(mut count: usize, least: usize, size: usize) -> Option<(NonNull<u8>, usize)> {
    while count >= least {
        if let Some(memory) = reserve(count * size) {
            return Some((memory, count));
        }
        count /= 2;
    }
    None
}

/// Whether the host could have so much memory at this moment: for work whose allocations must not fail.
#[must_use]
pub fn has_room_for(bytes: usize) -> bool {
    let Some(memory) = reserve(bytes) else {
        return false;
    };
    // SAFETY: it was just reserved, and nobody else knows it.
    unsafe { release(memory, bytes) };
    true
}

/// Gives back what [`reserve`] or a file mapping gave.
///
/// # Safety
/// Nobody may use the memory any more.
pub unsafe fn release(memory: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller says that the mapping is nobody's any more.
    unsafe { libc::munmap(memory.as_ptr().cast(), bytes) };
}

/// The process may not read the processor's counter, by which the C library tells the time: the kernel is asked.
static ASKS_KERNEL: AtomicBool = AtomicBool::new(false);

/// From now on clocks are asked of the kernel.
pub fn ask_kernel_for_time() {
    ASKS_KERNEL.store(true, Ordering::Relaxed);
}

fn clock(which: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer; clock_gettime needs nothing else.
    unsafe {
        if ASKS_KERNEL.load(Ordering::Relaxed) {
            libc::syscall(libc::SYS_clock_gettime, which, &raw mut time);
        } else {
            libc::clock_gettime(which, &raw mut time);
        }
    }
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

/// Nanoseconds on the monotonic clock (mostly answered by the vDSO, without a system call).
#[must_use]
pub fn monotonic_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the epoch.
#[must_use]
pub fn realtime_ns() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

/// The kernel's id of the calling thread.
#[must_use]
pub fn thread_id() -> u32 {
    // SAFETY: gettid has no preconditions.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// The id of the process, asked anew: after a fork no cached one is right.
#[must_use]
pub fn process_id() -> u32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() as u32 }
}

/// Runs what no signal handler of the calling thread may come between.
pub fn with_signals_blocked<T>(action: impl FnOnce() -> T) -> T {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are filled by the calls before they are read; the mask is put back below.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = action();
    // SAFETY: `before` was filled by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

/// Writes one whole line to stderr with a single system call, so that it stays whole among others.
pub fn complain(message: &str) {
    // Paths in it may be called anything.
    let line = format!("whofreed: {}\n", printable(message));
    // SAFETY: the pointer and the length are those of `line`. A lost complaint is no reason to disturb the host.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// As [`complain`], in the middle of an event and where there is no memory: a line that is whole already.
pub fn complain_without_memory(line: &'static str) {
    // SAFETY: as above.
    keeping_errno(|| unsafe { libc::write(2, line.as_ptr().cast(), line.len()) });
}

/// Sleeps until somebody wakes who sleeps on a word, for a while at the most, or not at all when it is not `value` any
/// more. False where the host forbids this.
#[must_use]
pub fn wait_on(word: &AtomicU32, value: u32, pause: Duration) -> bool {
    let pause = libc::timespec {
        tv_sec: pause.as_secs() as libc::time_t,
        tv_nsec: i64::from(pause.subsec_nanos()),
    };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time are valid during the call.
    let code = unsafe { libc::syscall(libc::SYS_futex, word, operation, value, &raw const pause) };
    // SAFETY: errno's place is valid for the thread's life.
    let errno = unsafe { *errno_location() };
    code == 0 || [libc::EAGAIN, libc::ETIMEDOUT, libc::EINTR].contains(&errno)
}

/// Wakes all who sleep on a word.
pub fn wake_all(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is valid during the call. Where it is forbidden, they wake by themselves.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, i32::MAX) };
}

/// Whether a process has a thread, where that can be asked.
#[must_use]
pub fn has_thread(process: u32, thread: i32) -> Option<bool> {
    const NO_SIGNAL: libc::c_int = 0;
    // SAFETY: tgkill without a signal only looks.
    let code = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, NO_SIGNAL) };
    // SAFETY: errno's place is valid for the thread's life.
    match (code, unsafe { *errno_location() }) {
        (0, _) => Some(true),
        (_, libc::ESRCH) => Some(false),
        _ => None,
    }
}

/// Runs what must leave the thread's errno alone.
pub fn keeping_errno<T>(action: impl FnOnce() -> T) -> T {
    // SAFETY: errno's place is valid for the thread's life.
    let before = unsafe { *errno_location() };
    let result = action();
    // SAFETY: as above.
    unsafe { *errno_location() = before };
    result
}

/// Where this thread's errno lies.
#[must_use]
pub fn errno_location() -> *mut libc::c_int {
    // SAFETY: __errno_location has no preconditions.
    unsafe { libc::__errno_location() }
}

/// Whether a word can be read; also where the kernel does not tell. Leaves errno alone.
///
/// The kernel copies the set of signals before it looks at what is to be done with it, which is nothing here. Any
/// process may ask this, also where seccomp or a security module forbids to read a process's memory.
#[must_use]
pub fn may_be_readable(address: usize) -> bool {
    /// None of the three things that there are to do.
    const NOTHING: libc::c_int = -1;
    /// The size of the kernel's set of signals, which no C library knows better.
    const SET_SIZE: usize = 8;
    let nowhere = ptr::null_mut::<libc::c_void>();
    // SAFETY: errno's place is valid for the thread's life; the kernel reads at most the word, in its careful way, and
    // changes nothing.
    unsafe {
        let errno = errno_location();
        let before = *errno;
        let set = address & !(SET_SIZE - 1);
        let code = libc::syscall(libc::SYS_rt_sigprocmask, NOTHING, set, nowhere, SET_SIZE);
        let is_fault = code < 0 && *errno == libc::EFAULT;
        *errno = before;
        !is_fault
    }
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
}

/// While it lives, the thread cannot be cancelled: the C library's input and output are cancellation points, and a
/// cancelled thread unwinds, which it must not do through us.
#[derive(Debug)]
pub struct NoCancel {
    before: libc::c_int,
}

impl NoCancel {
    const DISABLE: libc::c_int = 1;

    /// Holds cancellation of the calling thread back.
    #[must_use]
    pub fn new() -> Self {
        let mut before = 0;
        // SAFETY: the state is one of the two that there are, and the place for the old one is valid.
        unsafe { pthread_setcancelstate(Self::DISABLE, &raw mut before) };
        Self { before }
    }
}

impl Drop for NoCancel {
    fn drop(&mut self) {
        let mut disabled = 0;
        // SAFETY: as above; the state is the one from before.
        unsafe { pthread_setcancelstate(self.before, &raw mut disabled) };
    }
}

/// Whether a file may grow to `len` bytes. Growing beyond the limit would raise SIGXFSZ in the host.
#[must_use]
pub fn may_grow_to(len: u64) -> bool {
    limit(libc::RLIMIT_FSIZE) >= len
}

/// How many of `items` to make room for: fewer where the host's address space or data are limited.
#[must_use]
pub fn affordable(items: u32) -> u32 {
    /// What all tables together reserve at their full size, roughly.
    const FULL: u64 = 14 << 30;
    // What is reserved and may be written to counts as data, whether it is ever touched or not.
    let limit = limit(libc::RLIMIT_AS).min(limit(libc::RLIMIT_DATA));
    let mut share = items;
    let mut reserved = FULL;
    // An eighth of the limit is ours; below a thousand items nothing is gained.
    while reserved > limit / 8 && share > 1024 {
        reserved /= 2;
        share /= 2;
    }
    share
}

fn limit(which: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the place for the answer is valid.
    unsafe { libc::getrlimit(which, &raw mut limit) };
    limit.rlim_cur
}

/// A number that nobody else draws: from the kernel, or mixed from clock, process and an address.
#[must_use]
pub fn random_number() -> u64 {
    let mut number = 0_u64;
    // SAFETY: the buffer is `number`, eight bytes long.
    let got = unsafe {
        libc::getrandom(
            (&raw mut number).cast(),
            size_of::<u64>(),
            libc::GRND_NONBLOCK,
        )
    };
    if got != size_of::<u64>() as isize {
        let place = (&raw const number) as u64;
        number = crate::mix::mix(realtime_ns() ^ crate::mix::mix(u64::from(process_id()) ^ place));
    }
    number.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_read_is_told() {
        // SAFETY: asking for the size has no preconditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let pages = reserve(2 * page).expect("memory");
        let first = pages.as_ptr() as usize;
        let second = first + page;
        assert!(may_be_readable(first) && may_be_readable(second - 1) && may_be_readable(second));
        // SAFETY: the page is ours, and nobody reads it.
        let code =
            unsafe { libc::mprotect(pages.add(page).as_ptr().cast(), page, libc::PROT_NONE) };
        assert_eq!(code, 0);
        assert!(may_be_readable(second - 1) && !may_be_readable(second));
        // SAFETY: nobody uses the memory any more.
        unsafe { release(pages, 2 * page) };
    }
}
