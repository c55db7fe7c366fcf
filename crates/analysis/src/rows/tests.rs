//! What is cut is still there: every free once, every event at its place.

mod kept;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Builder;
use super::Code;
use super::Rows;
use super::Token;
use crate::replay::Address;
use crate::replay::Place;
use crate::sources::EventRef;
use crate::stacks::StackNumber;

fn address(number: u64) -> Address {
    Address {
        place: Place {
            trace: 0,
            device: 0,
            address: number,
        },
        recorded: true,
        whole: true,
        owners_known: false,
    }
}

/// What one address does: of ten, how many are allocates, resets and excess frees, and how many different stacks.
#[derive(Clone, Copy, Debug)]
struct Nature {
    allocates: u64,
    resets: u64,
    excess: u64,
    stacks: u64,
}

fn text(nature: Nature, mut draw: impl FnMut(u64) -> u64, len: usize) -> Vec<Token> {
    let (mut open, mut lives) = (0_u64, 0_u32);
    let mut text = Vec::new();
    for index in 0..len {
        let stack = StackNumber(draw(nature.stacks) as u32);
        let code = if draw(10) < nature.resets && draw(10) == 0 {
            open = 0;
            Code::RESET
        } else if open == 0 && draw(10) >= nature.excess || draw(10) < nature.allocates {
            open += 1;
            lives += 1;
            Code::allocate(stack)
        } else {
            let is_excess = open == 0;
            open = open.saturating_sub(1);
            Code::free(stack, is_excess)
        };
        // Some lie in another trace: inherited.
        let trace = u32::from(draw(50) == 0);
        let at = EventRef::new(trace, index as u64 * draw(3) * (1 << 31) + index as u64);
        text.push(Token { code, lives, at });
    }
    text
}

/// A generator of pseudo-random numbers (splitmix64).
fn random(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |bound| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

fn cut(texts: &[Vec<Token>], most_whole: usize) -> Rows {
    let mut rows = Rows::uncut(most_whole);
    for (number, text) in (0..).zip(texts) {
        let address = address(number);
        let mut builder = Builder::default();
        for &token in text {
            rows.push(&address, &mut builder, token);
        }
        rows.end(&address, builder, true);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_free_is_in_one_place(
        seed in any::<u64>(),
        allocates in 0_u64..8,
        resets in 0_u64..4,
        excess in 0_u64..10,
        stacks in 1_u64..5,
        most_whole in prop_oneof![Just(0_usize), 0_usize..400],
    ) {
        let nature = Nature { allocates, resets, excess, stacks };
        let mut draw = random(seed);
        let texts: Vec<Vec<Token>> = (0..4).map(|_| {
            let len = draw(400) as usize;
            text(nature, &mut draw, len)
        }).collect();
        let rows = cut(&texts, most_whole);
        let mut expected: BTreeMap<Code, u64> = BTreeMap::new();
        for token in texts.iter().flatten().filter(|token| token.code.freed_by().is_some()) {
            *expected.entry(token.code).or_default() += 1;
        }
        let mut found: BTreeMap<Code, u64> = BTreeMap::new();
        for row in rows.iter() {
            let text = &texts[row.place().address as usize];
            let mut last = None;
            let lives = row.lives();
            for (index, &code) in row.codes.iter().enumerate() {
                if code.freed_by().is_some() {
                    *found.entry(code).or_default() += 1;
                }
                // The event is the one of this code, and they stand in their order.
                let at = row.event(index);
                let place = text.iter().position(|token| token.at == at && token.code == code);
                prop_assert!(place.is_some());
                prop_assert_eq!(place.map(|place| text[place].lives), Some(lives[index]));
                prop_assert!(place > last, "{place:?} after {last:?}");
                last = place;
            }
            prop_assert!(row.context.iter().all(|code| code.is_allocate()));
        }
        for (codes, times) in rows.quiet() {
            prop_assert!(times > 0);
            for &code in codes.iter().filter(|code| code.freed_by().is_some()) {
                prop_assert!(!code.is_excess());
                *found.entry(code).or_default() += times;
            }
        }
        prop_assert_eq!(found, expected);
    }
}

/// What happens all the time is counted; around an excess free there is all that leads to it.
#[test]
fn only_what_is_unusual_is_kept() {
    let (a, f, x) = (StackNumber(0), StackNumber(1), StackNumber(2));
    let mut text = Vec::new();
    for life in 0..10_000_u64 {
        let lives = life as u32 + 1;
        let mut push = |code, step| {
            let at = EventRef::new(0, 3 * life + step);
            text.push(Token { code, lives, at });
        };
        push(Code::allocate(a), 0);
        push(Code::free(f, false), 1);
        if life == 5_000 {
            push(Code::free(x, true), 2);
        }
    }
    let rows = cut(&[text], 0);
    let kept: Vec<usize> = rows.iter().map(|row| row.codes.len()).collect();
    // The first lives are not usual yet.
    assert_eq!(kept, [14, 13]);
    let first = rows.iter().next().expect("two rows");
    assert_eq!(first.event(0), EventRef::new(0, 0));
    let last = rows.iter().last().expect("two rows");
    assert!(last.codes.last().is_some_and(|code| code.is_excess()));
    assert_eq!(last.context.len(), 10);
    let quiet: Vec<(usize, u64)> = rows.quiet().map(|(c, n)| (c.len(), n)).collect();
    assert_eq!(quiet, [(2, 10_000 - 7 - 6)]);
}

/// Lives that nobody ends do not make a segment of all that follows.
#[test]
fn a_leak_does_not_make_everything_unusual() {
    let (a, f) = (StackNumber(0), StackNumber(1));
    let mut text = Vec::new();
    for life in 0..20_000_u64 {
        let at = EventRef::new(0, 2 * life);
        let lives = life as u32 + 1;
        let code = Code::allocate(a);
        text.push(Token { code, lives, at });
        if life % 2_000 != 100 {
            let code = Code::free(f, false);
            text.push(Token {
                code,
                lives,
                at: at.behind(1),
            });
        }
    }
    let rows = cut(&[text], 0);
    let kept: usize = rows.iter().map(|row| row.codes.len()).sum();
    assert!(kept < 1_000, "{kept} tokens are kept");
}
