//! A table as a whole, read in place.

use crate::Adapter;
use crate::Hook;
use crate::Part;
use crate::Stub;

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"WFHT");
pub(crate) const VERSION: u32 = 4;
pub(crate) const SECTIONS: usize = 8;

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
}

#[inline]
pub(crate) fn word_at(blob: &[u8], offset: usize) -> u32 {
    match blob.get(offset..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}

impl<'blob> Table<'blob> {
    /// The length that the table says it has, when `header` begins one.
    #[must_use]
    #[inline]
    pub fn length_in(header: &[u8; HEADER_LEN]) -> Option<usize> {
        let is_table = word_at(header, 0) == MAGIC && word_at(header, 4) == VERSION;
        is_table.then(|| word_at(header, 8) as usize)
    }

    /// The table that `blob` holds, if it holds one of this version.
    #[must_use]
    #[inline]
    pub fn new(blob: &'blob [u8]) -> Option<Self> {
        let length = Self::length_in(blob.first_chunk()?)?;
        let blob = blob.get(..length)?;
        Some(Self { blob })
    }

    /// Where a section lies. Read anew each time: a table is looked at in every call of a hook, and few sections then.
    #[inline]
    fn section(&self, number: usize) -> Section {
        Section {
            offset: word_at(self.blob, 12 + 8 * number) as usize,
            count: word_at(self.blob, 16 + 8 * number) as usize,
        }
    }

    /// How many adapters there are.
    #[must_use]
    pub fn adapter_count(&self) -> usize {
        self.section(0).count
    }

    /// How many hooks there are.
    #[must_use]
    pub fn hook_count(&self) -> usize {
        self.section(1).count
    }

    /// How many hooked symbols there are.
    #[must_use]
    pub fn stub_count(&self) -> usize {
        self.section(2).count
    }

    /// How many words the lists have in all.
    #[must_use]
    pub fn list_count(&self) -> usize {
        self.section(4).count
    }

    #[inline]
    fn record(&self, section: usize, words: usize, index: usize) -> Option<usize> {
        let section = self.section(section);
        (index < section.count).then(|| section.offset.saturating_add(index * words * 4))
    }

    /// The adapter at a place.
    #[must_use]
    #[inline]
    pub fn adapter(&self, index: usize) -> Option<Adapter> {
        let at = self.record(0, Adapter::WORDS, index)?;
        Some(Adapter::from_words(|word| {
            word_at(self.blob, at + 4 * word)
        }))
    }

    /// The hook at a place.
    #[must_use]
    #[inline]
    pub fn hook(&self, index: usize) -> Option<Hook> {
        let at = self.record(1, Hook::WORDS, index)?;
        Some(Hook::from_words(|word| word_at(self.blob, at + 4 * word)))
    }

    /// The hooked symbol at a place.
    #[must_use]
    #[inline]
    pub fn stub(&self, index: usize) -> Option<Stub> {
        let at = self.record(2, Stub::WORDS, index)?;
        Some(Stub::from_words(|word| word_at(self.blob, at + 4 * word)))
    }

    /// The first place in the order of symbols of one that is not less than this.
    fn lower_bound(&self, symbol: &[u8]) -> Option<usize> {
        let (mut from, mut to) = (0, self.section(7).count);
        while from < to {
            let middle = from + (to - from) / 2;
            if self.ordered(middle)?.1 < symbol {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Some(from)
    }

    /// The stub at a place in the order of symbols, and its symbol.
    fn ordered(&self, place: usize) -> Option<(usize, &'blob [u8])> {
        let stub = word_at(self.blob, self.record(7, 1, place)?) as usize;
        Some((stub, self.text(self.stub(stub)?.symbol)))
    }

    /// The place of the stub with a symbol. A table that is out of order finds nothing, or the wrong one.
    #[must_use]
    pub fn stub_named(&self, symbol: &[u8]) -> Option<usize> {
        let (stub, found) = self.ordered(self.lower_bound(symbol)?)?;
        (found == symbol).then_some(stub)
    }

    /// The stubs of a name in some version, each with the version.
    pub fn stubs_versioned(&self, name: &[u8]) -> impl Iterator<Item = (usize, &'blob [u8])> {
        const LONGEST: usize = 512;
        let mut prefix = [0; LONGEST];
        let length = name.len() + 1;
        // Of longer names no version is hooked.
        let begin = (length <= LONGEST).then(|| {
            prefix[..name.len()].copy_from_slice(name);
            prefix[name.len()] = b'@';
            self.lower_bound(&prefix[..length])
        });
        let begin = begin.flatten().unwrap_or(usize::MAX);
        let table = *self;
        (begin..usize::MAX).map_while(move |place| {
            let (stub, symbol) = table.ordered(place)?;
            let version = symbol.strip_prefix(&prefix[..length.min(LONGEST)])?;
            Some((stub, version))
        })
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
    #[inline]
    pub fn code(&self, offset: u32) -> &'blob [u8] {
        let section = self.section(5);
        let end = section.offset.saturating_add(section.count);
        let start = section.offset.saturating_add(offset as usize);
        self.blob.get(start..end).unwrap_or_default()
    }

    /// The text with a number; empty when there is none.
    #[must_use]
    #[inline]
    pub fn text(&self, number: u32) -> &'blob [u8] {
        let at = self.section(6).offset.saturating_add(number as usize);
        let length = word_at(self.blob, at) as usize;
        let start = at.saturating_add(4);
        self.blob
            .get(start..start.saturating_add(length))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
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
    fn a_stub_is_found_by_its_symbol() {
        let names = ["pool_free", "a", "pool", "zz", "pool_free_all", "b"];
        for count in 0..=names.len() {
            let mut builder = Builder::default();
            for name in &names[..count] {
                let symbol = builder.text(name);
                builder.stub(Stub { symbol, hook: 0 });
            }
            let blob = builder.build();
            let table = Table::new(&blob).expect("a table");
            for (place, name) in names.iter().enumerate() {
                let expected = (place < count).then_some(place);
                assert_eq!(table.stub_named(name.as_bytes()), expected, "{name}");
            }
            for name in ["", "poo", "pool_", "zzz"] {
                assert_eq!(table.stub_named(name.as_bytes()), None, "{name}");
            }
        }
    }

    #[test]
    fn the_versions_of_a_name_are_found() {
        let mut builder = Builder::default();
        for name in ["f@V2", "f", "f@", "fA", "g@V1", "f@V1", "f.1"] {
            let symbol = builder.text(name);
            builder.stub(Stub { symbol, hook: 0 });
        }
        let blob = builder.build();
        let table = Table::new(&blob).expect("a table");
        let found = |name: &[u8]| -> Vec<_> { table.stubs_versioned(name).collect() };
        assert_eq!(found(b"f"), [(2, &b""[..]), (5, b"V1"), (0, b"V2")]);
        assert_eq!(found(b"g"), [(4, &b"V1"[..])]);
        assert_eq!(found(b"fA"), []);
        assert_eq!(found(&[b'f'; 600]), []);
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
                let _ = table.stub_named(b"pool_free");
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
