//! What the Python scripts of the test call: capture, status, cost, native frames.

#![expect(
    dead_code,
    unused_imports,
    reason = "only the walk is used, not all that the modules offer"
)]

#[path = "../../../../src/linkmap/mod.rs"]
mod linkmap;
#[path = "../../../../src/primitive.rs"]
mod primitive;
mod preload {
    /// The scripts unload nothing.
    pub fn sees_unloading() -> bool {
        true
    }
}
#[path = "../../../../src/stack"]
mod stack {
    pub mod python;
}

use stack::python::RawPythonFrame;
use stack::python::Remembered;
use stack::python::Status;
use stack::python::status;
use std::cell::RefCell;
use std::ffi::CStr;
use std::ffi::c_void;
use std::mem::MaybeUninit;

/// File, name and first line of a code.
type Code = (Vec<u8>, Vec<u8>, u32);

thread_local! {
    /// What each thread remembers, and the codes that it has met.
    static KEPT: RefCell<(Box<Remembered>, Vec<Code>)> = RefCell::new((nothing(), Vec::new()));
}

fn nothing() -> Box<Remembered> {
    // SAFETY: it is valid as zeros.
    Box::new(unsafe { MaybeUninit::zeroed().assume_init() })
}

/// A capture by a thread that remembers nothing.
fn capture(
    frames: &mut [RawPythonFrame],
    intern_code: &mut stack::python::InternCode<'_>,
) -> usize {
    stack::python::capture(frames, &mut nothing(), 1, intern_code)
}

/// Copies `text` to `out` and returns its length.
///
/// # Safety
/// `out` has room for `size` bytes.
unsafe fn put(text: &[u8], out: *mut u8, size: usize) -> usize {
    assert!(text.len() <= size, "the caller's buffer is too small");
    // SAFETY: by the caller's promise and the check above.
    unsafe { out.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    text.len()
}

/// One line per frame: entry, line, first line, name, file, separated by tabs.
///
/// # Safety
/// `out` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probe_capture(out: *mut u8, size: usize) -> usize {
    let mut frames = vec![RawPythonFrame::default(); 4096];
    let text = KEPT.with_borrow_mut(|(remembered, codes)| {
        let mut intern = |file: &[u8], name: &[u8], first_line: u32| {
            codes.push((file.to_vec(), name.to_vec(), first_line));
            u32::try_from(codes.len() - 1).expect("few codes")
        };
        let count = stack::python::capture(&mut frames, remembered, 1, &mut intern);
        told(&frames[..count], codes)
    });
    // SAFETY: the caller's promise.
    unsafe { put(&text, out, size) }
}

fn told(frames: &[RawPythonFrame], codes: &[Code]) -> Vec<u8> {
    let mut text = Vec::new();
    for frame in frames {
        let (file, name, first_line) = &codes[frame.code as usize];
        let numbers = format!(
            "{}\t{}\t{first_line}\t",
            u8::from(frame.is_entry),
            frame.line
        );
        text.extend_from_slice(numbers.as_bytes());
        text.extend_from_slice(name);
        text.push(b'\t');
        text.extend_from_slice(file);
        text.push(b'\n');
    }
    text
}

/// `status()` as text.
///
/// # Safety
/// `out` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probe_status(out: *mut u8, size: usize) -> usize {
    let text = match status() {
        Status::NoPython => "no Python".to_owned(),
        Status::Unsupported { why, .. } => format!("unsupported: {why}"),
        Status::Reading { version, verified } => {
            let checked = if verified { "verified" } else { "not verified" };
            format!(
                "reading {}.{}, {checked}",
                version >> 24,
                (version >> 16) & 0xff
            )
        }
        Status::Mismatch { what, .. } => format!("mismatch: {what}"),
    };
    // SAFETY: the caller's promise.
    unsafe { put(text.as_bytes(), out, size) }
}

/// Captures `times` times with at most `most` frames; returns the number of frames of all, and the
/// mean cost in `nanoseconds`.
///
/// # Safety
/// `nanoseconds` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn probe_many(times: u64, most: usize, nanoseconds: *mut f64) -> u64 {
    let mut frames = vec![RawPythonFrame::default(); most];
    let mut total = 0u64;
    let mut sum = 0usize;
    let mut remembered = nothing();
    let begin = thread_seconds();
    for _ in 0..times {
        let mut intern = |file: &[u8], name: &[u8], first_line: u32| {
            // As cheap as an interner can be, but it touches what it is given.
            sum = sum.wrapping_add(usize::from(*file.last().unwrap_or(&0)) + name.len());
            first_line
        };
        total += stack::python::capture(&mut frames, &mut remembered, 1, &mut intern) as u64;
    }
    let cost = (thread_seconds() - begin) * 1e9 / (times.max(1)) as f64;
    std::hint::black_box(sum);
    // SAFETY: the caller's promise.
    unsafe { nanoseconds.write(cost) };
    total
}

/// Processor time of this thread: what other threads do to the machine does not count.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure may be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// How often the evaluation loop is on this thread's native stack.
#[unsafe(no_mangle)]
pub extern "C" fn probe_evaluations() -> usize {
    unsafe extern "C" {
        fn backtrace(buffer: *mut *mut c_void, size: i32) -> i32;
    }
    let mut frames = vec![std::ptr::null_mut::<c_void>(); 20_000];
    // SAFETY: the buffer has as many elements as said.
    let count = unsafe { backtrace(frames.as_mut_ptr(), frames.len() as i32) } as usize;
    frames[..count]
        .iter()
        .filter(|address| is_evaluation(**address))
        .count()
}

fn is_evaluation(address: *mut c_void) -> bool {
    // SAFETY: an all-zero Dl_info is a valid one.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr takes any address; the name it gives is NUL-terminated.
    unsafe {
        libc::dladdr(address, &raw mut info) != 0
            && !info.dli_sname.is_null()
            && CStr::from_ptr::<'_>(info.dli_sname) == c"_PyEval_EvalFrameDefault"
    }
}

/// Captures on a thread that Python has never seen, and returns the number of frames.
#[unsafe(no_mangle)]
pub extern "C" fn probe_foreign_thread() -> usize {
    let thread = std::thread::spawn(|| {
        let mut frames = vec![RawPythonFrame::default(); 64];
        capture(&mut frames, &mut |_, _, _| 0)
    });
    thread.join().expect("the capture does not panic")
}

/// Calls back, so that native code lies between two Python functions.
#[unsafe(no_mangle)]
pub extern "C" fn probe_call(callback: extern "C" fn()) {
    callback();
}

/// Calls back on a thread of its own, that Python meets there for the first time.
#[unsafe(no_mangle)]
pub extern "C" fn probe_call_on_thread(callback: extern "C" fn()) {
    std::thread::spawn(move || callback())
        .join()
        .expect("the callback returns");
}

/// Captures as long as the process lives, on a thread that Python does not know.
#[unsafe(no_mangle)]
pub extern "C" fn probe_capture_forever() {
    std::thread::spawn(|| {
        let mut frames = [RawPythonFrame::default(); 16];
        loop {
            capture(&mut frames, &mut |_, _, _| 0);
        }
    });
}

/// Captures once more after the interpreter's end, in the process's last moments.
#[unsafe(no_mangle)]
pub extern "C" fn probe_capture_at_exit() {
    extern "C" fn last() {
        let mut frames = [RawPythonFrame::default(); 16];
        for _ in 0..100 {
            capture(&mut frames, &mut |_, _, _| 0);
        }
    }
    // SAFETY: atexit only keeps the pointer; the function stays as long as the library.
    unsafe { libc::atexit(last) };
}
