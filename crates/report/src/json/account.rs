//! The account of a run in a JSON report: its processes, what was hooked in them, what was counted, and what was lost.

use serde::Deserialize;
use serde::Serialize;
use whofreed_analysis::Analysis;
use whofreed_analysis::ThreadLoss;
use whofreed_trace::Coverage;
use whofreed_trace::Process;

#[derive(Default, Serialize)]
pub(super) struct ProcessView<'a> {
    pid: u32,
    parent_pid: u32,
    command: &'a [String],
    exit: ExitView,
    adapters: &'a [String],
}

impl<'a> ProcessView<'a> {
    pub(super) fn new(process: &'a Process) -> Self {
        let exit = process.exit.unwrap_or_default();
        Self {
            pid: process.pid,
            parent_pid: process.parent_pid,
            command: &process.command,
            exit: ExitView {
                code: exit.code,
                signal: exit.signal,
            },
            adapters: &process.adapters,
        }
    }
}

/// Both null where nobody saw the end.
#[derive(Default, Serialize)]
struct ExitView {
    code: Option<i32>,
    signal: Option<i32>,
}

#[derive(Serialize)]
pub(super) struct CoverageView<'a> {
    bound: Vec<BoundView<'a>>,
    unobservable: Vec<UnobservableView<'a>>,
}

#[derive(Serialize)]
struct BoundView<'a> {
    adapter: &'a str,
    symbol: &'a str,
    library: &'a str,
}

#[derive(Serialize)]
struct UnobservableView<'a> {
    symbol: &'a str,
    why: &'a str,
    /// The library that it is about; the key is left out where it is about none.
    #[serde(skip_serializing_if = "str::is_empty")]
    library: &'a str,
}

impl<'a> CoverageView<'a> {
    pub(super) fn new(coverage: &'a [Coverage]) -> Self {
        let mut view = Self {
            bound: Vec::new(),
            unobservable: Vec::new(),
        };
        for entry in coverage {
            match entry {
                Coverage::Bound {
                    adapter,
                    symbol,
                    library,
                } => view.bound.push(BoundView {
                    adapter,
                    symbol,
                    library,
                }),
                Coverage::Unobservable {
                    symbol,
                    why,
                    library,
                    ..
                } => {
                    view.unobservable.push(UnobservableView {
                        symbol,
                        why,
                        library,
                    });
                }
            }
        }
        view
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct TotalsView {
    allocations: u64,
    retains: u64,
    deallocations: u64,
    ok: u64,
    excess: u64,
    unknown: u64,
    late: u64,
    declined: u64,
    invalid: u64,
    invalid_other: u64,
    leaked: u64,
    forwarded: u64,
    blocked: u64,
    unexplained: u64,
    events: u64,
    dropped_events: u64,
    untracked: u64,
    ownerless: u64,
}

impl TotalsView {
    pub(super) fn new(totals: &whofreed_analysis::Totals) -> Self {
        // Every field by name, so that a new one has to be given its key.
        let whofreed_analysis::Totals {
            allocations,
            retains,
            deallocations,
            ok,
            excess,
            unknown,
            late,
            declined,
            invalid,
            invalid_other,
            leaked,
            forwarded,
            blocked,
            unexplained,
            events,
            dropped_events,
            untracked,
            ownerless,
        } = *totals;
        Self {
            allocations,
            retains,
            deallocations,
            ok,
            excess,
            unknown,
            late,
            declined,
            invalid,
            invalid_other,
            leaked,
            forwarded,
            blocked,
            unexplained,
            events,
            dropped_events,
            untracked,
            ownerless,
        }
    }

    /// Back again: a report that is read has the keys of one that is written.
    pub(super) const fn into_totals(self) -> whofreed_analysis::Totals {
        whofreed_analysis::Totals {
            allocations: self.allocations,
            retains: self.retains,
            deallocations: self.deallocations,
            ok: self.ok,
            excess: self.excess,
            unknown: self.unknown,
            late: self.late,
            declined: self.declined,
            invalid: self.invalid,
            invalid_other: self.invalid_other,
            leaked: self.leaked,
            forwarded: self.forwarded,
            blocked: self.blocked,
            unexplained: self.unexplained,
            events: self.events,
            dropped_events: self.dropped_events,
            untracked: self.untracked,
            ownerless: self.ownerless,
        }
    }
}

/// What a thread lost; the times are those of `history`.
#[derive(Serialize)]
pub(super) struct LossView {
    pid: Option<u32>,
    thread: Option<u32>,
    events: u64,
    first_ns: u64,
    last_ns: u64,
}

impl LossView {
    pub(super) fn new(analysis: &Analysis, of: &ThreadLoss) -> Self {
        let process = analysis.processes.get(of.process);
        Self {
            pid: process.map(|process| process.pid),
            thread: of.loss.thread,
            events: of.loss.events,
            first_ns: of.loss.first_ns,
            last_ns: of.loss.last_ns,
        }
    }
}
