//! A table as a whole: built from records, and read in place.

use crate::Adapter;
use crate::Hook;
use crate::Part;
use crate::Stub;

const MAGIC: u32 = u32::from_le_bytes(*b"WFHT");
const VERSION: u32 = 2;
const SECTIONS: usize = 7;

/// How many bytes the header of a table has.
pub const HEADER_LEN: usize = 4 * (3 + 2 * SECTIONS);

#[derive(Clone, Copy, Debug, Default)]
struct Section {
    offset: usize,
    count: usize,
}

/// A table in memory, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Table<'blob> {
    blob: &'blob [u8],
    sections: [Section; SECTIONS],
}

fn word_at(blob: &[u8], offset: usize) -> u32 {
    match blob.get(offset..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}

impl<'blob> Table<'blob> {
    /// The length that the table says it has, when `header` begins one.
    #[must_use]
    pub fn length_in(header: &[u8; HEADER_LEN]) -> Option<usize> {
        let is_table = word_at(header, 0) == MAGIC && word_at(header, 4) == VERSION;
        is_table.then(|| word_at(header, 8) as usize)
    }

    /// The table that `blob` holds, if it holds one of this version.
    #[must_use]
    pub fn new(blob: &'blob [u8]) -> Option<Self> {
        let length = Self::length_in(blob.first_chunk()?)?;
        let blob = blob.get(..length)?;
        let mut sections = [Section::default(); SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            *section = Section {
                offset: word_at(blob, 12 + 8 * index) as usize,
                count: word_at(blob, 16 + 8 * index) as usize,
            };
        }
        Some(Self { blob, sections })
    }

    /// How many adapters there are.
    #[must_use]
    pub fn adapter_count(&self) -> usize {
        self.sections[0].count
    }

    /// How many hooks there are.
    #[must_use]
    pub fn hook_count(&self) -> usize {
        self.sections[1].count
    }

    /// How many exported symbols there are.
    #[must_use]
    pub fn stub_count(&self) -> usize {
        self.sections[2].count
    }

    /// How many words the lists have in all.
    #[must_use]
    pub fn list_count(&self) -> usize {
        self.sections[4].count
    }

    fn record(&self, section: usize, words: usize, index: usize) -> Option<usize> {
        let section = self.sections[section];
        (index < section.count).then(|| section.offset.saturating_add(index * words * 4))
    }

    /// The adapter at a place.
    #[must_use]
    pub fn adapter(&self, index: usize) -> Option<Adapter> {
        let at = self.record(0, Adapter::WORDS, index)?;
        Some(Adapter::from_words(|word| {
            word_at(self.blob, at + 4 * word)
        }))
    }

    /// The hook at a place.
    #[must_use]
    pub fn hook(&self, index: usize) -> Option<Hook> {
        let at = self.record(1, Hook::WORDS, index)?;
        Some(Hook::from_words(|word| word_at(self.blob, at + 4 * word)))
    }

    /// The exported symbol at a place.
    #[must_use]
    pub fn stub(&self, index: usize) -> Option<Stub> {
        let at = self.record(2, Stub::WORDS, index)?;
        Some(Stub::from_words(|word| word_at(self.blob, at + 4 * word)))
    }

    /// The device part at a place.
    #[must_use]
    pub fn part(&self, index: usize) -> Option<Part> {
        let at = self.record(3, Part::WORDS, index)?;
        Some(Part::from_words(|word| word_at(self.blob, at + 4 * word)))
    }

    /// The text whose number stands at a place in the lists.
    #[must_use]
    pub fn listed(&self, index: usize) -> Option<&'blob [u8]> {
        let at = self.record(4, 1, index)?;
        Some(self.text(word_at(self.blob, at)))
    }

    /// The code from an offset on, to the end of the section; empty when there is none.
    #[must_use]
    pub fn code(&self, offset: u32) -> &'blob [u8] {
        let section = self.sections[5];
        let end = section.offset.saturating_add(section.count);
        let start = section.offset.saturating_add(offset as usize);
        self.blob.get(start..end).unwrap_or_default()
    }

    /// The text with a number; empty when there is none.
    #[must_use]
    pub fn text(&self, number: u32) -> &'blob [u8] {
        let at = self.sections[6].offset.saturating_add(number as usize);
        let length = word_at(self.blob, at) as usize;
        let start = at.saturating_add(4);
        self.blob
            .get(start..start.saturating_add(length))
            .unwrap_or_default()
    }
}

/// A table being put together.
#[derive(Debug)]
pub struct Builder {
    adapters: Vec<Adapter>,
    hooks: Vec<Hook>,
    stubs: Vec<Stub>,
    parts: Vec<Part>,
    lists: Vec<u32>,
    code: Vec<u8>,
    texts: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            adapters: Vec::new(),
            hooks: Vec::new(),
            stubs: Vec::new(),
            parts: Vec::new(),
            lists: Vec::new(),
            // Offset 0 means "no expression", number 0 the empty text.
            code: vec![crate::code::END],
            texts: vec![0; 4],
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a table is built from adapters, which are far from 4 GiB"
)]
impl Builder {
    /// Adds an adapter and returns its place.
    pub fn adapter(&mut self, adapter: Adapter) -> u32 {
        self.adapters.push(adapter);
        self.adapters.len() as u32 - 1
    }

    /// Adds a hook and returns its place.
    pub fn hook(&mut self, hook: Hook) -> u32 {
        self.hooks.push(hook);
        self.hooks.len() as u32 - 1
    }

    /// Adds an exported symbol and returns its place.
    pub fn stub(&mut self, stub: Stub) -> u32 {
        self.stubs.push(stub);
        self.stubs.len() as u32 - 1
    }

    /// Adds a device part and returns its place.
    pub fn part(&mut self, part: Part) -> u32 {
        self.parts.push(part);
        self.parts.len() as u32 - 1
    }

    /// Adds a text to the lists and returns its place there.
    pub fn listed(&mut self, text: &str) -> u32 {
        let number = self.text(text);
        self.lists.push(number);
        self.lists.len() as u32 - 1
    }

    /// The place of `text` in the lists, added if it is not there.
    pub fn listed_once(&mut self, text: &str) -> u32 {
        let number = self.text(text);
        match self.lists.iter().position(|known| *known == number) {
            Some(place) => place as u32,
            None => self.listed(text),
        }
    }

    /// The place that the next text added to the lists gets.
    #[must_use]
    pub fn next_listed(&self) -> u32 {
        self.lists.len() as u32
    }

    /// Adds an expression, which ends in [`code::END`](crate::code::END), and returns its offset.
    pub fn code(&mut self, code: &[u8]) -> u32 {
        self.code.extend_from_slice(code);
        (self.code.len() - code.len()) as u32
    }

    /// The number of `text`, added if it is not there.
    pub fn text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let mut at = 0;
        while at < self.texts.len() {
            let length = word_at(&self.texts, at) as usize;
            if self.texts[at + 4..at + 4 + length] == *text.as_bytes() {
                return at as u32;
            }
            at += 4 + length;
        }
        self.texts.extend((text.len() as u32).to_le_bytes());
        self.texts.extend(text.as_bytes());
        at as u32
    }

    /// The finished blob.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let words = |records: Vec<Vec<u32>>| -> Vec<u8> {
            let words = records.into_iter().flatten();
            words.flat_map(u32::to_le_bytes).collect()
        };
        let sections: [(Vec<u8>, usize); SECTIONS] = [
            (
                words(self.adapters.iter().map(Adapter::words).collect()),
                self.adapters.len(),
            ),
            (
                words(self.hooks.iter().map(Hook::words).collect()),
                self.hooks.len(),
            ),
            (
                words(self.stubs.iter().map(Stub::words).collect()),
                self.stubs.len(),
            ),
            (
                words(self.parts.iter().map(Part::words).collect()),
                self.parts.len(),
            ),
            (words(vec![self.lists.clone()]), self.lists.len()),
            (self.code.clone(), self.code.len()),
            (self.texts.clone(), self.texts.len()),
        ];
        let length: usize = sections.iter().map(|(bytes, _)| bytes.len()).sum();
        let mut blob = Vec::new();
        for word in [MAGIC, VERSION, (HEADER_LEN + length) as u32] {
            blob.extend(word.to_le_bytes());
        }
        let mut offset = HEADER_LEN;
        for (bytes, count) in &sections {
            blob.extend((offset as u32).to_le_bytes());
            blob.extend((*count as u32).to_le_bytes());
            offset += bytes.len();
        }
        for (bytes, _) in &sections {
            blob.extend(bytes);
        }
        blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    fn sample() -> Vec<u8> {
        let mut builder = Builder::default();
        let name = builder.text("sample");
        let library = builder.text("libsample.so*");
        let kinds_first = builder.next_listed();
        builder.listed("DRAM");
        builder.listed("L1");
        builder.adapter(Adapter {
            name,
            library,
            kinds_first,
            kinds_count: 2,
            ..Adapter::default()
        });
        let owner = builder.code(&[crate::code::ARGUMENT, 1, crate::code::END]);
        let event = Event::Attempt as u32;
        builder.hook(Hook {
            event,
            owner,
            guard_high: 1,
            device_3: 7,
            ..Hook::default()
        });
        let symbol = builder.text("pool_free");
        builder.stub(Stub { symbol, hook: 0 });
        builder.build()
    }

    #[test]
    fn what_was_built_is_read_back() {
        let blob = sample();
        let table = Table::new(&blob).expect("a table");
        assert_eq!(
            (
                table.adapter_count(),
                table.hook_count(),
                table.stub_count()
            ),
            (1, 1, 1)
        );
        let adapter = table.adapter(0).expect("an adapter");
        assert_eq!(table.text(adapter.name), b"sample");
        assert_eq!(table.text(adapter.library), b"libsample.so*");
        assert_eq!(
            table.listed(adapter.kinds_first as usize + 1),
            Some(&b"L1"[..])
        );
        let hook = table.hook(0).expect("a hook");
        assert_eq!(Event::from_number(hook.event), Some(Event::Attempt));
        assert_eq!(hook.guard_value(), 1 << 32);
        assert_eq!(hook.device(), [0, 0, 0, 7]);
        assert_eq!(
            table.code(hook.owner),
            [crate::code::ARGUMENT, 1, crate::code::END]
        );
        assert_eq!(
            table.text(table.stub(0).expect("a stub").symbol),
            b"pool_free"
        );
        assert_eq!(table.stub(1), None);
    }

    #[test]
    fn equal_texts_are_one() {
        let mut builder = Builder::default();
        let first = builder.text("name");
        assert_ne!(builder.text("other"), first);
        assert_eq!(builder.text("name"), first);
        assert_eq!(builder.text(""), 0);
    }

    #[test]
    fn a_truncated_or_damaged_blob_is_refused_or_read_without_harm() {
        let blob = sample();
        for length in 0..blob.len() {
            assert!(Table::new(&blob[..length]).is_none(), "{length}");
        }
        for index in 0..blob.len() {
            let mut damaged = blob.clone();
            damaged[index] = !damaged[index];
            if let Some(table) = Table::new(&damaged) {
                for place in 0..3 {
                    let _ = (table.adapter(place), table.part(place), table.listed(place));
                    if let Some(hook) = table.hook(place) {
                        let _ = table.code(hook.owner);
                    }
                    if let Some(stub) = table.stub(place) {
                        let _ = table.text(stub.symbol);
                    }
                }
            }
        }
    }
}
