//! A JSON report back to an analysis: what of it a comparison needs. The rest stays empty.
//!
//! Keys that are missing count as nothing, since reports of older versions lack the younger ones.

use std::sync::Arc;

use serde::Deserialize;
use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Evidence;
use whofreed_analysis::Example;
use whofreed_analysis::Leak;
use whofreed_analysis::Seen;
use whofreed_analysis::Site;
use whofreed_analysis::Unexplained;
use whofreed_analysis::Victim;
use whofreed_trace::Damage;
use whofreed_trace::Exit;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;

use super::SCHEMA;
use super::account::TotalsView;

/// Reads a report that [`to_json`](crate::to_json) wrote. What is wrong is told as the rest of a sentence that begins
/// with the file.
pub fn from_json(text: &str) -> Result<Analysis, String> {
    let schema: SchemaKey = serde_json::from_str(text)
        .map_err(|error| format!("is neither a trace nor a JSON report: {error}"))?;
    if schema.schema != SCHEMA {
        let found = &schema.schema;
        return Err(format!(
            "is no report of the schema {SCHEMA}: its schema is \"{found}\""
        ));
    }
    let report: Report = serde_json::from_str(text)
        .map_err(|error| format!("is no report of the schema {SCHEMA}: {error}"))?;
    Ok(report.into_analysis())
}

#[derive(Deserialize)]
struct SchemaKey {
    schema: String,
}

#[derive(Deserialize)]
struct Report {
    totals: TotalsView,
    #[serde(default)]
    processes: Vec<ProcessKeys>,
    #[serde(default)]
    culprits: Vec<CulpritKeys>,
    #[serde(default)]
    victims: Vec<VictimKeys>,
    #[serde(default)]
    unexplained: Vec<SeenKeys>,
    #[serde(default)]
    unexplained_rest: RestKeys,
    #[serde(default)]
    leaks: Vec<LeakKeys>,
    #[serde(default)]
    damage: Vec<DamageKeys>,
}

impl Report {
    fn into_analysis(self) -> Analysis {
        let of_process = |damage: DamageKeys| {
            let what = damage.what;
            let offset = damage.offset;
            (0, Damage { offset, what })
        };
        Analysis {
            totals: self.totals.into_totals(),
            processes: self.processes.into_iter().map(ProcessKeys::into).collect(),
            culprits: self.culprits.into_iter().map(CulpritKeys::into).collect(),
            victims: self.victims.into_iter().map(VictimKeys::into).collect(),
            unexplained: Unexplained {
                sites: self.unexplained.into_iter().map(Seen::from).collect(),
                more_sites: self.unexplained_rest.sites,
                more_observed: self.unexplained_rest.observed,
            },
            leaks: self.leaks.into_iter().map(LeakKeys::into).collect(),
            damage: self.damage.into_iter().map(of_process).collect(),
            ..Analysis::default()
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProcessKeys {
    pid: u32,
    exit: ExitKeys,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExitKeys {
    code: Option<i32>,
    signal: Option<i32>,
}

impl From<ProcessKeys> for Process {
    fn from(keys: ProcessKeys) -> Self {
        Self {
            pid: keys.pid,
            exit: Some(Exit {
                code: keys.exit.code,
                signal: keys.exit.signal,
            }),
            ..Self::default()
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DamageKeys {
    offset: u64,
    what: String,
}

/// A site, or a frame of a stack.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FrameKeys {
    function: Option<String>,
    file: Option<String>,
    line: u32,
    module: String,
    offset: u64,
    inlined: bool,
    tail_call: bool,
    language: Option<String>,
}

impl From<FrameKeys> for Frame {
    fn from(keys: FrameKeys) -> Self {
        let language = match keys.language.as_deref() {
            Some("python") => Language::Python,
            Some(_) => Language::Native,
            // Sites did not always say it; Python's frames lie in no module, and have a file.
            None if keys.module.is_empty() && keys.file.is_some() => Language::Python,
            None => Language::Native,
        };
        Self {
            function: keys.function,
            module: Arc::from(keys.module),
            offset: keys.offset,
            file: keys.file.map(Arc::from),
            line: keys.line,
            inlined: keys.inlined,
            tail_called: keys.tail_call,
            language,
        }
    }
}

impl From<FrameKeys> for Site {
    fn from(keys: FrameKeys) -> Self {
        Self { frame: keys.into() }
    }
}

#[derive(Deserialize)]
struct CulpritKeys {
    #[serde(flatten)]
    site: FrameKeys,
    explains: u64,
    #[serde(default)]
    observed: u64,
    #[serde(default)]
    buffers: u64,
    #[serde(default)]
    confidence: String,
    #[serde(default)]
    alternatives: Vec<FrameKeys>,
    #[serde(default)]
    stacks: StacksKeys,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StacksKeys {
    excess: Vec<FrameKeys>,
}

impl From<CulpritKeys> for Culprit {
    fn from(keys: CulpritKeys) -> Self {
        let confidence = [Confidence::Proven, Confidence::Counterfactual]
            .into_iter()
            .find(|confidence| confidence.name() == keys.confidence);
        Self {
            site: keys.site.into(),
            class: Class::Other,
            explains: keys.explains,
            observed: keys.observed,
            buffers: keys.buffers,
            devices: Vec::new(),
            confidence: confidence.unwrap_or(Confidence::Undecided),
            alternatives: keys.alternatives.into_iter().map(Site::from).collect(),
            evidence: Evidence::default(),
            example: Example {
                excess: keys.stacks.excess.into_iter().map(Frame::from).collect(),
                ..Example::default()
            },
        }
    }
}

#[derive(Deserialize)]
struct VictimKeys {
    #[serde(flatten)]
    site: FrameKeys,
    observed: u64,
    #[serde(default)]
    culprit: Option<usize>,
}

impl From<VictimKeys> for Victim {
    fn from(keys: VictimKeys) -> Self {
        Self {
            site: keys.site.into(),
            observed: keys.observed,
            // The report counts from one.
            culprit: keys.culprit.and_then(|rank| rank.checked_sub(1)),
        }
    }
}

#[derive(Deserialize)]
struct SeenKeys {
    #[serde(flatten)]
    site: FrameKeys,
    observed: u64,
}

impl From<SeenKeys> for Seen {
    fn from(keys: SeenKeys) -> Self {
        Self {
            site: keys.site.into(),
            observed: keys.observed,
            stack: Arc::from([]),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RestKeys {
    sites: u64,
    observed: u64,
}

#[derive(Deserialize)]
struct LeakKeys {
    #[serde(flatten)]
    site: FrameKeys,
    count: u64,
    #[serde(default)]
    bytes: u64,
}

impl From<LeakKeys> for Leak {
    fn from(keys: LeakKeys) -> Self {
        Self {
            site: keys.site.into(),
            count: keys.count,
            bytes: keys.bytes,
            stack: Arc::from([]),
        }
    }
}
