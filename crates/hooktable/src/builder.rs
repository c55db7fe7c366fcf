//! A table as a whole, built from records.

use crate::Adapter;
use crate::Hook;
use crate::Part;
use crate::Stub;
use crate::table::HEADER_LEN;
use crate::table::MAGIC;
use crate::table::SECTIONS;
use crate::table::VERSION;
use crate::table::word_at;

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

    /// Adds a hooked symbol and returns its place.
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

    /// The places of the stubs, in the order of their symbols.
    fn names(&self) -> Vec<u32> {
        let mut places: Vec<u32> = (0..self.stubs.len() as u32).collect();
        places.sort_by_key(|place| {
            let at = self.stubs[*place as usize].symbol as usize;
            let length = word_at(&self.texts, at) as usize;
            &self.texts[at + 4..at + 4 + length]
        });
        places
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
            (words(vec![self.names()]), self.stubs.len()),
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
