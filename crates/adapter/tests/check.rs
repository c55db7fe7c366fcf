//! A check of libraries that somebody broke: it may say anything, but it says it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use proptest::prelude::*;
use whofreed_adapter::check::Check;
use whofreed_adapter::check::File;
use whofreed_adapter::check::check;
use whofreed_adapter::draft;

const SOURCE: &str = r#"
#include <stddef.h>
extern void *outside(size_t size);
static int storage;
__thread int pool_thread;
int pool_data = 1;
void *pool_take(size_t size) { return size ? outside(size) : &storage; }
void pool_give(void *block) { pool_thread += block != NULL; }
__attribute__((visibility("protected"))) void pool_guarded(void *block) { pool_give(block); }
__attribute__((visibility("hidden"))) void pool_hidden(void *block) { pool_guarded(block); }
void pool_all(void) { pool_hidden(pool_take(1)); }
void old_give(void *block) { pool_give(block); }
static void *chosen(void) { return (void *)pool_give; }
void pool_chosen(void *block) __attribute__((ifunc("chosen")));
__asm__(".symver old_give, pool_give_old@POOL_1");
"#;

const ADAPTER: &str = r#"
name = "pool"
library = "libpool.so*"
[[hook]]
event = "allocate"
symbols = ["pool_take"]
address = "ret"
size = "call(pool_no_getter, arg0)"
[[hook]]
event = "deallocate"
symbols = ["pool_give", "pool_give_old", "pool_guarded", "pool_hidden", "pool_chosen"]
address = "arg0"
"#;

/// A small library with something of everything.
fn library() -> &'static [u8] {
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pool.c"), SOURCE).unwrap();
        let map = "POOL_1 { global: pool_*; local: *; }; POOL_2 { } POOL_1;\n";
        fs::write(folder.path().join("map"), map).unwrap();
        let status = Command::new("cc")
            .args([
                "-shared",
                "-fPIC",
                "-O1",
                "-Wl,--version-script=map",
                "-Wl,-soname,libpool.so.1",
            ])
            .args(["-o", "libpool.so", "pool.c"])
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(status.success());
        fs::read(folder.path().join("libpool.so")).unwrap()
    })
}

/// Checks these bytes and drafts from them; says whether the check took them for a library with the adapter's functions.
fn handled(bytes: Vec<u8>) -> bool {
    static ADAPTER_FILE: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let adapter = ADAPTER_FILE.get_or_init(|| {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        fs::write(file.path(), ADAPTER).unwrap();
        file
    });
    let file = File {
        path: "libpool.so".to_owned(),
        bytes,
    };
    let _ = draft(&file, None);
    check(&[file], adapter.path().to_str()).is_ok_and(|found| found.usable)
}

#[test]
fn the_sound_library_is_usable() {
    assert!(handled(library().to_vec()));
}

/// A check of the library with these adapters.
fn checked(adapters: &[&str]) -> Result<Check, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let list = adapters.iter().enumerate().map(|(number, text)| {
        let path = folder.path().join(format!("{number}.toml"));
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let list: Vec<String> = list.collect();
    let file = File {
        path: "libpool.so".to_owned(),
        bytes: library().to_vec(),
    };
    check(&[file], Some(&list.join(",")))
}

/// A stub is a function: whoever reads the variable would read its code.
#[test]
fn an_adapter_that_hooks_a_variable_is_not_usable() {
    for (name, what) in [
        ("pool_data", "a variable"),
        ("pool_thread", "a thread-local variable"),
        ("pool_data@@POOL_1", "a variable"),
    ] {
        for (export, how) in [
            ("", "a stub exported by that name would take its place"),
            ("export = false", "dlsym would hand out a stub in its place"),
        ] {
            let hook = format!(
                "[[hook]]\nevent = \"retain\"\nsymbols = [\"{name}\"]\naddress = \"arg0\"\n{export}\n"
            );
            let found = checked(&[&format!("{ADAPTER}{hook}")]).unwrap();
            let expected =
                format!("`{name}` is {what} of libpool.so, and {how}: take it out of `symbols`");
            assert_eq!(found.adapters[0].why_not.as_deref(), Some(&*expected));
            assert!(!found.usable);
        }
    }
}

#[test]
fn adapters_that_do_not_go_together_are_refused_as_a_run_does() {
    let other = ADAPTER.replace("\"pool\"", "\"other\"");
    let refused = checked(&[ADAPTER, &other]).unwrap_err().join("\n");
    let (file, told) = refused.split_once("1.toml:6:12: ").unwrap();
    let expected = format!("`pool_take` is hooked twice, first in {file}0.toml, at 6:12");
    assert_eq!(told, expected);
}

/// Where every name runs to the end of the table, the names are as long as the square of the file.
#[test]
fn names_that_overlap_are_refused_before_they_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let functions: String = (0..4000)
        .map(|it| format!(".globl pool_{it}\npool_{it}: ret\n"))
        .collect();
    fs::write(folder.path().join("many.s"), format!(".text\n{functions}")).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-nostdlib", "-s", "-o", "many.so", "many.s"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(status.success());
    let mut bytes = fs::read(folder.path().join("many.so")).unwrap();
    let place = |bytes: &[u8], name: &str| {
        bytes
            .windows(name.len())
            .position(|window| window == name.as_bytes())
            .unwrap()
    };
    let (first, last) = (place(&bytes, "pool_0\0"), place(&bytes, "pool_3999\0"));
    for byte in &mut bytes[first.min(last)..first.max(last)] {
        *byte = if *byte == 0 { b'x' } else { *byte };
    }
    let file = File {
        path: "many.so".to_owned(),
        bytes,
    };
    let refused = draft(&file, None).unwrap_err();
    assert_eq!(
        refused,
        "many.so: is no sound 64-bit ELF file: its names overlap"
    );
}

/// A library without section headers is read as the dynamic linker does it.
fn without_sections() -> Vec<u8> {
    let mut bytes = library().to_vec();
    bytes[40..48].fill(0);
    bytes[58..64].fill(0);
    bytes
}

#[test]
fn a_library_without_sections_tells_the_same() {
    let of = |bytes: Vec<u8>| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.toml");
        fs::write(&path, ADAPTER).unwrap();
        let file = File {
            path: "libpool.so".to_owned(),
            bytes,
        };
        serde_json::to_value(check(&[file], path.to_str()).unwrap()).unwrap()
    };
    let (mut whole, without) = (of(library().to_vec()), of(without_sections()));
    // The names that a library keeps are in a table that only sections lead to.
    let hidden = &mut whole["adapters"][0]["hooks"][1]["symbols"][3];
    assert_eq!(hidden["state"], "kept");
    hidden["state"] = "missing".into();
    hidden["library"] = serde_json::Value::Null;
    hidden["notes"] = serde_json::json!([]);
    let (whole_file, file) = (
        whole["adapters"][0]["file"].take(),
        without["adapters"][0]["file"].clone(),
    );
    assert_ne!(whole_file, file, "each its own folder");
    whole["adapters"][0]["file"] = file;
    assert_eq!(whole, without);
}

#[test]
fn a_library_cut_anywhere_is_no_panic() {
    let whole = library();
    // Whatever is read at all is read near the ends of these tables; every length would take minutes.
    for length in (0..whole.len())
        .step_by(37)
        .chain(whole.len() - 64..whole.len())
    {
        assert!(
            !handled(whole[..length].to_vec()),
            "{length}: the table of sections is at the end, so nothing is whole before"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// Flips anywhere, and a share of them in headers and tables, where sizes and places are.
    #[test]
    fn bytes_flipped_anywhere_are_no_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..24),
        has_sections: bool,
    ) {
        let mut bytes = if has_sections { library().to_vec() } else { without_sections() };
        let length = bytes.len();
        for (index, value, region) in flips {
            let at = match region {
                0 => index.index(length),
                1 => index.index(2048),
                _ => length - 1 - index.index(2048),
            };
            bytes[at] = value;
        }
        handled(bytes);
    }
}
