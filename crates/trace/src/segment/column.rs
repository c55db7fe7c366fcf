//! One column: numbers that are mostly alike, in as few bits as most of them need.
//!
//! A byte says how: nothing but one value; offsets from a base; or differences from the one before, in zigzag. The last
//! two are shifted to the right by the zeros that all have in common, and packed to a width that most of them fit in;
//! of those that do not, the bits above it follow as exceptions. The encoder takes what comes out shortest by its
//! estimate.

use zerocopy::FromZeros;

use super::bits::Out;
use super::bits::pack;
use super::bits::packed_len;
use super::bits::put_varint;
use super::bits::take_varint;
use super::bits::unpack;
use super::encode::ROOM;

/// All values are the base.
const CONSTANT: u8 = 0;
/// Each value is the base plus what is packed.
const OFFSETS: u8 = 1;
/// Each value is the one before plus the stride that most have, plus what is packed in zigzag; the first one is the
/// base.
const DIFFERENCES: u8 = 2;
/// Each value is an index into the list of values that precedes.
const LISTED: u8 = 3;

/// The widest number that is packed.
const MOST_BITS: u32 = 56;
/// What an exception costs beyond its bits: its position.
const EXCEPTION_BITS: u64 = 12;
/// A list of values has no more than so many, and each has to come so often.
const MOST_LISTED: usize = 256;
const LEAST_USES: usize = 8;
/// Nor is one made for values that take no more bits than this without.
const LEAST_BITS: u64 = 8;

const fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ ((difference as i64 >> 63) as u64)
}

const fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

const fn bits_of(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// About so many values of a long column are looked at to find out how it is encoded best.
const SAMPLED: usize = 128;

/// How many values need how many bits.
struct Widths {
    counts: [u32; 65],
    total: u64,
}

impl Widths {
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut widths = Self {
            counts: [0; 65],
            total: 0,
        };
        for value in values {
            widths.counts[bits_of(value) as usize] += 1;
            widths.total += 1;
        }
        widths
    }

    /// How many bits these values take at the least, and with which width.
    fn best(&self) -> (u64, u32) {
        let widest = self.counts.iter().rposition(|count| *count > 0);
        let widest = widest.unwrap_or(0) as u32;
        let mut exceptions = 0_u64;
        let mut best = (u64::MAX, widest.min(MOST_BITS));
        for width in (0..=widest).rev() {
            if width <= MOST_BITS {
                let above = EXCEPTION_BITS + u64::from(widest - width);
                let cost = self.total * u64::from(width) + exceptions * above;
                if cost < best.0 {
                    best = (cost, width);
                }
            }
            exceptions += u64::from(self.counts[width as usize]);
        }
        best
    }
}

/// Memory to encode a column of at most [`ROOM`] values. Valid as zeros.
#[derive(Debug, FromZeros)]
#[repr(C)]
pub(super) struct ColumnEncoder {
    numbers: [u64; ROOM],
    listed: [u64; MOST_LISTED],
    listed_len: usize,
}

impl ColumnEncoder {
    /// Appends a column. `may_list`: only a few different values are to be expected, of any size.
    pub(super) fn put(&mut self, into: &mut Out<'_>, values: &[u64], may_list: bool) {
        let Some(&first) = values.first() else {
            return;
        };
        let (mut low, mut high, mut ones) = (first, first, 0);
        for &value in values {
            low = low.min(value);
            high = high.max(value);
            ones |= value ^ first;
        }
        if low == high {
            into.byte(CONSTANT);
            return put_varint(into, low);
        }
        // The low bits that no value changes are the base's, and no difference has any.
        let shift = ones.trailing_zeros();
        let offset = |value: u64| (value - low) >> shift;
        let step = (values.len() / SAMPLED).max(1);
        let sample = values.iter().step_by(step).copied();
        let (cost, width) = Widths::of(sample.map(offset)).best();
        let stride = stride(&values[..values.len().min(SAMPLED)]);
        let differ = |pair: &[u64]| {
            let odd = pair[1].wrapping_sub(pair[0]).wrapping_sub(stride);
            zigzag((odd as i64 >> shift) as u64)
        };
        let (changing, changing_width) =
            Widths::of(values.windows(2).step_by(step).map(differ)).best();
        let is_wide = cost.min(changing) > LEAST_BITS * values.len().div_ceil(step) as u64;
        if may_list && is_wide && self.list(values) {
            let listed = &self.listed[..self.listed_len];
            let index_bits = bits_of(listed.len() as u64 - 1);
            let of_list = listed.len() * (bits_of(high) as usize + 7);
            let of_indices = values.len() * index_bits as usize;
            if ((of_list + of_indices) as u64) < cost.min(changing) * step as u64 {
                into.byte(LISTED);
                put_varint(into, listed.len() as u64);
                for value in listed {
                    put_varint(into, *value);
                }
                return pack(into, index_bits, &self.numbers[..values.len()]);
            }
        }
        let numbers = &mut self.numbers[..values.len()];
        if changing < cost {
            numbers[0] = 0;
            for (number, pair) in numbers[1..].iter_mut().zip(values.windows(2)) {
                *number = differ(pair);
            }
            put_packed(into, DIFFERENCES, first, shift, changing_width, numbers);
            put_varint(into, stride);
        } else {
            for (number, value) in numbers.iter_mut().zip(values) {
                *number = offset(*value);
            }
            put_packed(into, OFFSETS, low, shift, width, numbers);
        }
    }

    /// Finds the different values, and for each its place among them. False when there are too many.
    fn list(&mut self, values: &[u64]) -> bool {
        const PLACES: usize = 4 * MOST_LISTED;
        let mut places = [u16::MAX; PLACES];
        let most = MOST_LISTED.min(values.len() / LEAST_USES);
        self.listed_len = 0;
        for (index, value) in self.numbers.iter_mut().zip(values) {
            let mut at = (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
            let number = loop {
                match self.listed[..self.listed_len].get(usize::from(places[at % PLACES])) {
                    Some(known) if known == value => break places[at % PLACES],
                    Some(_) => at += 1,
                    None if self.listed_len == most => return false,
                    None => {
                        places[at % PLACES] = self.listed_len as u16;
                        self.listed[self.listed_len] = *value;
                        self.listed_len += 1;
                    }
                }
            };
            *index = u64::from(number);
        }
        true
    }
}

/// The difference that most of the values have to the one before, 0 where there is no such.
fn stride(values: &[u64]) -> u64 {
    let differences = || values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    // Boyer and Moore's vote finds it, if there is one.
    let (mut stride, mut votes) = (0, 0_usize);
    for difference in differences() {
        if votes == 0 {
            stride = difference;
        }
        votes = if difference == stride {
            votes + 1
        } else {
            votes - 1
        };
    }
    let uses = differences().filter(|difference| *difference == stride);
    if uses.count() * 2 > values.len() {
        stride
    } else {
        0
    }
}

/// `numbers` are shifted already.
fn put_packed(into: &mut Out<'_>, how: u8, base: u64, shift: u32, width: u32, numbers: &[u64]) {
    into.bytes(&[how, shift as u8, width as u8]);
    put_varint(into, base);
    pack(into, width, numbers);
    let above = |number: u64| number >> width;
    let exceptions = numbers.iter().filter(|number| above(**number) != 0);
    let exceptions = exceptions.count();
    put_varint(into, exceptions as u64);
    if exceptions == 0 {
        return;
    }
    let mut before = 0;
    for (index, number) in numbers.iter().enumerate() {
        if above(*number) != 0 {
            put_varint(into, (index - before) as u64);
            put_varint(into, above(*number));
            before = index;
        }
    }
}

/// Takes a column of `count` values off the front of `bytes`, in place of what `values` held. `None` when there is
/// none.
pub(super) fn take(bytes: &mut &[u8], count: usize, values: &mut Vec<u64>) -> Option<()> {
    values.clear();
    if count == 0 {
        return Some(());
    }
    let (&how, rest) = bytes.split_first()?;
    *bytes = rest;
    match how {
        CONSTANT => {
            let value = take_varint(bytes)?;
            values.resize(count, value);
        }
        OFFSETS => {
            let (base, shift) = take_packed(bytes, count, values)?;
            for value in values {
                *value = base.wrapping_add(*value << shift);
            }
        }
        DIFFERENCES => {
            let (base, shift) = take_packed(bytes, count, values)?;
            let stride = take_varint(bytes)?;
            let mut before = base.wrapping_sub(stride);
            for value in values {
                let odd = unzigzag(*value) << shift;
                before = before.wrapping_add(stride).wrapping_add(odd);
                *value = before;
            }
        }
        LISTED => {
            let len = usize::try_from(take_varint(bytes)?).ok()?;
            if !(1..=MOST_LISTED).contains(&len) {
                return None;
            }
            let mut listed = [0; MOST_LISTED];
            for value in &mut listed[..len] {
                *value = take_varint(bytes)?;
            }
            let width = bits_of(len as u64 - 1);
            let (packed, rest) = bytes.split_at_checked(packed_len(count, width))?;
            *bytes = rest;
            for number in unpack(packed, width, count) {
                values.push(*listed[..len].get(number as usize)?);
            }
        }
        _ => return None,
    }
    Some(())
}

/// The numbers, not shifted back yet; returns the base and the shift.
fn take_packed(bytes: &mut &[u8], count: usize, numbers: &mut Vec<u64>) -> Option<(u64, u32)> {
    let (&[shift, width], rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    let (shift, width) = (u32::from(shift), u32::from(width));
    if shift >= 64 || width > MOST_BITS {
        return None;
    }
    let base = take_varint(bytes)?;
    let (packed, rest) = bytes.split_at_checked(packed_len(count, width))?;
    *bytes = rest;
    numbers.extend(unpack(packed, width, count));
    let mut at = 0;
    for _ in 0..take_varint(bytes)? {
        at = usize::try_from(take_varint(bytes)?).ok()?.checked_add(at)?;
        let above = take_varint(bytes)?;
        *numbers.get_mut(at)? |= above << width;
    }
    Some((base, shift))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[u64], may_list: bool) -> (Vec<u64>, usize) {
        let mut bytes = vec![0; 64 + 24 * values.len()];
        let mut written = Out::new(&mut bytes);
        let mut encoder = ColumnEncoder::new_box_zeroed().expect("there is memory");
        encoder.put(&mut written, values, may_list);
        let len = written.finish().expect("there is room");
        let mut rest = &bytes[..len];
        let mut out = Vec::new();
        assert!(take(&mut rest, values.len(), &mut out).is_some() && rest.is_empty());
        (out, len)
    }

    proptest! {
        #[test]
        fn any_column_comes_out(values in prop::collection::vec(any::<u64>(), 0..100), may_list: bool) {
            prop_assert_eq!(&round_trip(&values, may_list).0, &values);
        }

        #[test]
        fn columns_of_like_values_with_some_that_are_not(
            base in any::<u64>(),
            values in prop::collection::vec((0_u64..40, 0_u32..6, prop::bool::weighted(0.03), any::<u64>()), 1..400),
            shift in 0_u32..12,
            may_list: bool,
        ) {
            let values: Vec<u64> = values
                .iter()
                .map(|(value, _, is_odd, any)| if *is_odd { *any } else { base.wrapping_add(value << shift) })
                .collect();
            prop_assert_eq!(&round_trip(&values, may_list).0, &values);
        }

        #[test]
        fn any_bytes_are_no_column_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_usize..100) {
            let mut out = Vec::new();
            let mut rest = &bytes[..];
            if take(&mut rest, count, &mut out).is_some() {
                prop_assert_eq!(out.len(), count);
            }
        }
    }

    #[test]
    fn what_is_alike_takes_little() {
        let constant = vec![12_345_678; 1000];
        assert!(round_trip(&constant, false).1 <= 5);
        let counting: Vec<u64> = (0..1000).map(|number| 77 + number * 48).collect();
        assert!(
            round_trip(&counting, false).1 <= 30,
            "{}",
            round_trip(&counting, false).1
        );
        let aligned: Vec<u64> = (0..1000_u64)
            .map(|number| 0x7000_0000_1230 + (number * 7919 % 1024) * 16)
            .collect();
        assert!(round_trip(&aligned, false).1 <= 1000 * 10 / 8 + 16);
        let few: Vec<u64> = (0..1000_u64)
            .map(|number| (number * 31 % 16) * 99_999_999_999)
            .collect();
        assert!(round_trip(&few, true).1 <= 500 + 16 * 8 + 4);
        let one_odd: Vec<u64> = (0..1000_u64)
            .map(|number| if number == 500 { u64::MAX } else { number % 8 })
            .collect();
        assert!(round_trip(&one_odd, false).1 <= 375 + 30);
    }
}
