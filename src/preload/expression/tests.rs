//! The machine, run on code that is put together by hand.

use proptest::prelude::*;

use super::program::Op;
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
    // As many as a number of `no_code_is_harmful` can mean.
    let mut stack = [0_u64; 40];
    stack[1..3].copy_from_slice(&[16, 17]);
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
    let offset = hooked.hook.when;
    let value = call.run(offset);
    // The short ways say what the long one does.
    assert_eq!(call.value(hooked.expressions.when), value);
    if let Some(compiled) = compiled(&call, offset) {
        assert_eq!(compiled, value, "{code:?}");
    }
    value
}

/// The value by what is left of an expression; the outer None where nothing is made of it.
fn compiled(call: &Call<'_>, offset: u32) -> Option<Option<u64>> {
    let mut ops = [Op::Jump { to: 0 }; program::MOST];
    let find = |place| originals::symbol(place, call.hooked);
    let len = compile::compile(call.hooked.table.code(offset), &mut ops, find)?;
    Some(program::run(&ops[..len], call))
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

/// An expression as the launcher compiles them.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(Vec<u8>),
    Truth(Box<Tree>),
    Call(Box<Tree>, u16),
    Two(u8, Box<[Tree; 2]>),
    Select(Box<[Tree; 3]>),
    First(Box<[Tree; 2]>),
}

impl Tree {
    fn code(&self) -> Vec<u8> {
        let jump = |opcode: u8, over: usize| {
            let over = u16::try_from(over).expect("short");
            [&[opcode][..], &over.to_le_bytes()].concat()
        };
        match self {
            Self::Leaf(code) => code.clone(),
            Self::Truth(of) => [&of.code()[..], &[code::TRUTH]].concat(),
            Self::Call(of, symbol) => [of.code(), with_symbol(code::CALL, *symbol)].concat(),
            Self::Two(opcode, of) => [&of[0].code()[..], &of[1].code(), &[*opcode]].concat(),
            Self::Select(of) => {
                let [condition, then, other] = of.each_ref().map(Tree::code);
                let past_other = jump(code::JUMP, other.len());
                let past_then = jump(code::JUMP_IF_ZERO, then.len() + past_other.len());
                [condition, past_then, then, past_other, other].concat()
            }
            Self::First(of) => {
                let [first, other] = of.each_ref().map(Tree::code);
                let past_other = [&[code::TRIED][..], &jump(code::JUMP, other.len())].concat();
                let on_failure = jump(code::TRY, first.len() + past_other.len());
                [on_failure, first, past_other, other].concat()
            }
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    static WORDS: [u64; 4] = [0, 1, u64::MAX, 0x1122_3344_5566_7788];
    // What is read lies in this test's own memory, or where nothing can be.
    let word = (0..4_usize).prop_map(|at| (&raw const WORDS[at]).expose_provenance() as u64);
    let places = prop_oneof![3 => word, 1 => Just(0), 1 => Just(1_u64 << 50)];
    let loads = (places, 0..10_u8)
        .prop_map(|(place, width)| [&constant(place)[..], &[code::LOAD, width]].concat());
    let values = prop_oneof![Just(0), Just(1), Just(u64::from(u32::MAX)), any::<u64>()];
    let leaf = prop_oneof![
        4 => values.prop_map(constant),
        3 => loads,
        3 => (0..8_u8).prop_map(|number| vec![code::ARGUMENT, number]),
        1 => Just(vec![code::RESULT]),
        2 => (0..2_u16).prop_map(|symbol| with_symbol(code::SYMBOL, symbol)),
        1 => (0..2_u16).prop_map(|symbol| with_symbol(code::PRESENT, symbol)),
    ];
    let twos = prop::sample::select(vec![
        code::ADD,
        code::SUBTRACT,
        code::MULTIPLY,
        code::AND,
        code::OR,
        code::SHIFT_LEFT,
        code::SHIFT_RIGHT,
        code::EQUAL,
        code::UNEQUAL,
        code::LESS,
    ]);
    leaf.prop_map(Tree::Leaf)
        .prop_recursive(4, 24, 3, move |tree| {
            let boxed = tree.clone().prop_map(Box::new);
            let pair = [tree.clone(), tree.clone()].prop_map(Box::new);
            prop_oneof![
                1 => boxed.clone().prop_map(Tree::Truth),
                1 => (boxed, 0..2_u16).prop_map(|(of, symbol)| Tree::Call(of, symbol)),
                4 => (twos.clone(), pair.clone()).prop_map(|(what, of)| Tree::Two(what, of)),
                2 => [tree.clone(), tree.clone(), tree].prop_map(|of| Tree::Select(Box::new(of))),
                2 => pair.prop_map(Tree::First),
            ]
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn what_is_left_of_an_expression_has_its_value(tree in trees(), has_returned: bool) {
        let code = [&tree.code()[..], &[code::END]].concat();
        run(&code, has_returned);
        let hooked = hooked(&code);
        let mut ops = [Op::Jump { to: 0 }; program::MOST];
        let find = |place| originals::symbol(place, &hooked);
        let len = compile::compile(&code, &mut ops, find);
        prop_assert!(len.is_some(), "it is made of what the launcher makes");
    }
}

#[test]
fn a_choice_that_depends_on_symbols_alone_is_made_once() {
    let has = with_symbol(code::PRESENT, GETPID);
    let code = [
        &has[..],
        &[code::JUMP_IF_ZERO, 5, 0, code::ARGUMENT, 0],
        &[code::JUMP, 2, 0, code::ARGUMENT, 1],
        &constant(16),
        &[code::ADD, code::LOAD, 8, code::END],
    ]
    .concat();
    let hooked = hooked(&code);
    let mut ops = [Op::Jump { to: 0 }; program::MOST];
    let len = compile::compile(&code, &mut ops, |place| originals::symbol(place, &hooked));
    let load = Op::Load {
        at: 0,
        width: 8,
        fail: program::NO_HANDLER,
        offset: 16,
    };
    let left = [Op::Argument { at: 0, number: 0 }, load, Op::End { at: 0 }];
    assert_eq!(len.map(|len| &ops[..len]), Some(&left[..]));
}
