//! The faults, and the test that is there for each.

use std::fmt;
#[cfg(test)]
use std::path::PathBuf;

#[cfg(test)]
use crate::paths;

/// A change of one place of a source file, and the test that must notice it.
#[derive(Debug)]
pub struct Fault {
    pub name: &'static str,
    pub file: &'static str,
    /// What stands in the file, once.
    pub sound: &'static str,
    pub broken: &'static str,
    pub test: Test,
}

/// Where a test is.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// In `tests/models`, under loom.
    Model(&'static str),
    /// In the library of a package below `crates`.
    Unit(&'static str, &'static str),
    /// In a test program that runs real processes.
    Process(&'static str, &'static str),
}

impl Test {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model(name) | Self::Unit(_, name) | Self::Process(_, name) => name,
        }
    }

    /// The files or folders that it may be in.
    #[cfg(test)]
    pub fn sources(self) -> Vec<PathBuf> {
        let tests = paths::root().join("tests");
        match self {
            Self::Model(_) => vec![tests.join("models")],
            Self::Unit(package, _) => {
                let folder = package.trim_start_matches("whofreed-");
                vec![paths::root().join("crates").join(folder).join("src")]
            }
            Self::Process(program, _) => {
                vec![tests.join(program), tests.join(format!("{program}.rs"))]
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(name) => write!(f, "models {name}"),
            Self::Unit(place, name) | Self::Process(place, name) => write!(f, "{place} {name}"),
        }
    }
}

/// All of them.
pub const FAULTS: [Fault; 17] = [
    Fault {
        name: "the commit word is stored in any order",
        file: "src/record/words.rs",
        sound: "self.committed.store(used, Ordering::Release);",
        broken: "self.committed.store(used, Ordering::Relaxed);",
        test: Test::Model("chunks::what_is_committed_is_whole_at_any_instant"),
    },
    Fault {
        name: "the commit word is not stored",
        file: "src/record/words.rs",
        sound: "self.committed.store(used, Ordering::Release);",
        broken: "let _ = used;",
        test: Test::Process("reliability", "crash::abort_loses_nothing"),
    },
    Fault {
        name: "no fence before a chunk is written to anew",
        file: "src/record/words.rs",
        sound: "        fence(Ordering::Release);\n",
        broken: "        fence(Ordering::Acquire);\n",
        test: Test::Model("chunks::a_chunk_that_is_used_again_is_never_taken_for_what_it_held"),
    },
    Fault {
        name: "a chunk is emptied before its block is seen",
        file: "src/record/words.rs",
        sound: "        // Release: who does not see the content any more sees the block.\n        self.committed.store(0, Ordering::Release);",
        broken: "        self.committed.store(0, Ordering::Relaxed);",
        test: Test::Model("chunks::a_chunk_that_is_used_again_is_never_taken_for_what_it_held"),
    },
    Fault {
        name: "no fence before a record is written to anew",
        file: "src/ledger/pool.rs",
        sound: "        fence(Ordering::Release);\n",
        broken: "        fence(Ordering::Acquire);\n",
        test: Test::Model("cells::a_state_between_two_equal_looks_is_of_one_piece"),
    },
    Fault {
        name: "a chunk that is ready is taken without an exchange",
        file: "src/record/ready.rs",
        sound: "NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire))",
        broken: "{\n                let taken = NonNull::new(place.load(Ordering::Acquire));\n                place.store(ptr::null_mut(), Ordering::Relaxed);\n                taken\n            }",
        test: Test::Model("chunks::a_chunk_that_is_ready_is_taken_once"),
    },
    Fault {
        name: "the exchange of the ledger does not compare",
        file: "src/ledger/cell.rs",
        sound: "cell.compare_exchange(seen.word, next.word, Ordering::AcqRel, Ordering::Relaxed)\n        .is_ok()",
        broken: "cell.swap(next.word, Ordering::AcqRel) | seen.word != u64::MAX",
        test: Test::Model("ledger::of_two_frees_of_one_buffer_one_is_right"),
    },
    Fault {
        name: "a seat is taken without seeing what was left in it",
        file: "src/thread/list.rs",
        sound: ".compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)",
        broken: ".compare_exchange(false, true, Ordering::Relaxed, Ordering::Relaxed)",
        test: Test::Model("shared::a_seat_is_one_thread_s_at_a_time"),
    },
    Fault {
        name: "an item is offered before it is whole",
        file: "src/index.rs",
        sound: "slot.compare_exchange(0, entry, Ordering::AcqRel, Ordering::Acquire)",
        broken: "slot.compare_exchange(0, entry, Ordering::Relaxed, Ordering::Acquire)",
        test: Test::Model("shared::an_item_that_an_index_leads_to_is_whole"),
    },
    Fault {
        name: "the generation stays when a library goes",
        file: "src/preload/generation.rs",
        sound: "generation.fetch_add(1, Ordering::AcqRel);",
        broken: "let _ = generation;",
        test: Test::Model("shared::what_was_found_before_an_unloading_is_forgotten_after_it"),
    },
    Fault {
        name: "a message counts only once it was sent",
        file: "src/record/errand.rs",
        sound: "        self.sent.fetch_add(1, Ordering::Relaxed);\n        let is_sent = send();\n        if !is_sent {\n            self.sent.fetch_sub(1, Ordering::Relaxed);\n        }\n",
        broken: "        let is_sent = send();\n        if is_sent {\n            self.sent.fetch_add(1, Ordering::Relaxed);\n        }\n",
        test: Test::Model(
            "chunks::whoever_sees_that_everything_is_handled_sees_its_own_message_handled",
        ),
    },
    Fault {
        name: "errno is not put back",
        file: "src/thread.rs",
        sound: "        unsafe { *errno_of(slot) = way_out.errno };\n",
        broken: "        let _ = way_out.errno;\n",
        test: Test::Process("reliability", "calls::each_call_for_a_trace_can_fail"),
    },
    Fault {
        name: "the flag that a thread is inside is not set",
        file: "src/thread.rs",
        sound: "    slot.busy.set(now);\n",
        broken: "    let _ = now;\n",
        test: Test::Process(
            "reliability",
            "surroundings::handlers_that_allocate_are_recorded_or_counted_in_a_linked_host",
        ),
    },
    Fault {
        name: "a forked child is not noticed",
        file: "src/process.rs",
        sound: "    if !identity::may_be_made() {\n        return None;\n    }\n",
        broken: "",
        test: Test::Process(
            "c_hosts",
            "a_forked_child_has_a_ledger_and_a_trace_of_its_own",
        ),
    },
    Fault {
        name: "the reader takes a chunk that is used again",
        file: "crates/trace/src/read/mod.rs",
        sound: "again == before && head.fill == before",
        broken: "again == head.fill",
        test: Test::Unit(
            "whofreed-trace",
            "read::tests::a_chunk_that_is_used_again_while_its_header_is_read_is_read_anew",
        ),
    },
    Fault {
        name: "a trace overwrites what is at its path",
        file: "src/record/sink.rs",
        sound: "open(&terminated(path)?, libc::O_CREAT | libc::O_EXCL).map(move_up)",
        broken: "open(&terminated(path)?, libc::O_CREAT).map(move_up)",
        test: Test::Process(
            "reliability",
            "places::a_trace_never_takes_a_file_that_is_there",
        ),
    },
    Fault {
        name: "a trace is opened anew through a link",
        file: "src/record/sink.rs",
        sound: "let flags = flags | libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW;",
        broken: "let flags = (flags & !libc::O_EXCL) | libc::O_RDWR | libc::O_CLOEXEC;",
        test: Test::Process("reliability", "places::a_trace_never_follows_a_link"),
    },
];
