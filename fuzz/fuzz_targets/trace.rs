//! A whole trace file: reading, analysis, and every output about it.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use whofreed_analysis::Rules;
use whofreed_fuzz::assert_printable;
use whofreed_fuzz::file_of;
use whofreed_fuzz::heap;
use whofreed_fuzz::made;
use whofreed_report::TextOptions;
use whofreed_trace::Events;
use whofreed_trace::FileEvents;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::read;

/// Names that the trace itself tells.
struct Told<'trace>(&'trace [Trace<FileEvents>]);

impl StackNames for Told<'_> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let trace = &self.0[trace];
        let Some(stack) = trace.stacks.get(stack.0 as usize) else {
            return Arc::default();
        };
        let native = stack.native.iter().take(8).map(|frame| {
            let module = frame.module.and_then(|at| trace.modules.get(at as usize));
            Frame {
                function: module.map(|module| module.path.clone()),
                module: module.map_or("", |module| &module.path).into(),
                offset: frame.offset,
                file: None,
                line: 0,
                inlined: false,
                tail_called: false,
                language: Language::Native,
            }
        });
        native.collect()
    }
}

// The reader takes 4 events of each byte of a file at most, which stay in the file: what is kept of them is a table
// with a line for each run of a thread. The analysis keeps a state for each address and event that is out of the
// ordinary; the smallest file has 128 KiB.
const BASE: usize = 16 << 20;
const TIMES: usize = 256;

fuzz_target!(|data: &[u8]| {
    let bytes = if data.first() == Some(&0xff) {
        data[1..].to_vec()
    } else {
        made::trace(data)
    };
    heap::within(BASE + TIMES * bytes.len(), || {
        let size = bytes.len() as u64;
        let both = [
            read::read(&bytes).map(|trace| (trace.events.len(), trace.damage)),
            {
                let trace = read::read_file(file_of(&bytes));
                trace.map(|trace| {
                    (
                        trace
                            .events
                            .runs()
                            .iter()
                            .map(|run| run.count as usize)
                            .sum(),
                        trace.damage,
                    )
                })
            },
        ];
        match both {
            [Ok(memory), Ok(file)] => {
                assert_eq!(memory.1.len(), file.1.len(), "{memory:?} {file:?}")
            }
            [Err(memory), Err(file)] => {
                assert_eq!((memory.offset, &memory.reason), (file.offset, &file.reason));
                assert!(file.offset <= size, "{file}");
            }
            [memory, file] => panic!("{memory:?} in memory, {file:?} in a file"),
        }
        let Ok(trace) = read::read_file(file_of(&bytes)) else {
            return;
        };
        for damage in &trace.damage {
            assert!(damage.offset <= size, "{damage:?} in {size} bytes");
        }
        let traces = [trace];
        let names = Told(&traces);
        let analysis = whofreed_analysis::analyse(&traces, &names);
        for verbose in [false, true] {
            let options = TextOptions {
                verbose,
                ..TextOptions::default()
            };
            assert_printable(&whofreed_report::to_text(&analysis, &options));
        }
        let json = whofreed_report::to_json(&analysis);
        let again = whofreed_report::from_json(&json).expect("a report that was just written");
        let diff = whofreed_analysis::diff::compare(&again, &analysis);
        assert_printable(&whofreed_report::diff_to_text(
            &diff,
            &TextOptions::default(),
        ));
        let event = traces[0].events.event(0);
        let (device, address) = event.map_or((0, 0), |event| (event.device, event.address));
        let rules = Rules::of(&traces);
        let steps = whofreed_analysis::history_with_blame(&traces, &names, &rules, device, address);
        let text = whofreed_report::history_to_text(
            &steps,
            &names,
            device,
            address,
            &TextOptions::default(),
        );
        assert_printable(&text);
    });
});
