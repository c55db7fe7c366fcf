//! Python strings as UTF-8, read without the interpreter.
//!
//! The characters of a string never change. Its UTF-8 cache does: another thread fills it under
//! the GIL, pointer first and bytes after, so a reader without the GIL must not use it. Strings
//! that are not plain ASCII are encoded here, from the characters.

use super::Place;
use super::layout::SIZE;
use super::layout::TYPE;
use super::layout::TextLayout;
use super::peek;
use std::ptr::with_exposed_provenance;

/// The longest name that is handed on, in bytes.
pub(super) const MOST_TEXT: usize = 512;
/// Longer than any name: what says so is no string.
const MOST_CHARACTERS: usize = 1 << 24;

/// Which end of a text that is too long matters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Start,
    End,
}

/// The text of the string at `object`, cut to [`MOST_TEXT`] bytes at a character; `None` when
/// there is no compact string.
///
/// # Safety
/// `object` is a live Python object and stays so while the result is used, or it is garbage that
/// [`peek`] refuses.
pub(super) unsafe fn text_of<'a>(
    object: usize,
    string_type: usize,
    layout: &TextLayout,
    keep: Keep,
    buffer: &'a mut [u8; MOST_TEXT],
) -> Option<&'a [u8]> {
    const COMPACT: u32 = 1 << 5;
    const ASCII: u32 = 1 << 6;
    debug_assert_eq!(layout.length, SIZE);

    // SAFETY: the header of a live object, by the caller's promise; its type is checked before
    // anything that only strings have is read.
    let (length, state) = unsafe {
        if peek::<usize>(object, TYPE)? != string_type {
            return None;
        }
        (
            peek::<usize>(object, layout.length)?,
            peek::<u32>(object, layout.state)?,
        )
    };
    if state & COMPACT == 0 || length > MOST_CHARACTERS {
        return None;
    }
    if state & ASCII != 0 {
        let skipped = if keep == Keep::End {
            length.saturating_sub(MOST_TEXT)
        } else {
            0
        };
        let data = with_exposed_provenance::<u8>(object + layout.ascii_data + skipped);
        // SAFETY: a compact ASCII string is followed by `length` bytes; they are immutable, and
        // the caller keeps the string alive.
        return Some(unsafe { std::slice::from_raw_parts(data, length.min(MOST_TEXT)) });
    }
    let width = match (state >> 2) & 7 {
        1 => 1,
        2 => 2,
        4 => 4,
        _ => return None,
    };
    let data = object + layout.wide_data;
    let character = |index: usize| -> u32 {
        let address = data + index * width;
        // SAFETY: a compact string is followed by `length` characters of `width` bytes, and every
        // `index` below is less than `length`.
        unsafe {
            match width {
                1 => with_exposed_provenance::<u8>(address).read().into(),
                2 => with_exposed_provenance::<u16>(address).read().into(),
                _ => with_exposed_provenance::<u32>(address).read(),
            }
        }
    };
    let used = encode(length, character, keep, buffer);
    Some(&buffer[used])
}

/// The hash of all characters of the string at `object`, as the interpreter keeps it: 64 bits, like a sum of ours.
/// `None` while it has made none. It is made under the GIL, but stored in one piece, and never another one.
///
/// # Safety
/// As for [`text_of`].
#[inline]
pub(super) unsafe fn hash_of(
    object: usize,
    string_type: usize,
    layout: &TextLayout,
) -> Option<u64> {
    const NOT_MADE: u64 = u64::MAX;
    let string = Place::at(object)?;
    // SAFETY: the header of a live object, by the caller's promise; only a string has a hash.
    let hash = unsafe {
        if string.read::<usize>(TYPE) != string_type {
            return None;
        }
        string.read(layout.hash)
    };
    (hash != NOT_MADE).then_some(hash)
}

/// Fills `buffer` with as many whole characters as fit and returns where they are in it.
fn encode(
    length: usize,
    character: impl Fn(usize) -> u32,
    keep: Keep,
    buffer: &mut [u8; MOST_TEXT],
) -> std::ops::Range<usize> {
    let mut scratch = [0u8; 4];
    match keep {
        Keep::Start => {
            let mut end = 0;
            for index in 0..length {
                let bytes = utf8(character(index), &mut scratch);
                let Some(room) = buffer.get_mut(end..end + bytes.len()) else {
                    break;
                };
                room.copy_from_slice(bytes);
                end += bytes.len();
            }
            0..end
        }
        Keep::End => {
            let mut begin = MOST_TEXT;
            for index in (0..length).rev() {
                let bytes = utf8(character(index), &mut scratch);
                let Some(start) = begin.checked_sub(bytes.len()) else {
                    break;
                };
                buffer[start..begin].copy_from_slice(bytes);
                begin = start;
            }
            begin..MOST_TEXT
        }
    }
}

/// One character; a byte that Python smuggled through a file name (`surrogateescape`) is that
/// byte again, any other lone surrogate the replacement character.
fn utf8(character: u32, scratch: &mut [u8; 4]) -> &[u8] {
    if (0xdc80..0xdd00).contains(&character) {
        scratch[0] = (character & 0xff) as u8;
        return &scratch[..1];
    }
    let character = char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
    character.encode_utf8(scratch).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u32], keep: Keep) -> Vec<u8> {
        let mut buffer = [0; MOST_TEXT];
        let range = encode(text.len(), |index| text[index], keep, &mut buffer);
        buffer[range].to_vec()
    }

    #[test]
    fn encodes_every_width() {
        let text: Vec<u32> = "aé€😀".chars().map(u32::from).collect();
        assert_eq!(cut(&text, Keep::Start), "aé€😀".as_bytes());
        assert_eq!(cut(&text, Keep::End), "aé€😀".as_bytes());
        assert_eq!(cut(&[0xdcff, 0xd800], Keep::Start), b"\xff\xef\xbf\xbd");
    }

    #[test]
    fn cuts_at_a_character() {
        let text: Vec<u32> = (0..400)
            .map(|i| if i == 399 { 0x78 } else { 0x20ac })
            .collect();
        let start = cut(&text, Keep::Start);
        assert_eq!(start, "€".repeat(170).as_bytes());
        let end = cut(&text, Keep::End);
        assert_eq!(end, format!("{}x", "€".repeat(170)).as_bytes());
    }
}
