//! From an instruction to its line, by the code object's own table.
//!
//! PyCode_Addr2Line gives the same and reads only, but it follows the monitoring data of 3.12,
//! which another thread may replace under the GIL. The table is an immutable bytes object
//! that lives as long as its code, so decoding it here needs no GIL and no call.

use super::layout::LineFormat;

/// Line of the instruction at `offset` bytes, `None` when the compiler gave it none.
///
/// A negative offset is a frame that has not begun: the first line, as the interpreter says.
pub(super) fn line_at(
    format: LineFormat,
    table: &[u8],
    first_line: i32,
    offset: i64,
) -> Option<Found> {
    let (line, read) = if offset < 0 {
        (first_line, 0)
    } else {
        match format {
            LineFormat::Pairs => by_pairs(table, first_line, offset)?,
            LineFormat::Locations => by_locations(table, first_line, offset)?,
        }
    };
    let line = u32::try_from(line).ok()?;
    Some(Found { line, read })
}

/// A line, and how many bytes of the table tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: u32,
    pub(super) read: usize,
}

/// 3.10 (PEP 626): a length in bytes and a signed line delta; delta -128 means no line.
fn by_pairs(table: &[u8], first_line: i32, offset: i64) -> Option<(i32, usize)> {
    let (mut line, mut end) = (first_line, 0i64);
    for (number, pair) in table.chunks_exact(2).enumerate() {
        end += i64::from(pair[0]);
        let delta = pair[1].cast_signed();
        if delta != -128 {
            line = line.wrapping_add(i32::from(delta));
        }
        if end > offset {
            return (delta != -128).then_some((line, 2 * (number + 1)));
        }
    }
    None
}

/// Since 3.11: entries that begin with a byte whose top bit is set: kind (4 bits) and length in
/// 2-byte code units less one (3 bits); what follows depends on the kind.
fn by_locations(table: &[u8], first_line: i32, offset: i64) -> Option<(i32, usize)> {
    /// By kind: size in bytes, and lines gone on. What follows a kind of 13 (no columns) or 14 (all
    /// written out) is read from the table.
    const SIZES: [u8; 16] = [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 2, 2, 1];
    const DELTAS: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0];
    const NO_LOCATION: u8 = 15;

    let (mut line, mut end) = (first_line, 0i64);
    let mut at = 0;
    // The cost of a frame is this loop. Kinds alternate irregularly, so it looks them up rather
    // than to branch on them.
    while let Some(&head) = table.get(at) {
        let kind = (head >> 3) & 15;
        end += (i64::from(head & 7) + 1) * 2;
        line = line.wrapping_add(i32::from(DELTAS[usize::from(kind)]));
        if matches!(kind, 13 | 14) {
            line = line.wrapping_add(signed_varint(table.get(at + 1..)?));
        }
        at += usize::from(SIZES[usize::from(kind)]);
        // The bytes of an entry after its first have the top bit clear.
        while table.get(at).is_some_and(|byte| byte & 0x80 == 0) {
            at += 1;
        }
        if end > offset {
            return (kind != NO_LOCATION).then_some((line, at.min(table.len())));
        }
    }
    None
}

/// Six bits a byte, least first, bit 6 says that more follow; the sign is the value's lowest bit.
fn signed_varint(bytes: &[u8]) -> i32 {
    let (mut value, mut shift) = (0u32, 0u32);
    for byte in bytes {
        value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    let magnitude = (value >> 1).cast_signed();
    if value & 1 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_deltas() {
        // Bytes 0..4 line 10, 4..6 no line, 6..260 line 8 (two entries for a long range).
        let table = [4, 0, 2, 128, 254, 254_u8, 10, 0];
        let at = |offset| line_at(LineFormat::Pairs, &table, 10, offset).map(|found| found.line);
        assert_eq!(at(-1), Some(10));
        assert_eq!(at(0), Some(10));
        assert_eq!(at(3), Some(10));
        assert_eq!(at(4), None);
        assert_eq!(at(6), Some(8));
        assert_eq!(at(265), Some(8));
        assert_eq!(at(270), None);
    }

    #[test]
    fn location_entries() {
        let table = [
            0x80 | (13 << 3), // no columns, one unit, delta +3
            6,
            0x80 | (15 << 3) | 1, // no location, two units
            0x80 | (11 << 3),     // next line, one unit, two column bytes
            4,
            9,
            0x80 | (14 << 3) | 7, // long, eight units, delta -70
            64 | 13,
            2,
            0,
            1,
            2,
            0x80 | 3, // short form, same line
            5,
        ];
        let find = |offset| line_at(LineFormat::Locations, &table, 100, offset);
        let at = |offset| find(offset).map(|found| found.line);
        for offset in 0..32 {
            // What is behind the bytes that tell a line does not change it.
            if let Some(found) = find(offset) {
                let start = &table[..found.read];
                assert_eq!(
                    line_at(LineFormat::Locations, start, 100, offset),
                    Some(found)
                );
            }
        }
        assert_eq!(at(-2), Some(100));
        assert_eq!(at(0), Some(103));
        assert_eq!(at(1), Some(103));
        assert_eq!(at(2), None);
        assert_eq!(at(5), None);
        assert_eq!(at(6), Some(104));
        assert_eq!(at(8), Some(34));
        assert_eq!(at(23), Some(34));
        assert_eq!(at(24), Some(34));
        assert_eq!(at(31), Some(34));
        assert_eq!(at(32), None);
    }

    #[test]
    fn broken_tables_end() {
        for format in [LineFormat::Pairs, LineFormat::Locations] {
            for byte in 0..=255u8 {
                for length in 0..40 {
                    let table = vec![byte; length];
                    let _ = line_at(format, &table, i32::MAX, 1 << 40);
                    let _ = line_at(format, &table, i32::MIN, 7);
                }
            }
        }
    }
}
