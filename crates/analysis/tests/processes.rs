//! Traces of several processes, of forked ones, and of which events are missing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod recorder;

use recorder::Instance;
use recorder::Recorder;
use recorder::Wanted;
use recorder::sums::totals;
use whofreed_analysis::Buffers;
use whofreed_analysis::analyse;
use whofreed_analysis::history;
use whofreed_corpus::Random;
use whofreed_trace::Coverage;
use whofreed_trace::Damage;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::ForkPoint;
use whofreed_trace::Process;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

const WANTED: Wanted = Wanted {
    pid: 7,
    length: 300,
    devices: 2,
    addresses: 6,
    owners: 3,
    unknown_owners: true,
    untracked: true,
    resets: true,
};

/// The process that goes on alone with what `recorder` did after a moment, as the child of another trace.
fn forked(recorder: &Recorder, id: u64, parent_trace: u64, time_ns: u64) -> Trace {
    let mut child = recorder.trace();
    child.id = id;
    child.process = Process {
        pid: id as u32,
        fork: Some(ForkPoint {
            parent_trace,
            time_ns,
        }),
        ..child.process
    };
    child.events.retain(|event| event.time_ns > time_ns);
    child
}

/// When the given share of the events had happened.
fn moment(recorder: &Recorder, share: f64) -> u64 {
    let events = recorder.events();
    events[(events.len() as f64 * share) as usize].time_ns
}

#[test]
fn a_child_and_its_child_know_what_happened_before_them() {
    for seed in 0..30 {
        let recorder = Recorder::run(seed, WANTED);
        let (first, second) = (moment(&recorder, 0.4), moment(&recorder, 0.7));
        // All three do the same after the forks, each for itself.
        let traces = [
            forked(&recorder, 9, 8, second),
            recorder.trace(),
            forked(&recorder, 8, 7, first),
        ];
        let analysis = analyse(&traces, &recorder.names);
        assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
        assert_eq!(analysis.main_process, 1);
        let events = traces.iter().flat_map(|trace| trace.events.clone());
        let (mut totals, verdicts) = totals(events);
        let instances = recorder.places.values().flat_map(|place| &place.instances);
        for leaked in instances.filter(|instance| instance.freed.is_none()) {
            let time = leaked.allocated.time_ns;
            totals.leaked += 1 + u64::from(time > first) + u64::from(time > second);
        }
        totals.unexplained = analysis.totals.unexplained;
        assert_eq!(analysis.totals, totals);
        assert_eq!(analysis.verdicts, verdicts);
        for &(device, address) in recorder.places.keys() {
            let told = history(&traces, device, address);
            for (number, trace) in traces.iter().enumerate() {
                let here = |event: &&Event| {
                    (event.device, event.address) == (device, address) && event.step > 0
                };
                let mut events: Vec<Event> = trace.events.iter().filter(here).copied().collect();
                events.sort_by_key(|event| event.step);
                let own = told.iter().filter(|step| step.trace == number);
                assert!(own.clone().all(|step| step.pid == trace.process.pid));
                assert!(own.map(|step| step.event).eq(events));
            }
        }
    }
}

/// What a child inherits is enough to judge it again: a verdict that is wrong is noticed.
#[test]
fn wrong_verdicts_of_children_are_noticed() {
    let recorder = Recorder::run(1, WANTED);
    let (first, second) = (moment(&recorder, 0.4), moment(&recorder, 0.7));
    let mut traces = [
        recorder.trace(),
        forked(&recorder, 8, 7, first),
        forked(&recorder, 9, 8, second),
    ];
    let mut wrong = [0; 3];
    for (trace, wrong) in traces.iter_mut().zip(&mut wrong) {
        for event in &mut trace.events {
            if event.kind == EventKind::Deallocate && event.verdict.is_excess() {
                event.verdict = Verdict::Ok;
                *wrong += 1;
            }
        }
    }
    let damage = analyse(&traces, &recorder.names).damage;
    let told: Vec<(usize, &str)> = damage
        .iter()
        .map(|(trace, damage)| (*trace, damage.what.split(' ').next().unwrap()))
        .collect();
    let wrong = wrong.map(|wrong: u32| wrong.to_string());
    let expected: Vec<(usize, &str)> = wrong.iter().map(String::as_str).enumerate().collect();
    assert_eq!(told, expected);
}

#[test]
fn a_child_s_buffers_are_those_that_it_uses() {
    for seed in 0..30 {
        let wanted = Wanted {
            resets: false,
            ..WANTED
        };
        let recorder = Recorder::run(seed, wanted);
        let fork = moment(&recorder, 0.5);
        let parent = recorder.trace();
        let alone = analyse(std::slice::from_ref(&parent), &recorder.names).buffers;
        let child = forked(&recorder, 8, 7, fork);
        let buffers = analyse(&[parent, child], &recorder.names).buffers;

        let mut expected = Buffers::default();
        for place in recorder.places.values() {
            let is_own = |event: &Event| event.time_ns > fork;
            let is_free = |event: &&Event| event.kind == EventKind::Deallocate && is_own(event);
            let freed = place.events.iter().filter(is_free).count();
            let (own, inherited): (Vec<Instance>, Vec<Instance>) = place
                .instances
                .iter()
                .partition(|instance| is_own(&instance.allocated));
            let handed_down = inherited
                .iter()
                .filter(|instance| instance.freed.is_none_or(|freed| is_own(&freed)));
            let ended = inherited
                .iter()
                .filter(|instance| instance.freed.is_some_and(|freed| is_own(&freed)));
            let allocates = own
                .iter()
                .any(|instance| instance.allocated.kind == EventKind::Allocate);
            if !allocates && (freed == 0 || inherited.is_empty()) {
                continue;
            }
            expected.unique += 1;
            if freed > handed_down.count() + own.len() {
                expected.over_freed += 1;
            } else if own.len() > freed - ended.count() {
                expected.under_freed += 1;
            } else {
                expected.balanced += 1;
            }
        }
        assert_eq!(buffers.unique - alone.unique, expected.unique);
        assert_eq!(buffers.over_freed - alone.over_freed, expected.over_freed);
        assert_eq!(
            buffers.under_freed - alone.under_freed,
            expected.under_freed
        );
        assert_eq!(buffers.balanced - alone.balanced, expected.balanced);
    }
}

/// What one owner does at one address.
fn event(kind: EventKind, verdict: Verdict, step: u64, time_ns: u64) -> Event {
    let mut event = Recorder::run(1, WANTED).events()[0];
    (event.device, event.address, event.epoch) = (1, 2, 0);
    (event.owner, event.root_owner) = (4, 4);
    (event.untracked, event.blocked, event.late) = (false, false, false);
    (event.kind, event.verdict) = (kind, verdict);
    (event.step, event.time_ns) = (step, time_ns);
    event
}

/// A child whose ledger counts anew is placed by the clock.
#[test]
fn a_child_that_counts_anew_inherits_by_the_clock() {
    let names = Recorder::run(1, WANTED).names;
    let parent = Trace {
        id: 3,
        events: vec![
            event(EventKind::Allocate, Verdict::Ok, 1, 10),
            event(EventKind::Deallocate, Verdict::Ok, 2, 20),
        ],
        ..Trace::default()
    };
    for (fork, verdict) in [
        (9, Verdict::Unknown),
        (10, Verdict::Ok),
        (19, Verdict::Ok),
        (20, Verdict::AlreadyFreed),
        (99, Verdict::AlreadyFreed),
    ] {
        let mut child = Trace {
            id: 4,
            events: vec![event(EventKind::Deallocate, verdict, 1, 200)],
            ..Trace::default()
        };
        child.process.fork = Some(ForkPoint {
            parent_trace: 3,
            time_ns: fork,
        });
        let traces = [parent.clone(), child];
        let analysis = analyse(&traces, &names);
        assert!(analysis.damage.is_empty(), "{fork}: {:?}", analysis.damage);
        assert_eq!(history(&traces, 1, 2)[2].event.verdict, verdict);
    }
}

/// A buffer that a child only looks at is its parent's.
#[test]
fn a_child_that_frees_nothing_has_no_buffers() {
    for (kind, unique) in [(EventKind::View, 1), (EventKind::Deallocate, 2)] {
        let parent = Trace {
            id: 3,
            events: vec![event(EventKind::Allocate, Verdict::Ok, 1, 10)],
            ..Trace::default()
        };
        let mut child = Trace {
            id: 4,
            events: vec![event(kind, Verdict::Ok, 2, 30)],
            ..Trace::default()
        };
        child.process.fork = Some(ForkPoint {
            parent_trace: 3,
            time_ns: 20,
        });
        let names = Recorder::run(1, WANTED).names;
        let analysis = analyse(&[parent, child], &names);
        assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
        assert_eq!(analysis.buffers.unique, unique);
    }
}

#[test]
fn forks_that_lead_nowhere_or_in_a_circle_end() {
    let recorder = Recorder::run(3, WANTED);
    let middle = moment(&recorder, 0.5);
    let (own, lost) = (
        forked(&recorder, 8, 8, middle),
        forked(&recorder, 8, 99, middle),
    );
    let circle = [
        forked(&recorder, 8, 9, middle),
        forked(&recorder, 9, 8, middle),
    ];
    for traces in [&[own][..], &[lost], &circle] {
        let analysis = analyse(traces, &recorder.names);
        let events: usize = traces.iter().map(|trace| trace.events.len()).sum();
        assert_eq!(analysis.totals.events, events as u64);
    }
}

/// From a missing event on, what the host said stands.
#[test]
fn missing_events_leave_the_recorded_verdicts() {
    for seed in 0..30 {
        let recorder = Recorder::run(seed, WANTED);
        let mut trace = recorder.trace();
        let mut random = Random(seed);
        trace.events.retain(|_| random.below(20) > 0);
        let (expected, verdicts) = totals(trace.events.clone());
        let analysis = analyse(&[trace], &recorder.names);
        assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
        let mut found = analysis.totals;
        (found.leaked, found.unexplained) = (0, 0);
        assert_eq!(found, expected);
        assert_eq!(analysis.verdicts, verdicts);
    }
}

#[test]
fn wrong_verdicts_are_counted_and_the_first_is_told() {
    let recorder = Recorder::run(1, WANTED);
    let place = &recorder.places[&(1, 2)];
    let wrong: Vec<Event> = place.excess.iter().map(|one| one.event).collect();
    assert!(wrong.len() > 1);
    let mut trace = recorder.trace();
    for event in &mut trace.events {
        if wrong.contains(event) {
            event.verdict = Verdict::Ok;
        }
    }
    let mut faulty = Trace::default();
    faulty.damage.push(Damage {
        offset: 5,
        what: "cut".to_owned(),
    });
    let analysis = analyse(&[faulty, trace], &recorder.names);
    let damage: Vec<(usize, u64, &str)> = analysis
        .damage
        .iter()
        .map(|(trace, damage)| (*trace, damage.offset, damage.what.as_str()))
        .collect();
    let what = format!(
        "{} recorded verdict(s) differ from the replay's; the first is a deallocate of device 1 address 2 at step \
         {}: recorded ok, replayed {}",
        wrong.len(),
        wrong[0].step,
        wrong[0].verdict.name()
    );
    assert_eq!(damage, [(0, 5, "cut"), (1, 0, what.as_str())]);
}

#[test]
fn a_wrong_lateness_is_a_wrong_verdict() {
    let recorder = Recorder::run(1, WANTED);
    let mut trace = recorder.trace();
    let late = trace.events.iter_mut().find(|event| event.late).unwrap();
    late.late = false;
    let analysis = analyse(&[trace], &recorder.names);
    assert!(
        analysis.damage[0]
            .1
            .what
            .starts_with("1 recorded verdict(s)")
    );
}

#[test]
fn what_processes_have_in_common_is_told_once() {
    let bound = |symbol: &str| Coverage::Bound {
        adapter: "tt-metal".to_owned(),
        symbol: symbol.to_owned(),
        library: "libtt_metal.so".to_owned(),
    };
    let trace = |coverage: &[&str], devices: &[(u32, &str)], events: u64| Trace {
        coverage: coverage.iter().map(|symbol| bound(symbol)).collect(),
        device_names: devices
            .iter()
            .map(|&(device, name)| (device, name.to_owned()))
            .collect(),
        events: Recorder::run(1, WANTED).events()[..events as usize].to_vec(),
        dropped_events: events,
        ..Trace::default()
    };
    let traces = [
        trace(&["a", "b"], &[(1, "one")], 3),
        trace(&["b", "c"], &[(1, "other"), (2, "two")], 5),
        trace(&["a"], &[], 5),
    ];
    let names = Recorder::run(1, WANTED).names;
    let analysis = analyse(&traces, &names);
    assert_eq!(analysis.coverage, ["a", "b", "c"].map(bound));
    let devices: Vec<(u32, &str)> = analysis
        .device_names
        .iter()
        .map(|(&device, name)| (device, name.as_str()))
        .collect();
    assert_eq!(devices, [(1, "one"), (2, "two")]);
    // The one with most events, and of those the first.
    assert_eq!(analysis.main_process, 1);
    assert_eq!(analysis.totals.dropped_events, 13);
}
