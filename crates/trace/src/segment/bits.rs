//! Numbers of a few bits each behind each other, and numbers of as many bytes as they need.

/// Memory that is filled from its start. What does not fit is not written, and told at the end.
#[derive(Debug)]
pub(super) struct Out<'memory> {
    memory: &'memory mut [u8],
    len: usize,
}

impl<'memory> Out<'memory> {
    pub(super) fn new(memory: &'memory mut [u8]) -> Self {
        Self { memory, len: 0 }
    }

    /// Leaves a gap.
    pub(super) const fn skip(&mut self, len: usize) {
        self.len += len;
    }

    pub(super) fn byte(&mut self, byte: u8) {
        if let Some(place) = self.memory.get_mut(self.len) {
            *place = byte;
        }
        self.len += 1;
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(place) = self.memory.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.len += bytes.len();
    }

    /// How much was written; `None` when there was no room for all of it.
    pub(super) fn finish(self) -> Option<usize> {
        (self.len <= self.memory.len()).then_some(self.len)
    }
}

/// Appends `value` in groups of seven bits, the lowest first (LEB128).
pub(super) fn put_varint(into: &mut Out<'_>, mut value: u64) {
    while value >= 0x80 {
        into.byte(value as u8 | 0x80);
        value >>= 7;
    }
    into.byte(value as u8);
}

/// Takes such a number off the front.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// How many bytes `count` numbers of `width` bits take.
pub(super) const fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends the lowest `width` bits (at most 56) of each value.
pub(super) fn pack(into: &mut Out<'_>, width: u32, values: &[u64]) {
    if width == 0 {
        return;
    }
    let mask = (1_u64 << width) - 1;
    let (mut word, mut used) = (0_u64, 0);
    for value in values {
        word |= (value & mask) << used;
        used += width;
        if used >= 64 {
            into.bytes(&word.to_le_bytes());
            used -= 64;
            // What did not fit; of a value that ended with the word, nothing.
            word = if used == 0 {
                0
            } else {
                (value & mask) >> (width - used)
            };
        }
    }
    into.bytes(&word.to_le_bytes()[..used.div_ceil(8) as usize]);
}

/// The numbers that [`pack`] has put into `bytes`, which are as many as that took.
pub(super) fn unpack(bytes: &[u8], width: u32, count: usize) -> impl Iterator<Item = u64> {
    let mask = (1_u64 << width) - 1;
    (0..count).map(move |index| {
        let bit = index * width as usize;
        let rest = bytes.get(bit / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        (word >> (bit % 8)) & mask
    })
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out(width in 0_u32..=56, values in prop::collection::vec(any::<u64>(), 0..200)) {
            let mut bytes = vec![0; 8 * values.len() + 8];
            let mut out = Out::new(&mut bytes);
            pack(&mut out, width, &values);
            let len = out.finish().expect("there is room");
            prop_assert_eq!(len, packed_len(values.len(), width));
            let unpacked: Vec<u64> = unpack(&bytes[..len], width, values.len()).collect();
            let expected: Vec<u64> = values.iter().map(|value| value & ((1 << width) - 1)).collect();
            prop_assert_eq!(unpacked, expected);
        }

        #[test]
        fn what_has_no_room_is_told(room in 0_usize..40, values in prop::collection::vec(any::<u64>(), 0..8)) {
            let mut bytes = vec![7; room];
            let mut out = Out::new(&mut bytes);
            for value in &values {
                out.bytes(&value.to_le_bytes());
            }
            prop_assert_eq!(out.finish().is_some(), 8 * values.len() <= room);
        }

        #[test]
        fn varints_come_out(values in prop::collection::vec(any::<u64>(), 0..50)) {
            let mut bytes = vec![0; 10 * values.len()];
            let mut out = Out::new(&mut bytes);
            for value in &values {
                put_varint(&mut out, *value);
            }
            let len = out.finish().expect("there is room");
            let mut rest = &bytes[..len];
            for value in &values {
                prop_assert_eq!(take_varint(&mut rest), Some(*value));
            }
            prop_assert_eq!(take_varint(&mut rest), None);
        }
    }
}
