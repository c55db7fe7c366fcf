//! Small traces, and what is drawn of them.

use std::collections::BTreeMap;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::Process;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use super::*;
use crate::Rules;

/// No stack has a name.
struct Nobody;

impl StackNames for Nobody {
    fn frames(&self, _trace: usize, _stack: StackId) -> std::sync::Arc<[Frame]> {
        std::sync::Arc::from([])
    }
}

const MS: u64 = 1_000_000;

fn event(kind: EventKind, address: u64, step: u64, ms: u64) -> Event {
    Event {
        device: 1,
        address,
        step,
        kind_label: 3,
        stack: StackId(1),
        thread: 7,
        time_ns: 50 * MS + ms * MS,
        ..Event::of(kind)
    }
}

fn allocate(address: u64, step: u64, ms: u64, size: u64) -> Event {
    Event {
        size,
        ..event(EventKind::Allocate, address, step, ms)
    }
}

fn free(address: u64, step: u64, ms: u64) -> Event {
    event(EventKind::Deallocate, address, step, ms)
}

fn again(address: u64, step: u64, ms: u64) -> Event {
    Event {
        verdict: Verdict::AlreadyFreed,
        ..free(address, step, ms)
    }
}

fn of_epoch(epoch: u32, event: Event) -> Event {
    Event { epoch, ..event }
}

fn trace(id: u64, events: Vec<Event>) -> Trace {
    Trace {
        id,
        process: Process {
            pid: id as u32,
            ..Process::default()
        },
        events,
        kind_names: BTreeMap::from([(3, "weights".to_owned())]),
        ..Trace::default()
    }
}

fn timeline_of(traces: &[Trace]) -> Timeline {
    crate::analyse_with_timeline(traces, &Nobody, &Rules::default()).1
}

/// The live bytes at a millisecond of the only curve.
fn live_at(timeline: &Timeline, ms: u64) -> u64 {
    assert_eq!(timeline.levels.len(), 1);
    timeline.levels[0].live[(ms * MS / timeline.bin_ns) as usize]
}

#[test]
fn live_bytes_rise_and_fall_with_the_buffers() {
    let timeline = timeline_of(&[trace(
        1,
        vec![
            allocate(10, 1, 0, 100),
            allocate(20, 1, 10, 50),
            free(10, 2, 20),
            again(10, 3, 30),
            free(20, 2, 40),
        ],
    )]);
    assert_eq!(timeline.levels[0].kind, "weights");
    let live = [5, 15, 25, 35, 40].map(|ms| live_at(&timeline, ms));
    assert_eq!(live, [100, 150, 50, 50, 0]);
    assert_eq!(timeline.levels[0].most.iter().max(), Some(&150));
    assert_eq!(timeline.excess.iter().sum::<u64>(), 1);
    assert_eq!(timeline.excess[(30 * MS / timeline.bin_ns) as usize], 1);
    assert_eq!(timeline.end_ns, 40 * MS);
    assert_eq!(timeline.stacks.len(), 1);
    assert_eq!(timeline.stacks[0].live.last(), Some(&0));
}

#[test]
fn a_reset_ends_what_lives_and_frees_that_come_late_end_nothing_twice() {
    let reset = of_epoch(1, event(EventKind::DeviceReset, 0, 0, 20));
    let late = Event {
        late: true,
        ..of_epoch(1, free(10, 2, 30))
    };
    let next = of_epoch(1, allocate(10, 3, 40, 7));
    let timeline = timeline_of(&[trace(1, vec![allocate(10, 1, 0, 100), reset, late, next])]);
    let live = [10, 25, 35, 40].map(|ms| live_at(&timeline, ms));
    assert_eq!(live, [100, 0, 0, 7]);
    assert!(timeline.buffers[0].is_live);
}

#[test]
fn an_event_that_is_told_behind_its_reset_counts_as_before_it() {
    // The clocks of two threads need not agree.
    let reset = of_epoch(1, event(EventKind::DeviceReset, 0, 0, 20));
    let behind = allocate(30, 1, 21, 9);
    let timeline = timeline_of(&[trace(1, vec![allocate(10, 1, 0, 100), reset, behind])]);
    assert_eq!(live_at(&timeline, 10), 100);
    assert_eq!(timeline.levels[0].live.last(), Some(&0));
    assert!(timeline.buffers.iter().all(|buffer| !buffer.is_live));
}

#[test]
fn what_a_process_left_is_gone_with_it_while_others_go_on() {
    let short = trace(1, vec![allocate(10, 1, 0, 100), allocate(11, 1, 10, 1)]);
    let long = trace(2, vec![allocate(10, 1, 5, 30), allocate(11, 1, 50, 2)]);
    let timeline = timeline_of(&[short, long]);
    let live = [2, 8, 30, 50].map(|ms| live_at(&timeline, ms));
    assert_eq!(live, [100, 130, 30, 32]);
}

#[test]
fn a_line_has_the_lives_of_its_address_and_the_free_that_struck() {
    let timeline = timeline_of(&[trace(
        1,
        vec![
            allocate(10, 1, 0, 100),
            free(10, 2, 10),
            allocate(10, 3, 20, 60),
            free(10, 4, 30),
            again(10, 5, 40),
            allocate(10, 6, 50, 60),
            allocate(20, 1, 50, 1),
        ],
    )]);
    assert_eq!(timeline.lines.len(), 1);
    let line = &timeline.lines[0];
    assert_eq!((line.address, line.excess), (10, 1));
    let lives: Vec<_> = (line.lives.iter())
        .map(|life| {
            (
                life.number,
                life.size,
                life.began_ns / MS,
                life.end.map(|end| end.time_ns / MS),
            )
        })
        .collect();
    assert_eq!(
        lives,
        [
            (1, 100, 0, Some(10)),
            (2, 60, 20, Some(30)),
            (3, 60, 50, None)
        ]
    );
    let strike = line.strikes[0];
    assert_eq!(
        (strike.time_ns / MS, strike.again, strike.hit),
        (40, Some(2), None)
    );
    assert_eq!(timeline.more_lines, 0);
}

#[test]
fn lists_are_bounded_and_tell_what_they_leave_out() {
    let mut events = Vec::new();
    for address in 0..12_000 {
        events.push(allocate(address, 1, address, 8));
        events.push(free(address, 2, address));
        // Every tenth is struck, most of all the last.
        for turn in 0..u64::from(address % 10 == 0) * (1 + address / 11_000) {
            events.push(again(address, 3 + turn, address));
        }
    }
    // One of them a thousand times.
    for turn in 0..1000 {
        events.push(again(0, 4 + turn, 12_000));
    }
    let timeline = timeline_of(&[trace(1, events)]);
    assert_eq!(
        (timeline.buffers.len(), timeline.more_buffers),
        (10_000, 2_000)
    );
    assert_eq!(timeline.buffers[0].address, 0);
    assert_eq!(timeline.buffers[0].excess, 1001);
    assert!(
        timeline.buffers[..1200]
            .iter()
            .all(|buffer| buffer.excess > 0)
    );
    assert!(timeline.lines.len() >= 200);
    assert_eq!(timeline.lines.len() as u64 + timeline.more_lines, 1200);
    let first = &timeline.lines[0];
    assert_eq!((first.address, first.strikes.len()), (0, 300));
    assert_eq!(first.more_strikes, 701);
    assert!(timeline.excess.len() <= 1000);
    let allocations: u64 = timeline.allocated.iter().map(|of| of.allocations).sum();
    assert_eq!(allocations + timeline.more_allocated, 12_000);
    assert_eq!(timeline.allocated[0].excess, 2300);
}

#[test]
fn the_last_excess_frees_are_told_in_their_order_whatever_trace_they_are_of() {
    let of = |id, first_ms| {
        let mut events = vec![allocate(0x10, 1, 1, 64), free(0x10, 2, 2)];
        events.extend((0..3000).map(|turn| again(0x10, 3 + turn, first_ms + 2 * turn)));
        trace(id, events)
    };
    let timeline = timeline_of(&[of(1, 10), of(2, 11)]);
    assert_eq!(timeline.latest.len(), 500);
    let times: Vec<u64> = timeline.latest.iter().map(|late| late.time_ns).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times.last(), Some(&((11 + 2 * 2999 - 1) * MS)));
    let of_first = timeline.latest.iter().filter(|late| late.pid == 1).count();
    assert_eq!(of_first, 250);
    let last = timeline.latest.last().expect("the last one");
    assert_eq!((last.device, last.address), (1, 0x10));
    assert_eq!(last.verdict, Verdict::AlreadyFreed);
}

#[test]
fn what_holds_a_buffer_at_the_end_is_counted_by_device() {
    let mut on_another = allocate(0x40, 1, 4, 8);
    on_another.device = 2;
    let events = vec![
        allocate(0x10, 1, 1, 64),
        allocate(0x20, 1, 2, 64),
        free(0x20, 2, 3),
        on_another,
    ];
    let timeline = timeline_of(&[trace(1, events)]);
    assert_eq!(timeline.live_buffers, BTreeMap::from([(1, 1), (2, 1)]));
}
