//! Reads a generated library as the loader will, and refuses it with a sentence before the loader can crash on it, or hook
//! nothing without a word.
//!
//! Only what the loader and the unwinder read is looked at, which is everything but section headers and padding; and since
//! we have written it, it has to be exactly as we write it.

#[path = "check/dynamic.rs"]
mod dynamic;
#[path = "check/image.rs"]
mod image;
#[path = "check/symbols.rs"]
mod symbols;

use object::elf;

use self::dynamic::Dynamic;
use self::image::Image;
use self::image::require;
use super::THUNKS;
use super::machine;
use super::thunks;
use crate::table::Compiled;

/// # Errors
/// A sentence about the first thing that is not as it should be.
pub(crate) fn check(bytes: &[u8], compiled: &Compiled) -> Result<(), String> {
    let image = Image(bytes);
    check_header(image)?;
    let segments = Segments::read(image)?;
    let dynamic = Dynamic::read(image, &segments)?;
    let slots = check_relocations(image, &segments, &dynamic)?;
    let places = symbols::check(image, &segments, &dynamic, compiled)?;
    require(
        places.stubs == segments.code.0,
        "its stubs are not where its code is",
    )?;
    check_stubs(image, places.stubs, &slots, compiled)?;
    let table = image.bytes(places.table, compiled.table.len() as u64)?;
    require(table == compiled.table, "its table is damaged")?;
    check_frames(image, &segments, places.stubs, compiled)
}

fn check_header(image: Image<'_>) -> Result<(), String> {
    let ident = image.bytes(0, 16)?;
    require(ident.starts_with(&elf::ELFMAG), "it is no ELF file")?;
    let kind = [
        elf::ELFCLASS64.0,
        elf::ELFDATA2LSB.0,
        elf::EV_CURRENT.0,
        elf::ELFOSABI_NONE.0,
        0,
    ];
    require(
        ident[4..9] == kind,
        "it is of another kind than this system's libraries",
    )?;
    require(image.half(16)? == elf::ET_DYN.0, "it is no shared library")?;
    require(
        image.half(18)? == machine::MACHINE.0,
        "it is for another machine",
    )?;
    require(image.word(20)? == 1, "it is of another version")?;
    let headers = (image.double(32)?, image.half(54)?, image.half(56)?);
    let expected = (HEADER_LEN, SEGMENT_LEN as u16, SEGMENTS.len() as u16);
    require(headers == expected, "its program headers are elsewhere")?;
    // Nobody who loads it needs the section headers, but they are the end of the file.
    let sections = u64::from(image.half(60)?) * 64;
    let end = image.double(40)?.checked_add(sections);
    require(
        end.is_some_and(|end| end <= image.len()),
        "its end is missing",
    )
}

const HEADER_LEN: u64 = 64;
const SEGMENT_LEN: u64 = 56;

/// The segments, as `layout` makes them: what they are and what may be done with them.
const SEGMENTS: [(u32, u32, &str); 7] = [
    (elf::PT_LOAD.0, elf::PF_R.0, "read-only data"),
    (elf::PT_LOAD.0, READ_EXECUTE, "code"),
    (elf::PT_LOAD.0, READ_WRITE, "slots"),
    (elf::PT_DYNAMIC.0, READ_WRITE, "PT_DYNAMIC"),
    (elf::PT_GNU_RELRO.0, elf::PF_R.0, "PT_GNU_RELRO"),
    (elf::PT_GNU_EH_FRAME.0, elf::PF_R.0, "PT_GNU_EH_FRAME"),
    (elf::PT_GNU_STACK.0, READ_WRITE, "PT_GNU_STACK"),
];
const READ_WRITE: u32 = elf::PF_R.0 | elf::PF_W.0;
const READ_EXECUTE: u32 = elf::PF_R.0 | elf::PF_X.0;

/// Where the segments begin and end; an address is a file offset.
#[derive(Debug)]
struct Segments {
    data: (u64, u64),
    code: (u64, u64),
    slots: (u64, u64),
    dynamic: (u64, u64),
    frames_header: (u64, u64),
}

impl Segments {
    fn read(image: Image<'_>) -> Result<Self, String> {
        let mut ranges = [(0, 0); SEGMENTS.len()];
        let mut at = HEADER_LEN;
        for ((kind, flags, name), range) in SEGMENTS.into_iter().zip(&mut ranges) {
            let is_there = image.word(at)? == kind;
            require(
                is_there,
                &format!("its segments are not in order: no {name}"),
            )?;
            let may = image.word(at + 4)?;
            let both = elf::PF_W.0 | elf::PF_X.0;
            require(
                may & both != both,
                "a segment is both writable and executable",
            )?;
            require(may == flags, &format!("{name} has other rights"))?;
            let [offset, address] = [image.double(at + 8)?, image.double(at + 16)?];
            let [in_file, in_memory] = [image.double(at + 32)?, image.double(at + 40)?];
            require(
                offset == address && in_file == in_memory,
                &format!("{name} is not where it is in the file"),
            )?;
            let end = offset.checked_add(in_file);
            let end = end.filter(|end| *end <= image.len());
            let end = end.ok_or_else(|| format!("{name} ends beyond the file"))?;
            if kind == elf::PT_LOAD.0 {
                let is_aligned =
                    offset.is_multiple_of(machine::PAGE) && image.double(at + 48)? == machine::PAGE;
                require(is_aligned, &format!("{name} is not aligned"))?;
            }
            *range = (offset, end);
            at += SEGMENT_LEN;
        }
        let [data, code, slots, dynamic, relro, frames_header, _] = ranges;
        let page = |end: u64| end.next_multiple_of(machine::PAGE);
        require(
            data.0 == 0 && code.0 == page(data.1) && slots.0 == page(code.1),
            "its segments do not follow each other",
        )?;
        require(
            relro == slots && slots.1 == page(slots.1),
            "its slots would stay writable",
        )?;
        require(
            dynamic.0 == slots.0 && dynamic.1 <= slots.1 && frames_header.1 <= data.1,
            "a segment does not lie in the one that is loaded",
        )?;
        Ok(Self {
            data,
            code,
            slots,
            dynamic,
            frames_header,
        })
    }
}

/// The loader writes where these point, so that they have to point at the slots, of each thunk its own.
fn check_relocations(
    image: Image<'_>,
    segments: &Segments,
    dynamic: &Dynamic,
) -> Result<Vec<u64>, String> {
    let mut slots = Vec::new();
    for (symbol, at) in (1_u64..=THUNKS.len() as u64).zip(dynamic.relocations()) {
        let kind = u64::from(machine::SLOT_RELOCATION.0);
        require(
            image.double(at + 8)? == symbol << 32 | kind && image.double(at + 16)? == 0,
            "a relocation is not for its thunk",
        )?;
        let slot = image.double(at)?;
        let range = segments.dynamic.1..segments.slots.1 - 7;
        require(
            range.contains(&slot) && slot.is_multiple_of(8) && !slots.contains(&slot),
            "a relocation does not lie in a slot",
        )?;
        slots.push(slot);
    }
    Ok(slots)
}

/// Every stub, the spare ones included, hands over its number to its thunk.
fn check_stubs(
    image: Image<'_>,
    stubs: u64,
    slots: &[u64],
    compiled: &Compiled,
) -> Result<(), String> {
    let mut at = stubs;
    for (number, thunk) in (0_u32..).zip(thunks(compiled)) {
        let slot = slots.get(thunk).copied().unwrap_or(0);
        let code = image.bytes(at, machine::STUB_LEN)?;
        let expected = machine::stub(number, at, slot);
        require(code == expected, &format!("stub {number} is damaged"))?;
        at += machine::STUB_LEN;
    }
    Ok(())
}

/// What an exception that passes a stub reads.
fn check_frames(
    image: Image<'_>,
    segments: &Segments,
    stubs: u64,
    compiled: &Compiled,
) -> Result<(), String> {
    let (header, end) = segments.frames_header;
    let frames = end.next_multiple_of(8);
    let len = thunks(compiled).count() as u64 * machine::STUB_LEN;
    let expected = machine::frames_header(header, frames, stubs);
    let is_header = image.bytes(header, machine::FRAMES_HEADER_LEN)? == expected;
    let expected = machine::frames(frames, stubs, len);
    let are_frames = image.bytes(frames, machine::FRAMES_LEN)? == expected;
    require(
        is_header && are_frames && stubs + len == segments.code.1,
        "its unwind information is damaged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::compile_adapters;
    use object::LittleEndian as LE;
    use object::Object;
    use object::ObjectSection;
    use object::ObjectSymbol;
    use object::read::elf::ElfFile64;
    use object::read::elf::ProgramHeader;
    use whofreed_hooktable::STUBS_SYMBOL;
    use whofreed_hooktable::TABLE_SYMBOL;

    const ADAPTER: &str = "name = \"pool\"\nlibrary = \"libpool.so\"\n[[hook]]\nevent = \"deallocate\"\n\
        symbols = [\"pool_give\", \"pool_drop\"]\naddress = \"arg0\"\n";

    fn library() -> (Vec<u8>, Compiled) {
        let sources = [("pool.toml".to_owned(), ADAPTER.to_owned())];
        let compiled = compile_adapters(&sources).expect("an adapter");
        let bytes = super::super::write(&compiled).expect("a library");
        (bytes, compiled)
    }

    #[test]
    fn a_broken_file_is_refused_with_a_sentence() {
        let (bytes, compiled) = library();
        let file = ElfFile64::<LE>::parse(&*bytes).expect("an ELF file");
        let headers = file.elf_program_headers();
        let find = |kind| {
            headers
                .iter()
                .position(|header| header.p_type(LE) == kind)
                .expect("a segment")
        };
        let header_at = |index: usize| 64 + index * 56;
        let dynamic =
            usize::try_from(headers[find(elf::PT_DYNAMIC)].p_offset(LE)).expect("an offset");
        let symbol_at = |name: &str| {
            let symbol = file
                .dynamic_symbols()
                .find(|symbol| symbol.name() == Ok(name))
                .expect("a symbol");
            usize::try_from(symbol.address()).expect("an address")
        };

        let stubs = symbol_at(STUBS_SYMBOL);
        let last_spare = stubs + (thunks(&compiled).count() - 1) * 16;
        let section = |name: &str| {
            let section = file.section_by_name(name).expect("a section");
            usize::try_from(section.address()).expect("an offset")
        };
        let relocations = section(".rela.dyn");
        let mut symbols = file.dynamic_symbols();
        let stubs_symbol = symbols
            .find(|symbol| symbol.name() == Ok(STUBS_SYMBOL))
            .expect("a symbol");
        let stubs_symbol = section(".dynsym") + stubs_symbol.index().0 * 24;

        let mut mutations: Vec<(String, usize, u8)> = vec![
            ("type".into(), 16, 2),
            ("machine".into(), 18, 183),
            ("magic".into(), 0, 0),
            ("writable code".into(), header_at(1) + 4, 7),
            ("misaligned".into(), header_at(1) + 8, 8),
            ("beyond the file".into(), header_at(2) + 34, 1),
            ("table".into(), symbol_at(TABLE_SYMBOL), 0),
            ("stub".into(), symbol_at("pool_give"), 0x90),
            ("number of a stub".into(), symbol_at("pool_drop") + 6, 7),
            ("thunk of a stub".into(), symbol_at("pool_drop") + 12, 0),
            ("last spare stub".into(), last_spare + 6, 7),
            ("first relocation".into(), relocations + 12, 2),
            ("place of the stubs".into(), stubs_symbol + 8, 0x10),
        ];
        for kind in [
            elf::PT_DYNAMIC,
            elf::PT_GNU_RELRO,
            elf::PT_GNU_EH_FRAME,
            elf::PT_GNU_STACK,
        ] {
            mutations.push((
                format!("no segment {:#x}", kind.0),
                header_at(find(kind)) + 2,
                0x33,
            ));
        }
        for entry in 0..10 {
            mutations.push((
                format!("dynamic entry {entry}"),
                dynamic + entry * 16 + 3,
                0x12,
            ));
        }
        for (what, at, byte) in mutations {
            let mut broken = bytes.clone();
            assert_ne!(broken[at], byte, "{what}: nothing to change");
            broken[at] = byte;
            let refused = check(&broken, &compiled);
            assert!(refused.is_err(), "{what}: not refused");
        }
        for length in (0..bytes.len()).step_by(61) {
            assert!(
                check(&bytes[..length], &compiled).is_err(),
                "cut to {length} bytes"
            );
        }
    }

    #[test]
    fn no_byte_makes_the_check_panic() {
        let (bytes, compiled) = library();
        // Most of the file is spare stubs, one like the other.
        let is_tried = |at: &usize| !(8192..68 * 1024).contains(at) || at.is_multiple_of(101);
        for at in (0..bytes.len()).filter(|at| bytes[*at] != 0 && is_tried(at)) {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            let _ = check(&broken, &compiled);
        }
    }
}
