//! What a report shows of the evidence against a culprit.

use crate::Site;

/// What speaks against a culprit. Its frees are those that are charged to it: each made one excess free so.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What it would cost to declare it innocent, in nats: so much longer the description of the log gets. `None` where
    /// nothing was fitted, since the owners prove it.
    pub innocence_costs: Option<f64>,
    /// The first of its frees; `None` where the file cannot be read any more.
    pub first: Option<Moment>,
    /// The last of its frees.
    pub last: Option<Moment>,
    /// The (at most three) threads with most of its frees, the one with most first.
    pub threads: Vec<ThreadFrees>,
    /// How many threads there are.
    pub thread_count: u64,
    /// In which scopes its frees were, the one with most first.
    pub scopes: Vec<ScopeFrees>,
    /// The (at most three) call sites that allocated most of what its frees hit, the one with most first. A free hits what
    /// lives at the address, and where nothing does, what it frees again.
    pub hits: Vec<Hits>,
    /// How many such call sites there are.
    pub hit_sites: u64,
    /// Frees of which it is not known what they hit: it was allocated too many lives ago, or without a stack.
    pub hits_unknown: u64,
}

/// When something happened, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub thread: u32,
    /// By the monotonic clock of the machine, as in a history.
    pub time_ns: u64,
    /// Since the first event of that process.
    pub since_start_ns: u64,
}

/// The frees of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadFrees {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub thread: u32,
    /// How many.
    pub frees: u64,
}

/// The frees of one process in one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeFrees {
    /// The process.
    pub pid: u32,
    /// The innermost scope of the thread that freed; empty where it was in none.
    pub scope: String,
    /// Where the record does not decide: the scope of the free that may be one too many instead; `None` where that free
    /// is not known.
    pub or_scope: Option<String>,
    /// How many.
    pub frees: u64,
    /// When the first and the last of them were, by the monotonic clock of the machine.
    pub first_ns: u64,
    /// See `first_ns`.
    pub last_ns: u64,
}

/// Frees that hit what one call site allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    /// Who allocated.
    pub site: Site,
    /// How many.
    pub frees: u64,
}

/// How the pointer of one surplus free outlived its buffer. The lives of an address are counted from one, as far as they
/// were recorded; allocates and retains begin one. Where owners are not known all of it is what the labels say.
#[derive(Clone, Debug, Default)]
pub struct Reuse {
    /// The life that the pointer is from; `None` where it is not known.
    pub life: Option<u64>,
    /// Its owner never held the address, so it is from none.
    pub never_held: bool,
    /// The thread that had ended that life, where a free did.
    pub freed_by: Option<u32>,
    /// How many lives the address had seen at the surplus free.
    pub lives: u64,
    /// Nothing lived there any more.
    pub was_dead: bool,
    /// The life that it hit,
    pub hit_life: Option<u64>,
    /// and who had allocated that.
    pub hit_site: Option<Site>,
}

/// Whom a free is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargedTo {
    /// Index into [`Analysis::culprits`](crate::Analysis::culprits).
    pub culprit: usize,
    /// Whether that one is named for certain.
    pub confidence: crate::Confidence,
}
