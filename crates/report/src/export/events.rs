//! The events themselves, one a line: CSV and JSON Lines. A trace can hold more of them than memory, so whoever writes them asks
//! for a line at a time, and for what is the same for all events of a stack once.

use std::fmt::Write as _;

use serde::Serialize;
use whofreed_trace::Event;
use whofreed_trace::Frame;
use whofreed_trace::Process;

use crate::json::FrameValue;
use crate::json::inert;
use crate::text::printable;
use crate::text::telling_frames;

/// The first line of a table of events.
pub const CSV_HEADER: &str = "pid,event,verdict,device,address,owner,size,kind,scope,thread,time_ns,step,late,blocked,\
                              untracked,stack,function,file,line,module\n";

/// An event, and the names of what it refers to by numbers.
#[derive(Clone, Copy, Debug)]
pub struct EventLine<'a> {
    /// The process.
    pub pid: u32,
    /// The event, with the verdict that the host was given.
    pub event: &'a Event,
    /// The label of the buffer, empty where it has none.
    pub kind: &'a str,
    /// The innermost scope, empty where there was none.
    pub scope: &'a str,
}

impl EventLine<'_> {
    /// Appends the line of CSV; `place` is what [`csv_place`] says of the stack.
    pub fn to_csv(&self, place: &str, line: &mut String) {
        let Event {
            device,
            address,
            owner,
            size,
            thread,
            time_ns,
            step,
            ..
        } = self.event;
        let event = self.event.kind.name();
        let verdict = self.event.verdict.name();
        let kind = field(self.kind);
        let scope = field(self.scope);
        let [late, blocked, untracked] =
            [self.event.late, self.event.blocked, self.event.untracked].map(u8::from);
        // Writing to a string cannot fail.
        let _ = writeln!(
            line,
            "{},{event},{verdict},{device},{address},{owner},{size},{kind},{scope},{thread},{time_ns},{step},{late},\
             {blocked},{untracked},{},{place}",
            self.pid, self.event.stack.0
        );
    }

    /// Appends the line of JSON.
    pub fn to_json_line(&self, line: &mut String) {
        let event = self.event;
        push(
            line,
            &EventValue {
                r#type: "event",
                pid: self.pid,
                event: event.kind.name(),
                verdict: event.verdict.name(),
                device: event.device,
                address: event.address,
                owner: event.owner,
                size: event.size,
                kind: self.kind,
                scope: self.scope,
                thread: event.thread,
                time_ns: event.time_ns,
                step: event.step,
                late: event.late,
                blocked: event.blocked,
                untracked: event.untracked,
                stack: event.stack.0,
            },
        );
    }
}

/// The last columns of an event with this stack: the frame that tells most of where it was.
#[must_use]
pub fn csv_place(stack: &[Frame]) -> String {
    let Some(frame) = telling_frames(stack).first().copied() else {
        return ",,,".to_owned();
    };
    let function = field(frame.function.as_deref().unwrap_or_default());
    let file = field(frame.file.as_deref().unwrap_or_default());
    let module = field(&frame.module);
    format!("{function},{file},{},{module}", frame.line)
}

/// The line of JSON that tells of a stack, before the first event that has it.
#[must_use]
pub fn stack_to_json_line(pid: u32, stack: u32, frames: &[Frame]) -> String {
    let mut line = String::new();
    let frames = frames.iter().map(FrameValue::new).collect();
    push(
        &mut line,
        &StackValue {
            r#type: "stack",
            pid,
            stack,
            frames,
        },
    );
    line
}

/// The line of JSON that tells of a process, before all of its events.
#[must_use]
pub fn process_to_json_line(process: &Process, events: u64, dropped_events: u64) -> String {
    let mut line = String::new();
    push(
        &mut line,
        &ProcessValue {
            r#type: "process",
            schema: "whofreed-events/1",
            pid: process.pid,
            command: &process.command,
            events,
            dropped_events,
        },
    );
    line
}

#[derive(Serialize)]
struct EventValue<'a> {
    r#type: &'static str,
    pid: u32,
    event: &'static str,
    verdict: &'static str,
    device: u32,
    address: u64,
    owner: u64,
    size: u64,
    kind: &'a str,
    scope: &'a str,
    thread: u32,
    time_ns: u64,
    step: u64,
    late: bool,
    blocked: bool,
    untracked: bool,
    stack: u32,
}

#[derive(Serialize)]
struct StackValue<'a> {
    r#type: &'static str,
    pid: u32,
    stack: u32,
    frames: Vec<FrameValue<'a>>,
}

#[derive(Serialize)]
struct ProcessValue<'a> {
    r#type: &'static str,
    schema: &'static str,
    pid: u32,
    command: &'a [String],
    events: u64,
    dropped_events: u64,
}

fn push(line: &mut String, value: &impl Serialize) {
    line.push_str(&inert(&serde_json::to_string(value).unwrap_or_default()));
    line.push('\n');
}

/// A text in CSV, quoted where it has to be. What a table calculator would take for a formula begins with an apostrophe, by which
/// such programs know a text.
fn field(text: &str) -> String {
    let mut text = printable(text);
    if text.starts_with(['=', '+', '-', '@']) {
        text.insert(0, '\'');
    }
    if text.contains([',', '"']) || text.starts_with(' ') || text.ends_with(' ') {
        text = format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_one_field_and_no_formula() {
        for (text, expected) in [
            ("evict", "evict"),
            ("f(int, char)", "\"f(int, char)\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\nb\u{1b}", "a\\nb\\x1b"),
            ("=cmd()", "'=cmd()"),
            ("@a,b", "\"'@a,b\""),
            (" a", "\" a\""),
            ("", ""),
        ] {
            assert_eq!(field(text), expected);
        }
    }

    #[test]
    fn a_line_has_as_many_fields_as_the_header() {
        let columns = CSV_HEADER.trim_end().split(',').count();
        assert_eq!(csv_place(&[]).split(',').count(), 4);
        assert!(
            CSV_HEADER
                .trim_end()
                .ends_with("stack,function,file,line,module")
        );
        assert_eq!(columns, 20);
    }
}
