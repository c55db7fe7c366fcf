//! Every call of ours to the kernel that can fail, made to fail: the places are those that a run without faults comes by.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::common;
use crate::common::Row;
use crate::common::Run;
use crate::unkind::Outcome;
use crate::unkind::Unkind;

/// errno's numbers on Linux.
mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EIO: i32 = 5;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const EMFILE: i32 = 24;
    pub const EFBIG: i32 = 27;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const ENOSYS: i32 = 38;
    pub const EOPNOTSUPP: i32 = 95;
    pub const EDQUOT: i32 = 122;
}

/// The errors of a function by its manual page, of those that can come to somebody who calls it as we do. The first one is
/// the most likely.
fn errors_of(function: &str) -> &'static [i32] {
    use errno::*;
    match function {
        "open" | "open64" | "openat64" | "mkdir" | "mkdtemp" | "opendir" | "fdopendir" => &[
            EACCES, EMFILE, ENOENT, ENOSPC, EDQUOT, EROFS, ENOMEM, EINTR, EPERM,
        ],
        "read" | "pread64" | "readdir64" => &[EIO, EINTR, EAGAIN],
        "write" | "pwrite64" | "writev" => &[ENOSPC, EIO, EDQUOT, EFBIG, EINTR, EAGAIN],
        "lseek64" | "fstat" | "fstat64" | "stat64" | "lstat64" | "fstatat64" | "statx"
        | "statvfs" => &[EIO, EACCES, ENOMEM],
        "ftruncate" | "ftruncate64" => &[EIO, EINTR, EFBIG, EPERM],
        "posix_fallocate" | "fallocate" => {
            &[ENOSPC, EIO, EDQUOT, EINTR, EFBIG, EOPNOTSUPP, ENOSYS, EPERM]
        }
        "mmap" | "mmap64" => &[ENOMEM, EAGAIN, EACCES, EPERM],
        "mprotect" | "madvise" | "mincore" => &[ENOMEM, EACCES, EAGAIN],
        "memfd_create" => &[EMFILE, ENOMEM, ENOSYS, EPERM],
        "fcntl" => &[EMFILE, EPERM, EBUSY],
        "fsync" => &[EIO, ENOSPC, EDQUOT, EROFS, EINTR],
        "unlink" | "unlinkat" | "rename" | "linkat" => &[EACCES, EIO, EROFS, EBUSY, ENOSPC, EPERM],
        "readlink" | "realpath" | "getcwd" | "access" => &[EACCES, ENOENT, ENOMEM],
        "futimens" => &[EACCES, EROFS],
        "getrandom" => &[ENOSYS, EPERM, EINTR],
        "poll" => &[EINTR, ENOMEM],
        "close" => &[EIO, EINTR],
        "pthread_create" => &[EAGAIN, EPERM],
        "pthread_key_create" => &[EAGAIN, ENOMEM],
        "prctl" => &[EPERM, ENOSYS],
        "waitid" => &[EINTR],
        other => panic!("nothing is known of the errors of {other}"),
    }
}

/// A place that a function is called at, and how often in a run without faults.
type Places = BTreeMap<(String, String), u64>;

fn places(outcome: &Outcome) -> Places {
    let mut places = Places::new();
    for line in &outcome.failed {
        let (function, place) = line.split_once(' ').expect("two words");
        *places.entry((function.into(), place.into())).or_default() += 1;
    }
    places
}

/// What is to fail at the places: each error once at the first call, and each from a later call on. In the small size a
/// sample, of one case in `of`.
fn cases(object: &str, places: &Places, of: usize) -> Vec<String> {
    let mut cases = Vec::new();
    for ((function, place), count) in places {
        let turns = [(1, 1), (1, i64::MAX), (*count as i64 / 2 + 1, i64::MAX)];
        for (number, error) in errors_of(function).iter().enumerate() {
            // Whoever is interrupted begins again, as often as that is.
            let turns = if *error == errno::EINTR {
                &turns[..1]
            } else {
                &turns[..]
            };
            for &(first, last) in turns {
                // The most likely error in all ways, the others each in one.
                let is_once = first == last;
                if number == 0 || *error == errno::EINTR || (number % 3 == 1) == is_once {
                    cases.push(format!(
                        "{object} {function} {place} {first} {last} {error}"
                    ));
                }
            }
        }
    }
    cases.dedup();
    if common::soak() {
        return cases;
    }
    cases.into_iter().step_by(of).collect()
}

/// Runs all cases, and counts those whose fault was met.
fn fail_all(
    cases: &[String],
    mut run: impl FnMut(Option<&str>) -> Outcome,
    check: impl Fn(&Outcome, &str),
) -> u64 {
    let mut met = 0;
    for case in cases {
        let outcome = run(Some(case));
        check(&outcome, case);
        met += u64::from(!outcome.failed.is_empty());
    }
    assert!(met > 0, "no fault was met");
    met
}

/// Fails the calls of the library in a host that is not launched by us: the places, the runs, those of them in which the
/// fault was met, and those in which events were lost.
fn in_host(words: &[&str], options: &str, of: usize) -> (usize, u64, u64, u64) {
    let unkind = Unkind::new("calls");
    let alone = unkind.alone(words);
    assert_eq!(alone.code(), 23, "{}", alone.stderr);
    let counted = unkind.preloaded(words, options, Some("libwhofreed.so count"));
    let is_traced = options.contains("trace=");
    let lost = Cell::new(0);
    let check = |outcome: &Outcome, what: &str| {
        outcome.check_host(&alone, what);
        if is_traced {
            outcome.check_account(what);
        }
        lost.set(lost.get() + u64::from(outcome.dropped > 0));
    };
    check(&counted, "no fault");
    let places = places(&counted);
    let cases = cases("libwhofreed.so", &places, of);
    let run = |case: Option<&str>| unkind.preloaded(words, options, case);
    let met = fail_all(&cases, run, check);
    (places.len(), cases.len() as u64, met, lost.get())
}

fn told(places: usize, met: u64, lost: u64) -> String {
    format!(
        "{places} places; the fault was met in {met} runs; events were lost in {lost}, every one counted"
    )
}

#[test]
fn each_call_for_a_trace_can_fail() {
    let row = Row::new(
        "files",
        "each of our calls in a host that writes a trace, with fork and wf_flush: fails once, or from then on",
        "P1 P2 P3",
    );
    let words = ["2", "6000", "fork", "flush", "more"];
    let (places, runs, met, lost) = in_host(&words, "trace=host.wft:summary=0", 25);
    row.held(runs, &told(places, met, lost));
}

#[test]
fn each_call_for_a_report_in_the_host_can_fail() {
    let row = Row::new(
        "files",
        "each of our calls in a host that writes a report and prints excess frees: fails once, or from then on",
        "P1 P3",
    );
    let words = ["1", "60", "dump"];
    let options = "trace=host.wft:on_excess=print";
    let (places, runs, met, lost) = in_host(&words, options, 40);
    row.held(runs, &told(places, met, lost));
}

#[test]
fn each_call_for_a_trace_in_memory_can_fail() {
    let row = Row::new(
        "files",
        "each of our calls in a host that keeps its trace in memory: fails once, or from then on",
        "P1",
    );
    let words = ["2", "6000", "fork", "flush", "more"];
    let (places, runs, met, _) = in_host(&words, "", 40);
    let result = format!("{places} places; the fault was met in {met} runs");
    row.held(runs, &result);
}

/// Under `whofreed run` the calls of `object` fail; the host's end is its own, or the launcher says why it is not.
fn launched(object: &str, of: usize, is_own: bool) -> (usize, u64, u64, u64) {
    let unkind = Unkind::new("launched");
    let words = ["1", "1500", "fork"];
    let flags = ["--report", "report.json", "--format", "json"];
    let alone = unkind.alone(&words);
    let counted = unkind.launched(&words, &flags, Some(&format!("{object} count")));
    counted.check(&alone, "no fault");
    let mut places = places(&counted);
    // Without memory Rust's runtime ends the launcher before it has begun.
    let of_runtime = [
        "mmap",
        "mmap64",
        "mprotect",
        "getrandom",
        "pthread_key_create",
    ];
    places.retain(|(function, _), _| !is_own || !of_runtime.contains(&function.as_str()));
    let cases = cases(object, &places, of);
    let refused = Cell::new(0);
    let check = |outcome: &Outcome, what: &str| {
        let Run { stdout, stderr, .. } = &outcome.run;
        // The launcher's own failure has a code and a sentence, and comes before the command or after its end.
        if is_own && (125..=127).contains(&outcome.run.code()) {
            refused.set(refused.get() + 1);
            // Whoever can write nothing any more cannot say so either.
            let is_mute = outcome.failed.len() > 1 && outcome.failed[0].starts_with("write ");
            let is_said = stderr.contains("whofreed: ");
            assert!(is_said || is_mute, "{what}: nothing is said");
            assert!(!stderr.contains("panicked"), "{what}\n{stderr}");
            if stdout.is_empty() {
                return;
            }
            assert_eq!(*stdout, alone.stdout, "{what}\n{stderr}");
        } else {
            outcome.check_host(&alone, what);
        }
        outcome.check_account(what);
        // What no trace tells, the launcher tells to the last event.
        let untold = outcome.dropped - outcome.told_by_traces;
        if untold > 0 && is_own {
            let line = format!("{untold} events were lost, and no trace tells of them");
            assert!(stderr.contains(&line), "{what}: {untold}\n{stderr}");
        }
    };
    let run = |case: Option<&str>| unkind.launched(&words, &flags, case);
    let met = fail_all(&cases, run, check);
    (places.len(), cases.len() as u64, met, refused.get())
}

#[test]
fn each_call_of_a_launched_host_can_fail() {
    let row = Row::new(
        "files",
        "each of our calls in a host under `whofreed run`: fails once, or from then on",
        "P1 P2 P3",
    );
    let (places, runs, met, _) = launched("libwhofreed.so", 40, false);
    row.held(
        runs,
        &format!("{places} places; the fault was met in {met} runs; every event accounted for"),
    );
}

#[test]
fn each_call_of_the_launcher_can_fail() {
    let row = Row::new(
        "files",
        "each call of the launcher for a file, folder, process or thread: fails once, or from then on",
        "P1 P2 P3",
    );
    let (places, runs, met, refused) = launched("whofreed", 60, true);
    row.held(
        runs,
        &format!(
            "{places} places; the fault was met in {met} runs; in {refused} the launcher said why it failed, before the \
             command or after it; else the code is the command's"
        ),
    );
}

/// Threads that come to their first event while the trace is being made write to chunks of their own before there is a
/// writer; later blocks stand for those too.
#[test]
fn threads_that_begin_together_lose_nothing() {
    let row = Row::new(
        "files",
        "first events of 17 threads at once, all chunks compressed",
        "P2 P3",
    );
    let unkind = Unkind::new("together");
    let words = ["16", "4000"];
    let alone = unkind.alone(&words);
    let rounds = if common::soak() { 200 } else { 10 };
    for _ in 0..rounds {
        let outcome = unkind.preloaded(&words, "trace=host.wft:summary=0", None);
        outcome.check(&alone, "no fault");
        assert_eq!(outcome.dropped, 0);
    }
    row.held(rounds, "every event is in the trace");
}
