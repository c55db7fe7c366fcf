//! System calls that a sandbox denies: by seccomp, before the first event and after it, each with two errors.

use crate::common;
use crate::common::Row;
use crate::unkind::Unkind;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// The calls, and their numbers on the machine that the tests are run on; clone comes with clone3, which is its heir.
#[cfg(target_arch = "x86_64")]
const CALLS: [(&str, &[u32]); 9] = [
    ("openat", &[257, 2]),
    ("mmap", &[9]),
    ("mprotect", &[10]),
    ("clone3 and clone", &[435, 56]),
    ("futex", &[202]),
    ("madvise", &[28]),
    ("fallocate", &[285]),
    ("write", &[1]),
    ("memfd_create", &[319]),
];
#[cfg(target_arch = "aarch64")]
const CALLS: [(&str, &[u32]); 9] = [
    ("openat", &[56]),
    ("mmap", &[222]),
    ("mprotect", &[226]),
    ("clone3 and clone", &[435, 220]),
    ("futex", &[98]),
    ("madvise", &[233]),
    ("fallocate", &[47]),
    ("write", &[64]),
    ("memfd_create", &[279]),
];

/// What the host's own filter denies is denied to us in its process. It is compared with the same host under the same
/// filter alone.
#[test]
fn a_denied_system_call_disturbs_nobody() {
    let unkind = Unkind::new("denied");
    let probe = unkind.alone(&["0", "1", "deny=1000,1"]);
    if probe.code() != 23 {
        return common::skip("a_denied_system_call_disturbs_nobody", "no seccomp here");
    }
    for (name, numbers) in CALLS {
        let row = Row::new(
            "denied",
            format!("{name} denied by seccomp: EPERM, ENOSYS; before the first event, after it"),
            "P1 P2 P3 P6",
        );
        let mut runs = 0;
        let mut said = Vec::new();
        for error in [EPERM, ENOSYS] {
            let filter: Vec<String> = numbers
                .iter()
                .map(|number| format!("deny={number},{error}"))
                .collect();
            for is_first in [true, false] {
                let mut words = vec!["2", if common::soak() { "20000" } else { "5000" }];
                words.extend(is_first.then_some("first"));
                words.extend(filter.iter().map(String::as_str));
                words.extend(["more", "flush"]);
                let alone = unkind.alone(&words);
                assert_eq!(
                    alone.code(),
                    23,
                    "{name}: the host itself needs the call: {}",
                    alone.stderr
                );
                let what = format!("{name} {error} {is_first}");
                let traced = unkind.preloaded(&words, "trace=host.wft:summary=0", None);
                let in_memory = unkind.preloaded(&words, "summary=0", None);
                let launched = unkind.launched(&words, &[], None);
                runs += 3;
                traced.check(&alone, &what);
                in_memory.check_host(&alone, &what);
                launched.check(&alone, &what);
                for outcome in [&traced, &launched] {
                    // "Lost" is a word of both: of the report, and of a host without a launcher.
                    if outcome.dropped > 0 && name != "write" {
                        assert!(
                            outcome.run.stderr.contains("whofreed: "),
                            "{what}: nothing is said"
                        );
                    }
                    let when = if is_first { "before" } else { "after" };
                    let lost = (outcome.dropped * 100).div_ceil(outcome.produced);
                    said.push((when, lost));
                }
                let is_told = launched.dropped == 0 || launched.run.stderr.contains("lost");
                assert!(is_told, "{what}\n{}", launched.run.stderr);
            }
        }
        let most = |when: &str| {
            said.iter()
                .filter(|(told, _)| *told == when)
                .map(|(_, lost)| *lost)
                .max()
        };
        let (before, after) = (most("before").unwrap_or(0), most("after").unwrap_or(0));
        row.held(
            runs,
            &format!(
                "at most {before} % of the events lost when denied before the first one, {after} % when after; \
                 counted and told"
            ),
        );
    }
}
