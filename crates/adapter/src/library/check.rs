//! Reads a generated library as the loader will, and refuses it with a sentence before the loader can crash on it.

use object::LittleEndian as LE;
use object::Object;
use object::ObjectSymbol;
use object::ObjectSymbolTable;
use object::RelocationTarget;
use object::elf;
use object::read::elf::Dyn;
use object::read::elf::ElfFile64;
use object::read::elf::FileHeader;
use object::read::elf::ProgramHeader;
use whofreed_hooktable::STUBS_SYMBOL;
use whofreed_hooktable::TABLE_SYMBOL;
use whofreed_hooktable::Table;

use super::THUNKS;
use super::machine;
use super::thunks;
use crate::table::Compiled;

/// # Errors
/// A sentence about the first thing that is not as it should be.
pub(crate) fn check(bytes: &[u8], compiled: &Compiled) -> Result<(), String> {
    let say = |error: object::read::Error| error.to_string();
    let file = ElfFile64::<LE>::parse(bytes).map_err(say)?;
    let header = file.elf_header();
    require(header.e_type(LE) == elf::ET_DYN, "it is no shared library")?;
    require(
        header.e_machine(LE) == machine::MACHINE,
        "it is for another machine",
    )?;
    check_segments(bytes, file.elf_program_headers())?;
    check_dynamic(bytes, file.elf_program_headers())?;

    let slots = check_relocations(&file)?;
    let mut symbols = file.dynamic_symbols();
    let stubs = symbols.find(|symbol| symbol.name() == Ok(STUBS_SYMBOL));
    let stubs = stubs
        .ok_or("it does not say where its stubs are")?
        .address();
    check_stubs(bytes, stubs, &slots, compiled)?;

    let mut found = 0;
    for symbol in file
        .dynamic_symbols()
        .filter(|symbol| !symbol.is_undefined())
    {
        let name = symbol.name().map_err(say)?;
        let at = symbol.address();
        if name == TABLE_SYMBOL {
            let table = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
            require(
                table.and_then(Table::new).is_some(),
                "its table cannot be read",
            )?;
        } else if name != STUBS_SYMBOL {
            let number = compiled
                .exports
                .iter()
                .position(|export| export.is_exported && export.symbol == name);
            let number =
                number.ok_or_else(|| format!("it exports `{name}`, which nobody asked for"))?;
            require(
                at == stubs + number as u64 * machine::STUB_LEN,
                &format!("`{name}` is not at its stub"),
            )?;
        }
        found += 1;
    }
    let exported = compiled.exports.iter().filter(|export| export.is_exported);
    require(
        found == exported.count() + 2,
        "it does not export every symbol",
    )?;
    for thunk in THUNKS {
        let mut undefined = file.dynamic_symbols().filter(ObjectSymbol::is_undefined);
        require(
            undefined.any(|symbol| symbol.name() == Ok(thunk)),
            "it does not ask for the thunks",
        )?;
    }
    let weak = file.dynamic_symbols().filter(ObjectSymbol::is_undefined);
    let mut weak = weak.map(|symbol| symbol.elf_symbol().st_bind());
    require(
        weak.all(|binding| binding == elf::STB_WEAK),
        "it would not load without libwhofreed.so",
    )
}

fn require(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

fn check_segments(bytes: &[u8], headers: &[elf::ProgramHeader64<LE>]) -> Result<(), String> {
    let mut types = Vec::new();
    for header in headers {
        let flags = header.p_flags(LE);
        let both = elf::PF_W | elf::PF_X;
        require(
            flags & both != both,
            "a segment is both writable and executable",
        )?;
        types.push(header.p_type(LE));
        if header.p_type(LE) != elf::PT_LOAD {
            continue;
        }
        let end = header.p_offset(LE).checked_add(header.p_filesz(LE));
        require(
            end.is_some_and(|end| end <= bytes.len() as u64),
            "a segment ends beyond the file",
        )?;
        let aligned = header.p_vaddr(LE) % machine::PAGE == header.p_offset(LE) % machine::PAGE;
        require(
            aligned && header.p_align(LE) == machine::PAGE,
            "a segment is not aligned",
        )?;
        require(
            header.p_offset(LE) % machine::PAGE == 0,
            "a segment does not begin with a page",
        )?;
    }
    for (needed, name) in [
        (elf::PT_DYNAMIC, "PT_DYNAMIC"),
        (elf::PT_GNU_RELRO, "PT_GNU_RELRO"),
        (elf::PT_GNU_EH_FRAME, "PT_GNU_EH_FRAME"),
        (elf::PT_GNU_STACK, "PT_GNU_STACK"),
    ] {
        require(types.contains(&needed), &format!("it has no {name}"))?;
    }
    Ok(())
}

fn check_dynamic(bytes: &[u8], headers: &[elf::ProgramHeader64<LE>]) -> Result<(), String> {
    let mut entries = None;
    for header in headers {
        if let Some(found) = header
            .dynamic(LE, bytes)
            .map_err(|error| error.to_string())?
        {
            entries = Some(found);
        }
    }
    let entries = entries.unwrap_or_default();
    let needed = [
        elf::DT_SONAME,
        elf::DT_GNU_HASH,
        elf::DT_STRTAB,
        elf::DT_STRSZ,
        elf::DT_SYMTAB,
        elf::DT_SYMENT,
        elf::DT_RELA,
        elf::DT_RELASZ,
        elf::DT_RELAENT,
        elf::DT_FLAGS,
        elf::DT_NULL,
    ];
    for tag in needed {
        let is_there = entries.iter().any(|entry| entry.d_tag(LE) == tag);
        require(
            is_there,
            &format!("its dynamic section lacks entry {:#x}", tag.0),
        )?;
    }
    Ok(())
}

/// The loader writes where these point, so that they have to point at the slots, of each thunk its own.
fn check_relocations(file: &ElfFile64<'_, LE>) -> Result<Vec<u64>, String> {
    let relocations: Vec<_> = file.dynamic_relocations().into_iter().flatten().collect();
    let mut slots = Vec::new();
    require(
        relocations.len() == THUNKS.len(),
        "it does not relocate its slots",
    )?;
    let mut writable = file.elf_program_headers().iter().filter(|header| {
        header.p_type(LE) == elf::PT_LOAD && header.p_flags(LE).contains(elf::PF_W)
    });
    let Some(writable) = writable.next() else {
        return Err("it has no writable segment".to_owned());
    };
    let range = writable.p_vaddr(LE)..writable.p_vaddr(LE) + writable.p_memsz(LE);
    for ((at, relocation), thunk) in relocations.into_iter().zip(THUNKS) {
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            return Err("a slot is not for a thunk".to_owned());
        };
        let symbol = file
            .dynamic_symbol_table()
            .and_then(|symbols| symbols.symbol_by_index(symbol).ok());
        require(
            symbol.is_some_and(|symbol| symbol.name() == Ok(thunk)),
            "a slot is not for its thunk",
        )?;
        let is_slot = range.contains(&at) && at.is_multiple_of(8);
        require(is_slot, "a relocation does not lie in a slot")?;
        let kind = object::RelocationFlags::Elf {
            r_type: machine::SLOT_RELOCATION,
        };
        require(
            relocation.flags() == kind,
            "a relocation is of the wrong kind",
        )?;
        slots.push(at);
    }
    Ok(slots)
}

/// Every stub, the spare ones included, hands over its number to its thunk.
fn check_stubs(bytes: &[u8], stubs: u64, slots: &[u64], compiled: &Compiled) -> Result<(), String> {
    let mut at = stubs;
    for (number, thunk) in (0_u32..).zip(thunks(compiled)) {
        let expected = machine::stub(number, at, slots.get(thunk).copied().unwrap_or(0));
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let code = bytes.get(start..start.saturating_add(expected.len()));
        let Some(code) = code else {
            return Err(format!("stub {number} lies beyond the file"));
        };
        require(code == expected, &format!("stub {number} is damaged"))?;
        at = at.wrapping_add(machine::STUB_LEN);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::compile_adapters;
    use object::ObjectSection;

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
        let is_tried = |at: &usize| !(8192..36 * 1024).contains(at) || at.is_multiple_of(101);
        for at in (0..bytes.len()).filter(|at| bytes[*at] != 0 && is_tried(at)) {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            let _ = check(&broken, &compiled);
        }
    }
}
