//! What is kept of an address, and what is only counted.

use std::collections::BTreeSet;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use super::address;
use super::cut;
use crate::replay::Address;
use crate::replay::Step;
use crate::rows::Builder;
use crate::rows::Code;
use crate::rows::Row;
use crate::rows::Rows;
use crate::rows::Token;
use crate::sources::EventRef;
use crate::stacks::StackNumber;

const ALLOCATE: StackNumber = StackNumber(0);
/// Ends most lives.
const USUAL: StackNumber = StackNumber(1);
/// Ends some.
const OTHER: StackNumber = StackNumber(2);
const AGAIN: StackNumber = StackNumber(3);

/// Lives one after the other, each ended by somebody; the last is then freed again.
fn lives(count: u64, ended_by: impl Fn(u64) -> StackNumber) -> Vec<Token> {
    let mut codes = Vec::new();
    for life in 1..=count {
        codes.push(Code::allocate(ALLOCATE));
        codes.push(Code::free(ended_by(life), false));
    }
    codes.push(Code::free(AGAIN, true));
    let token = |(index, code)| Token {
        code,
        lives: 0,
        at: EventRef::new(0, index),
    };
    (0..).zip(codes).map(token).collect()
}

fn count(row: &Row<'_>, stack: StackNumber) -> usize {
    let ended = Code::free(stack, false);
    row.codes.iter().filter(|&&code| code == ended).count()
}

/// In how many rows lives are ended by [`OTHER`].
fn rows_with_other(text: Vec<Token>) -> usize {
    let rows = cut(&[text], 0);
    rows.iter().filter(|row| count(row, OTHER) > 0).count()
}

#[test]
fn an_end_that_less_than_one_life_of_a_hundred_has_is_kept_until_there_are_many() {
    let every = |period: u64| {
        lives(20_190, move |life| match life % period {
            0 => OTHER,
            _ => USUAL,
        })
    };
    assert_eq!(rows_with_other(every(200)), 63);
    // The first few are kept of whatever there is.
    assert_eq!(rows_with_other(every(100)), 7);
}

/// The last lives that did not end as most do come along, as they may be what a later free strikes.
#[test]
fn odd_ends_a_while_ago_are_part_of_a_piece() {
    let text = lives(945, |life| match life % 10 {
        0 if life <= 920 => OTHER,
        _ => USUAL,
    });
    let rows = cut(&[text], 0);
    let last = rows.iter().last().expect("the last life is kept");
    assert_eq!((count(&last, OTHER), count(&last, USUAL)), (4, 6));
}

#[test]
fn half_as_many_are_not_odd() {
    let text = lives(301, |life| match life % 3 {
        0 => OTHER,
        _ => USUAL,
    });
    let rows = cut(&[text], 0);
    let last = rows.iter().last().expect("the last life is kept");
    // The last one and the six before it.
    assert_eq!((count(&last, OTHER), count(&last, USUAL)), (2, 4));
}

/// What is counted of a text that says the same again and again.
fn counted(again: &[Code]) -> Vec<(Vec<Code>, u64)> {
    let codes = again.iter().copied().cycle().take(100 * again.len());
    let token = |(index, code)| Token {
        code,
        lives: 0,
        at: EventRef::new(0, index),
    };
    let rows = cut(&[(0..).zip(codes).map(token).collect()], 0);
    let quiet = rows.quiet();
    quiet
        .map(|(codes, times)| (codes.to_vec(), times))
        .collect()
}

/// The first seven times are kept: that is how long it takes to be usual.
#[test]
fn whatever_is_usual_is_counted_as_a_whole() {
    let (allocate, free) = (Code::allocate(ALLOCATE), Code::free(USUAL, false));
    for usual in [
        &[allocate, free][..],
        &[allocate, allocate, free, free],
        &[
            allocate,
            Code::allocate(OTHER),
            free,
            Code::free(OTHER, false),
        ],
        &[allocate, Code::RESET],
        &[allocate, allocate, free, Code::RESET],
    ] {
        assert_eq!(counted(usual), [(usual.to_vec(), 93)]);
    }
    // Four lives at once, but not five.
    let nested = |lives: usize| [vec![allocate; lives], vec![free; lives]].concat();
    assert_eq!(counted(&nested(4)), [(nested(4), 93)]);
    assert_eq!(counted(&nested(5)), []);
    // The same free of two allocates is two lives.
    let other = Code::allocate(OTHER);
    let counted_of_two = counted(&[allocate, free, other, free]);
    assert_eq!(
        counted_of_two,
        [(vec![allocate, free], 93), (vec![other, free], 93)]
    );
}

#[test]
fn what_has_an_excess_free_in_it_is_never_usual() {
    let (allocate, free) = (Code::allocate(ALLOCATE), Code::free(USUAL, false));
    let excess = Code::free(AGAIN, true);
    for unusual in [
        &[allocate, free, excess][..],
        &[allocate, allocate, excess, free],
        &[allocate, allocate, free, excess],
    ] {
        assert_eq!(counted(unusual), []);
    }
}

/// Lives that go on below usual ones count as never ending, once half of 32 tokens or more agree on which they are.
#[test]
fn what_never_ends_is_left_below() {
    let (allocate, free) = (Code::allocate(ALLOCATE), Code::free(USUAL, false));
    let below = Code::allocate(OTHER);
    let growing = [below, allocate, free].repeat(13);
    for (before, settled) in [
        (vec![below, below], 32),
        // One that began in the first half.
        (
            [vec![below], [allocate, free].repeat(3), vec![below]].concat(),
            32,
        ),
        // With every third token there is one more of them, and then there is not.
        (growing, 53),
        // Too long, whatever goes on.
        (
            [vec![below], [below, allocate, free].repeat(21)].concat(),
            64,
        ),
    ] {
        let pairs = [allocate, free].into_iter().cycle().take(200);
        let codes = before.iter().copied().chain(pairs);
        let token = |(index, code)| Token {
            code,
            lives: 0,
            at: EventRef::new(0, index),
        };
        let rows = cut(&[(0..).zip(codes).map(token).collect()], 0);
        let lengths: Vec<usize> = rows.iter().map(|row| row.codes.len()).collect();
        assert_eq!(lengths, [settled + 7 * 2]);
        let quiet: Vec<u64> = rows.quiet().map(|(_, times)| times).collect();
        assert_eq!(quiet, [100 - (settled - before.len()) as u64 / 2 - 7]);
    }
}

#[test]
fn a_buffer_in_use_at_the_end_keeps_nothing() {
    let mut text = lives(100, |_| USUAL);
    // In place of the excess free.
    text[200].code = Code::allocate(ALLOCATE);
    let rows = cut(&[text], 0);
    let lengths: Vec<usize> = rows.iter().map(|row| row.codes.len()).collect();
    assert_eq!(lengths, [14]);
}

/// Where nothing is usual, a piece ends when it is long.
#[test]
fn a_piece_does_not_grow_for_ever() {
    let (allocate, free) = (Code::allocate(ALLOCATE), Code::free(USUAL, false));
    let noisy = [allocate, allocate, Code::free(AGAIN, true), free];
    let token = |(index, code)| Token {
        code,
        lives: 0,
        at: EventRef::new(0, index),
    };
    let codes = noisy.into_iter().cycle().take(12_000);
    let rows = cut(&[(0..).zip(codes).map(token).collect()], 0);
    let lengths: Vec<usize> = rows.iter().map(|row| row.codes.len()).collect();
    assert_eq!(lengths, [4_100, 4_100, 3_800]);
}

#[test]
fn a_log_is_cut_once_it_has_so_many_tokens() {
    let text = lives(3, |_| USUAL);
    assert_eq!(text.len(), 7);
    let text = [text];
    assert!(cut(&text, 7).are_cut());
    assert!(!cut(&text, 8).are_cut());
}

fn event(kind: EventKind) -> Event {
    Event {
        step: 1,
        ..Event::of(kind)
    }
}

#[test]
fn only_what_tells_something_becomes_a_code() {
    let (allocate, free) = (EventKind::Allocate, EventKind::Deallocate);
    for (kind, verdict, late, expected) in [
        (allocate, Verdict::Ok, false, Some(Code::allocate(USUAL))),
        (
            EventKind::Retain,
            Verdict::Ok,
            false,
            Some(Code::allocate(USUAL)),
        ),
        (EventKind::Retain, Verdict::Unknown, false, None),
        (EventKind::View, Verdict::Ok, false, None),
        (free, Verdict::Ok, false, Some(Code::free(USUAL, false))),
        (free, Verdict::Ok, true, None),
        (free, Verdict::Unknown, false, None),
        (
            free,
            Verdict::StaleOwner,
            false,
            Some(Code::free(USUAL, true)),
        ),
    ] {
        for after_reset in [false, true] {
            let event = event(kind);
            let step = Step {
                at: EventRef::new(0, 0),
                event: &event,
                verdict,
                late,
                life: None,
                freed: None,
                hit: None,
                lives: 0,
                after_reset,
            };
            let (mut rows, mut builder) = (Rows::default(), Builder::default());
            rows.step(&address(0), &mut builder, &step, USUAL);
            rows.end(&address(0), builder, true);
            let found: Vec<Code> = rows.iter().flat_map(|row| row.codes.to_vec()).collect();
            let reset = after_reset.then_some(Code::RESET);
            let expected: Vec<Code> = reset.into_iter().chain(expected).collect();
            assert_eq!(found, expected, "{kind:?} {verdict:?} {late}");
        }
    }
}

/// The rows of one address, whose last life may be freed or not.
fn rows(recorded: bool, whole: bool, is_freed: bool, is_used: bool) -> Rows {
    let address = Address {
        recorded,
        whole,
        ..address(0)
    };
    let mut text = lives(1, |_| USUAL);
    text.truncate(if is_freed { 2 } else { 1 });
    let (mut rows, mut builder) = (Rows::default(), Builder::default());
    for token in text {
        rows.push(&address, &mut builder, token);
    }
    rows.end(&address, builder, is_used);
    rows
}

/// Where events are missing, or where there was a buffer from before a log that is not known to have begun late, frees
/// tell nothing; allocates alone always do.
#[test]
fn rows_are_used_where_all_is_known() {
    let late = BTreeSet::from([0]);
    for (recorded, whole, is_freed, used, used_of_late) in [
        (true, true, true, 1, 1),
        (true, false, true, 0, 1),
        (false, false, true, 0, 0),
        (true, true, false, 1, 1),
        (true, false, false, 1, 1),
        (false, false, false, 1, 1),
    ] {
        let mut rows = rows(recorded, whole, is_freed, true);
        assert_eq!(rows.iter().count(), used, "{recorded} {whole} {is_freed}");
        rows.began_late(&late);
        assert_eq!(
            rows.iter().count(),
            used_of_late,
            "{recorded} {whole} {is_freed}"
        );
        let freed_by: Vec<StackNumber> = rows.freed_by().collect();
        assert_eq!(freed_by, if is_freed { vec![USUAL] } else { Vec::new() });
    }
    assert_eq!(rows(true, true, true, false).iter().count(), 0);
}
