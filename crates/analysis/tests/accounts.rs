//! Every figure of an analysis against naive accounts of logs in which everything happens.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod recorder;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use recorder::Excess;
use recorder::Instance;
use recorder::Recorder;
use recorder::UNTRACKED;
use recorder::Wanted;
use recorder::sums::totals;
use whofreed_analysis::Analysis;
use whofreed_analysis::Buffers;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Example;
use whofreed_analysis::WorstBuffer;
use whofreed_analysis::analyse;
use whofreed_analysis::history;
use whofreed_analysis::sums;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

const FIRST: Wanted = Wanted {
    pid: 7,
    length: 400,
    devices: 2,
    addresses: 5,
    owners: 3,
    unknown_owners: false,
    untracked: true,
    resets: true,
};

/// Two processes: one with more events, one with more addresses.
fn two(seed: u64, first: Wanted) -> [Recorder; 2] {
    let second = Wanted {
        pid: 5,
        length: first.length / 2,
        addresses: first.addresses + 20,
        ..first
    };
    [
        Recorder::run(seed, first),
        Recorder::run(seed.wrapping_add(1 << 40), second),
    ]
}

/// The names of each process's stacks.
struct Names<'a>(&'a [Recorder]);

impl StackNames for Names<'_> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        self.0[trace].names.frames(0, stack)
    }
}

fn traces(recorders: &[Recorder]) -> Vec<Trace> {
    recorders.iter().map(Recorder::trace).collect()
}

fn instances(recorders: &[Recorder]) -> impl Iterator<Item = (usize, &Instance)> {
    recorders.iter().enumerate().flat_map(|(trace, recorder)| {
        let places = recorder.places.values();
        places.flat_map(move |place| place.instances.iter().map(move |one| (trace, one)))
    })
}

fn buffers(recorders: &[Recorder]) -> (Buffers, Vec<WorstBuffer>) {
    let mut buffers = Buffers::default();
    let mut worst = Vec::new();
    for recorder in recorders {
        for (&(device, address), place) in &recorder.places {
            let is_free = |event: &&Event| event.kind == EventKind::Deallocate;
            let frees = || place.events.iter().filter(is_free);
            let buffer = WorstBuffer {
                pid: recorder.wanted.pid,
                device,
                address,
                allocated: place.instances.len() as u64,
                freed: frees().count() as u64,
                excess: place.excess.len() as u64,
                forwarded: frees().filter(|event| !event.blocked).count() as u64,
                blocked: frees().filter(|event| event.blocked).count() as u64,
            };
            if buffer.excess > 0 {
                worst.push(buffer);
            }
            if place.instances.is_empty() {
                continue;
            }
            buffers.unique += 1;
            match buffer.freed.cmp(&buffer.allocated) {
                std::cmp::Ordering::Less => buffers.under_freed += 1,
                std::cmp::Ordering::Equal => buffers.balanced += 1,
                std::cmp::Ordering::Greater => buffers.over_freed += 1,
            }
        }
    }
    worst.sort_by_key(|b| (Reverse(b.excess), b.pid, b.device, b.address));
    worst.truncate(20);
    (buffers, worst)
}

/// The site of a stack as the recorder wrote it: behind the two frames of machinery.
fn site(recorder: &Recorder, stack: StackId) -> Frame {
    recorder.names.frames(0, stack)[2].clone()
}

/// What was never freed, by where it was allocated, in the report's order.
fn leaks(recorders: &[Recorder]) -> Vec<(u64, u64, Frame)> {
    let mut leaks: BTreeMap<Frame, (u64, u64)> = BTreeMap::new();
    for (trace, instance) in instances(recorders) {
        if instance.freed.is_none() {
            let site = site(&recorders[trace], instance.allocated.stack);
            let leak = leaks.entry(site).or_default();
            leak.0 += 1;
            leak.1 += instance.allocated.size;
        }
    }
    let mut leaks: Vec<_> = leaks
        .into_iter()
        .map(|(site, (count, bytes))| (count, bytes, site))
        .collect();
    leaks.sort_by_key(|leak| (Reverse(leak.0), Reverse(leak.1), leak.2.clone()));
    leaks
}

fn check_sums(recorders: &[Recorder], analysis: &Analysis) {
    let (mut totals, verdicts) = totals(recorders.iter().flat_map(Recorder::events));
    let is_leak = |(_, instance): &(usize, &Instance)| instance.freed.is_none();
    totals.leaked = instances(recorders).filter(is_leak).count() as u64;
    totals.unexplained = analysis.totals.unexplained;
    assert_eq!(analysis.totals, totals);
    assert_eq!(analysis.verdicts, verdicts);
    let (buffers, worst) = buffers(recorders);
    assert_eq!(analysis.buffers, buffers);
    assert_eq!(analysis.worst_buffers, worst);
    let found: Vec<(u64, u64, Frame)> = analysis
        .leaks
        .iter()
        .map(|leak| {
            assert!(leak.stack.contains(&leak.site.frame));
            (leak.count, leak.bytes, leak.site.frame.clone())
        })
        .collect();
    assert_eq!(found, leaks(recorders));
    assert_eq!(analysis.main_process, 0);
    assert_eq!(analysis.processes.len(), recorders.len());
    assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
}

/// Excess frees by their site, in the order of time, with the process of each.
type Charged = BTreeMap<Frame, Vec<(usize, Excess)>>;

fn charged(recorders: &[Recorder], is_certain: impl Fn(&Excess) -> bool) -> Charged {
    let mut charged = Charged::new();
    for (trace, recorder) in recorders.iter().enumerate() {
        for excess in recorder.places.values().flat_map(|place| &place.excess) {
            if is_certain(excess) {
                let site = site(recorder, excess.event.stack);
                charged.entry(site).or_default().push((trace, *excess));
            }
        }
    }
    for excess in charged.values_mut() {
        excess.sort_by_key(|(trace, excess)| (excess.event.time_ns, *trace));
    }
    charged
}

fn check_culprits(recorders: &[Recorder], analysis: &Analysis, charged: &Charged) {
    let mut expected: Vec<_> = charged.iter().collect();
    expected.sort_by_key(|&(site, excess)| (Reverse(excess.len()), site.clone()));
    let culprits = analysis.culprits.iter();
    let named: Vec<&Frame> = culprits.clone().map(|one| &one.site.frame).collect();
    let sites: Vec<&Frame> = expected.iter().map(|one| one.0).collect();
    assert_eq!(named, sites);
    for (culprit, (_, excess)) in culprits.zip(expected) {
        assert_eq!(culprit.confidence, Confidence::Proven);
        assert_eq!(culprit.class, Class::Explicit);
        assert!(culprit.alternatives.is_empty());
        assert_eq!(culprit.explains, excess.len() as u64);
        let places: BTreeSet<(usize, u32, u64)> = excess
            .iter()
            .map(|(trace, excess)| (*trace, excess.event.device, excess.event.address))
            .collect();
        assert_eq!(culprit.buffers, places.len() as u64);
        let devices: BTreeSet<u32> = places.iter().map(|place| place.1).collect();
        assert_eq!(culprit.devices, devices.into_iter().collect::<Vec<_>>());

        // The example is what tells most, and of that the first in time.
        let untold = |excess: &Excess| match excess.again {
            None => 2,
            Some(_) => u8::from(excess.freed_before().is_none()),
        };
        let best = excess.iter().min_by_key(|(_, excess)| untold(excess));
        check_example(recorders, &culprit.example, best.unwrap());
    }
    assert!(analysis.victims.is_empty());
    let explained: usize = charged.values().map(Vec::len).sum();
    assert_eq!(
        analysis.totals.excess - analysis.totals.unexplained,
        explained as u64
    );
}

fn check_example(recorders: &[Recorder], example: &Example, of: &(usize, Excess)) {
    let &(trace, excess) = of;
    let event = excess.event;
    let frames = |event: Option<Event>| match event {
        Some(event) => Names(recorders).frames(trace, event.stack),
        None => Arc::from([]),
    };
    let label = |word: &str, number: u32| match number {
        0 => String::new(),
        _ => format!("{word} {number}"),
    };
    let allocated = excess.again.map(|again| again.allocated);
    assert_eq!(example.pid, recorders[trace].wanted.pid);
    assert_eq!(
        (example.device, example.address, example.thread),
        (event.device, event.address, event.thread)
    );
    assert_eq!(example.size, allocated.map_or(0, |event| event.size));
    let kind = allocated.unwrap_or(event).kind_label;
    assert_eq!(example.kind, label("kind", kind));
    assert_eq!(example.scope, label("scope", event.scope));
    assert_eq!(example.allocated, frames(allocated));
    assert_eq!(example.freed, frames(excess.freed_before()));
    assert_eq!(example.excess, frames(Some(event)));
}

#[test]
fn sums_and_culprits_of_known_owners_are_exact() {
    for seed in 0..40 {
        let recorders = two(seed, FIRST);
        let analysis = analyse(&traces(&recorders), &Names(&recorders));
        check_sums(&recorders, &analysis);
        let charged = charged(&recorders, |_| true);
        check_culprits(&recorders, &analysis, &charged);
        for culprit in &analysis.culprits {
            assert_eq!(culprit.observed, culprit.explains);
        }
    }
}

#[test]
fn sums_are_exact_whoever_owns() {
    for seed in 0..40 {
        let wanted = Wanted {
            owners: seed % 3,
            unknown_owners: true,
            ..FIRST
        };
        let recorders = two(seed, wanted);
        let analysis = analyse(&traces(&recorders), &Names(&recorders));
        check_sums(&recorders, &analysis);
        // The same without a word about who did it.
        let mut alone = sums(&traces(&recorders));
        alone.unexplained = analysis.totals.unexplained;
        assert_eq!(alone, analysis.totals);
    }
}

/// Each event that was lost unjudged may have given a right to one free: a site with no more than those is not accused.
/// What was judged and only not recorded excuses nobody.
#[test]
fn lost_events_leave_only_what_is_certain() {
    for seed in 0..20 {
        let recorders = two(seed, FIRST);
        let mut traces = traces(&recorders);
        for (index, trace) in traces.iter_mut().enumerate() {
            trace.dropped_events = 100;
            trace.unjudged_events = 12 + index as u64;
        }
        let analysis = analyse(&traces, &Names(&recorders));
        assert_eq!(analysis.totals.dropped_events, 200);
        let mut charged = charged(&recorders, |_| true);
        for excess in charged.values_mut() {
            let of_process = |wanted| excess.iter().filter(|(trace, _)| *trace == wanted).count();
            let stands = [of_process(0) > 12, of_process(1) > 13];
            excess.retain(|(trace, _)| stands[*trace]);
        }
        charged.retain(|_, excess| !excess.is_empty());
        assert!(analysis.totals.unexplained > 0);
        check_culprits(&recorders, &analysis, &charged);
    }
}

/// Where the ledger had no room for some event of an address, nobody is accused there.
#[test]
fn events_without_room_excuse_everybody_at_their_address() {
    for seed in 0..20 {
        let recorders = two(seed, FIRST);
        let mut traces = traces(&recorders);
        let (device, address) = (1, 3);
        for trace in &mut traces {
            let some = trace.events.iter().find(|event| event.untracked);
            let mut moved = *some.unwrap();
            assert!(moved.address >= UNTRACKED);
            (moved.device, moved.address) = (device, address);
            trace.events.push(moved);
        }
        let analysis = analyse(&traces, &Names(&recorders));
        let charged = charged(&recorders, |excess| {
            (excess.event.device, excess.event.address) != (device, address)
        });
        check_culprits(&recorders, &analysis, &charged);
        assert!(analysis.totals.unexplained > 0);
    }
}

#[test]
fn the_history_has_every_event_of_its_address_and_no_other() {
    for seed in 0..20 {
        let recorders = two(seed, FIRST);
        let mut traces = traces(&recorders);
        // An event of the device is of no address, whatever it is marked with.
        let of_device = |event: &&mut Event| event.kind == EventKind::DeviceReset;
        for event in traces[0].events.iter_mut().filter(of_device) {
            event.untracked = true;
        }
        for (device, address) in [(0, 0), (1, 4), (1, 11), (0, UNTRACKED + 1), (9, 9)] {
            let expected: Vec<(usize, u32, Event)> = recorders
                .iter()
                .enumerate()
                .flat_map(|(trace, recorder)| {
                    let place = recorder.places.get(&(device, address));
                    let steps = place.into_iter().flat_map(|place| place.events.clone());
                    let loose = traces[trace].events.iter().filter(|event| {
                        event.untracked
                            && event.kind != EventKind::DeviceReset
                            && (event.device, event.address) == (device, address)
                    });
                    // Without an order, they come as time has it.
                    let mut loose: Vec<Event> = loose.copied().collect();
                    loose.sort_by_key(|event| event.time_ns);
                    let pid = recorder.wanted.pid;
                    steps
                        .chain(loose)
                        .map(move |event| (trace, pid, event))
                        .collect::<Vec<_>>()
                })
                .collect();
            let found: Vec<(usize, u32, Event)> = history(&traces, device, address)
                .into_iter()
                .map(|step| (step.trace, step.pid, step.event))
                .collect();
            assert_eq!(found, expected);
        }
    }
}
