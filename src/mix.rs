//! The hash of one word, for whoever has a table.

/// Scatters the bits of a number: the finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
#[must_use]
pub const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
