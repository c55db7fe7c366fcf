//! Names, frames and stacks by number: a page with ten thousand culprits says each of them once.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::snippets::Snippets;
use crate::text::names::base;
use crate::text::names::fit_middle;
use crate::text::names::short_function;
use crate::text::stack::is_script;
use crate::text::stack::is_telling;

/// A longer name is cut in its middle: nobody reads it, and it would be in the way.
const LONGEST: usize = 2000;

/// Bits of a frame.
const INLINED: u32 = 1;
const TAIL_CALLED: u32 = 2;
const PYTHON: u32 = 4;
/// Of the interpreter or the system: nobody looks for a call site there.
const DULL: u32 = 8;
/// In Python code of the user's own.
const SCRIPT: u32 = 16;

/// The number of a name, frame or stack.
pub(super) type Number = u32;

/// A frame as a list: short name, function, module, file (numbers of names, −1 for none), line, offset, bits, and the number
/// of its snippet or −1.
type FrameRow = (Number, i64, Number, i64, u32, String, u32, i64);

/// All that has a number.
#[derive(Debug, Default, Serialize)]
pub(super) struct Table {
    names: Vec<String>,
    frames: Vec<FrameRow>,
    stacks: Vec<Vec<Number>>,
    snippets: Vec<SnippetView>,
    #[serde(skip)]
    of_name: HashMap<String, Number>,
    #[serde(skip)]
    of_frame: HashMap<Frame, Number>,
    #[serde(skip)]
    of_stack: HashMap<Vec<Number>, Number>,
    #[serde(skip)]
    of_place: HashMap<(Arc<str>, u32), i64>,
}

#[derive(Debug, Serialize)]
struct SnippetView {
    first: u32,
    lines: Vec<String>,
    newer: bool,
}

impl Table {
    pub(super) fn new(snippets: &Snippets) -> Self {
        let mut table = Self::default();
        for (place, snippet) in snippets {
            let number = table.snippets.len() as i64;
            table.of_place.insert(place.clone(), number);
            table.snippets.push(SnippetView {
                first: snippet.first,
                lines: snippet.lines.iter().map(|line| source(line)).collect(),
                newer: snippet.is_newer,
            });
        }
        table
    }

    /// A name of the host, escaped.
    pub(super) fn name(&mut self, name: &str) -> Number {
        let shown = fit_middle(name, LONGEST);
        if let Some(&number) = self.of_name.get(&shown) {
            return number;
        }
        let number = self.names.len() as Number;
        self.names.push(shown.clone());
        self.of_name.insert(shown, number);
        number
    }

    pub(super) fn frame(&mut self, frame: &Frame) -> Number {
        if let Some(&number) = self.of_frame.get(frame) {
            return number;
        }
        let short = match &frame.function {
            Some(function) => short_function(function, frame.language),
            None if frame.module.is_empty() => format!("{:#x}", frame.offset),
            None => format!("{}+{:#x}", base(&frame.module), frame.offset),
        };
        let bits = [
            (frame.inlined, INLINED),
            (frame.tail_called, TAIL_CALLED),
            (frame.language == Language::Python, PYTHON),
            (!is_telling(frame), DULL),
            (is_script(frame), SCRIPT),
        ];
        let place = frame.file.clone().map(|file| (file, frame.line));
        let snippet = place.and_then(|place| self.of_place.get(&place).copied());
        let row = (
            self.name(&short),
            optional(frame.function.as_deref().map(|name| self.name(name))),
            self.name(&frame.module),
            optional(frame.file.as_deref().map(|name| self.name(name))),
            frame.line,
            format!("{:#x}", frame.offset),
            bits.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum(),
            snippet.unwrap_or(-1),
        );
        let number = self.frames.len() as Number;
        self.frames.push(row);
        self.of_frame.insert(frame.clone(), number);
        number
    }

    /// A stack, innermost frame first.
    pub(super) fn stack(&mut self, frames: &[Frame]) -> Number {
        let stack: Vec<Number> = frames.iter().map(|frame| self.frame(frame)).collect();
        if let Some(&number) = self.of_stack.get(&stack) {
            return number;
        }
        let number = self.stacks.len() as Number;
        self.stacks.push(stack.clone());
        self.of_stack.insert(stack, number);
        number
    }
}

fn optional(number: Option<Number>) -> i64 {
    number.map_or(-1, i64::from)
}

/// A line of source code: its tabs are no danger, all else that is hostile is escaped.
fn source(line: &str) -> String {
    fit_middle(&line.replace('\t', "    "), LONGEST)
}
