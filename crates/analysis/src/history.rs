//! The whole life of one address.

use whofreed_trace::Trace;

use crate::HistoryStep;
use crate::replay::Replay;
use crate::replay::is_of_address;

/// The steps of `address` on `device`, process by process; events that the ledger had no room for come last.
pub(crate) fn history(traces: &[Trace], device: u32, address: u64) -> Vec<HistoryStep> {
    let kept: Vec<Trace> = traces
        .iter()
        .map(|trace| Trace {
            id: trace.id,
            process: trace.process.clone(),
            events: trace
                .events
                .iter()
                .filter(|event| event.device == device && event.address == address)
                .copied()
                .collect(),
            ..Trace::default()
        })
        .collect();
    let replay = Replay::new(&kept);
    let judged = replay.steps.iter().map(|step| {
        let mut event = *step.event.of(&kept);
        event.verdict = step.verdict;
        event.late = step.late;
        (step.event.trace, event)
    });
    let loose = replay.loose.iter().filter_map(|loose| {
        let event = loose.of(&kept);
        (event.untracked && is_of_address(event.kind)).then_some((loose.trace, *event))
    });
    let mut steps: Vec<HistoryStep> = judged
        .chain(loose)
        .map(|(trace, event)| HistoryStep {
            trace: trace as usize,
            pid: kept[trace as usize].process.pid,
            event,
        })
        .collect();
    steps.sort_by_key(|step| step.trace);
    steps
}
