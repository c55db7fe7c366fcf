//! The stand-in for the device compiler.
//!
//! With a mock cluster the runtime never starts a device program, yet it still compiles each one and reads the result back.
//! So a "compiler" is enough that writes one constant program, the smallest that the runtime's loader takes: a RISC-V
//! executable with a text segment and one (empty) relocation section for it.

use std::fmt::Write as _;

/// Where the text segment is linked; the loader wants the entry point there.
const TEXT_ADDRESS: u32 = 0x9000;
/// `j .`: the whole program.
const TEXT: [u8; 4] = 0x0000_006f_u32.to_le_bytes();
/// Section names, and where each starts.
const NAMES: &[u8; 28] = b"\0.text\0.shstrtab\0.rela.text\0";
const NAME_TEXT: u32 = 1;
const NAME_STRINGS: u32 = 7;
const NAME_RELOCATIONS: u32 = 17;

const FILE_HEADER_SIZE: u32 = 52;
const SEGMENT_HEADER_SIZE: u32 = 32;
const SECTION_HEADER_SIZE: u32 = 40;

/// The program: file header, segment header, text, section names, four section headers.
pub fn blank_program() -> Vec<u8> {
    let text = FILE_HEADER_SIZE + SEGMENT_HEADER_SIZE;
    let names = text + len(&TEXT);
    let sections = names + len(NAMES);

    let mut file = Vec::new();
    file.extend(b"\x7fELF\x01\x01\x01");
    file.resize(16, 0);
    halves(&mut file, &[2, 243]); // an executable, for RISC-V
    words(&mut file, &[1, TEXT_ADDRESS, FILE_HEADER_SIZE, sections, 0]);
    halves(
        &mut file,
        &[
            FILE_HEADER_SIZE as u16,
            SEGMENT_HEADER_SIZE as u16,
            1,
            SECTION_HEADER_SIZE as u16,
            4,
            2,
        ],
    );
    // One loaded segment, readable and executable.
    words(
        &mut file,
        &[
            1,
            text,
            TEXT_ADDRESS,
            TEXT_ADDRESS,
            len(&TEXT),
            len(&TEXT),
            5,
            4,
        ],
    );
    file.extend(TEXT);
    file.extend(NAMES);
    // name, type, flags, address, offset, size, link, info, alignment, entry size
    words(&mut file, &[0; 10]);
    words(
        &mut file,
        &[NAME_TEXT, 1, 6, TEXT_ADDRESS, text, len(&TEXT), 0, 0, 4, 0],
    );
    words(
        &mut file,
        &[NAME_STRINGS, 3, 0, 0, names, len(NAMES), 0, 0, 1, 0],
    );
    words(
        &mut file,
        &[NAME_RELOCATIONS, 4, 0, 0, names, 0, 0, 1, 4, 12],
    );
    file
}

/// A shell script that answers the few options the runtime passes to its compiler, and writes the blank program to each output.
///
/// It starts no process of its own: a run compiles hundreds of programs.
pub fn script() -> String {
    let mut octal = String::new();
    for byte in blank_program() {
        // Writing to a string cannot fail.
        let _ = write!(octal, "\\{byte:03o}");
    }
    format!(
        r#"#!/bin/sh
# Stands in for the device compiler on a mock cluster: whatever the source, the output is one blank program.
output= dependencies= with_dependencies=
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo 'blank device compiler 1.0'; exit 0 ;;
        -o) output=$2; shift ;;
        -MF) dependencies=$2 with_dependencies=yes; shift ;;
        -MD | -MMD) with_dependencies=yes ;;
    esac
    shift
done
[ "$output" ] || exit 0
printf '{octal}' > "$output" || exit 1
[ -z "$with_dependencies" ] || echo "$output:" > "${{dependencies:-${{output%.*}}.d}}"
"#
    )
}

fn words(file: &mut Vec<u8>, values: &[u32]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn halves(file: &mut Vec<u8>, values: &[u16]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn len(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(file: &[u8], at: usize) -> usize {
        u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize
    }

    #[test]
    fn every_part_of_the_program_is_where_its_header_says() {
        let file = blank_program();
        let sections = word(&file, 32);
        assert_eq!(sections % 4, 0);
        assert_eq!(sections + 4 * SECTION_HEADER_SIZE as usize, file.len());
        assert_eq!(
            word(&file, 24),
            word(&file, 52 + 8),
            "the entry point is the start of the text"
        );

        let text = word(&file, 52 + 4);
        assert_eq!(text % 4, 0);
        assert_eq!(&file[text..text + 4], TEXT);

        let strings = sections + 2 * SECTION_HEADER_SIZE as usize;
        let names = &file[word(&file, strings + 16)..][..word(&file, strings + 20)];
        for (index, expected) in [(1, ".text"), (2, ".shstrtab"), (3, ".rela.text")] {
            let name = word(&file, sections + index * SECTION_HEADER_SIZE as usize);
            let name = names[name..]
                .split(|&byte| byte == 0)
                .next()
                .expect("a first part");
            assert_eq!(name, expected.as_bytes());
        }
    }
}
