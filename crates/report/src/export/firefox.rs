//! Firefox Profiler's processed profile: a thread for each process, in which a culprit is a sample with the weight of what it
//! explains, and a marker from its first free to its last.
//!
//! The viewer takes profiles of older versions and brings them up to date, so the version is one that is well known.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::json;
use whofreed_analysis::Analysis;
use whofreed_analysis::Moment;
use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::label;
use super::process_name;
use super::verdict;
use crate::json::inert;
use crate::text::base;
use crate::text::printable;

/// The version of the processed profile, and that of the one that Firefox itself would have taken.
const PROCESSED_VERSION: u32 = 46;
const GECKO_VERSION: u32 = 27;
/// Categories of frames, by their index.
const NATIVE: usize = 1;
const PYTHON: usize = 2;

/// The excess frees as a processed profile.
#[must_use]
pub fn to_firefox(analysis: &Analysis) -> String {
    let mut threads: Vec<Thread> = Vec::new();
    let mut of_pid: HashMap<u32, usize> = HashMap::new();
    for process in &analysis.processes {
        of_pid.entry(process.pid).or_insert_with(|| {
            threads.push(Thread::new(
                process.pid,
                process_name(analysis, process.pid),
            ));
            threads.len() - 1
        });
    }
    if threads.is_empty() {
        // The viewer wants one.
        threads.push(Thread::new(0, "nothing recorded".to_owned()));
    }
    for (at, culprit) in analysis.shown_culprits() {
        let evidence = &culprit.evidence;
        let index = of_pid.get(&culprit.example.pid).copied();
        let thread = &mut threads[index.unwrap_or(0)];
        let ms = |moment: Option<Moment>| moment.map_or(0.0, |m| m.since_start_ns as f64 / 1e6);
        let (first, last) = (ms(evidence.first), ms(evidence.last));
        let frame = &culprit.site.frame;
        thread.sample(&culprit.example.excess, frame, first, culprit.explains);
        let name = format!("culprit {}", at + 1);
        let text = format!("{} {}", label(frame), verdict(culprit));
        thread.marker(&name, &text, first, last.max(first));
    }
    for (_, seen) in analysis.shown_unexplained() {
        threads[0].sample(&seen.stack, &seen.site.frame, 0.0, seen.observed);
    }
    let start = analysis.processes.get(analysis.main_process);
    let start = start.map_or(0.0, |process| process.started_at_ns as f64 / 1e6);
    let threads: Vec<Value> = threads.into_iter().map(Thread::finish).collect();
    let category =
        |name: &str, color: &str| json!({"name": name, "color": color, "subcategories": ["Other"]});
    let profile = json!({
        "meta": {
            "categories": [category("Other", "grey"), category("Native", "blue"), category("Python", "green")],
            "interval": 1,
            "preprocessedProfileVersion": PROCESSED_VERSION,
            "version": GECKO_VERSION,
            "processType": 0,
            "product": "whofreed",
            "importedFrom": "whofreed",
            "startTime": start,
            "stackwalk": 1,
            "debug": false,
            "symbolicated": true,
            "usesOnlyOneStackType": true,
            "doesNotUseFrameImplementation": true,
            "sourceCodeIsNotOnSearchfox": true,
            "markerSchema": [{
                "name": "Text",
                "display": ["marker-chart", "marker-table", "timeline-overview"],
                "tooltipLabel": "{marker.name}",
                "tableLabel": "{marker.name} — {marker.data.name}",
                "chartLabel": "{marker.data.name}",
                "data": [{"key": "name", "label": "Culprit", "format": "string"}],
            }],
        },
        "libs": [],
        "pages": [],
        "threads": threads,
    });
    let mut text = inert(&serde_json::to_string(&profile).unwrap_or_default());
    text.push('\n');
    text
}

/// One thread's tables: columns, as the format has them.
struct Thread {
    pid: u32,
    name: String,
    strings: Vec<String>,
    of_string: HashMap<String, usize>,
    /// Name, file.
    functions: Vec<(usize, Option<usize>)>,
    of_function: HashMap<(usize, Option<usize>), usize>,
    /// Function, line, category.
    frames: Vec<(usize, Option<u32>, usize)>,
    of_frame: HashMap<(usize, Option<u32>, usize), usize>,
    /// The next stack outwards, and the frame.
    stacks: Vec<(Option<usize>, usize)>,
    of_stack: HashMap<(Option<usize>, usize), usize>,
    /// Stack, milliseconds, weight.
    samples: Vec<(usize, f64, u64)>,
    /// Name, text, from and to.
    markers: Vec<(usize, String, f64, f64)>,
}

/// The number of `key` in a table, which is new at the table's end.
fn intern<K: std::hash::Hash + Eq + Clone>(
    table: &mut Vec<K>,
    of: &mut HashMap<K, usize>,
    key: K,
) -> usize {
    *of.entry(key).or_insert_with_key(|key| {
        table.push(key.clone());
        table.len() - 1
    })
}

impl Thread {
    fn new(pid: u32, name: String) -> Self {
        Self {
            pid,
            name,
            strings: Vec::new(),
            of_string: HashMap::new(),
            functions: Vec::new(),
            of_function: HashMap::new(),
            frames: Vec::new(),
            of_frame: HashMap::new(),
            stacks: Vec::new(),
            of_stack: HashMap::new(),
            samples: Vec::new(),
            markers: Vec::new(),
        }
    }

    fn text(&mut self, text: &str) -> usize {
        intern(&mut self.strings, &mut self.of_string, printable(text))
    }

    fn sample(&mut self, stack: &[Frame], site: &Frame, time: f64, weight: u64) {
        let site = std::slice::from_ref(site);
        let stack = if stack.is_empty() { site } else { stack };
        let mut outer = None;
        for frame in stack.iter().rev() {
            let name = match &frame.function {
                Some(function) => self.text(function),
                None => self.text(&format!("{}+{:#x}", base(&frame.module), frame.offset)),
            };
            let file = frame.file.as_deref().map(|file| self.text(file));
            let function = intern(&mut self.functions, &mut self.of_function, (name, file));
            let line = (frame.line > 0).then_some(frame.line);
            let category = match frame.language {
                Language::Native => NATIVE,
                Language::Python => PYTHON,
            };
            let frame = (function, line, category);
            let frame = intern(&mut self.frames, &mut self.of_frame, frame);
            outer = Some(intern(&mut self.stacks, &mut self.of_stack, (outer, frame)));
        }
        self.samples.push((outer.unwrap_or(0), time, weight));
    }

    fn marker(&mut self, name: &str, text: &str, from: f64, to: f64) {
        let name = self.text(name);
        self.markers.push((name, printable(text), from, to));
    }

    fn finish(mut self) -> Value {
        // Samples stand in the order of time.
        self.samples.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (frames, functions) = (&self.frames, &self.functions);
        let none = |count: usize| vec![Value::Null; count];
        let column = |count: usize, value: i64| vec![value; count];
        let category = |stack: &(Option<usize>, usize)| frames[stack.1].2;
        json!({
            "name": "excess frees",
            "processName": self.name,
            "processType": "default",
            "processStartupTime": 0,
            "processShutdownTime": null,
            "registerTime": 0,
            "unregisterTime": null,
            "pausedRanges": [],
            "isMainThread": true,
            "pid": self.pid.to_string(),
            "tid": self.pid,
            "samples": {
                "length": self.samples.len(),
                "stack": self.samples.iter().map(|sample| sample.0).collect::<Vec<_>>(),
                "time": self.samples.iter().map(|sample| sample.1).collect::<Vec<_>>(),
                "weight": self.samples.iter().map(|sample| sample.2).collect::<Vec<_>>(),
                "weightType": "samples",
            },
            "markers": {
                "length": self.markers.len(),
                "name": self.markers.iter().map(|marker| marker.0).collect::<Vec<_>>(),
                "startTime": self.markers.iter().map(|marker| marker.2).collect::<Vec<_>>(),
                "endTime": self.markers.iter().map(|marker| marker.3).collect::<Vec<_>>(),
                "phase": column(self.markers.len(), 1),
                "category": column(self.markers.len(), 0),
                "data": self.markers.iter().map(|marker| json!({"type": "Text", "name": marker.1})).collect::<Vec<_>>(),
            },
            "stackTable": {
                "length": self.stacks.len(),
                "prefix": self.stacks.iter().map(|stack| stack.0).collect::<Vec<_>>(),
                "frame": self.stacks.iter().map(|stack| stack.1).collect::<Vec<_>>(),
                "category": self.stacks.iter().map(category).collect::<Vec<_>>(),
                "subcategory": column(self.stacks.len(), 0),
            },
            "frameTable": {
                "length": frames.len(),
                "address": column(frames.len(), -1),
                "inlineDepth": column(frames.len(), 0),
                "category": frames.iter().map(|frame| frame.2).collect::<Vec<_>>(),
                "subcategory": column(frames.len(), 0),
                "func": frames.iter().map(|frame| frame.0).collect::<Vec<_>>(),
                "nativeSymbol": none(frames.len()),
                "innerWindowID": none(frames.len()),
                "implementation": none(frames.len()),
                "line": frames.iter().map(|frame| frame.1).collect::<Vec<_>>(),
                "column": none(frames.len()),
            },
            "funcTable": {
                "length": functions.len(),
                "name": functions.iter().map(|function| function.0).collect::<Vec<_>>(),
                "isJS": vec![false; functions.len()],
                "relevantForJS": vec![false; functions.len()],
                "resource": column(functions.len(), -1),
                "fileName": functions.iter().map(|function| function.1).collect::<Vec<_>>(),
                "lineNumber": none(functions.len()),
                "columnNumber": none(functions.len()),
            },
            "resourceTable": {"length": 0, "lib": [], "name": [], "host": [], "type": []},
            "nativeSymbols": {"length": 0, "libIndex": [], "address": [], "name": [], "functionSize": []},
            "stringArray": self.strings,
        })
    }
}
