//! Every event of traces, in about the order in which they happened, to wherever a report goes: as they are read, for there may be
//! more than memory holds.

use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use whofreed_report::CSV_HEADER;
use whofreed_report::EventLine;
use whofreed_report::csv_place;
use whofreed_report::process_to_json_line;
use whofreed_report::stack_to_json_line;
use whofreed_trace::Events;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;

use crate::failure::Failure;
use crate::output::Format;
use crate::output::complain;
use crate::output::shown;
use crate::traces::FileTrace;

/// Writes the events to the file, or to stdout. That nobody reads stdout any more is no error.
pub(crate) fn write(
    traces: &[FileTrace],
    names: &dyn StackNames,
    format: Format,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let (result, place) = match file {
        Some(path) => {
            let written = File::create(path).and_then(|file| each(traces, names, format, file));
            (written, shown(path))
        }
        None => {
            let stdout = io::stdout().lock();
            (each(traces, names, format, stdout), "stdout".to_owned())
        }
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::ours(format!(
            "{place}: cannot be written: {error}"
        ))),
        Ok(0) => Ok(()),
        Ok(unread) => {
            complain(&format!(
                "{unread} events could not be read, and are not in {place}"
            ));
            Ok(())
        }
    }
}

/// Returns how many events could not be read.
fn each(
    traces: &[FileTrace],
    names: &dyn StackNames,
    format: Format,
    to: impl Write,
) -> io::Result<u64> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    if format == Format::Csv {
        to.write_all(CSV_HEADER.as_bytes())?;
    }
    let mut unread = 0;
    for (index, trace) in traces.iter().enumerate() {
        unread += of_trace(index, trace, names, format, &mut to)?;
    }
    to.flush()?;
    Ok(unread)
}

fn of_trace(
    index: usize,
    trace: &FileTrace,
    names: &dyn StackNames,
    format: Format,
    to: &mut impl Write,
) -> io::Result<u64> {
    let pid = trace.process.pid;
    let stacks = trace.stacks.len() as u32;
    names.prepare(&mut (0..stacks).map(|stack| (index, StackId(stack))));
    if format == Format::Jsonl {
        let line = process_to_json_line(&trace.process, trace.events.len(), trace.dropped_events);
        to.write_all(line.as_bytes())?;
    }
    // What is told of a stack is made once.
    let mut told: Vec<Option<String>> = vec![None; trace.stacks.len()];
    let nothing = csv_place(&[]);
    let mut line = String::new();
    let mut failed = None;
    let name = |names: &std::collections::BTreeMap<u32, String>, number| {
        names.get(&number).cloned().unwrap_or_default()
    };
    let unread = whofreed_analysis::each_event(trace, |event| {
        if failed.is_some() {
            return;
        }
        line.clear();
        let (kind, scope) = (
            name(&trace.kind_names, event.kind_label),
            name(&trace.scopes, event.scope),
        );
        let one = EventLine {
            pid,
            event,
            kind: &kind,
            scope: &scope,
        };
        let stack = told.get_mut(event.stack.0 as usize);
        if format == Format::Csv {
            let place = match stack {
                Some(told) => {
                    told.get_or_insert_with(|| csv_place(&names.frames(index, event.stack)))
                }
                None => &nothing,
            };
            one.to_csv(place, &mut line);
        } else {
            if let Some(told @ None) = stack {
                *told = Some(String::new());
                let frames = names.frames(index, event.stack);
                line.push_str(&stack_to_json_line(pid, event.stack.0, &frames));
            }
            one.to_json_line(&mut line);
        }
        failed = to.write_all(line.as_bytes()).err();
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(unread),
    }
}
