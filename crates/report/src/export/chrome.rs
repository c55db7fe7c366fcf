//! Trace events, as Chrome's and Perfetto's viewers read them: when each culprit freed, on a line of its own.

use serde_json::Value;
use serde_json::json;
use whofreed_analysis::Analysis;
use whofreed_analysis::Moment;

use super::frame_name;
use super::label;
use super::process_name;
use super::verdict;
use crate::json::inert;

/// The report as trace events.
#[must_use]
pub fn to_chrome(analysis: &Analysis) -> String {
    let mut events: Vec<Value> = Vec::new();
    for process in &analysis.processes {
        let args = json!({"name": process_name(analysis, process.pid)});
        events.push(json!({"ph": "M", "name": "process_name", "pid": process.pid, "tid": 0, "ts": 0, "args": args}));
    }
    for (at, culprit) in analysis.shown_culprits() {
        let name = label(&culprit.site.frame);
        let example = &culprit.example;
        let evidence = &culprit.evidence;
        let pid = evidence.first.map_or(example.pid, |first| first.pid);
        let since = |moment: Option<Moment>| moment.map_or(0, |moment| moment.since_start_ns);
        let (first, last) = (since(evidence.first), since(evidence.last));
        // Lines of threads must nest; those of culprits do not, so each has a line of its own.
        let line = at + 1;
        let args = json!({"name": format!("culprit {line}: {name}")});
        events.push(json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": line, "ts": 0, "args": args}));
        let stack: Vec<String> = example.excess.iter().map(frame_name).collect();
        events.push(json!({
            "ph": "X",
            "cat": "excess free",
            "name": name,
            "pid": pid,
            "tid": line,
            "ts": micros(first),
            "dur": micros(last.saturating_sub(first)),
            "args": {
                "verdict": verdict(culprit),
                "confidence": culprit.confidence.name(),
                "class": culprit.class.name(),
                "explains": culprit.explains,
                "observed": culprit.observed,
                "stack": stack,
            },
        }));
    }
    let log = json!({
        "displayTimeUnit": "ns",
        "traceEvents": events,
        "otherData": {
            "program": format!("whofreed {}", env!("CARGO_PKG_VERSION")),
            "excess": analysis.totals.excess.to_string(),
            "unexplained": analysis.totals.unexplained.to_string(),
        },
    });
    let mut text = inert(&serde_json::to_string_pretty(&log).unwrap_or_default());
    text.push('\n');
    text
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}
