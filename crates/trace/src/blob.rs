//! What an event refers to: stacks, modules, names. They lie as blobs in data chunks.
//!
//! A blob is a [`BlobHeader`] and its payload, padded with zeros to a multiple of [`ALIGN`]. The encoders write
//! into memory that the caller has, and allocate nothing; the decoders check every length.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

use crate::Coverage;
use crate::Module;
use crate::NativeFrame;
use crate::PythonCode;
use crate::PythonFrame;
use crate::Stack;

/// Blobs start at multiples of this many bytes.
pub const ALIGN: usize = 8;
/// The size of a [`BlobHeader`].
pub const BLOB_HEADER_SIZE: usize = 16;
/// The number of bits of a native frame's offset; the module's number stands above them.
pub const OFFSET_BITS: u32 = 48;
/// Marks the entry frame in the line of a Python frame.
pub const ENTRY_BIT: u32 = 1 << 31;
/// [`BlobHeader::flags`] of a stack that was longer than recorded.
pub const STACK_TRUNCATED: u16 = 1;
/// [`BlobHeader::flags`] of what cannot be seen if there is any of it.
pub const UNOBSERVABLE_PERHAPS: u16 = 1;

/// What a blob is.
pub mod blob_kind {
    /// A loaded object; `id` from 1.
    pub const MODULE: u16 = 1;
    /// A stack; `id` from 1.
    pub const STACK: u16 = 2;
    /// A Python function; `id` from 0.
    pub const CODE: u16 = 3;
    /// The name of the device `id`.
    pub const DEVICE_NAME: u16 = 4;
    /// The name of the buffer kind `id`.
    pub const KIND_NAME: u16 = 5;
    /// The label of the scope `id`.
    pub const SCOPE: u16 = 6;
    /// The word number `id` of the command line.
    pub const COMMAND_WORD: u16 = 7;
    /// The name of an adapter in force.
    pub const ADAPTER: u16 = 8;
    /// A hook that was bound: adapter, symbol, library.
    pub const BOUND: u16 = 9;
    /// Something that cannot be seen: symbol, why, library.
    pub const UNOBSERVABLE: u16 = 10;
}

/// The start of a blob.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BlobHeader {
    /// Bytes of the payload, without padding.
    pub len: u32,
    /// One of [`blob_kind`].
    pub kind: u16,
    /// [`STACK_TRUNCATED`], [`UNOBSERVABLE_PERHAPS`].
    pub flags: u16,
    /// What number events and other blobs call it by.
    pub id: u32,
    /// [`checksum`] of the payload.
    pub checksum: u32,
}

/// The bytes that a blob with a payload of `len` bytes takes.
#[must_use]
pub const fn blob_size(len: usize) -> usize {
    BLOB_HEADER_SIZE + len.next_multiple_of(ALIGN)
}

/// FNV-1a over words of four bytes, the rest byte by byte: enough to tell a torn payload from a whole one.
#[must_use]
pub fn checksum(payload: &[u8]) -> u32 {
    let (words, rest) = payload.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_ne_bytes(*word));
    words
        .chain(rest.iter().map(|byte| u32::from(*byte)))
        .fold(0x811c_9dc5, |hash, word| {
            (hash ^ word).wrapping_mul(0x0100_0193)
        })
}

/// A native frame as one word: the module's number (0 for none) above the offset.
#[must_use]
pub const fn pack_frame(module: u32, offset: u64) -> u64 {
    ((module as u64) << OFFSET_BITS) | (offset & ((1 << OFFSET_BITS) - 1))
}

/// Writes a payload piece by piece into borrowed memory.
#[derive(Debug)]
pub struct PayloadWriter<'memory> {
    memory: &'memory mut [u8],
    len: usize,
    overflowed: bool,
}

impl<'memory> PayloadWriter<'memory> {
    /// Starts at the beginning of `memory`.
    pub fn new(memory: &'memory mut [u8]) -> Self {
        Self {
            memory,
            len: 0,
            overflowed: false,
        }
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        match self.memory.get_mut(self.len..self.len + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.overflowed = true,
        }
    }

    /// Appends a number.
    pub fn u32(&mut self, number: u32) {
        self.bytes(&number.to_ne_bytes());
    }

    /// Appends a number.
    pub fn u64(&mut self, number: u64) {
        self.bytes(&number.to_ne_bytes());
    }

    /// Appends a text with its length before it.
    pub fn text(&mut self, text: &[u8]) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes(text);
    }

    /// The payload's length, or `None` when the memory was too small.
    #[must_use]
    pub fn finish(self) -> Option<usize> {
        (!self.overflowed).then_some(self.len)
    }
}

/// Reads a payload piece by piece; every method answers `None` behind the end.
#[derive(Debug)]
pub(crate) struct PayloadReader<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> PayloadReader<'bytes> {
    pub(crate) const fn new(payload: &'bytes [u8]) -> Self {
        Self { rest: payload }
    }

    fn bytes(&mut self, len: usize) -> Option<&'bytes [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn raw_text(&mut self) -> Option<&'bytes [u8]> {
        let len = self.u32()?;
        self.bytes(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        self.raw_text().map(text_of)
    }

    pub(crate) fn module(&mut self) -> Option<Module> {
        Some(Module {
            load_bias: self.u64()?,
            start: self.u64()?,
            end: self.u64()?,
            generation: self.u32()?,
            path: self.text()?,
            build_id: self.raw_text()?.to_vec(),
        })
    }

    pub(crate) fn stack(&mut self, flags: u16) -> Option<Stack> {
        let (native, python) = (self.u32()?, self.u32()?);
        // Both counts are limited by the payload before anything is allocated for them.
        let native = self.bytes(usize::try_from(native).ok()?.checked_mul(8)?)?;
        let python = self.bytes(usize::try_from(python).ok()?.checked_mul(8)?)?;
        let native = native.as_chunks::<8>().0.iter().map(|word| {
            let word = u64::from_ne_bytes(*word);
            NativeFrame {
                module: u32::try_from(word >> OFFSET_BITS)
                    .unwrap_or(0)
                    .checked_sub(1),
                offset: word & ((1 << OFFSET_BITS) - 1),
            }
        });
        let python = python.as_chunks::<8>().0.iter().map(|word| {
            let word = u64::from_ne_bytes(*word);
            let (code, line) = (word as u32, (word >> 32) as u32);
            PythonFrame {
                code,
                line: line & !ENTRY_BIT,
                is_entry: line & ENTRY_BIT != 0,
            }
        });
        Some(Stack {
            native: native.collect(),
            python: python.collect(),
            truncated: flags & STACK_TRUNCATED != 0,
        })
    }

    pub(crate) fn code(&mut self) -> Option<PythonCode> {
        Some(PythonCode {
            first_line: self.u32()?,
            file: self.text()?,
            function: self.text()?,
        })
    }

    pub(crate) fn bound(&mut self) -> Option<Coverage> {
        Some(Coverage::Bound {
            adapter: self.text()?,
            symbol: self.text()?,
            library: self.text()?,
        })
    }

    pub(crate) fn unobservable(&mut self, flags: u16) -> Option<Coverage> {
        Some(Coverage::Unobservable {
            symbol: self.text()?,
            why: self.text()?,
            // Traces of before have none.
            library: if self.rest.is_empty() {
                String::new()
            } else {
                self.text()?
            },
            is_certain: flags & UNOBSERVABLE_PERHAPS == 0,
        })
    }
}

/// Names come from the host as bytes; what is no UTF-8 is replaced.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A Python frame as one word.
#[must_use]
pub const fn pack_python_frame(code: u32, line: u32, is_entry: bool) -> u64 {
    let entry = if is_entry { ENTRY_BIT } else { 0 };
    ((((line & !ENTRY_BIT) | entry) as u64) << 32) | code as u64
}
