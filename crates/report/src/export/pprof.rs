//! pprof's `profile.proto`, without the compression that files of it have: whoever writes the file sees to that.
//!
//! A sample is a stack of excess frees. Its last value, which viewers begin with, is what the culprit explains; culprits
//! have a label with their number, and one that says how sure they are.

use std::collections::HashMap;

use whofreed_analysis::Analysis;
use whofreed_trace::Frame;

use super::process_name;
use super::protobuf::Message;
use crate::text::base;
use crate::text::printable;

/// The value that viewers are to show first.
const WEIGHT: &str = "excess_frees";

/// The excess frees as a profile of pprof, not compressed.
#[must_use]
pub fn to_pprof(analysis: &Analysis) -> Vec<u8> {
    let mut profile = Profile::new();
    let types = [("seen_here", "count"), (WEIGHT, "count")];
    for (kind, unit) in types.map(|(kind, unit)| (profile.text(kind), profile.text(unit))) {
        profile.message.message(1, |of| {
            of.number(1, kind);
            of.number(2, unit);
        });
    }
    for (at, culprit) in analysis.shown_culprits() {
        let example = &culprit.example;
        let rank = at as u64 + 1;
        let labels = [
            ("process", Label::Text(process_name(analysis, example.pid))),
            ("culprit", Label::Number(rank)),
            (
                "confidence",
                Label::Text(culprit.confidence.name().to_owned()),
            ),
            ("class", Label::Text(culprit.class.name().to_owned())),
        ];
        let values = [culprit.observed, culprit.explains];
        profile.sample(&example.excess, &culprit.site.frame, values, &labels);
    }
    for (_, seen) in analysis.shown_unexplained() {
        let labels = [("confidence", Label::Text("unexplained".to_owned()))];
        let values = [seen.observed; 2];
        profile.sample(&seen.stack, &seen.site.frame, values, &labels);
    }
    let process = analysis.processes.get(analysis.main_process);
    profile.finish(process.map_or(0, |process| process.started_at_ns))
}

enum Label {
    Text(String),
    Number(u64),
}

/// A profile, and the numbers of what was told already.
struct Profile {
    message: Message,
    strings: Vec<String>,
    of_string: HashMap<String, u64>,
    functions: HashMap<(u64, u64), u64>,
    mappings: HashMap<u64, u64>,
    locations: HashMap<Frame, u64>,
}

impl Profile {
    fn new() -> Self {
        let mut this = Self {
            message: Message::default(),
            strings: Vec::new(),
            of_string: HashMap::new(),
            functions: HashMap::new(),
            mappings: HashMap::new(),
            locations: HashMap::new(),
        };
        // The first string has to be the empty one.
        this.text("");
        this
    }

    /// The number of a string.
    fn text(&mut self, text: &str) -> u64 {
        if let Some(&known) = self.of_string.get(text) {
            return known;
        }
        let number = self.strings.len() as u64;
        self.strings.push(text.to_owned());
        self.of_string.insert(text.to_owned(), number);
        number
    }

    fn sample(
        &mut self,
        stack: &[Frame],
        site: &Frame,
        values: [u64; 2],
        labels: &[(&str, Label)],
    ) {
        let site = std::slice::from_ref(site);
        let stack = if stack.is_empty() { site } else { stack };
        let locations: Vec<u64> = stack.iter().map(|frame| self.location(frame)).collect();
        let labels: Vec<(u64, u64, u64)> = labels
            .iter()
            .map(|(key, value)| match value {
                Label::Text(text) => (self.text(key), self.text(text), 0),
                Label::Number(number) => (self.text(key), 0, *number),
            })
            .collect();
        self.message.message(2, |sample| {
            sample.numbers(1, &locations);
            sample.numbers(2, &values);
            for (key, text, number) in labels {
                sample.message(3, |label| {
                    label.number(1, key);
                    label.number(2, text);
                    label.number(3, number);
                });
            }
        });
    }

    fn location(&mut self, frame: &Frame) -> u64 {
        if let Some(&known) = self.locations.get(frame) {
            return known;
        }
        let name = match &frame.function {
            Some(function) => printable(function),
            None => printable(&format!("{}+{:#x}", base(&frame.module), frame.offset)),
        };
        let file = printable(frame.file.as_deref().unwrap_or_default());
        let key = (self.text(&name), self.text(&file));
        let next = self.functions.len() as u64 + 1;
        let function = *self.functions.entry(key).or_insert(next);
        if function == next {
            self.message.message(5, |of| {
                of.number(1, function);
                of.number(2, key.0);
                of.number(3, key.0);
                of.number(4, key.1);
            });
        }
        let mapping = self.mapping(&frame.module);
        let id = self.locations.len() as u64 + 1;
        self.locations.insert(frame.clone(), id);
        self.message.message(4, |of| {
            of.number(1, id);
            of.number(2, mapping);
            of.number(3, frame.offset);
            of.message(4, |line| {
                line.number(1, function);
                line.number(2, frame.line.into());
            });
        });
        id
    }

    /// The number of a module; 0 for what lies in none.
    fn mapping(&mut self, module: &str) -> u64 {
        if module.is_empty() {
            return 0;
        }
        let file = self.text(&printable(module));
        let next = self.mappings.len() as u64 + 1;
        let mapping = *self.mappings.entry(file).or_insert(next);
        if mapping == next {
            self.message.message(3, |of| {
                of.number(1, mapping);
                of.number(5, file);
                // Names are as good as they get: nobody is to look for them again.
                for has in 7..=10 {
                    of.number(has, 1);
                }
            });
        }
        mapping
    }

    fn finish(mut self, started_at_ns: u64) -> Vec<u8> {
        let weight = self.text(WEIGHT);
        for text in &self.strings {
            self.message.bytes(6, text.as_bytes());
        }
        self.message.number(9, started_at_ns);
        self.message.number(14, weight);
        self.message.finish()
    }
}
