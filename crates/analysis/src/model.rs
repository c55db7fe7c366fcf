//! The result of an analysis: what a report shows. The words are those of the contract's JSON report.

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_trace::Coverage;
use whofreed_trace::Damage;
use whofreed_trace::Frame;
use whofreed_trace::Loss;
use whofreed_trace::Process;
use whofreed_trace::Verdict;

use crate::ChargedTo;
use crate::Evidence;
use crate::Reuse;
use crate::Standing;

/// Everything a report says.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// One for each trace, in the order given.
    pub processes: Vec<Process>,
    /// Index into `processes` of the one with most events.
    pub main_process: usize,
    /// What was hooked and what could not be, without doubles.
    pub coverage: Vec<Coverage>,
    /// Faults of the traces: index into `processes`, and the fault.
    pub damage: Vec<(usize, Damage)>,
    /// Who lost events and when, thread by thread.
    pub losses: Vec<ThreadLoss>,
    /// The sums.
    pub totals: Totals,
    /// Deallocations by verdict.
    pub verdicts: Verdicts,
    /// Buffers by balance.
    pub buffers: Buffers,
    /// Names of devices.
    pub device_names: BTreeMap<u32, String>,
    /// The (at most 20) buffers with most excess frees, the worst first.
    pub worst_buffers: Vec<WorstBuffer>,
    /// Who did it, the one that explains most first.
    pub culprits: Vec<Culprit>,
    /// Who only looks guilty.
    pub victims: Vec<Victim>,
    /// Where the excess frees were seen that no culprit explains.
    pub unexplained: Unexplained,
    /// Call sites whose buffers were never freed, by count.
    pub leaks: Vec<Leak>,
    /// Stacks that were cut so short that naming may suffer.
    pub short_stacks: ShortStacks,
    /// What was said of findings before.
    pub standing: Standing,
}

/// Identities: `deallocations = ok + excess + unknown + invalid = forwarded + blocked`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Buffers handed out.
    pub allocations: u64,
    /// References added.
    pub retains: u64,
    /// Attempts to deallocate, declined ones not among them.
    pub deallocations: u64,
    /// Legitimate deallocations, late ones among them.
    pub ok: u64,
    /// Deallocations without a right.
    pub excess: u64,
    /// Deallocations of addresses that were never allocated while tracking.
    pub unknown: u64,
    /// Legitimate deallocations after a reset or close had already ended the instance.
    pub late: u64,
    /// Attempts that the host itself did not carry out.
    pub declined: u64,
    /// Deallocations that named no address.
    pub invalid: u64,
    /// Allocates, retains and views that named no address.
    pub invalid_other: u64,
    /// Instances that no deallocate of their own ended.
    pub leaked: u64,
    /// Deallocations that reached the real function.
    pub forwarded: u64,
    /// Deallocations that the guard held back.
    pub blocked: u64,
    /// Excess frees that no culprit explains.
    pub unexplained: u64,
    /// Everything recorded.
    pub events: u64,
    /// Everything that could not be.
    pub dropped_events: u64,
    /// Events that the ledger had no room to judge: they count as they came, and nothing can be said about them.
    pub untracked: u64,
    /// Deallocations that did not tell an owner.
    pub ownerless: u64,
}

/// Deallocations by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Double frees.
    pub already_freed: u64,
    /// Frees by an owner whose right is used up, while another holds the address.
    pub stale_owner: u64,
    /// Frees by an owner that never held the address.
    pub foreign_owner: u64,
    /// Frees of addresses never allocated while tracking.
    pub unknown: u64,
}

/// What a thread lost: too much at once, no room, or a signal handler in the wrong moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadLoss {
    /// Index into [`Analysis::processes`].
    pub process: usize,
    /// Who, how many, and when on the monotonic clock.
    pub loss: Loss,
    /// When the first event of the process that was recorded happened, on the same clock.
    pub start_ns: u64,
}

/// Buffers, (process, device, address), by how allocations + retains compare with deallocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// Addresses that were allocated at least once.
    pub unique: u64,
    /// As many of the one as of the other.
    pub balanced: u64,
    /// Fewer deallocations.
    pub under_freed: u64,
    /// More deallocations.
    pub over_freed: u64,
}

/// A buffer and its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorstBuffer {
    /// The process.
    pub pid: u32,
    /// The address space.
    pub device: u32,
    /// The address in it.
    pub address: u64,
    /// Allocations and retains.
    pub allocated: u64,
    /// Deallocations.
    pub freed: u64,
    /// Those without a right.
    pub excess: u64,
    /// Those that reached the real function.
    pub forwarded: u64,
    /// Those that the guard held back.
    pub blocked: u64,
}

/// A call site as people name it: function, file and line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// The frame that names it.
    pub frame: Frame,
}

/// What sort of code a culprit is; a hint for the reader, from names alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A C++ destructor or a Rust drop.
    Destructor,
    /// A cache's eviction or clearing.
    Cache,
    /// A program or kernel cache.
    ProgramCache,
    /// A pool's return path.
    Pool,
    /// Static destructors and exit handlers.
    StaticTeardown,
    /// Interpreter glue, a garbage collector.
    Interpreter,
    /// An explicit call in plain code.
    Explicit,
    /// None of these.
    Other,
}

impl Class {
    /// The word in the JSON report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Destructor => "destructor",
            Self::Cache => "cache",
            Self::ProgramCache => "program_cache",
            Self::Pool => "pool",
            Self::StaticTeardown => "static_teardown",
            Self::Interpreter => "interpreter",
            Self::Explicit => "explicit",
            Self::Other => "other",
        }
    }
}

/// How a culprit was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Owners are unique ids: each excess free was attributed when it happened.
    Proven,
    /// Owners are not known: taking its surplus frees out makes the excess vanish.
    Counterfactual,
    /// The log fits this culprit and the alternatives alike.
    Undecided,
}

impl Confidence {
    /// The word in the JSON report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Counterfactual => "counterfactual",
            Self::Undecided => "undecided",
        }
    }
}

/// One life of one buffer with the excess free that ended it a second time: three stacks, innermost first,
/// empty where not recorded.
#[derive(Clone, Debug, Default)]
pub struct Example {
    /// The process.
    pub pid: u32,
    /// The address space.
    pub device: u32,
    /// The address.
    pub address: u64,
    /// The size of the buffer in bytes, 0 where not known.
    pub size: u64,
    /// The label of the buffer, empty where it has none.
    pub kind: String,
    /// The innermost scope at the excess free, empty where there was none.
    pub scope: String,
    /// The thread of the excess free.
    pub thread: u32,
    /// Where it was allocated.
    pub allocated: Arc<[Frame]>,
    /// Where it was freed first.
    pub freed: Arc<[Frame]>,
    /// Where it was freed again.
    pub excess: Arc<[Frame]>,
    /// What the excess free was judged; `None` where it cannot be read any more.
    pub verdict: Option<Verdict>,
    /// How the pointer outlived the buffer.
    pub reuse: Reuse,
}

/// A call site whose surplus frees, taken out of the log, make excess frees vanish.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// Where.
    pub site: Site,
    /// What sort of code.
    pub class: Class,
    /// Excess frees that vanish without it.
    pub explains: u64,
    /// Excess frees seen at it.
    pub observed: u64,
    /// Distinct (process, device, address) that it freed in excess.
    pub buffers: u64,
    /// The devices of those.
    pub devices: Vec<u32>,
    /// How it was named.
    pub confidence: Confidence,
    /// Other sites that fit as well.
    pub alternatives: Vec<Site>,
    /// What speaks against it.
    pub evidence: Evidence,
    /// One case.
    pub example: Example,
}

/// A call site with excess frees that are somebody else's doing.
#[derive(Clone, Debug)]
pub struct Victim {
    /// Where.
    pub site: Site,
    /// Excess frees seen at it.
    pub observed: u64,
    /// Index into [`Analysis::culprits`] of who made it look guilty, where one could be told.
    pub culprit: Option<usize>,
}

/// The excess frees that no culprit explains, by where they were seen. Nobody there is accused.
#[derive(Clone, Debug, Default)]
pub struct Unexplained {
    /// The (at most 20) call sites with most of them, the one with most first.
    pub sites: Vec<Seen>,
    /// How many more call sites there are.
    pub more_sites: u64,
    /// Excess frees seen at those.
    pub more_observed: u64,
}

/// A call site at which excess frees were seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where.
    pub site: Site,
    /// Excess frees seen at it that no culprit explains.
    pub observed: u64,
    /// One of them.
    pub stack: Arc<[Frame]>,
}

/// How many stacks a low limit on their depth has cut short. Those of excess frees have a limit of their own, and
/// do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortStacks {
    /// Different stacks that were cut.
    pub cut: u64,
    /// Different stacks that the same limit held for.
    pub of: u64,
    /// The limit: native frames that are left.
    pub depth: u64,
}

/// A call site whose buffers were never freed.
#[derive(Clone, Debug)]
pub struct Leak {
    /// Where.
    pub site: Site,
    /// How many instances.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// One allocation.
    pub stack: Arc<[Frame]>,
}

/// One step in the life of an address, for `whofreed history`.
#[derive(Clone, Debug)]
pub struct HistoryStep {
    /// Index of the trace.
    pub trace: usize,
    /// The process.
    pub pid: u32,
    /// The event as recorded; its verdict is the replay's.
    pub event: whofreed_trace::Event,
    /// Whom it is charged to as a surplus free, where it is and that was asked for.
    pub charged_to: Option<ChargedTo>,
}
