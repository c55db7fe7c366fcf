//! The machine, run on code that is put together by hand.

use super::*;
use whofreed_hooktable::Adapter;
use whofreed_hooktable::Builder;
use whofreed_hooktable::Hook;
use whofreed_hooktable::Stub;
use whofreed_hooktable::Table;

const NO_SYMBOL: u16 = 1;
const GETPID: u16 = 0;

fn hooked(code: &[u8]) -> Hooked {
    let mut builder = Builder::default();
    let when = builder.code(code);
    builder.listed("nobody_defines_this|getpid");
    builder.listed("nobody_defines_this");
    builder.adapter(Adapter::default());
    builder.hook(Hook {
        when,
        ..Hook::default()
    });
    builder.stub(Stub::default());
    let table = Table::new(Box::leak(builder.build().into())).expect("a table");
    Hooked::read(table, 0).expect("a stub")
}

fn run(code: &[u8], has_returned: bool) -> Option<u64> {
    let hooked = hooked(code);
    let stack = [0_u64, 16, 17];
    let frame = Frame {
        arguments: [10, 11, 12, 13, 14, 15],
        variadic: 0,
        chain: 0,
        result: 99,
        result_high: 0,
        return_address_slot: stack.as_ptr().expose_provenance(),
        frame_pointer: 0,
        stack_words: 0,
        ticket: 0,
        vectors: [0; 8],
    };
    let call = Call {
        hooked: &hooked,
        frame: &frame,
        has_returned,
    };
    // The short way says what the long one does.
    let value = call.value(hooked.expressions.when);
    assert_eq!(value, call.value(Expression::Code(hooked.hook.when)));
    value
}

fn constant(value: u64) -> Vec<u8> {
    [&[code::CONSTANT][..], &value.to_le_bytes()].concat()
}

fn with_symbol(opcode: u8, symbol: u16) -> Vec<u8> {
    [&[opcode][..], &symbol.to_le_bytes()].concat()
}

fn value(parts: &[&[u8]]) -> Option<u64> {
    run(&[&parts.concat()[..], &[code::END]].concat(), false)
}

#[test]
fn every_operation_does_what_it_says() {
    let two =
        |left: u64, opcode: u8, right: u64| value(&[&constant(left), &constant(right), &[opcode]]);
    assert_eq!(two(3, code::ADD, u64::MAX), Some(2));
    assert_eq!(two(3, code::SUBTRACT, 4), Some(u64::MAX));
    assert_eq!(two(3, code::MULTIPLY, 4), Some(12));
    assert_eq!(two(1 << 32, code::MULTIPLY, 1 << 32), Some(u64::MAX));
    assert_eq!(two(6, code::AND, 3), Some(2));
    assert_eq!(two(6, code::OR, 3), Some(7));
    assert_eq!(two(1, code::SHIFT_LEFT, 63), Some(1 << 63));
    assert_eq!(two(1, code::SHIFT_LEFT, 64), Some(0));
    assert_eq!(two(256, code::SHIFT_RIGHT, 4), Some(16));
    assert_eq!(two(1, code::SHIFT_RIGHT, u64::MAX), Some(0));
    assert_eq!(two(5, code::EQUAL, 5), Some(1));
    assert_eq!(two(5, code::UNEQUAL, 5), Some(0));
    assert_eq!(two(5, code::LESS, 6), Some(1));
    assert_eq!(two(6, code::LESS, 5), Some(0));
    assert_eq!(value(&[&constant(7), &[code::TRUTH]]), Some(1));
    assert_eq!(value(&[&[code::ARGUMENT, 5]]), Some(15));
    // Behind the return address.
    assert_eq!(value(&[&[code::ARGUMENT, 6]]), Some(16));
    assert_eq!(value(&[&[code::ARGUMENT, 7]]), Some(17));
    assert_eq!(run(&[code::RESULT, code::END], true), Some(99));
    assert_eq!(
        run(&[code::RESULT, code::END], false),
        None,
        "it has not returned"
    );
}

#[test]
fn memory_is_read_but_not_where_nothing_can_be() {
    let word = 0x8877_6655_4433_2211_u64;
    let at = constant((&raw const word).expose_provenance() as u64);
    assert_eq!(value(&[&at, &[code::LOAD, 1]]), Some(0x11));
    assert_eq!(value(&[&at, &[code::LOAD, 2]]), Some(0x2211));
    assert_eq!(value(&[&at, &[code::LOAD, 4]]), Some(0x4433_2211));
    assert_eq!(value(&[&at, &[code::LOAD, 8]]), Some(word));
    assert_eq!(value(&[&at, &[code::LOAD, 3]]), None);
    for nowhere in [0, 8, 0xffff, 1 << 47, (1 << 47) - 4, u64::MAX] {
        assert_eq!(
            value(&[&constant(nowhere), &[code::LOAD, 8]]),
            None,
            "{nowhere:#x}"
        );
        assert_eq!(
            value(&[&constant(nowhere), &[code::VIRTUAL_CALL, 0, 0]]),
            None
        );
    }
}

#[test]
fn functions_are_called_by_name_and_by_slot() {
    let own = Some(u64::from(std::process::id()));
    assert_eq!(
        value(&[&constant(0), &with_symbol(code::CALL, GETPID)]),
        own
    );
    assert_eq!(
        value(&[&constant(0), &with_symbol(code::CALL, NO_SYMBOL)]),
        None
    );
    assert_eq!(value(&[&with_symbol(code::PRESENT, NO_SYMBOL)]), Some(0));
    assert_eq!(value(&[&with_symbol(code::PRESENT, GETPID)]), Some(1));
    assert_eq!(value(&[&with_symbol(code::SYMBOL, 999)]), None);

    extern "C" fn getter(object: *const [usize; 1]) -> usize {
        object.addr() + 1
    }
    let table = [0, getter as *const () as usize];
    let object = [(&raw const table).expose_provenance()];
    let at = (&raw const object).expose_provenance() as u64;
    assert_eq!(
        value(&[&constant(at), &[code::VIRTUAL_CALL, 1, 0]]),
        Some(at + 1)
    );
}

#[test]
fn jumps_choose_and_failures_find_their_handler() {
    let nine = constant(9);
    // A jump that is not taken, then one that is: 7, or 9.
    let chosen = |condition: u64| {
        value(&[
            &constant(condition),
            &[code::JUMP_IF_ZERO, 12, 0],
            &constant(7),
            &[code::JUMP, 9, 0],
            &nine,
        ])
    };
    assert_eq!((chosen(1), chosen(0)), (Some(7), Some(9)));
    let first = |address: u64| {
        let load = [
            &constant(1)[..],
            &constant(address),
            &[code::LOAD, 8, code::ADD, code::TRIED],
        ]
        .concat();
        let past = u8::try_from(load.len() + 3).expect("short");
        value(&[&[code::TRY, past, 0], &load, &[code::JUMP, 9, 0], &nine])
    };
    let word = 41_u64;
    assert_eq!(
        first((&raw const word).expose_provenance() as u64),
        Some(42)
    );
    assert_eq!(first(0), Some(9), "the stack is as it was");
}

#[test]
fn no_code_is_harmful() {
    let mut random = 1_u64;
    for _ in 0..20_000 {
        let code: Vec<u8> = (0..24)
            .map(|_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let byte = (random >> 56).to_le_bytes()[0] % 32;
                // Without what reads or calls wherever a number points to.
                if matches!(byte, code::LOAD | code::CALL | code::VIRTUAL_CALL) {
                    code::ADD
                } else {
                    byte
                }
            })
            .collect();
        let _ = run(&code, true);
    }
    assert_eq!(run(&[], false), None);
    assert_eq!(run(&[code::END], false), None, "there is no value");
    let too_many = constant(1).repeat(MAX_STACK + 1);
    assert_eq!(value(&[&too_many]), None);
}
