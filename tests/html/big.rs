//! A made-up run with very many buffers, culprits and addresses with excess frees. Owners are told, so that each culprit is
//! proven by its own free.

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

/// Call sites that allocate, and as many that free.
const SITES: u32 = 24;
/// Frames of each stack that all have in common.
const DEPTH: u32 = 12;

/// So many buffers, and culprits, of which each frees one buffer again.
pub fn trace(buffers: u64, culprits: u64) -> Trace {
    let mut events = Vec::new();
    for number in 0..buffers {
        let address = 0x1000_0000 + number * 0x400;
        let site = (number % u64::from(SITES)) as u32;
        let event = |kind, step: u64, stack: u32, tick: u64| Event {
            device: (number % 4) as u32,
            address,
            owner: number + 1,
            root_owner: number + 1,
            size: if step == 1 { 4096 } else { 0 },
            step,
            kind_label: (number % 3) as u32,
            stack: StackId(stack),
            thread: 7,
            time_ns: 1_000_000 + number * 1000 + tick,
            ..Event::of(kind)
        };
        events.push(event(EventKind::Allocate, 1, 1 + site, 0));
        // Some are never freed.
        if number >= culprits && number % 1000 == 999 {
            continue;
        }
        events.push(event(EventKind::Deallocate, 2, 1 + SITES + site, 400));
        if number < culprits {
            let stack = 1 + 2 * SITES + number as u32;
            events.push(Event {
                verdict: Verdict::AlreadyFreed,
                ..event(EventKind::Deallocate, 3, stack, 800)
            });
        }
    }
    Trace {
        id: 1,
        process: Process {
            pid: 7,
            command: vec!["big".to_owned()],
            ..Process::default()
        },
        events,
        device_names: (0..4).map(|at| (at, format!("chip {at}"))).collect(),
        kind_names: BTreeMap::from([
            (0, "weights".to_owned()),
            (1, "activations".to_owned()),
            (2, "circular buffer".to_owned()),
        ]),
        ..Trace::default()
    }
}

/// A function of its own for each stack, below others that many share.
#[derive(Debug)]
pub struct Names;

impl StackNames for Names {
    fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
        let frame = |function: String, line: u32| Frame {
            function: Some(function),
            module: Arc::from("/opt/runtime/lib/libruntime.so"),
            offset: u64::from(line) * 16,
            file: Some(Arc::from("/src/runtime/operations.cpp")),
            line,
            inlined: false,
            tail_called: false,
            language: Language::Native,
        };
        let number = stack.0;
        let own = match number.checked_sub(1 + 2 * SITES) {
            Some(culprit) => format!("rt::Cache<{culprit}>::evict_{culprit}(int)"),
            None if number > SITES => format!("rt::Operator::release_{number}(int)"),
            None => format!("rt::Operator::create_{number}(int)"),
        };
        let outer = (0..DEPTH).map(|at| {
            let of = number % (at + 2);
            frame(
                format!("rt::Layer::forward_{at}_{of}(rt::Tensor const&)"),
                100 + at,
            )
        });
        std::iter::once(frame(own, number)).chain(outer).collect()
    }
}
