//! The forms that tools of others open: their numbers are the report's, and a name is data in each of them. What those tools
//! make of them is tried by `tests/exports.rs` of the whole.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;

use common::page::page;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_report::to_chrome;
use whofreed_report::to_firefox;
use whofreed_report::to_folded;
use whofreed_report::to_junit;
use whofreed_report::to_pprof;
use whofreed_report::to_sarif;

fn all() -> Vec<(&'static str, Analysis)> {
    vec![
        ("usual", common::usual()),
        ("clean", common::clean()),
        ("many", common::many()),
        ("unexplained", common::unexplained()),
        ("interpreted", common::interpreted()),
        ("hostile", common::hostile()),
    ]
}

fn assert_inert(name: &str, text: &str) {
    let odd = text.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    });
    assert!(odd.is_none(), "{name}: {odd:?} in {text}");
}

/// The stacks of folded text, each with its weight.
fn folded(text: &str) -> Vec<(Vec<&str>, u64)> {
    let lines = text.lines().map(|line| {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        (stack.split(';').collect(), weight.parse().unwrap())
    });
    lines.collect()
}

#[test]
fn the_weights_of_folded_stacks_are_the_excess_frees_of_the_run() {
    for (name, analysis) in all() {
        let text = to_folded(&analysis);
        assert_inert(name, &text);
        let sum: u64 = folded(&text).iter().map(|(_, weight)| weight).sum();
        let told: u64 = analysis.culprits.iter().map(|c| c.explains).sum();
        let unexplained = &analysis.unexplained;
        let seen: u64 = unexplained.sites.iter().map(|seen| seen.observed).sum();
        assert_eq!(sum, told + seen + unexplained.more_observed, "{name}");
    }
}

#[test]
fn a_folded_stack_goes_from_the_process_to_the_innermost_frame() {
    let analysis = common::usual();
    let text = to_folded(&analysis);
    let stacks = folded(&text);
    let (stack, weight) = &stacks[0];
    let example = &analysis.culprits[0].example;
    assert_eq!(stack.len(), example.excess.len() + 1);
    assert_eq!(stack[0], "device_host");
    assert_eq!(stack[1], "main (main.cpp:90)");
    let last = stack.last().unwrap();
    assert!(last.starts_with("device::Allocator::deallocate("), "{last}");
    assert_eq!(*weight, analysis.culprits[0].explains);
}

#[test]
fn a_frame_that_is_called_like_a_stack_stays_one_frame() {
    let mut analysis = common::usual();
    analysis.culprits.truncate(1);
    let frame = common::native("a;b;c 17\nmain;d 99", "", 0);
    analysis.culprits[0].example.excess = [frame].into();
    let text = to_folded(&analysis);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(folded(&text)[0].0.len(), 2, "{text}");
    let weight = analysis.culprits[0].explains.to_string();
    assert!(text.ends_with(&format!("d\\x2099 {weight}\n")), "{text}");
}

fn sarif(analysis: &Analysis) -> Value {
    let text = to_sarif(analysis, Some("/src/host"));
    assert_inert("sarif", &text);
    let log = serde_json::from_str(&text).unwrap();
    assert_strings_inert(&log);
    log
}

/// Whoever reads JSON gets what its escapes stand for.
fn assert_strings_inert(value: &Value) {
    match value {
        Value::String(text) => assert_inert("a string", text),
        Value::Array(all) => all.iter().for_each(assert_strings_inert),
        Value::Object(all) => all.values().for_each(assert_strings_inert),
        _ => {}
    }
}

#[test]
fn each_culprit_place_without_one_and_leak_is_a_result_of_sarif() {
    for (name, analysis) in all() {
        let log = sarif(&analysis);
        let results = log["runs"][0]["results"].as_array().unwrap();
        let of = |rule: &str| results.iter().filter(|r| r["ruleId"] == rule).count();
        assert_eq!(of("excess-free"), analysis.culprits.len(), "{name}");
        let seen = analysis.unexplained.sites.len();
        assert_eq!(of("unexplained-excess-free"), seen, "{name}");
        assert_eq!(of("leak"), analysis.leaks.len(), "{name}");
        let rules = log["runs"][0]["tool"]["driver"]["rules"]
            .as_array()
            .unwrap();
        for result in results {
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(rules[index]["id"], result["ruleId"]);
        }
    }
}

#[test]
fn a_culprit_s_place_fingerprint_and_stacks_are_in_sarif() {
    let mut analysis = common::many();
    analysis.culprits[0].site.frame.line = 0;
    let log = sarif(&analysis);
    let run = &log["runs"][0];
    assert_eq!(
        run["originalUriBaseIds"]["SRCROOT"]["uri"],
        "file:///src/host/"
    );
    let places = run["results"].as_array().unwrap();
    let place = |at: usize| &places[at]["locations"][0]["physicalLocation"];
    assert!(place(0)["region"].is_null());
    assert_eq!(place(1)["region"]["startLine"], 11);
    assert_eq!(place(1)["artifactLocation"]["uri"], "layer1.cpp");
    assert_eq!(place(1)["artifactLocation"]["uriBaseId"], "SRCROOT");
    let second = &places[1];
    let fingerprint = analysis.culprits[1].site.fingerprint().to_string();
    assert_eq!(second["partialFingerprints"]["whofreed/v1"], *fingerprint);
    assert_eq!(second["level"], "warning");
    assert_eq!(places[2]["level"], "error");
    assert_eq!(second["relatedLocations"].as_array().unwrap().len(), 1);
    let stacks = second["stacks"].as_array().unwrap();
    let titles: Vec<_> = stacks.iter().map(|s| &s["message"]["text"]).collect();
    assert_eq!(titles, ["freed again", "first freed", "allocated"]);
    let frames = stacks[0]["frames"].as_array().unwrap();
    let example = &analysis.culprits[1].example;
    assert_eq!(frames.len(), example.excess.len());
}

/// A test case of JUnit: class, name, and the sort and text of what is wrong.
type Case = (String, String, Option<(String, String)>);

fn junit(text: &str) -> (HashMap<String, String>, Vec<Case>) {
    let mut reader = Reader::from_str(text);
    let mut counts = HashMap::new();
    let mut cases: Vec<Case> = Vec::new();
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let attributes: HashMap<String, String> = element
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let key = attribute.key.as_ref().to_owned();
                        let value = quick_xml::escape::unescape(&attribute.value);
                        (key, value.unwrap().into_owned())
                    })
                    .collect();
                match element.name().as_ref() {
                    "testsuites" => counts = attributes,
                    "testcase" => {
                        let one = (attributes["classname"].clone(), attributes["name"].clone());
                        cases.push((one.0, one.1, None));
                    }
                    "failure" => {
                        let of = attributes["type"].clone();
                        let message = attributes["message"].clone();
                        cases.last_mut().unwrap().2 = Some((of, message));
                    }
                    _ => {}
                }
            }
            Event::Eof => return (counts, cases),
            _ => {}
        }
    }
}

#[test]
fn each_culprit_fails_a_case_of_junit_and_what_nobody_explains_another() {
    for (name, analysis) in all() {
        let text = to_junit(&analysis, &page(100));
        assert_inert(name, &text);
        let (counts, cases) = junit(&text);
        assert_eq!(counts["tests"], cases.len().to_string(), "{name}");
        let failed = cases.iter().filter(|case| case.2.is_some()).count();
        assert_eq!(counts["failures"], failed.to_string(), "{name}");
        let unexplained = usize::from(analysis.totals.unexplained > 0);
        assert_eq!(failed, analysis.culprits.len() + unexplained, "{name}");
        let mut names: Vec<&String> = cases.iter().map(|case| &case.1).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cases.len(), "{name}: two cases have one name");
    }
}

#[test]
fn a_case_of_junit_is_called_without_its_line_and_tells_doubt() {
    let mut analysis = common::many();
    analysis.culprits[2] = analysis.culprits[1].clone();
    analysis.culprits[2].confidence = Confidence::Proven;
    let (_, cases) = junit(&to_junit(&analysis, &page(100)));
    assert_eq!(cases[0].1, "Layer0::release (layer0.cpp)");
    assert_eq!(cases[2].1, "Layer1::release (layer1.cpp) #2");
    let kinds: Vec<&str> = cases[..3]
        .iter()
        .map(|c| &*c.2.as_ref().unwrap().0)
        .collect();
    assert_eq!(
        kinds,
        ["excess free", "undecided excess free", "excess free"]
    );
    let message = &cases[1].2.as_ref().unwrap().1;
    assert!(
        message.ends_with("the record fits Other::drop (other.cpp:3) as well"),
        "{message}"
    );
}

#[test]
fn a_name_that_is_markup_stays_text_in_junit() {
    let mut analysis = common::usual();
    analysis.culprits.truncate(1);
    // What looks like template arguments is left out of a case's name, as in all others.
    let evil = "a&amp;\"'</failure></testcase>]]>\u{ffff}\u{fffe}";
    analysis.culprits[0].site.frame.function = Some(evil.to_owned());
    analysis.culprits[0].example.excess = [analysis.culprits[0].site.frame.clone()].into();
    let text = to_junit(&analysis, &page(100));
    let (counts, cases) = junit(&text);
    assert_eq!(counts["tests"], "2");
    assert_eq!(cases[0].1, "a&amp;\"']]>\\u{ffff}\\u{fffe} (cache.cpp)");
    assert_eq!(text.matches("</testcase>").count(), 1);
    // In the stack, and in the line that would silence it.
    let shown = "&lt;/failure&gt;&lt;/testcase&gt;";
    assert_eq!(text.matches(shown).count(), 2);
}

/// The column of a table, all of it below the length of another one.
fn column(table: &Value, name: &str, below: usize) -> Vec<Option<usize>> {
    let length = table["length"].as_u64().unwrap() as usize;
    let values = table[name].as_array().unwrap();
    assert_eq!(values.len(), length, "{name}");
    let numbers = values
        .iter()
        .map(|value| value.as_u64().map(|n| n as usize));
    let numbers: Vec<Option<usize>> = numbers.collect();
    assert!(numbers.iter().flatten().all(|n| *n < below), "{name}");
    numbers
}

#[test]
fn the_tables_of_a_processed_profile_fit_together_and_its_weights_are_the_excess_frees() {
    for (name, analysis) in all() {
        let text = to_firefox(&analysis);
        assert_inert(name, &text);
        let profile: Value = serde_json::from_str(&text).unwrap();
        let mut weight = 0;
        for thread in profile["threads"].as_array().unwrap() {
            let length = |table: &str| thread[table]["length"].as_u64().unwrap() as usize;
            let strings = thread["stringArray"].as_array().unwrap().len();
            column(&thread["funcTable"], "name", strings);
            column(&thread["funcTable"], "fileName", strings);
            column(&thread["frameTable"], "func", length("funcTable"));
            column(&thread["stackTable"], "frame", length("frameTable"));
            let prefixes = column(&thread["stackTable"], "prefix", length("stackTable"));
            // A stack stands behind the one that it goes on from.
            assert!(
                prefixes
                    .iter()
                    .enumerate()
                    .all(|(at, prefix)| prefix.is_none_or(|p| p < at))
            );
            column(&thread["samples"], "stack", length("stackTable"));
            column(&thread["markers"], "name", strings);
            let weights = column(&thread["samples"], "weight", usize::MAX);
            weight += weights.into_iter().flatten().sum::<usize>() as u64;
        }
        let explained: u64 = analysis.culprits.iter().map(|c| c.explains).sum();
        let seen: u64 = analysis
            .unexplained
            .sites
            .iter()
            .map(|seen| seen.observed)
            .sum();
        assert_eq!(weight, explained + seen, "{name}");
    }
}

#[test]
fn each_culprit_has_a_line_of_trace_events_from_its_first_free_to_its_last() {
    for (name, analysis) in all() {
        let text = to_chrome(&analysis);
        assert_inert(name, &text);
        let log: Value = serde_json::from_str(&text).unwrap();
        let events = log["traceEvents"].as_array().unwrap();
        let spans: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(spans.len(), analysis.culprits.len(), "{name}");
        for (span, culprit) in spans.iter().zip(&analysis.culprits) {
            let evidence = &culprit.evidence;
            let micros = |ns: u64| ns as f64 / 1000.0;
            let first = evidence.first.unwrap().since_start_ns;
            let last = evidence.last.unwrap().since_start_ns;
            assert_eq!(span["ts"].as_f64(), Some(micros(first)));
            assert_eq!(span["dur"].as_f64(), Some(micros(last - first)));
            assert_eq!(span["args"]["explains"], culprit.explains);
        }
    }
}

#[test]
fn names_in_a_profile_of_pprof_are_escaped() {
    let analysis = common::hostile();
    let profile = to_pprof(&analysis);
    let has = |what: &[u8]| profile.windows(what.len()).any(|window| window == what);
    assert!(has(b"evil\\x1b[2J"));
    assert!(!has(b"evil\x1b[2J"));
    assert!(has(b"excess_frees"));
}
