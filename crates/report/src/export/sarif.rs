//! SARIF 2.1.0, which code hosts and editors show beside the source: one result a culprit, with its three stacks.
//!
//! What a viewer would act on in a message is escaped as the standard has it (3.11): braces of a placeholder, and what looks
//! like a link. Places are URIs; those below the folder where the reader stands are told from there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Leak;
use whofreed_analysis::Mark;
use whofreed_analysis::Seen;
use whofreed_analysis::Site;
use whofreed_trace::Frame;

use super::label;
use super::verdict;
use crate::json::inert;
use crate::text::bytes;
use crate::text::counted;
use crate::text::from_here;
use crate::text::printable;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What paths that are told from the reader's folder refer to.
const BASE: &str = "SRCROOT";
/// The key of a result's fingerprint, with its version.
const FINGERPRINT: &str = "whofreed/v1";

/// What results are about: an id, its name, and what it means.
const RULES: [(&str, &str, &str, &str); 3] = [
    (
        "excess-free",
        "ExcessFree",
        "A call site frees buffers more often than they were allocated.",
        "error",
    ),
    (
        "unexplained-excess-free",
        "UnexplainedExcessFree",
        "Excess frees were seen at a call site, and the record does not tell who is to blame for them.",
        "warning",
    ),
    (
        "leak",
        "LeakedBuffers",
        "Buffers that a call site allocated were never freed.",
        "note",
    ),
];

/// The report as SARIF; `here` is the folder that paths are told from.
#[must_use]
pub fn to_sarif(analysis: &Analysis, here: Option<&str>) -> String {
    let here = here.filter(|here| here.starts_with('/'));
    let of_culprits = analysis.culprits.iter().enumerate().map(|(at, culprit)| {
        let result = of_culprit(culprit, here);
        marked(result, analysis, analysis.culprit_mark(at), true)
    });
    let of_seen = analysis.unexplained.sites.iter().enumerate();
    let of_seen = of_seen.map(|(at, seen)| {
        let result = of_seen_site(seen, here);
        marked(result, analysis, analysis.unexplained_mark(at), true)
    });
    let of_leaks = analysis.leaks.iter().enumerate().map(|(at, leak)| {
        let result = of_leak(leak, here);
        marked(result, analysis, analysis.leak_mark(at), false)
    });
    let results: Vec<Value> = of_culprits.chain(of_seen).chain(of_leaks).collect();
    let rules = RULES.map(|(id, name, text, level)| {
        json!({
            "id": id,
            "name": name,
            "shortDescription": {"text": text},
            "defaultConfiguration": {"level": level},
        })
    });
    let mut run = json!({
        "tool": {"driver": {
            "name": "whofreed",
            "version": env!("CARGO_PKG_VERSION"),
            "rules": rules,
        }},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"totals": totals(analysis)},
    });
    if let Some(here) = here {
        let folder = format!("{}/", uri(here.trim_end_matches('/')));
        run["originalUriBaseIds"] = json!({ BASE: {"uri": folder} });
    }
    let log = json!({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]});
    let mut text = inert(&serde_json::to_string_pretty(&log).unwrap_or_default());
    text.push('\n');
    text
}

fn totals(analysis: &Analysis) -> BTreeMap<&'static str, u64> {
    let totals = &analysis.totals;
    BTreeMap::from([
        ("allocations", totals.allocations),
        ("deallocations", totals.deallocations),
        ("excess", totals.excess),
        ("unexplained", totals.unexplained),
        ("leaked", totals.leaked),
        ("droppedEvents", totals.dropped_events),
    ])
}

/// A result with what was said of it before; an earlier report is only held against frees.
fn marked(mut result: Value, analysis: &Analysis, mark: Mark, is_compared: bool) -> Value {
    let standing = &analysis.standing;
    if let Some(line) = mark.suppressed_by.map(|at| &standing.lines[at]) {
        let by = format!("{}:{}", line.file, line.line);
        result["suppressions"] = json!([{"kind": "external", "justification": printable(&by)}]);
    } else if !standing.lines.is_empty() {
        // The standard wants to know that this one is not.
        result["suppressions"] = json!([]);
    }
    if standing.has_baseline && is_compared {
        let state = if mark.known { "unchanged" } else { "new" };
        result["baselineState"] = state.into();
    }
    result
}

fn of_culprit(culprit: &Culprit, here: Option<&str>) -> Value {
    let example = &culprit.example;
    let level = match culprit.confidence {
        Confidence::Proven | Confidence::Counterfactual => "error",
        Confidence::Undecided => "warning",
    };
    let text = format!("{} {}", label(&culprit.site.frame), verdict(culprit));
    let stacks: Vec<Value> = [
        ("freed again", &example.excess),
        ("first freed", &example.freed),
        ("allocated", &example.allocated),
    ]
    .into_iter()
    .filter(|(_, frames)| !frames.is_empty())
    .map(|(what, frames)| stack(what, frames, here))
    .collect();
    let mut result = result("excess-free", level, &text, &culprit.site, here);
    result["stacks"] = Value::Array(stacks);
    result["occurrenceCount"] = culprit.explains.into();
    result["relatedLocations"] = culprit
        .alternatives
        .iter()
        .zip(1u64..)
        .map(|(other, id)| {
            let mut place = location(&other.frame, here);
            place["id"] = id.into();
            place["message"] = message("the record fits this call site as well");
            place
        })
        .collect();
    result["properties"] = json!({
        "class": culprit.class.name(),
        "confidence": culprit.confidence.name(),
        "explains": culprit.explains,
        "observed": culprit.observed,
        "buffers": culprit.buffers,
        "devices": culprit.devices,
    });
    result
}

fn of_seen_site(seen: &Seen, here: Option<&str>) -> Value {
    let text = format!(
        "{} that no culprit explains seen at {}, which need not be guilty",
        counted(seen.observed, "excess free"),
        label(&seen.site.frame),
    );
    let mut result = result(
        "unexplained-excess-free",
        "warning",
        &text,
        &seen.site,
        here,
    );
    if !seen.stack.is_empty() {
        result["stacks"] = json!([stack("freed again", &seen.stack, here)]);
    }
    result["occurrenceCount"] = seen.observed.into();
    result
}

fn of_leak(leak: &Leak, here: Option<&str>) -> Value {
    let text = format!(
        "{} of {} that {} allocated never freed",
        counted(leak.count, "buffer"),
        bytes(leak.bytes),
        label(&leak.site.frame),
    );
    let mut result = result("leak", "note", &text, &leak.site, here);
    if !leak.stack.is_empty() {
        result["stacks"] = json!([stack("allocated", &leak.stack, here)]);
    }
    result["occurrenceCount"] = leak.count.into();
    result
}

fn result(rule: &str, level: &str, text: &str, site: &Site, here: Option<&str>) -> Value {
    let index = RULES.iter().position(|(id, ..)| *id == rule);
    json!({
        "ruleId": rule,
        "ruleIndex": index.unwrap_or_default(),
        "level": level,
        "message": message(text),
        "locations": [location(&site.frame, here)],
        "partialFingerprints": { FINGERPRINT: site.fingerprint().to_string() },
    })
}

fn stack(what: &str, frames: &[Frame], here: Option<&str>) -> Value {
    let frames: Vec<Value> = frames
        .iter()
        .map(|frame| {
            let mut one = json!({
                "location": location(frame, here),
                "properties": {"offset": frame.offset, "inlined": frame.inlined, "tailCall": frame.tail_called},
            });
            if !frame.module.is_empty() {
                one["module"] = printable(&frame.module).into();
            }
            one
        })
        .collect();
    json!({"message": message(what), "frames": frames})
}

fn location(frame: &Frame, here: Option<&str>) -> Value {
    let mut location = Map::new();
    if let Some(file) = frame.file.as_deref().filter(|file| !file.is_empty()) {
        let mut artifact = Map::new();
        let path = from_here(file, here);
        artifact.insert("uri".to_owned(), uri(path).into());
        if path.len() < file.len() {
            artifact.insert("uriBaseId".to_owned(), BASE.into());
        }
        let mut physical = json!({ "artifactLocation": artifact });
        if frame.line > 0 {
            physical["region"] = json!({"startLine": frame.line});
        }
        location.insert("physicalLocation".to_owned(), physical);
    }
    if let Some(function) = &frame.function {
        let logical = json!([{"fullyQualifiedName": printable(function), "kind": "function"}]);
        location.insert("logicalLocations".to_owned(), logical);
    }
    Value::Object(location)
}

/// A message in which nothing is a placeholder or a link.
fn message(text: &str) -> Value {
    let mut text = printable(text).replace('{', "{{").replace('}', "}}");
    if text.contains("](") {
        text = text
            .replace('\\', "\\\\")
            .replace('[', "\\[")
            .replace(']', "\\]");
    }
    json!({ "text": text })
}

/// A path as a URI: absolute as `file://…`, else relative to wherever the compiler stood.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uris_whatever_is_in_them() {
        for (path, expected) in [
            ("/src/a b.cpp", "file:///src/a%20b.cpp"),
            ("a:b/c.cpp", "a%3Ab/c.cpp"),
            ("<frozen importlib>", "%3Cfrozen%20importlib%3E"),
            ("/ä\n.c", "file:///%C3%A4%0A.c"),
            ("//host/x", "file:////host/x"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }

    #[test]
    fn a_message_has_no_link_and_no_placeholder() {
        assert_eq!(message("a {0} b")["text"], "a {{0}} b");
        assert_eq!(message("operator[] (x.h:1)")["text"], "operator[] (x.h:1)");
        assert_eq!(
            message("[click](http://evil)")["text"],
            "\\[click\\](http://evil)"
        );
    }
}
