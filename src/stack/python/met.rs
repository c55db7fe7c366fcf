//! What a thread has found out about instructions of code objects that are told apart for sure, so that a frame that
//! was met before costs a look at its code's number and no byte of its names and tables.

/// What falls on one place has so many entries there, the one that came first makes way.
const WAYS: usize = 4;
/// A power of two.
const PLACES: usize = 128;

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    /// Of its code, by which this is that very object; 0 in an entry that holds nothing.
    identity: u32,
    /// In bytes, from the code's first one.
    offset: u32,
    code: usize,
    /// The object that holds the file's name, the one thing of a code object that can be replaced.
    file: usize,
}

impl Instruction {
    /// `None` where code objects are not told apart, or the offset is none.
    #[inline]
    pub(super) fn new(identity: u32, code: usize, offset: i64, file: usize) -> Option<Instruction> {
        let offset = u32::try_from(offset).ok()?;
        (identity != 0).then_some(Instruction {
            identity,
            offset,
            code,
            file,
        })
    }

    #[inline]
    fn place(&self) -> usize {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = u64::from(self.identity) << 32 | u64::from(self.offset);
        (mixed.wrapping_mul(FACTOR) >> (u64::BITS - PLACES.ilog2())) as usize
    }
}

/// What an event says of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Told {
    /// The number of its code.
    pub(super) code: u32,
    pub(super) line: u32,
}

/// Valid as zeros: nothing was met.
#[derive(Debug)]
pub(super) struct Met {
    places: [[(Instruction, Told); WAYS]; PLACES],
}

impl Met {
    #[inline]
    pub(super) fn find(&self, instruction: &Instruction) -> Option<Told> {
        let ways = &self.places[instruction.place()];
        let known = ways.iter().find(|(known, _)| known == instruction)?;
        Some(known.1)
    }

    pub(super) fn insert(&mut self, instruction: Instruction, told: Told) {
        let ways = &mut self.places[instruction.place()];
        ways.rotate_right(1);
        ways[0] = (instruction, told);
    }

    pub(super) fn forget(&mut self) {
        for (instruction, _) in self.places.as_flattened_mut() {
            instruction.identity = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn nothing() -> Box<Met> {
        // SAFETY: it is valid as zeros.
        unsafe { Box::<Met>::new_zeroed().assume_init() }
    }

    fn instruction() -> impl Strategy<Value = Instruction> {
        (1..40u32, 0..8u32, 1..3usize, 1..3usize).prop_map(|(identity, offset, code, file)| {
            Instruction {
                identity,
                offset: offset * 2,
                code: code * 16,
                file: file * 16,
            }
        })
    }

    proptest! {
        #[test]
        fn only_what_was_told_of_this_very_instruction_is_found(met in prop::collection::vec(instruction(), 1..2000)) {
            let (mut table, mut naive) = (nothing(), HashMap::new());
            for (number, instruction) in (0..).zip(met) {
                let key = (instruction.identity, instruction.offset, instruction.code, instruction.file);
                match table.find(&instruction) {
                    Some(told) => prop_assert_eq!(Some(&told), naive.get(&key)),
                    None => {
                        let told = Told { code: number, line: number + 1 };
                        table.insert(instruction, told);
                        naive.insert(key, told);
                        prop_assert_eq!(table.find(&instruction), Some(told));
                    }
                }
            }
            table.forget();
            for (identity, offset, code, file) in naive.into_keys() {
                let instruction = Instruction { identity, offset, code, file };
                prop_assert_eq!(table.find(&instruction), None);
            }
        }

        #[test]
        fn what_falls_on_one_place_stays_for_as_many_others_as_there_are_ways(first in instruction()) {
            let mut table = nothing();
            let told = Told { code: 1, line: 2 };
            table.insert(first, told);
            let others = (1..).map(|identity| Instruction { identity, ..first });
            let others = others.filter(|other| *other != first && other.place() == first.place());
            let others: Vec<Instruction> = others.take(WAYS).collect();
            for (count, other) in others.into_iter().enumerate() {
                prop_assert_eq!(table.find(&first), (count < WAYS).then_some(told));
                table.insert(other, Told { code: 3, line: 4 });
            }
            prop_assert_eq!(table.find(&first), None);
        }
    }

    #[test]
    fn code_without_a_number_and_what_is_no_offset_are_no_instruction() {
        assert_eq!(Instruction::new(0, 16, 2, 32), None);
        assert_eq!(Instruction::new(1, 16, -2, 32), None);
        assert_eq!(Instruction::new(1, 16, 1 << 32, 32), None);
        assert!(Instruction::new(1, 16, 0, 32).is_some());
    }
}
