//! The lives of addresses with excess frees: who held them, who ended each, and where somebody struck.
//!
//! Which addresses will have excess frees is not known before they have: of the others, the last lives are
//! remembered until then.

use std::collections::HashSet;

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use crate::replay::Step;
use crate::sources::EventRef;
use crate::stacks::StackNumber;

/// Addresses that get a line, beside those that the report speaks of.
const LINES: usize = 200;
/// Lives and strikes of each.
const MOST: usize = 300;
/// So many lives are remembered of an address that has no excess free so far.
const BEFORE: usize = 2;
/// The same of one that the report speaks of.
const LONG_BEFORE: usize = 100;

/// A life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) number: u32,
    pub(super) owner: u64,
    pub(super) size: u64,
    pub(super) kind: u32,
    pub(super) began_ns: u64,
    pub(super) thread: u32,
    pub(super) stack: StackNumber,
    pub(super) end: Option<End>,
}

/// Its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) time_ns: u64,
    pub(super) by: Option<(u32, StackNumber)>,
    pub(super) at: Option<EventRef>,
}

/// An excess free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strike {
    pub(super) at: EventRef,
    pub(super) time_ns: u64,
    pub(super) thread: u32,
    pub(super) stack: StackNumber,
    pub(super) verdict: Verdict,
    pub(super) again: Option<u32>,
    pub(super) hit: Option<u32>,
}

/// What is kept of an address.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) lives: Vec<Life>,
    pub(super) strikes: Vec<Strike>,
    pub(super) more_lives: u64,
    pub(super) more_strikes: u64,
    is_wanted: bool,
    is_kept: bool,
}

/// Which addresses get a line.
#[derive(Debug)]
pub(super) struct Lines {
    /// By process, device and address.
    wanted: HashSet<(u32, u32, u64)>,
    begun: usize,
}

impl Lines {
    pub(super) fn new(wanted: HashSet<(u32, u32, u64)>) -> Self {
        Self { wanted, begun: 0 }
    }

    /// The first event of an address comes.
    pub(super) fn meet(&self, line: &mut Line, pid: u32, device: u32, address: u64) {
        line.is_wanted = self.wanted.contains(&(pid, device, address));
    }

    /// The next event of an address. `reset_ns` tells when a reset was that lies between the last one and this.
    pub(super) fn step(
        &mut self,
        line: &mut Line,
        step: &Step<'_>,
        stack: StackNumber,
        reset_ns: Option<u64>,
    ) {
        let event = step.event;
        if step.after_reset {
            let end = End {
                time_ns: reset_ns.unwrap_or(event.time_ns),
                by: None,
                at: None,
            };
            let open = line.lives.iter_mut().filter(|life| life.end.is_none());
            open.for_each(|life| life.end = Some(end));
        }
        match (event.kind, step.life) {
            (EventKind::Allocate | EventKind::Retain, Some(life)) => {
                line.begin(Life {
                    number: life.number,
                    owner: life.owner,
                    size: life.size,
                    kind: event.kind_label,
                    began_ns: event.time_ns,
                    thread: event.thread,
                    stack,
                    end: None,
                });
            }
            (EventKind::Deallocate, Some(life)) if step.verdict == Verdict::Ok => {
                let own = line.lives.iter_mut().rev();
                if let Some(own) = own.into_iter().find(|own| own.number == life.number) {
                    own.end.get_or_insert(End {
                        time_ns: event.time_ns,
                        by: Some((event.thread, stack)),
                        at: Some(step.at),
                    });
                }
            }
            (EventKind::Deallocate, again) if step.verdict.is_excess() => {
                if !line.is_kept && (line.is_wanted || self.begun < LINES) {
                    line.is_kept = true;
                    self.begun += 1;
                }
                line.strike(Strike {
                    at: step.at,
                    time_ns: event.time_ns,
                    thread: event.thread,
                    stack,
                    verdict: step.verdict,
                    again: again.map(|life| life.number),
                    hit: step.hit.map(|life| life.number),
                });
            }
            _ => {}
        }
    }
}

impl Line {
    /// Whether there is something to show.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    fn begin(&mut self, life: Life) {
        if self.is_kept {
            if self.lives.len() >= MOST {
                self.more_lives += 1;
                return;
            }
        } else {
            let before = if self.is_wanted { LONG_BEFORE } else { BEFORE };
            let ended = self.lives.iter().filter(|life| life.end.is_some()).count();
            if ended >= before
                && let Some(oldest) = self.lives.iter().position(|life| life.end.is_some())
            {
                self.lives.remove(oldest);
                self.more_lives += 1;
            }
        }
        self.lives.push(life);
    }

    fn strike(&mut self, strike: Strike) {
        if !self.is_kept {
            return;
        }
        if self.strikes.len() < MOST {
            self.strikes.push(strike);
        } else {
            self.more_strikes += 1;
        }
    }
}
