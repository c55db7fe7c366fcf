//! What a thread remembers of code objects from one event to the next, so that neither names nor line tables are read
//! again.
//!
//! Code goes away and other code comes to lie at its address, so nothing is believed for an address alone. Where the
//! interpreter numbers code objects for good, answers are kept by that number ([`super::met`]). Elsewhere each answer
//! is kept with a sum over every byte that it was made of, and holds while these bytes are the same; of names, the
//! interpreter's own hash is such a sum.

use super::InternCode;
use super::interpreter::Interpreter;
use super::layout::Identity;
use super::lines::Found;
use super::lines::line_at;
use super::met::Instruction;
use super::met::Met;
use super::met::Told;
use super::text::MOST_TEXT;
use super::walk::Frame;
use super::walk::file_of;
use super::walk::first_line_of;
use super::walk::hashes_of;
use super::walk::identity_of;
use super::walk::names_of;
use super::walk::table_of;

/// What falls on one place has two entries there, the one that was used last before the other.
const PLACES: usize = 32;
const WAYS: usize = 2;

/// Valid as zeros: nothing is remembered.
#[derive(Debug)]
pub struct Remembered {
    /// The trace that numbers are of.
    trace: u64,
    /// Counts captures.
    capture: u64,
    texts: [[u8; MOST_TEXT]; 2],
    codes: [[Code; WAYS]; PLACES],
    lines: [[Line; WAYS]; PLACES],
    met: Met,
}

#[derive(Clone, Copy, Debug)]
struct Code {
    /// 0: nothing.
    address: usize,
    /// The capture in which this was found to hold.
    capture: u64,
    sum: u64,
    first_line: u32,
    number: u32,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Where the table lies; 0: nothing.
    table: usize,
    /// The capture in which this was found to hold.
    capture: u64,
    offset: i64,
    /// The sum of the first `read` bytes of the table, which tell the line.
    sum: u64,
    read: u32,
    first_line: u32,
    line: u32,
}

impl Remembered {
    /// A capture begins. Numbers of codes that are not of this trace are forgotten.
    pub(super) fn begin(&mut self, trace: u64) {
        self.capture += 1;
        if self.trace != trace {
            self.trace = trace;
            for code in self.codes.as_flattened_mut() {
                code.address = 0;
            }
            self.met.forget();
        }
    }

    /// The number of a frame's code, and the line that it runs. `identity`: what tells codes apart.
    #[inline]
    pub(super) fn tell(
        &mut self,
        interpreter: &Interpreter,
        identity: Identity,
        frame: &Frame,
        intern: &mut InternCode<'_>,
    ) -> Told {
        let number = identity_of(interpreter, identity, frame);
        let file = file_of(interpreter, frame.code);
        let instruction = Instruction::new(number, frame.code.0, frame.offset, file);
        if let Some(instruction) = &instruction
            && let Some(told) = self.met.find(instruction)
        {
            return told;
        }
        self.read(interpreter, frame, instruction, intern)
    }

    #[inline(never)]
    fn read(
        &mut self,
        interpreter: &Interpreter,
        frame: &Frame,
        instruction: Option<Instruction>,
        intern: &mut InternCode<'_>,
    ) -> Told {
        let told = Told {
            code: self.code(interpreter, frame, intern),
            line: self.line(interpreter, frame),
        };
        if let Some(instruction) = instruction {
            self.met.insert(instruction, told);
        }
        told
    }

    /// The number of a frame's code.
    fn code(
        &mut self,
        interpreter: &Interpreter,
        frame: &Frame,
        intern: &mut InternCode<'_>,
    ) -> u32 {
        let address = frame.code.0;
        let ways = &mut self.codes[place(address, 0)];
        if ways[0].address != address {
            ways.swap(0, 1);
        }
        let known = &mut ways[0];
        // The frames of one capture keep their codes alive.
        if known.address == address && known.capture == self.capture {
            return known.number;
        }
        let first_line = first_line_of(interpreter, frame.code);
        let is = |known: &Code, sum| {
            known.address == address && known.sum == sum && known.first_line == first_line
        };
        let hashed = hashes_of(interpreter, frame).map(together);
        if let Some(sum) = hashed
            && is(known, sum)
        {
            known.capture = self.capture;
            return known.number;
        }
        let (file, name) = names_of(interpreter, frame, &mut self.texts);
        let sum = hashed.unwrap_or_else(|| together([sum(file), sum(name)]));
        let number = if is(known, sum) {
            known.number
        } else {
            intern(file, name, first_line)
        };
        *known = Code {
            address,
            capture: self.capture,
            sum,
            first_line,
            number,
        };
        number
    }

    /// The line that a frame runs; 0 where the compiler gave it none.
    fn line(&mut self, interpreter: &Interpreter, frame: &Frame) -> u32 {
        if let Some(traced) = frame.traced_line {
            return traced;
        }
        // SAFETY: the walk has given the frame, whose code is alive.
        let Some(table) = (unsafe { table_of(interpreter, frame.code) }) else {
            return 0;
        };
        let address = table.as_ptr().addr();
        let first_line = first_line_of(interpreter, frame.code);
        let ways = &mut self.lines[place(address, frame.offset)];
        if ways[0].table != address || ways[0].offset != frame.offset {
            ways.swap(0, 1);
        }
        let known = &mut ways[0];
        let is_alike = known.table == address
            && known.offset == frame.offset
            && known.first_line == first_line;
        let is_whole = |known: &Line| {
            let read = table.get(..known.read as usize);
            known.capture == self.capture || read.is_some_and(|read| sum(read) == known.sum)
        };
        if is_alike && is_whole(known) {
            known.capture = self.capture;
            return known.line;
        }
        let Some(found) = found_in(interpreter, frame, table) else {
            return 0;
        };
        *known = Line {
            table: address,
            capture: self.capture,
            offset: frame.offset,
            sum: sum(&table[..found.read]),
            read: u32::try_from(found.read).unwrap_or(u32::MAX),
            first_line,
            line: found.line,
        };
        found.line
    }
}

fn found_in(interpreter: &Interpreter, frame: &Frame, table: &[u8]) -> Option<Found> {
    let first_line = first_line_of(interpreter, frame.code).cast_signed();
    line_at(interpreter.layout.lines, table, first_line, frame.offset)
}

/// As [`Remembered::line`], for whoever remembers nothing.
pub(super) fn line_of(interpreter: &Interpreter, frame: &Frame) -> u32 {
    // SAFETY: as above.
    let table = || unsafe { table_of(interpreter, frame.code) };
    let read = || found_in(interpreter, frame, table()?).map(|found| found.line);
    frame.traced_line.or_else(read).unwrap_or(0)
}

/// Of a file and a name.
fn together([file, name]: [u64; 2]) -> u64 {
    file ^ name.rotate_left(32)
}

fn place(address: usize, offset: i64) -> usize {
    // Objects are aligned to 16 bytes, instructions to 2.
    let mixed = (address >> 4) as u64 ^ (offset as u64) << 7;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % PLACES
}

/// 64 bits of all bytes and of their number: a multiplication for each word, in four lanes that do not wait for each
/// other.
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: u64, word: u64| (lane ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let mut lanes = [1, 2, 3, bytes.len() as u64];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = mix(*lane, u64::from_ne_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = mix(*lane, u64::from_ne_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = mix(lanes[3], u64::from_ne_bytes(last));
    let (low, high) = (mix(lanes[0], lanes[1]), mix(lanes[2], last));
    mix(low, high)
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn every_bit_and_the_length_count() {
        let bytes: Vec<u8> = (0..200).map(|number| (number * 37) as u8).collect();
        for len in 0..bytes.len() {
            let whole = sum(&bytes[..len]);
            assert_ne!(whole, sum(&bytes[..len + 1]), "{len}");
            let mut changed = bytes[..len].to_vec();
            for place in 0..len {
                for bit in 0..8 {
                    changed[place] ^= 1 << bit;
                    assert_ne!(whole, sum(&changed), "bit {bit} of byte {place} of {len}");
                    changed[place] ^= 1 << bit;
                }
            }
        }
        assert_ne!(sum(&[0; 8]), sum(&[0; 16]));
        assert_ne!(sum(b"ab"), sum(b"ba"));
    }
}
