//! The replay and blame stops of an event's way: traces in, an [`Analysis`] out.
//!
//! `replay` judges every event again, address by address, as they come; `tally` remembers what is needed of them:
//! `balance` the sums, `rows` the text for the blame. `sites` tells which frame of a stack is a call site, by `rules`;
//! `blame` charges excess frees to sites; `culprits`, `unexplained` and `leaks` word the result, with the
//! `evidence`. `timeline` draws the run over time, for reports that are drawn. `diff` holds two results against each other;
//! `standing` marks what somebody has spoken for before.
//!
//! **Architecture Invariant:** pure functions; no terminal, no files, no clock.

mod balance;
mod blame;
mod bunches;
mod culprits;
pub mod diff;
mod evidence;
mod history;
mod leaks;
mod model;
mod names;
mod naming;
mod replay;
mod rows;
mod rules;
mod short_stacks;
mod sites;
mod sources;
mod stacks;
mod standing;
mod tally;
mod timeline;
mod unexplained;

pub use evidence::ChargedTo;
pub use evidence::Evidence;
pub use evidence::Hits;
pub use evidence::Moment;
pub use evidence::Reuse;
pub use evidence::ScopeFrees;
pub use evidence::ThreadFrees;
pub use model::*;
pub use rules::RuleError;
pub use rules::Rules;
pub use standing::Finding;
pub use standing::Mark;
pub use standing::Standing;
pub use standing::SuppressionError;
pub use standing::SuppressionLine;
pub use standing::Suppressions;
pub use standing::all_suppressions;
pub use timeline::Allocated;
pub use timeline::Buffer;
pub use timeline::LatestExcess;
pub use timeline::Level;
pub use timeline::LifeEnd;
pub use timeline::LifeLine;
pub use timeline::LineLife;
pub use timeline::LiveStack;
pub use timeline::Strike;
pub use timeline::Timeline;

use std::collections::BTreeMap;

use whofreed_trace::Coverage;
use whofreed_trace::Damage;
use whofreed_trace::Event;
use whofreed_trace::Events;
use whofreed_trace::Loss;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

use crate::blame::Counterfactual;
use crate::blame::Engine;
use crate::blame::Proven;
use crate::evidence::Charged;
use crate::replay::Findings;
use crate::rows::Rows;
use crate::sites::Sites;
use crate::sources::Source;
use crate::tally::Tally;

/// Replays the traces together and names the culprits, by the rules that come along.
#[must_use]
pub fn analyse<E: Events>(traces: &[Trace<E>], names: &dyn StackNames) -> Analysis {
    analyse_by(traces, names, &Rules::of(traces))
}

/// Replays the traces together and names the culprits, by `rules`.
#[must_use]
pub fn analyse_by<E: Events>(
    traces: &[Trace<E>],
    names: &dyn StackNames,
    rules: &Rules,
) -> Analysis {
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    let short_stacks = short_stacks::short_stacks(traces);
    Analysis {
        short_stacks,
        ..analyse_sources(&sources, names, rules, Rows::default()).0
    }
}

/// The same, and the run over time, for which the traces are replayed once more.
#[must_use]
pub fn analyse_with_timeline<E: Events>(
    traces: &[Trace<E>],
    names: &dyn StackNames,
    rules: &Rules,
) -> (Analysis, Timeline) {
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    let (analysis, charged) = analyse_sources(&sources, names, rules, Rows::default());
    let mut sites = Sites::new(names, rules);
    let timeline = timeline::timeline(&sources, &analysis, &charged, &mut sites);
    let analysis = Analysis {
        short_stacks: short_stacks::short_stacks(traces),
        ..analysis
    };
    (analysis, timeline)
}

/// The same as of a long log: beyond `most_whole` allocates and frees, only what is around something unusual is looked
/// at. For tests.
#[doc(hidden)]
#[must_use]
pub fn analyse_cut<E: Events>(
    traces: &[Trace<E>],
    names: &dyn StackNames,
    most_whole: usize,
) -> Analysis {
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    analyse_sources(&sources, names, &Rules::of(traces), Rows::uncut(most_whole)).0
}

/// Replays the traces and adds up, without a word about who did it: nothing is symbolized.
#[must_use]
pub fn sums<E: Events>(traces: &[Trace<E>]) -> Totals {
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    Tally::new(&sources, Rows::default()).balance.totals
}

/// The analysis, and which frees are charged to its culprits.
fn analyse_sources(
    sources: &[Source<'_>],
    names: &dyn StackNames,
    rules: &Rules,
    rows: Rows,
) -> (Analysis, Charged) {
    let tally = Tally::new(sources, rows);
    let mut totals = tally.balance.totals;
    let mut sites = Sites::new(names, rules);
    let mut accused = Vec::new();
    if totals.excess > 0 {
        for engine in [&Proven as &dyn Engine, &Counterfactual] {
            accused.append(&mut engine.accuse(&tally, &mut sites));
        }
    }
    let unexplained = unexplained::unexplained(&tally, &accused, &mut sites);
    let assembled = culprits::assemble(&tally, accused, &mut sites);
    totals.unexplained = totals.excess - assembled.explained;
    let most = sources
        .iter()
        .enumerate()
        .max_by_key(|&(index, source)| (source.events.len(), std::cmp::Reverse(index)));
    let analysis = Analysis {
        processes: sources
            .iter()
            .map(|source| source.process.clone())
            .collect(),
        main_process: most.map_or(0, |(index, _)| index),
        coverage: coverage(sources),
        damage: damage(sources, &tally.findings),
        losses: losses(sources),
        totals,
        verdicts: tally.balance.verdicts,
        buffers: tally.balance.buffers,
        device_names: device_names(sources),
        culprits: assembled.culprits,
        victims: assembled.victims,
        unexplained,
        leaks: leaks::leaks(&tally, &mut sites),
        worst_buffers: tally.balance.worst_buffers,
        short_stacks: ShortStacks::default(),
        standing: Standing::default(),
    };
    (analysis, assembled.charged)
}

/// Hands out all events of a trace, about in the order in which they happened, with the verdicts that the host was given.
/// Returns how many could not be read.
pub fn each_event<E: Events>(trace: &Trace<E>, mut each: impl FnMut(&Event)) -> u64 {
    replay::merge::each_event(&trace.events, |_, event| each(event))
}

/// The whole life of one address, process by process, in the order of its steps.
#[must_use]
pub fn history<E: Events>(traces: &[Trace<E>], device: u32, address: u64) -> Vec<HistoryStep> {
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    history::history(&sources, device, address, |_| None)
}

/// The same, and which of its frees are charged to whom as surplus. For that everything is analysed, by `rules`.
#[must_use]
pub fn history_with_blame<E: Events>(
    traces: &[Trace<E>],
    names: &dyn StackNames,
    rules: &Rules,
    device: u32,
    address: u64,
) -> Vec<HistoryStep> {
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    let (analysis, charged) = analyse_sources(&sources, names, rules, Rows::default());
    history::history(&sources, device, address, |event| {
        let at = charged
            .binary_search_by_key(&event, |&(free, _)| free)
            .ok()?;
        let culprit = charged[at].1 as usize;
        let confidence = analysis.culprits[culprit].confidence;
        Some(ChargedTo {
            culprit,
            confidence,
        })
    })
}

/// What was bound or could not be seen in any of the processes, once.
fn coverage(sources: &[Source<'_>]) -> Vec<Coverage> {
    let mut all: Vec<Coverage> = Vec::new();
    for coverage in sources.iter().flat_map(|source| source.coverage) {
        if !all.contains(coverage) {
            all.push(coverage.clone());
        }
    }
    all
}

fn device_names(sources: &[Source<'_>]) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for source in sources {
        for (&device, name) in source.device_names {
            names.entry(device).or_insert_with(|| name.clone());
        }
    }
    names
}

/// What was lost in all processes.
fn losses(sources: &[Source<'_>]) -> Vec<ThreadLoss> {
    let of_source = |(process, source): (usize, &Source<'_>)| {
        // Most traces have none, and the start takes a look at all runs.
        if source.losses.is_empty() {
            return Vec::new();
        }
        let start_ns = evidence::start(source);
        let tell = |loss: &Loss| ThreadLoss {
            process,
            loss: *loss,
            start_ns,
        };
        source.losses.iter().map(tell).collect()
    };
    sources.iter().enumerate().flat_map(of_source).collect()
}

/// The faults of the files, and verdicts that the replay does not come to: a bug of ours that must not hide.
fn damage(sources: &[Source<'_>], findings: &Findings) -> Vec<(usize, Damage)> {
    let of_files = sources.iter().enumerate().flat_map(|(index, source)| {
        source
            .damage
            .iter()
            .map(move |damage| (index, damage.clone()))
    });
    let of_replay = findings.mismatches.iter().map(|(&trace, (count, first))| {
        let event = &first.event;
        let what = format!(
            "{count} recorded verdict(s) differ from the replay's; the first is a {} of device {} address {} at \
             step {}: recorded {}, replayed {}",
            event.kind.name(),
            event.device,
            event.address,
            event.step,
            event.verdict.name(),
            first.verdict.name(),
        );
        (trace as usize, Damage { offset: 0, what })
    });
    let unread = findings.unread.iter().map(|(&trace, count)| {
        let what = format!(
            "{count} event(s) could not be read any more, or are too many to be told apart"
        );
        (trace as usize, Damage { offset: 0, what })
    });
    of_files.chain(of_replay).chain(unread).collect()
}
