//! Rows and rules of both machines held against `gimli`'s own, of functions made up and of real ones.

#![expect(clippy::expect_used, reason = "a test may panic")]

use gimli::AArch64;
use gimli::BaseAddresses;
use gimli::CfaRule;
use gimli::CieOrFde;
use gimli::EhFrame;
use gimli::Encoding;
use gimli::Format;
use gimli::FrameDescriptionEntry;
use gimli::NativeEndian;
use gimli::Register;
use gimli::RegisterRule;
use gimli::UnwindContext;
use gimli::UnwindSection;
use gimli::UnwindTableRow;
use gimli::write;
use gimli::write::CallFrameInstruction as I;
use object::Object;
use object::ObjectSection;
use proptest::prelude::*;

use super::eh_frame::Frames;
use super::eh_frame::Reader;
use super::machine::AARCH64;
use super::machine::Machine;
use super::machine::X86_64;
use super::machine::without_signature;
use super::row::Cfa;
use super::row::Place;
use super::row::Row;
use super::rule::Kind;
use super::snapshot_tests::skip;
use super::way::Way;

/// Every function of a section.
pub(super) fn functions<'tables>(
    frames: &Frames<'tables>,
) -> Vec<FrameDescriptionEntry<Reader<'tables>>> {
    let mut functions = Vec::new();
    let mut entries = frames.section.entries(&frames.bases);
    while let Some(entry) = entries.next().expect("entries") {
        if let CieOrFde::Fde(function) = entry {
            functions.push(
                function
                    .parse(EhFrame::cie_from_offset)
                    .expect("a function"),
            );
        }
    }
    functions
}

fn place(rule: Option<RegisterRule<usize>>) -> Place {
    match rule {
        None | Some(RegisterRule::SameValue) => Place::Same,
        Some(RegisterRule::Undefined) => Place::Nowhere,
        Some(RegisterRule::Offset(offset)) => Place::At(offset),
        Some(RegisterRule::Expression(expression)) => Place::By(expression),
        Some(_) => Place::Other,
    }
}

/// The row as `gimli` has it.
fn row_of(row: &UnwindTableRow<usize>, machine: &Machine) -> Row {
    Row {
        cfa: match row.cfa().clone() {
            // Before the first instruction there is none, which looks like this.
            CfaRule::RegisterAndOffset { register, offset } => Some(Cfa::From(register, offset)),
            CfaRule::Expression(expression) => Some(Cfa::By(expression)),
        },
        frame_pointer: place(row.register(machine.frame_pointer)),
        return_address: place(row.register(machine.return_address)),
    }
}

/// The way as a reader of the machine's manual has it, where no expression is in it.
fn way_of(row: &UnwindTableRow<usize>, machine: &Machine) -> Option<Way> {
    let is_x86 = machine.stack_pointer == X86_64.stack_pointer;
    let return_address = match (row.register(machine.return_address), is_x86) {
        (Some(RegisterRule::Undefined), _) => {
            return Some(Way {
                kind: Kind::End,
                offset: 0,
                frame_pointer: None,
                return_address: None,
            });
        }
        (Some(RegisterRule::Offset(-8)), _) => Some(-8),
        (Some(RegisterRule::Offset(offset)), false) => Some(offset),
        (None | Some(RegisterRule::SameValue), false) => None,
        _ => return None,
    };
    let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else {
        return None;
    };
    // As the manuals number them.
    let [stack_pointer, frame_pointer] = if is_x86 { [7, 6] } else { [31, 29] };
    Some(Way {
        kind: match register.0 {
            number if number == stack_pointer => Kind::StackPointer,
            number if number == frame_pointer => Kind::FramePointer,
            _ => return None,
        },
        offset,
        frame_pointer: match row.register(machine.frame_pointer) {
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => None,
            Some(RegisterRule::Offset(offset)) => Some(offset),
            Some(_) => return None,
        },
        return_address,
    })
}

/// Compares at the ends of each row of all functions. Returns how many bytes of code there are, and how many of them
/// have a rule.
fn compare(frames: &Frames<'_>) -> (u64, u64) {
    let machine = &frames.machine;
    let mut context = UnwindContext::new();
    let (mut all, mut ruled) = (0, 0);
    for function in functions(frames) {
        let mut rows = function
            .rows(&frames.section, &frames.bases, &mut context)
            .expect("rows");
        while let Some(row) = rows.next_row().expect("a row") {
            let (start, end) = (row.start_address(), row.end_address());
            if start >= end {
                continue;
            }
            all += end - start;
            for (address, bytes) in [(start, end - start), (end - 1, 0)] {
                let got = Row::at(&function, frames, address).expect("a row");
                assert_eq!(got, row_of(row, machine), "at {address:x}");
                let way = frames.way(&function, address);
                let is_plain = matches!(row.cfa(), CfaRule::RegisterAndOffset { .. });
                if is_plain && !function.is_signal_trampoline() {
                    assert_eq!(way, way_of(row, machine), "at {address:x}");
                }
                let rule = way.map(|way| way.rule(machine));
                let is_ruled = rule.is_some_and(|rule| rule.kind() != Kind::Other);
                ruled += if is_ruled { bytes } else { 0 };
                if let (Some(way), Some(rule), true) = (way, rule, is_ruled) {
                    assert_eq!(rule.kind(), way.kind);
                    let saved = rule.saved().map(|saved| saved as i64);
                    assert_eq!(saved, way.frame_pointer);
                    if machine.pushed.is_none() {
                        let (offset, returns) = rule.offset_and_return();
                        assert_eq!(offset as i64, way.offset);
                        assert_eq!(returns.map(|at| at as i64), way.return_address);
                    } else {
                        assert_eq!(rule.offset() as i64, way.offset);
                    }
                }
            }
        }
    }
    (all, ruled)
}

/// The call frame information of a file.
fn compare_file(path: &str, machine: Machine) -> Option<(u64, u64)> {
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).expect("an object");
    let section = file.section_by_name(".eh_frame").expect("a section");
    let bases = BaseAddresses::default().set_eh_frame(section.address());
    let data = section.data().expect("its bytes");
    Some(compare(&Frames::new(data, bases, machine)))
}

#[test]
fn every_row_of_the_c_library_is_gimlis() {
    let library = crate::linkmap::objects()
        .find(|object| object.matches(b"libc.so*"))
        .expect("it is loaded");
    let path = library.name().to_str().expect("a path");
    let (all, ruled) = compare_file(path, X86_64).expect("it is a file");
    println!("{path}: {ruled} of {all} bytes have a rule");
    assert!(ruled * 1000 > all * 998, "{ruled} of {all}");
}

/// Where a C library for the other machine is installed.
#[test]
fn every_row_of_the_other_machines_c_library_is_gimlis() {
    for name in ["libc.so.6", "libstdc++.so.6", "ld-linux-aarch64.so.1"] {
        let path = format!("/usr/aarch64-linux-gnu/lib/{name}");
        let Some((all, ruled)) = compare_file(&path, AARCH64) else {
            skip("rows of aarch64", &format!("no {path}"));
            continue;
        };
        println!("{name}: {ruled} of {all} bytes have a rule");
        assert!(ruled * 1000 > all * 990, "{name}: {ruled} of {all}");
    }
}

/// `.eh_frame` at 0x100b0 of functions at 0x10000, as GCC 12 makes them for aarch64 (-O2 -mbranch-protection=pac-ret):
/// one with a frame of 32 bytes, one with 624 whose registers are saved after, one with a variable array, and a leaf.
const OF_A_COMPILER: &str = "\
    1000000000000000017a520004781e011b0c1f00200000001800000034ffffff2c000000\
    00412d420e209d049e0345dedd0e00412d000000200000003c00000040ffffff34000000\
    00412d410ef004429d4e9e4d46ddde0e00412d00280000006000000050ffffff40000000\
    00412d410e209d049e03410d1d4193024adeddd30c1f00412d000000100000008c000000\
    64ffffff0800000000000000";

#[test]
fn the_rules_of_what_a_compiler_made_for_aarch64_are_those_of_the_code() {
    let section: Vec<u8> = (0..OF_A_COMPILER.len() / 2)
        .map(|at| u8::from_str_radix(&OF_A_COMPILER[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let bases = BaseAddresses::default().set_eh_frame(0x100b0);
    let frames = Frames::new(&section, bases, AARCH64);
    assert_eq!(compare(&frames).0, 0xa8);
    let functions = functions(&frames);
    let rule = |offset: u64| {
        let address = 0x10000 + offset;
        let mut around = functions
            .iter()
            .filter(|function| function.contains(address));
        let way = frames.way(around.next()?, address)?;
        let rule = way.rule(&AARCH64);
        let (offset, returns) = rule.offset_and_return();
        Some((rule.kind(), offset, rule.saved(), returns))
    };
    let (by_stack, by_frame) = (Kind::StackPointer, Kind::FramePointer);
    let framed = Some((by_stack, 32, Some(-32), Some(-24)));
    // Before and after the return address is signed, behind `stp x29, x30, [sp, #-32]!`, and behind `ldp`.
    assert_eq!(rule(0), Some((by_stack, 0, None, None)));
    assert_eq!(rule(4), Some((by_stack, 0, None, None)));
    assert_eq!(rule(0x14), framed);
    assert_eq!(rule(0x24), Some((by_stack, 0, None, None)));
    // Behind `sub sp, sp, #624`, and behind `stp x29, x30, [sp]`.
    assert_eq!(rule(0x38), Some((by_stack, 624, None, None)));
    assert_eq!(rule(0x48), Some((by_stack, 624, Some(-624), Some(-616))));
    assert_eq!(rule(0x88), Some((by_frame, 32, Some(-32), Some(-24))));
    assert_eq!(rule(0xa8), Some((by_stack, 0, None, None)));
    assert_eq!(rule(0x2c), None);
}

/// Registers that instructions speak of: those that rules go by more often than others.
fn registers(machine: Machine) -> impl Strategy<Value = Register> {
    prop_oneof![
        Just(machine.stack_pointer),
        Just(machine.frame_pointer),
        Just(machine.return_address),
        Just(Register(3)),
    ]
}

fn expressions(machine: Machine) -> impl Strategy<Value = write::Expression> {
    (registers(machine), -64_i64..64, any::<bool>()).prop_map(|(register, offset, is_stored)| {
        let mut expression = write::Expression::new();
        expression.op_breg(register, offset);
        if is_stored {
            expression.op_deref();
        }
        expression
    })
}

fn instructions(machine: Machine) -> impl Strategy<Value = I> {
    let register = || registers(machine);
    let offset = || (-40_i32..40).prop_map(|words| words * 8);
    let negate = if machine.pushed.is_none() {
        I::NegateRaState
    } else {
        I::ArgsSize(8)
    };
    prop_oneof![
        4 => (register(), offset()).prop_map(|(register, offset)| I::Cfa(register, offset)),
        2 => register().prop_map(I::CfaRegister),
        4 => offset().prop_map(I::CfaOffset),
        1 => expressions(machine).prop_map(I::CfaExpression),
        4 => (register(), offset()).prop_map(|(register, offset)| I::Offset(register, offset)),
        2 => register().prop_map(I::Restore),
        1 => register().prop_map(I::Undefined),
        1 => register().prop_map(I::SameValue),
        1 => (register(), offset()).prop_map(|(register, offset)| I::ValOffset(register, offset)),
        1 => (register(), register()).prop_map(|(register, other)| I::Register(register, other)),
        1 => (register(), expressions(machine)).prop_map(|(register, by)| I::Expression(register, by)),
        1 => (register(), expressions(machine)).prop_map(|(register, by)| I::ValExpression(register, by)),
        2 => Just(I::RememberState),
        2 => Just(I::RestoreState),
        1 => Just(negate),
    ]
}

/// The section of one function with these instructions, each some instructions of the machine behind the one before.
fn section(machine: Machine, instructions: &[(u32, I)]) -> Vec<u8> {
    let is_x86 = machine.pushed.is_some();
    let encoding = Encoding {
        format: Format::Dwarf32,
        version: 1,
        address_size: 8,
    };
    let step = if is_x86 { 1 } else { 4 };
    let mut entry = write::CommonInformationEntry::new(encoding, step, -8, machine.return_address);
    let begin = if is_x86 { 8 } else { 0 };
    entry.add_instruction(I::Cfa(machine.stack_pointer, begin));
    if is_x86 {
        entry.add_instruction(I::Offset(machine.return_address, -8));
    }
    let mut table = write::FrameTable::default();
    let entry = table.add_cie(entry);
    let address = write::Address::Constant(0x1_0000);
    let mut function = write::FrameDescriptionEntry::new(address, 0x1_0000);
    let (mut at, mut aside, mut is_by_register) = (0, Vec::new(), true);
    for (later, instruction) in instructions {
        // What makes no sense ends `gimli`, and us.
        let makes_sense = match instruction {
            I::CfaRegister(_) | I::CfaOffset(_) => is_by_register,
            // `gimli` has room for no more.
            I::RememberState => aside.len() < 2,
            I::RestoreState => !aside.is_empty(),
            _ => true,
        };
        if !makes_sense {
            continue;
        }
        match instruction {
            I::Cfa(..) => is_by_register = true,
            I::CfaExpression(_) => is_by_register = false,
            I::RememberState => aside.push(is_by_register),
            I::RestoreState => is_by_register = aside.pop().unwrap_or(true),
            _ => {}
        }
        at += later * u32::from(step);
        function.add_instruction(at, instruction.clone());
    }
    table.add_fde(entry, function);
    let mut section = write::EhFrame::from(write::EndianVec::new(NativeEndian));
    table.write_eh_frame(&mut section).expect("it is written");
    section.0.into_vec()
}

fn programs(machine: Machine) -> impl Strategy<Value = Vec<u8>> {
    let instruction = (prop_oneof![0_u32..4, 60_u32..300], instructions(machine));
    proptest::collection::vec(instruction, 0..40)
        .prop_map(move |instructions| section(machine, &instructions))
}

proptest! {
    #[test]
    fn any_functions_rows_are_gimlis_on_x86_64(section in programs(X86_64)) {
        let bases = BaseAddresses::default().set_eh_frame(0x10_0000);
        let (all, _) = compare(&Frames::new(&section, bases, X86_64));
        prop_assert_eq!(all, 0x1_0000);
    }

    #[test]
    fn any_functions_rows_are_gimlis_on_aarch64(section in programs(AARCH64)) {
        let bases = BaseAddresses::default().set_eh_frame(0x10_0000);
        let (all, _) = compare(&Frames::new(&section, bases, AARCH64));
        prop_assert_eq!(all, 0x1_0000);
    }
}

#[test]
fn a_signature_is_taken_off_and_nothing_else() {
    assert_eq!(
        without_signature(0x002b_ffff_8123_4560),
        0x0000_ffff_8123_4560
    );
    assert_eq!(
        without_signature(0x0000_aaaa_c123_4560),
        0x0000_aaaa_c123_4560
    );
    assert_eq!(AArch64::RA_SIGN_STATE, Register(34));
}
