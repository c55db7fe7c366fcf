//! The replay and blame stops of an event's way: traces in, an [`Analysis`] out.
//!
//! `replay` judges every event again, address by address; `balance` adds up; `sites` tells which frame of a
//! stack is a call site, by `rules`; `blame` charges excess frees to sites; `culprits`, `unexplained` and `leaks`
//! word the result. `diff` holds two results against each other.
//!
//! **Architecture Invariant:** pure functions; no terminal, no files, no clock.

mod balance;
mod blame;
mod classify;
mod culprits;
pub mod diff;
mod history;
mod leaks;
mod model;
mod names;
mod replay;
mod rules;
mod short_stacks;
mod sites;
mod unexplained;

pub use model::*;
pub use rules::RuleError;
pub use rules::Rules;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::Coverage;
use whofreed_trace::Damage;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

use crate::balance::Balance;
use crate::blame::Counterfactual;
use crate::blame::Engine;
use crate::blame::Log;
use crate::blame::Proven;
use crate::replay::Replay;
use crate::sites::Sites;

/// Replays the traces together and names the culprits, by the rules that come along.
#[must_use]
pub fn analyse(traces: &[Trace], names: &dyn StackNames) -> Analysis {
    analyse_by(traces, names, &Rules::of(traces))
}

/// Replays the traces together and names the culprits, by `rules`.
#[must_use]
pub fn analyse_by(traces: &[Trace], names: &dyn StackNames, rules: &Rules) -> Analysis {
    let replay = Replay::new(traces);
    let mut balance = Balance::new(traces, &replay);
    let mut sites = Sites::new(names, rules);
    let untracked: BTreeSet<(u32, u32, u64)> = replay
        .loose
        .iter()
        .map(|loose| (loose.trace, loose.of(traces)))
        .filter(|(_, event)| event.untracked)
        .map(|(trace, event)| (trace, event.device, event.address))
        .collect();
    let log = Log {
        traces,
        replay: &replay,
        untracked: &untracked,
    };
    let mut accused = Vec::new();
    if balance.totals.excess > 0 {
        for engine in [&Proven as &dyn Engine, &Counterfactual] {
            accused.append(&mut engine.accuse(&log, &mut sites));
        }
    }
    let unexplained = unexplained::unexplained(
        traces,
        &replay,
        &unexplained::explained(&accused),
        &mut sites,
    );
    let (mut culprits, victims, explained) =
        culprits::assemble(traces, &replay, accused, &mut sites);
    for culprit in &mut culprits {
        culprit.class = rules.class(&culprit.site.frame, &culprit.example.excess);
    }
    balance.totals.unexplained = balance.totals.excess - explained;
    let most = traces
        .iter()
        .enumerate()
        .max_by_key(|&(index, trace)| (trace.events.len(), std::cmp::Reverse(index)));
    Analysis {
        processes: traces.iter().map(|trace| trace.process.clone()).collect(),
        main_process: most.map_or(0, |(index, _)| index),
        coverage: coverage(traces),
        damage: damage(traces, &replay),
        totals: balance.totals,
        verdicts: balance.verdicts,
        buffers: balance.buffers,
        device_names: device_names(traces),
        worst_buffers: balance.worst_buffers,
        culprits,
        victims,
        unexplained,
        leaks: leaks::leaks(traces, &replay, &mut sites),
        short_stacks: short_stacks::short_stacks(traces),
    }
}

/// The whole life of one address, process by process, in the order of its steps.
#[must_use]
pub fn history(traces: &[Trace], device: u32, address: u64) -> Vec<HistoryStep> {
    history::history(traces, device, address)
}

/// What was bound or could not be seen in any of the processes, once.
fn coverage(traces: &[Trace]) -> Vec<Coverage> {
    let mut all: Vec<Coverage> = Vec::new();
    for coverage in traces.iter().flat_map(|trace| &trace.coverage) {
        if !all.contains(coverage) {
            all.push(coverage.clone());
        }
    }
    all
}

fn device_names(traces: &[Trace]) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for trace in traces {
        for (&device, name) in &trace.device_names {
            names.entry(device).or_insert_with(|| name.clone());
        }
    }
    names
}

/// The faults of the files, and verdicts that the replay does not come to: a bug of ours that must not hide.
fn damage(traces: &[Trace], replay: &Replay) -> Vec<(usize, Damage)> {
    let of_files = traces.iter().enumerate().flat_map(|(index, trace)| {
        trace
            .damage
            .iter()
            .map(move |damage| (index, damage.clone()))
    });
    let of_replay = replay.mismatches.iter().map(|(&trace, &(count, first, verdict))| {
        let event = first.of(traces);
        let what = format!(
            "{count} recorded verdict(s) differ from the replay's; the first is a {} of device {} address {} at \
             step {}: recorded {}, replayed {}",
            event.kind.name(),
            event.device,
            event.address,
            event.step,
            event.verdict.name(),
            verdict.name(),
        );
        (trace as usize, Damage { offset: 0, what })
    });
    of_files.chain(of_replay).collect()
}
