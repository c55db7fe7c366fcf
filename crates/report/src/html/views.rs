//! Culprits and what stands beside them, with numbers for names.

use std::collections::HashMap;

use serde::Serialize;
use whofreed_analysis::Analysis;
use whofreed_analysis::Culprit;
use whofreed_analysis::Leak;
use whofreed_analysis::Mark;
use whofreed_analysis::Reuse;
use whofreed_analysis::Seen;
use whofreed_analysis::Victim;

use super::table::Number;
use super::table::Table;
use crate::text::case::headings;
use crate::text::evidence::sentence;
use crate::text::names::printable;

/// What links to culprits are made of: their fingerprints, which a site has in every run. The second one at a site, of
/// another confidence, has a number behind it.
pub(super) fn ids(culprits: &[Culprit]) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    (culprits.iter())
        .map(|culprit| {
            let id = culprit.site.fingerprint().to_string();
            let count = seen.entry(id.clone()).or_default();
            *count += 1;
            match count {
                1 => id,
                _ => format!("{id}-{count}"),
            }
        })
        .collect()
}

#[derive(Serialize)]
pub(super) struct CulpritView {
    id: String,
    site: Number,
    class: &'static str,
    confidence: &'static str,
    explains: u64,
    observed: u64,
    buffers: u64,
    devices: Vec<u32>,
    alternatives: Vec<Number>,
    costs: Option<f64>,
    evidence: String,
    /// What was said of it before: a line that silences it, or an earlier report.
    standing: Option<String>,
    /// When the first of its frees was, in nanoseconds since the start of its process.
    first: Option<u64>,
    last: Option<u64>,
    /// What stands above the stacks: freed again, freed, allocated.
    headings: (String, Option<String>, String),
    allocated: Number,
    freed: Number,
    again: Number,
    example: ExampleView,
}

#[derive(Serialize)]
struct ExampleView {
    pid: u32,
    device: u32,
    address: String,
    size: u64,
    kind: String,
    scope: String,
    thread: u32,
    verdict: Option<&'static str>,
    reuse: ReuseView,
}

/// How the pointer outlived its buffer.
#[derive(Serialize)]
struct ReuseView {
    life: Option<u64>,
    never_held: bool,
    freed_by: Option<u32>,
    lives: u64,
    was_dead: bool,
    hit_life: Option<u64>,
    hit_site: Option<Number>,
}

impl CulpritView {
    pub(super) fn new(table: &mut Table, analysis: &Analysis, index: usize, id: String) -> Self {
        let culprit = &analysis.culprits[index];
        let (evidence, example) = (&culprit.evidence, &culprit.example);
        Self {
            id,
            site: table.frame(&culprit.site.frame),
            class: culprit.class.name(),
            confidence: culprit.confidence.name(),
            explains: culprit.explains,
            observed: culprit.observed,
            buffers: culprit.buffers,
            devices: culprit.devices.clone(),
            alternatives: (culprit.alternatives.iter())
                .map(|site| table.frame(&site.frame))
                .collect(),
            // More digits would say more than there is to know.
            costs: (evidence.innocence_costs).map(|nats| (nats * 10.0).round() / 10.0),
            evidence: sentence(analysis, culprit),
            standing: standing(analysis, analysis.culprit_mark(index)),
            first: evidence.first.map(|moment| moment.since_start_ns),
            last: evidence.last.map(|moment| moment.since_start_ns),
            headings: headings(culprit),
            allocated: table.stack(&example.allocated),
            freed: table.stack(&example.freed),
            again: table.stack(&example.excess),
            example: ExampleView {
                pid: example.pid,
                device: example.device,
                address: format!("{:#x}", example.address),
                size: example.size,
                kind: printable(&example.kind),
                scope: printable(&example.scope),
                thread: example.thread,
                verdict: example.verdict.map(|verdict| verdict.name()),
                reuse: ReuseView::new(table, &example.reuse),
            },
        }
    }
}

/// On a page everything is shown, and marked.
fn standing(analysis: &Analysis, mark: Mark) -> Option<String> {
    let line = mark.suppressed_by.map(|at| &analysis.standing.lines[at]);
    match (line, mark.known) {
        (Some(line), _) => Some(format!(
            "suppressed by {}:{}",
            printable(&line.file),
            line.line
        )),
        (None, true) => Some("known from the baseline".to_owned()),
        (None, false) => analysis.standing.has_baseline.then(|| "new".to_owned()),
    }
}

impl ReuseView {
    fn new(table: &mut Table, reuse: &Reuse) -> Self {
        Self {
            life: reuse.life,
            never_held: reuse.never_held,
            freed_by: reuse.freed_by,
            lives: reuse.lives,
            was_dead: reuse.was_dead,
            hit_life: reuse.hit_life,
            hit_site: reuse.hit_site.as_ref().map(|site| table.frame(&site.frame)),
        }
    }
}

#[derive(Serialize)]
pub(super) struct VictimView {
    site: Number,
    observed: u64,
    culprit: Option<usize>,
}

impl VictimView {
    pub(super) fn new(table: &mut Table, victim: &Victim) -> Self {
        Self {
            site: table.frame(&victim.site.frame),
            observed: victim.observed,
            culprit: victim.culprit,
        }
    }
}

#[derive(Serialize)]
pub(super) struct SeenView {
    site: Number,
    observed: u64,
    stack: Number,
}

impl SeenView {
    pub(super) fn new(table: &mut Table, seen: &Seen) -> Self {
        Self {
            site: table.frame(&seen.site.frame),
            observed: seen.observed,
            stack: table.stack(&seen.stack),
        }
    }
}

#[derive(Serialize)]
pub(super) struct LeakView {
    site: Number,
    count: u64,
    bytes: u64,
    stack: Number,
}

impl LeakView {
    pub(super) fn new(table: &mut Table, leak: &Leak) -> Self {
        Self {
            site: table.frame(&leak.site.frame),
            count: leak.count,
            bytes: leak.bytes,
            stack: table.stack(&leak.stack),
        }
    }
}
