//! The sums of a log, added up event by event.

use whofreed_analysis::Totals;
use whofreed_analysis::Verdicts;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

/// Whether an event begins a right to deallocate, as far as its verdict tells.
fn begins(event: &Event) -> bool {
    match event.kind {
        EventKind::Allocate => event.verdict != Verdict::Invalid,
        EventKind::Retain => event.verdict == Verdict::Ok,
        _ => false,
    }
}

/// The sums of events as their recorded verdicts tell them, but for what leaked.
pub fn totals(events: impl IntoIterator<Item = Event>) -> (Totals, Verdicts) {
    let (mut totals, mut verdicts) = (Totals::default(), Verdicts::default());
    for mut event in events {
        totals.events += 1;
        if event.untracked {
            totals.untracked += 1;
            // No answer is none.
            if event.verdict != Verdict::Invalid {
                event.verdict = match event.kind {
                    EventKind::Deallocate => Verdict::Unknown,
                    _ => Verdict::Ok,
                };
            }
        }
        match event.kind {
            EventKind::Deallocate => {
                totals.deallocations += 1;
                totals.ownerless += u64::from(event.owner == 0);
                totals.late += u64::from(event.late);
                totals.blocked += u64::from(event.blocked);
                totals.forwarded += u64::from(!event.blocked);
                totals.excess += u64::from(event.verdict.is_excess());
                match event.verdict {
                    Verdict::Ok => totals.ok += 1,
                    Verdict::AlreadyFreed => verdicts.already_freed += 1,
                    Verdict::StaleOwner => verdicts.stale_owner += 1,
                    Verdict::ForeignOwner => verdicts.foreign_owner += 1,
                    Verdict::Invalid => totals.invalid += 1,
                    Verdict::Unknown => {
                        totals.unknown += 1;
                        verdicts.unknown += 1;
                    }
                }
            }
            EventKind::Declined => totals.declined += 1,
            EventKind::Allocate if begins(&event) => totals.allocations += 1,
            EventKind::Retain if begins(&event) => totals.retains += 1,
            _ if event.verdict == Verdict::Invalid => totals.invalid_other += 1,
            _ => {}
        }
    }
    (totals, verdicts)
}
