//! The JSON report (`whofreed-report/1`) and the JSON history, key by key as the contract has them.
//!
//! The views below borrow from the analysis and fix the order of the keys. Names go out unchanged, as JSON has them:
//! what a terminal would act on is escaped as JSON allows, and for whoever shows names elsewhere they are what they were.

mod account;
mod diff;
mod evidence;
mod read;
mod standing;

pub use diff::diff_to_json;
pub use read::from_json;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use whofreed_analysis::Analysis;
use whofreed_analysis::Culprit;
use whofreed_analysis::HistoryStep;
use whofreed_analysis::Leak;
use whofreed_analysis::Seen;
use whofreed_analysis::Site;
use whofreed_analysis::Victim;
use whofreed_names::is_hostile;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::StackNames;

use self::account::CoverageView;
use self::account::LossView;
use self::account::ProcessView;
use self::account::TotalsView;
use self::evidence::EvidenceView;
use self::evidence::ReuseView;
use self::standing::MarkView;
use self::standing::StandingView;

/// The name and version of the schema.
const SCHEMA: &str = "whofreed-report/1";

/// The report as JSON, with a line feed at the end.
#[must_use]
pub fn to_json(analysis: &Analysis) -> String {
    pretty(&ReportView::new(analysis))
}

/// The life of an address as JSON, with a line feed at the end.
#[must_use]
pub fn history_to_json(steps: &[HistoryStep], names: &dyn StackNames) -> String {
    let stacks: Vec<_> = steps
        .iter()
        .map(|step| names.frames(step.trace, step.event.stack))
        .collect();
    let steps: Vec<StepView> = steps
        .iter()
        .zip(&stacks)
        .map(|(step, frames)| StepView {
            step: step.event.step,
            event: step.event.kind.name(),
            verdict: step.event.verdict.name(),
            owner: step.event.owner,
            size: step.event.size,
            thread: step.event.thread,
            time_ns: step.event.time_ns,
            pid: step.pid,
            late: step.event.late,
            blocked: step.event.blocked,
            // The rank, as the report has it.
            charged_to: step.charged_to.map(|to| to.culprit + 1),
            stack: frames.iter().map(FrameValue::new).collect(),
        })
        .collect();
    pretty(&steps)
}

fn pretty(value: &impl Serialize) -> String {
    // Only a map with keys that are no strings, or a failing `Serialize`, can fail here; there is neither.
    let mut text = inert(&serde_json::to_string_pretty(value).unwrap_or_default());
    text.push('\n');
    text
}

/// The same JSON, in which strings hold nothing that a terminal would act on or hide: reports in JSON go to terminals,
/// too. To whoever reads it as JSON, nothing has changed.
#[must_use]
pub fn inert(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        // Between strings there is nothing hostile but the ends of lines; in them, JSON has escaped these already.
        if character == '\n' || !is_hostile(character) {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[derive(Serialize)]
struct ReportView<'a> {
    schema: &'static str,
    process: ProcessView<'a>,
    processes: Vec<ProcessView<'a>>,
    coverage: CoverageView<'a>,
    totals: TotalsView,
    verdicts: VerdictsView,
    buffers: BuffersView,
    device_names: BTreeMap<String, &'a str>,
    worst_buffers: Vec<WorstView>,
    culprits: Vec<CulpritView<'a>>,
    victims: Vec<VictimView<'a>>,
    unexplained: Vec<SeenView<'a>>,
    unexplained_rest: RestView,
    leaks: Vec<LeakView<'a>>,
    damage: Vec<DamageView<'a>>,
    losses: Vec<LossView>,
    standing: StandingView<'a>,
}

impl<'a> ReportView<'a> {
    fn new(analysis: &'a Analysis) -> Self {
        let process = analysis
            .processes
            .get(analysis.main_process)
            .map_or_else(ProcessView::default, ProcessView::new);
        Self {
            schema: SCHEMA,
            process,
            processes: analysis.processes.iter().map(ProcessView::new).collect(),
            coverage: CoverageView::new(&analysis.coverage),
            totals: TotalsView::new(&analysis.totals),
            verdicts: VerdictsView {
                already_freed: analysis.verdicts.already_freed,
                stale_owner: analysis.verdicts.stale_owner,
                foreign_owner: analysis.verdicts.foreign_owner,
                unknown: analysis.verdicts.unknown,
            },
            buffers: BuffersView {
                unique: analysis.buffers.unique,
                balanced: analysis.buffers.balanced,
                under_freed: analysis.buffers.under_freed,
                over_freed: analysis.buffers.over_freed,
            },
            device_names: analysis
                .device_names
                .iter()
                .map(|(device, name)| (device.to_string(), name.as_str()))
                .collect(),
            worst_buffers: analysis
                .worst_buffers
                .iter()
                .map(|buffer| WorstView {
                    pid: buffer.pid,
                    device: buffer.device,
                    address: buffer.address,
                    allocated: buffer.allocated,
                    freed: buffer.freed,
                    excess: buffer.excess,
                    forwarded: buffer.forwarded,
                    blocked: buffer.blocked,
                })
                .collect(),
            culprits: (0..)
                .zip(&analysis.culprits)
                .map(|(at, culprit)| CulpritView::new(analysis, at, culprit))
                .collect(),
            victims: analysis.victims.iter().map(VictimView::new).collect(),
            unexplained: analysis
                .unexplained
                .sites
                .iter()
                .enumerate()
                .map(|(at, seen)| SeenView::new(analysis, at, seen))
                .collect(),
            unexplained_rest: RestView {
                sites: analysis.unexplained.more_sites,
                observed: analysis.unexplained.more_observed,
            },
            leaks: (0..)
                .zip(&analysis.leaks)
                .map(|(at, leak)| LeakView::new(analysis, at, leak))
                .collect(),
            damage: analysis
                .damage
                .iter()
                .map(|(process, damage)| DamageView {
                    pid: analysis.processes.get(*process).map(|process| process.pid),
                    offset: damage.offset,
                    what: &damage.what,
                })
                .collect(),
            losses: analysis
                .losses
                .iter()
                .map(|of| LossView::new(analysis, of))
                .collect(),
            standing: StandingView::new(analysis),
        }
    }
}

#[derive(Serialize)]
struct VerdictsView {
    already_freed: u64,
    stale_owner: u64,
    foreign_owner: u64,
    unknown: u64,
}

#[derive(Serialize)]
struct BuffersView {
    unique: u64,
    balanced: u64,
    under_freed: u64,
    over_freed: u64,
}

#[derive(Serialize)]
struct WorstView {
    pid: u32,
    device: u32,
    address: u64,
    allocated: u64,
    freed: u64,
    excess: u64,
    forwarded: u64,
    blocked: u64,
}

/// The site's keys stand in the object of the culprit, victim or leak itself.
#[derive(Serialize)]
struct SiteView<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: u32,
    module: &'a str,
    offset: u64,
    language: &'static str,
}

impl<'a> SiteView<'a> {
    fn new(site: &'a Site) -> Self {
        Self {
            function: site.frame.function.as_deref(),
            file: site.frame.file.as_deref(),
            line: site.frame.line,
            module: &site.frame.module,
            offset: site.frame.offset,
            language: language(site.frame.language),
        }
    }
}

#[derive(Serialize)]
struct CulpritView<'a> {
    rank: usize,
    fingerprint: String,
    #[serde(flatten)]
    site: SiteView<'a>,
    class: &'static str,
    explains: u64,
    observed: u64,
    buffers: u64,
    devices: &'a [u32],
    confidence: &'static str,
    alternatives: Vec<SiteView<'a>>,
    #[serde(flatten)]
    evidence: EvidenceView<'a>,
    #[serde(flatten)]
    mark: MarkView,
    stacks: StacksView<'a>,
    example: ExampleView<'a>,
}

impl<'a> CulpritView<'a> {
    fn new(analysis: &Analysis, at: usize, culprit: &'a Culprit) -> Self {
        let mark = analysis.culprit_mark(at);
        let known = analysis.standing.has_baseline.then_some(mark.known);
        let example = &culprit.example;
        Self {
            rank: at + 1,
            fingerprint: culprit.site.fingerprint().to_string(),
            site: SiteView::new(&culprit.site),
            class: culprit.class.name(),
            explains: culprit.explains,
            observed: culprit.observed,
            buffers: culprit.buffers,
            devices: &culprit.devices,
            confidence: culprit.confidence.name(),
            alternatives: culprit.alternatives.iter().map(SiteView::new).collect(),
            evidence: EvidenceView::new(&culprit.evidence),
            mark: MarkView::new(culprit.suppression(), mark, known),
            stacks: StacksView {
                allocated: example.allocated.iter().map(FrameValue::new).collect(),
                freed: example.freed.iter().map(FrameValue::new).collect(),
                excess: example.excess.iter().map(FrameValue::new).collect(),
            },
            example: ExampleView {
                pid: example.pid,
                device: example.device,
                address: example.address,
                size: example.size,
                kind: &example.kind,
                scope: &example.scope,
                thread: example.thread,
                reuse: ReuseView::new(&example.reuse),
            },
        }
    }
}

#[derive(Serialize)]
struct StacksView<'a> {
    allocated: Vec<FrameValue<'a>>,
    freed: Vec<FrameValue<'a>>,
    excess: Vec<FrameValue<'a>>,
}

/// Which buffer `stacks` is about.
#[derive(Serialize)]
struct ExampleView<'a> {
    pid: u32,
    device: u32,
    address: u64,
    size: u64,
    kind: &'a str,
    scope: &'a str,
    thread: u32,
    reuse: ReuseView<'a>,
}

#[derive(Serialize)]
struct VictimView<'a> {
    #[serde(flatten)]
    site: SiteView<'a>,
    observed: u64,
    culprit: Option<usize>,
}

impl<'a> VictimView<'a> {
    fn new(victim: &'a Victim) -> Self {
        Self {
            site: SiteView::new(&victim.site),
            observed: victim.observed,
            culprit: victim.culprit.map(|index| index + 1),
        }
    }
}

#[derive(Serialize)]
struct SeenView<'a> {
    #[serde(flatten)]
    site: SiteView<'a>,
    observed: u64,
    #[serde(flatten)]
    mark: MarkView,
    stack: Vec<FrameValue<'a>>,
}

impl<'a> SeenView<'a> {
    fn new(analysis: &Analysis, at: usize, seen: &'a Seen) -> Self {
        let mark = analysis.unexplained_mark(at);
        let known = analysis.standing.has_baseline.then_some(mark.known);
        Self {
            site: SiteView::new(&seen.site),
            observed: seen.observed,
            mark: MarkView::new(seen.suppression(), mark, known),
            stack: seen.stack.iter().map(FrameValue::new).collect(),
        }
    }
}

/// The sites that `unexplained` has no room for.
#[derive(Serialize)]
struct RestView {
    sites: u64,
    observed: u64,
}

#[derive(Serialize)]
struct LeakView<'a> {
    #[serde(flatten)]
    site: SiteView<'a>,
    count: u64,
    bytes: u64,
    #[serde(flatten)]
    mark: MarkView,
    stack: Vec<FrameValue<'a>>,
}

impl<'a> LeakView<'a> {
    fn new(analysis: &Analysis, at: usize, leak: &'a Leak) -> Self {
        Self {
            site: SiteView::new(&leak.site),
            count: leak.count,
            bytes: leak.bytes,
            mark: MarkView::new(leak.suppression(), analysis.leak_mark(at), None),
            stack: leak.stack.iter().map(FrameValue::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct DamageView<'a> {
    pid: Option<u32>,
    offset: u64,
    what: &'a str,
}

#[derive(Serialize)]
struct StepView<'a> {
    step: u64,
    event: &'static str,
    verdict: &'static str,
    owner: u64,
    size: u64,
    thread: u32,
    time_ns: u64,
    pid: u32,
    late: bool,
    blocked: bool,
    charged_to: Option<usize>,
    stack: Vec<FrameValue<'a>>,
}

#[derive(Serialize)]
pub(crate) struct FrameValue<'a> {
    function: Option<&'a str>,
    module: &'a str,
    offset: u64,
    file: Option<&'a str>,
    line: u32,
    inlined: bool,
    tail_call: bool,
    language: &'static str,
}

impl<'a> FrameValue<'a> {
    pub(crate) fn new(frame: &'a Frame) -> Self {
        Self {
            function: frame.function.as_deref(),
            module: &frame.module,
            offset: frame.offset,
            file: frame.file.as_deref(),
            line: frame.line,
            inlined: frame.inlined,
            tail_call: frame.tail_called,
            language: language(frame.language),
        }
    }
}

const fn language(language: Language) -> &'static str {
    match language {
        Language::Native => "native",
        Language::Python => "python",
    }
}
