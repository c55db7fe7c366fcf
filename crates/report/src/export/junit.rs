//! JUnit's XML, which every CI server shows: a test case for each culprit, which fails, and one for what nobody explains.
//!
//! A case is called by the function and the file of its call site and not by the line, so that a server recognizes it in the
//! next build.

use std::collections::HashMap;

use quick_xml::Writer;
use quick_xml::events::BytesDecl;
use quick_xml::events::BytesText;
use quick_xml::events::Event;
use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_trace::Frame;

use super::LABEL;
use super::label;
use super::verdict;
use crate::TextOptions;
use crate::text::counted;
use crate::text::culprit_text;
use crate::text::printable;
use crate::text::site;

/// How a case ends.
enum End {
    Passed,
    /// The sort, one line, and everything.
    Failed(&'static str, String, String),
    Skipped(String),
}

struct Case {
    class: &'static str,
    name: String,
    place: Option<(String, u32)>,
    end: End,
}

/// The report as JUnit XML.
#[must_use]
pub fn to_junit(analysis: &Analysis, options: &TextOptions) -> String {
    let mut cases: Vec<Case> = (0..)
        .zip(&analysis.culprits)
        .map(|(index, culprit)| of_culprit(analysis, index, culprit, options))
        .collect();
    cases.push(of_rest(analysis));
    tell_apart(&mut cases);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory cannot fail.
    let _ = write(&mut writer, analysis, &cases);
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    text
}

fn of_culprit(analysis: &Analysis, index: usize, culprit: &Culprit, options: &TextOptions) -> Case {
    let frame = &culprit.site.frame;
    let kind = match culprit.confidence {
        Confidence::Undecided => "undecided excess free",
        Confidence::Proven | Confidence::Counterfactual => "excess free",
    };
    let message = format!("{} {}", label(frame), verdict(culprit));
    let mark = analysis.culprit_mark(index);
    let end = if let Some(line) = mark.suppressed_by.map(|at| &analysis.standing.lines[at]) {
        End::Skipped(format!(
            "suppressed by {}:{}; {message}",
            line.file, line.line
        ))
    } else if mark.known {
        End::Skipped(format!("known from the baseline; {message}"))
    } else {
        // Whoever reads it has nothing else at hand.
        let whole = TextOptions {
            verbose: true,
            ..options.clone()
        };
        End::Failed(kind, message, culprit_text(analysis, index, &whole))
    };
    Case {
        class: "whofreed.culprits",
        name: name(frame),
        place: frame
            .file
            .as_deref()
            .map(|file| (printable(file), frame.line)),
        end,
    }
}

/// The case that is always there: a run in which nothing is wrong has a test that passed.
fn of_rest(analysis: &Analysis) -> Case {
    let totals = &analysis.totals;
    let end = if totals.events == 0 {
        End::Skipped("no event was recorded".to_owned())
    } else if let unexplained @ 1.. = unsettled(analysis) {
        let count = counted(unexplained, "excess free");
        let seen: Vec<String> = (0..)
            .zip(&analysis.unexplained.sites)
            .filter(|(at, _)| !analysis.unexplained_mark(*at).is_settled())
            .map(|(_, seen)| seen)
            .map(|seen| format!("{} seen at {}", seen.observed, label(&seen.site.frame)))
            .collect();
        let message = format!("{count} that no culprit explains");
        End::Failed("unexplained", message, seen.join("\n"))
    } else {
        End::Passed
    };
    Case {
        class: "whofreed",
        name: "every excess free is explained".to_owned(),
        place: None,
        end,
    }
}

/// What nobody explains, silences or knows.
fn unsettled(analysis: &Analysis) -> u64 {
    let of_culprits: u64 = (0..)
        .zip(&analysis.culprits)
        .filter(|(at, _)| !analysis.culprit_mark(*at).is_settled())
        .map(|(_, culprit)| culprit.explains)
        .sum();
    let unexplained = analysis.unsettled().saturating_sub(of_culprits);
    unexplained.min(analysis.totals.unexplained)
}

/// The call site without its line.
fn name(frame: &Frame) -> String {
    let without_line = Frame {
        line: 0,
        ..frame.clone()
    };
    site(&without_line, LABEL)
}

/// Servers take two cases of one name for one.
fn tell_apart(cases: &mut [Case]) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for case in cases {
        let count = seen.entry(case.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            case.name.push_str(&format!(" #{count}"));
        }
    }
}

fn write(writer: &mut Writer<Vec<u8>>, analysis: &Analysis, cases: &[Case]) -> std::io::Result<()> {
    let count = |of: fn(&End) -> bool| cases.iter().filter(|case| of(&case.end)).count();
    let counts = [
        ("tests", cases.len()),
        ("failures", count(|end| matches!(end, End::Failed(..)))),
        ("errors", 0),
        ("skipped", count(|end| matches!(end, End::Skipped(_)))),
    ]
    .map(|(name, value)| (name, value.to_string()));
    let counts = || counts.iter().map(|(name, value)| (*name, value.as_str()));
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = writer.create_element("testsuites");
    let suites = suites.with_attribute(("name", "whofreed"));
    suites
        .with_attributes(counts())
        .write_inner_content(|writer| {
            let suite = writer.create_element("testsuite");
            let suite = suite.with_attribute(("name", "whofreed"));
            suite
                .with_attributes(counts())
                .write_inner_content(|writer| {
                    properties(writer, analysis)?;
                    cases.iter().try_for_each(|case| one(writer, case))
                })?;
            Ok(())
        })?;
    Ok(())
}

fn properties(writer: &mut Writer<Vec<u8>>, analysis: &Analysis) -> std::io::Result<()> {
    let totals = &analysis.totals;
    let numbers = [
        ("allocations", totals.allocations),
        ("deallocations", totals.deallocations),
        ("excess", totals.excess),
        ("unexplained", totals.unexplained),
        ("leaked", totals.leaked),
        ("events", totals.events),
        ("dropped_events", totals.dropped_events),
    ];
    let properties = writer.create_element("properties");
    properties.write_inner_content(|writer| {
        for (name, value) in numbers {
            let property = writer.create_element("property");
            let property = property.with_attribute(("name", name));
            let value = value.to_string();
            property
                .with_attribute(("value", value.as_str()))
                .write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn one(writer: &mut Writer<Vec<u8>>, case: &Case) -> std::io::Result<()> {
    let name = legal(&case.name);
    let mut element = writer
        .create_element("testcase")
        .with_attribute(("classname", case.class))
        .with_attribute(("name", name.as_str()));
    let place = case.place.as_ref();
    let place = place.map(|(file, line)| (legal(file), line.to_string()));
    if let Some((file, line)) = &place {
        element = element.with_attribute(("file", file.as_str()));
        if line != "0" {
            element = element.with_attribute(("line", line.as_str()));
        }
    }
    match &case.end {
        End::Passed => element.write_empty()?,
        End::Failed(kind, message, text) => element.write_inner_content(|writer| {
            let message = legal(message);
            writer
                .create_element("failure")
                .with_attribute(("type", *kind))
                .with_attribute(("message", message.as_str()))
                .write_text_content(BytesText::new(&legal(text)))?;
            Ok(())
        })?,
        End::Skipped(why) => element.write_inner_content(|writer| {
            let why = legal(&printable(why));
            let skipped = writer.create_element("skipped");
            skipped
                .with_attribute(("message", why.as_str()))
                .write_empty()?;
            Ok(())
        })?,
    };
    Ok(())
}

/// XML has no way to write some characters. Control characters are escaped by then; what is left are two that are none.
fn legal(text: &str) -> String {
    text.replace('\u{fffe}', "\\u{fffe}")
        .replace('\u{ffff}', "\\u{ffff}")
}
