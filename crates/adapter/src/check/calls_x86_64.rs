//! Calls that the static linker bound: `call` and `jmp` with a 32-bit distance, in x86-64 code.

use std::collections::BTreeMap;

const CALL: u8 = 0xe8;
const JUMP: u8 = 0xe9;
/// The opcode and the distance.
const LENGTH: usize = 5;

/// Adds to `calls`, by the address of the called one, how often `code` at `address` calls or jumps to one of
/// `functions` from outside of it. Every byte is tried as an opcode, for x86 code cannot be cut into instructions with
/// certainty; that four other bytes happen to be the distance to just this function is one chance in 2^32 each.
pub(crate) fn count(
    code: &[u8],
    address: u64,
    functions: &[(u64, u64)],
    calls: &mut BTreeMap<u64, usize>,
) {
    let mut sorted = functions.to_vec();
    sorted.sort_unstable();
    for (offset, bytes) in code.windows(LENGTH).enumerate() {
        let [CALL | JUMP, a, b, c, d] = *bytes else {
            continue;
        };
        let site = address.wrapping_add(offset as u64);
        let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
        let target = site
            .wrapping_add(LENGTH as u64)
            .wrapping_add_signed(distance);
        let Ok(place) = sorted.binary_search_by_key(&target, |(start, _)| *start) else {
            continue;
        };
        let (start, size) = sorted[place];
        // A loop, or a function that calls itself, which is one event anyway.
        if site.wrapping_sub(start) >= size {
            *calls.entry(start).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_from_elsewhere_are_counted_and_loops_are_not() {
        let mut code = vec![0x90; 64];
        // At 0x1000 + 8: call 0x1020; at 0x1028: jmp 0x1020, within the function itself; at 0x1038: jmp 0x1020.
        for (at, opcode) in [(8_usize, CALL), (0x28, JUMP), (0x38, JUMP)] {
            code[at] = opcode;
            let distance = 0x20 - i32::try_from(at + LENGTH).expect("small");
            code[at + 1..at + LENGTH].copy_from_slice(&distance.to_le_bytes());
        }
        let mut calls = BTreeMap::new();
        count(&code, 0x1000, &[(0x1020, 0x10), (0x1000, 4)], &mut calls);
        assert_eq!(calls, BTreeMap::from([(0x1020, 2)]));
    }
}
