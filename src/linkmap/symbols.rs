//! Names in a mapped object: symbol tables, hash tables, versions.
//!
//! Everything is read where the linker has mapped it. Sizes come from the object itself: it was
//! linked and is running, so its tables are trusted to be what the linker also relies on.

use super::HIGHEST;
use super::LOWEST;
use super::MOST_ENTRIES;
use super::peek;
use super::versions::Version;
use std::ffi::CStr;
use std::ffi::c_void;
use std::ptr::with_exposed_provenance;

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERDEFNUM: u64 = 0x6fff_fffd;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;
const DT_STRSZ: u64 = 10;

const STT_TLS: u8 = 6;
const STT_GNU_IFUNC: u8 = 10;
const STB_LOCAL: u8 = 0;
pub(super) const SHN_UNDEF: u16 = 0;
const SHN_ABS: u16 = 0xfff1;

/// What is looked for, with its hashes worked out once for all objects.
#[derive(Clone, Copy)]
pub(super) struct Query<'a> {
    pub(super) name: &'a [u8],
    pub(super) version: Version<'a>,
    gnu: u32,
    sysv: u32,
}

impl<'a> Query<'a> {
    pub(super) fn new(name: &'a [u8], version: Version<'a>) -> Self {
        Query {
            name,
            version,
            gnu: gnu_hash(name),
            sysv: sysv_hash(name),
        }
    }

    /// `name`, `name@VERSION` or `name@@VERSION`.
    pub(super) fn parse(name: &'a [u8]) -> Self {
        let Some(at) = name.iter().position(|byte| *byte == b'@') else {
            return Query::new(name, Version::Default);
        };
        let version = &name[at + 1..];
        let version = version.strip_prefix(b"@").unwrap_or(version);
        Query::new(&name[..at], Version::Named(version))
    }

    /// The same name in another version.
    pub(super) fn of(&self, version: Version<'a>) -> Self {
        Query { version, ..*self }
    }
}

fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
    })
}

fn sysv_hash(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        (hash ^ ((hash & 0xf000_0000) >> 24)) & 0x0fff_ffff
    })
}

/// `Elf64_Sym`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Symbol {
    pub(super) name: u32,
    info: u8,
    other: u8,
    pub(super) section: u16,
    value: u64,
    size: u64,
}

/// The tables that a dynamic section points at; 0 where it has none.
pub(super) struct Tables {
    bias: usize,
    pub(super) strings: usize,
    pub(super) strings_len: usize,
    symbols: usize,
    gnu_hash: usize,
    sysv_hash: usize,
    pub(super) versions: usize,
    pub(super) definitions: usize,
    pub(super) definition_count: usize,
    pub(super) needs: usize,
    pub(super) need_count: usize,
}

impl Tables {
    /// `dynamic` is the dynamic section of a loaded object with load bias `bias`.
    pub(super) fn read(bias: usize, dynamic: usize) -> Option<Tables> {
        if !(LOWEST..HIGHEST).contains(&dynamic) || !dynamic.is_multiple_of(8) {
            return None;
        }
        let mut tables = Tables {
            bias,
            strings: 0,
            strings_len: 0,
            symbols: 0,
            gnu_hash: 0,
            sysv_hash: 0,
            versions: 0,
            definitions: 0,
            definition_count: 0,
            needs: 0,
            need_count: 0,
        };
        for index in 0..MOST_ENTRIES {
            // SAFETY: the linker mapped the dynamic section, and it ends with a DT_NULL entry,
            // where this loop stops.
            let [tag, value]: [u64; 2] = unsafe { peek(dynamic + index * 16) };
            let value = value as usize;
            // The linker relocates these addresses in place, except in read-only sections (vDSO).
            let address = if value < bias { value + bias } else { value };
            match tag {
                0 => break,
                DT_STRTAB => tables.strings = address,
                DT_SYMTAB => tables.symbols = address,
                DT_GNU_HASH => tables.gnu_hash = address,
                DT_HASH => tables.sysv_hash = address,
                DT_VERSYM => tables.versions = address,
                DT_VERDEF => tables.definitions = address,
                DT_VERDEFNUM => tables.definition_count = value,
                DT_VERNEED => tables.needs = address,
                DT_VERNEEDNUM => tables.need_count = value,
                DT_STRSZ => tables.strings_len = value,
                _ => {}
            }
        }
        (tables.strings != 0 && tables.symbols != 0).then_some(tables)
    }

    /// Address of the definition that `query` asks for.
    pub(super) fn find(&self, query: &Query<'_>) -> Option<usize> {
        if let Version::Oldest = query.version {
            let base = self.find(&query.of(Version::Base));
            return base.or_else(|| self.find(&query.of(Version::Default)));
        }
        self.search(query, &mut |symbol| self.address(symbol))
    }

    /// How many versions of a name there are; those that are the same function are one.
    pub(super) fn count(&self, name: &Query<'_>) -> usize {
        let (mut count, mut last) = (0, 0);
        let _: Option<()> = self.search(&name.of(Version::Any), &mut |symbol| {
            count += usize::from(count == 0 || symbol.value != last);
            last = symbol.value;
            None
        });
        count
    }

    /// The first answer of `accept` about a definition that fits.
    fn search<T>(
        &self,
        query: &Query<'_>,
        accept: &mut dyn FnMut(Symbol) -> Option<T>,
    ) -> Option<T> {
        let mut look = |index| accept(self.definition(index, query)?);
        if self.gnu_hash != 0 {
            self.search_gnu_hash(query, &mut look)
        } else if self.sysv_hash != 0 {
            self.search_sysv_hash(query, &mut look)
        } else {
            None
        }
    }

    fn search_gnu_hash<T>(
        &self,
        query: &Query<'_>,
        look: &mut dyn FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let table = self.gnu_hash;
        // SAFETY: the linker looks symbols up in this very table; header, filter, buckets and
        // chains are laid out as the header's four words say.
        let [buckets, first, filter_words, shift]: [u32; 4] = unsafe { peek(table) };
        if buckets == 0 || filter_words == 0 {
            return None;
        }
        let filter = table + 16;
        let bucket_table = filter + filter_words as usize * 8;
        let chains = bucket_table + buckets as usize * 4;
        let word_index = (query.gnu / 64) % filter_words;
        // SAFETY: as above, the index is below the number of words.
        let word: u64 = unsafe { peek(filter + word_index as usize * 8) };
        let second = query.gnu.checked_shr(shift).unwrap_or(0);
        let bits = (1u64 << (query.gnu % 64)) | (1u64 << (second % 64));
        if word & bits != bits {
            return None;
        }
        // SAFETY: as above, the index is below the number of buckets.
        let mut index: u32 = unsafe { peek(bucket_table + (query.gnu % buckets) as usize * 4) };
        if index < first {
            return None;
        }
        loop {
            // SAFETY: as above; a chain ends with an odd word, where this loop stops.
            let hash: u32 = unsafe { peek(chains + (index - first) as usize * 4) };
            if (hash | 1) == (query.gnu | 1)
                && let Some(found) = look(index as usize)
            {
                return Some(found);
            }
            if hash & 1 != 0 {
                return None;
            }
            index = index.checked_add(1)?;
        }
    }

    fn search_sysv_hash<T>(
        &self,
        query: &Query<'_>,
        look: &mut dyn FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        let table = self.sysv_hash;
        // SAFETY: as for the GNU table: two counts, then the buckets, then the chains.
        let [buckets, count]: [u32; 2] = unsafe { peek(table) };
        if buckets == 0 {
            return None;
        }
        let chains = table + 8 + buckets as usize * 4;
        // SAFETY: as above, the index is below the number of buckets.
        let mut index: u32 = unsafe { peek(table + 8 + (query.sysv % buckets) as usize * 4) };
        for _ in 0..count {
            if index == 0 || index >= count {
                return None;
            }
            if let Some(found) = look(index as usize) {
                return Some(found);
            }
            // SAFETY: as above, the index is below the number of chain words.
            index = unsafe { peek(chains + index as usize * 4) };
        }
        None
    }

    /// A symbol, by its place in the table.
    ///
    /// # Safety
    /// There are that many.
    pub(super) unsafe fn symbol(&self, index: usize) -> Symbol {
        // SAFETY: the caller's promise.
        unsafe { peek(self.symbols + index * size_of::<Symbol>()) }
    }

    /// Symbol `index`, if that is one that is asked for.
    fn definition(&self, index: usize, query: &Query<'_>) -> Option<Symbol> {
        // SAFETY: the hash table names only symbols of this table.
        let symbol = unsafe { self.symbol(index) };
        let kind = symbol.info & 0xf;
        let hidden = matches!(symbol.other & 3, 1 | 2);
        if symbol.section == SHN_UNDEF
            || kind == STT_TLS
            || symbol.info >> 4 == STB_LOCAL
            || hidden
            || !self.string_is(symbol.name as usize, query.name)
            || !self.version_fits(index, query.version)
        {
            return None;
        }
        Some(symbol)
    }

    fn address(&self, symbol: Symbol) -> Option<usize> {
        let value = symbol.value as usize;
        match (symbol.info & 0xf, symbol.section) {
            (_, SHN_ABS) => Some(value),
            (STT_GNU_IFUNC, _) => Some(resolve(self.bias + value)),
            _ => Some(self.bias + value),
        }
        .filter(|address| *address != 0)
    }

    /// A string of the object's, by its offset.
    pub(super) fn text(&self, offset: usize) -> &CStr {
        // SAFETY: the linker reads the same strings; they are NUL-terminated, and mapped as long as the object.
        unsafe { CStr::from_ptr(with_exposed_provenance(self.strings + offset)) }
    }

    pub(super) fn string_is(&self, offset: usize, expected: &[u8]) -> bool {
        // SAFETY: strings of the table are NUL-terminated, so a byte is read only when all
        // before it were equal to the expected ones, which hold no NUL.
        let same = expected.iter().enumerate().all(|(position, byte)| unsafe {
            *byte != 0 && peek::<u8>(self.strings + offset + position) == *byte
        });
        // SAFETY: as above: at most the terminating NUL.
        same && unsafe { peek::<u8>(self.strings + offset + expected.len()) } == 0
    }

    /// How many symbols there are at most: another table begins behind them.
    pub(super) fn most_symbols(&self) -> usize {
        let others = [
            self.strings,
            self.gnu_hash,
            self.sysv_hash,
            self.versions,
            self.definitions,
            self.needs,
        ];
        let behind = others.into_iter().filter(|other| *other > self.symbols);
        let end = behind.min().unwrap_or(self.symbols);
        (end - self.symbols) / size_of::<Symbol>()
    }
}

/// Asks the resolver of an indirect function which implementation serves this processor.
fn resolve(resolver: usize) -> usize {
    let resolver = with_exposed_provenance::<c_void>(resolver);
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: the aarch64 ABI hands a resolver AT_HWCAP with bit 62 set and, by it, a block
        // with its own size, AT_HWCAP and AT_HWCAP2. Resolvers are pure.
        unsafe {
            let block = [
                24u64,
                libc::getauxval(libc::AT_HWCAP),
                libc::getauxval(libc::AT_HWCAP2),
            ];
            let resolver: extern "C" fn(u64, *const u64) -> usize = std::mem::transmute(resolver);
            resolver(block[1] | (1 << 62), block.as_ptr())
        }
    }
    #[cfg(not(target_arch = "aarch64"))]
    {
        // SAFETY: on this architecture a resolver takes nothing and returns the address; the
        // linker has called it in the same way to bind the object's users.
        unsafe {
            let resolver: extern "C" fn() -> usize = std::mem::transmute(resolver);
            resolver()
        }
    }
}
