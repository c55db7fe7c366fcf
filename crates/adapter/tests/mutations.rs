//! Damaged libraries of hooks: what is wrong with one is said before it is loaded, or the loader makes the same of it as of
//! the sound one. One that nobody refuses would be preloaded into every process of a run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use object::Object;
use object::ObjectSection;
use object::ObjectSymbol;

/// `pool_take@V1` has a stub of its own, all its other versions have the second one; of `pool_drop` one version is hooked.
const ADAPTER: &str = r#"
name = "pool"
library = "libpool.so*"

[[hook]]
event = "deallocate"
symbols = ["pool_take@V1", "pool_take", "pool_give", "pool_drop@@V2"]
address = "arg0"

[[hook]]
event = "allocate"
symbols = ["pool_keep"]
address = "ret"
"#;

const POOL: &str = r#"
int take_1(void) { return 1; } int take_2(void) { return 2; } int take_3(void) { return 3; }
int pool_give(void) { return 4; } int drop_1(void) { return 5; } int drop_2(void) { return 6; }
int pool_keep(void) { return 7; }
__asm__(".symver take_1, pool_take@V1\n.symver take_2, pool_take@V2\n.symver take_3, pool_take@@V3\n"
        ".symver drop_1, pool_drop@V1\n.symver drop_2, pool_drop@@V2");
"#;

const HOST: &str = r#"
#include <stdio.h>
int take_1(void), take_2(void), pool_take(void), pool_give(void), drop_1(void), pool_drop(void), pool_keep(void);
__asm__(".symver take_1, pool_take@V1\n.symver take_2, pool_take@V2\n.symver drop_1, pool_drop@V1");
int main(void) {
  printf("%d %d %d %d %d %d %d\n", take_1(), take_2(), pool_take(), pool_give(), drop_1(), pool_drop(), pool_keep());
}
"#;

/// Each thunk returns the number that the stub hands over, plus a mark of its own.
const THUNKS: &str = r#"
__asm__(".text\n.globl wf_thunk_tail, wf_thunk_call\n.type wf_thunk_tail,@function\n.type wf_thunk_call,@function\n"
        "wf_thunk_tail: lea 100(%r11), %eax\nret\nwf_thunk_call: lea 200(%r11), %eax\nret\n");
"#;

struct Bench {
    folder: tempfile::TempDir,
    adapter: String,
    sound: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let adapter = folder.path().join("pool.toml");
        fs::write(&adapter, ADAPTER).unwrap();
        let adapter = adapter.to_str().unwrap().to_owned();
        let sound = whofreed_adapter::build(&adapter).unwrap().unwrap();
        let bench = Self {
            folder,
            adapter,
            sound,
        };
        fs::write(
            bench.path("pool.map"),
            "V1 { global: pool_*; local: *; }; V2 {} V1; V3 {} V2;",
        )
        .unwrap();
        let map = format!("-Wl,--version-script={}", bench.path("pool.map").display());
        bench.compile("libpool.so", POOL, &["-shared", "-fPIC", &map]);
        bench.compile("libthunks.so", THUNKS, &["-shared", "-fPIC"]);
        let pool = bench.path("libpool.so").display().to_string();
        bench.compile("host", HOST, &[&pool, "-Wl,-rpath,$ORIGIN"]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn compile(&self, name: &str, code: &str, flags: &[&str]) {
        let source = self.path(&format!("{name}.c"));
        fs::write(&source, code).unwrap();
        let mut command = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        command.args(["-O1", "-w", "-o"]);
        command.args([&self.path(name), &source]).args(flags);
        assert!(command.status().unwrap().success(), "{name}");
    }

    /// What becomes of a shell and of the host under a library of hooks.
    fn load(&self, library: &[u8]) -> (bool, String) {
        let hooks = self.path("whofreed-hooks.so");
        fs::write(&hooks, library).unwrap();
        let preload = format!(
            "{}:{}",
            self.path("libthunks.so").display(),
            hooks.display()
        );
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).env("LD_PRELOAD", &preload);
            command.output().unwrap()
        };
        let shell = run(Path::new("bash"), &["-c", ":"]);
        let host = run(&self.path("host"), &[]);
        let is_silent = shell.status.success() && shell.stderr.is_empty();
        let said = String::from_utf8_lossy(&host.stdout).into_owned();
        (is_silent && host.status.success(), said)
    }

    /// Refused with a sentence, or as good as the sound one; says whether it was refused.
    fn judge(&self, what: &str, library: &[u8]) -> bool {
        match whofreed_adapter::verify(&self.adapter, library) {
            Err(error) => {
                let sentence = error.to_string();
                assert!(sentence.contains(' '), "{what}: {sentence}");
                true
            }
            Ok(()) => {
                assert_eq!(self.load(library), (true, EXPECTED.to_owned()), "{what}");
                false
            }
        }
    }
}

/// The oldest version by its own stub, the others by the one without; `pool_drop@V1` is nobody's.
const EXPECTED: &str = "100 101 101 102 5 103 204\n";

#[test]
fn a_stub_with_a_version_serves_those_who_ask_for_it() {
    let bench = Bench::new();
    assert_eq!(bench.load(&bench.sound), (true, EXPECTED.to_owned()));
}

/// Changes of a file: where, and the bytes that are put there.
type Change = (String, usize, Vec<u8>);

fn changes(bytes: &[u8]) -> Vec<Change> {
    let file = object::File::parse(bytes).unwrap();
    let section = |name: &str| {
        let section = file.section_by_name(name).unwrap();
        usize::try_from(section.address()).unwrap()
    };
    let index = |name: &str| {
        let mut symbols = file.dynamic_symbols();
        symbols.find(|it| it.name() == Ok(name)).unwrap().index().0
    };
    let symbol = |name: &str| section(".dynsym") + 24 * index(name);
    let (give, thunk) = (symbol("pool_give"), symbol("wf_thunk_tail"));
    let header = |number: usize| 64 + 56 * number;
    let mut all: Vec<Change> = Vec::new();
    let mut add = |what: &str, at: usize, bytes: &[u8]| {
        all.push((what.to_owned(), at, bytes.to_vec()));
    };
    // In the order in which they are written.
    let entries = [
        "SONAME",
        "GNU_HASH",
        "STRTAB",
        "STRSZ",
        "SYMTAB",
        "SYMENT",
        "RELA",
        "RELASZ",
        "RELAENT",
        "FLAGS",
        "FLAGS_1",
        "VERSYM",
        "VERDEF",
        "VERDEFNUM",
    ];
    for (place, name) in entries.into_iter().enumerate() {
        let at = section(".dynamic") + 16 * place;
        add(&format!("no {name}"), at, &0x6fff_fd00_u64.to_le_bytes());
        add(
            &format!("another {name}"),
            at + 8,
            &0x77_7778_u64.to_le_bytes(),
        );
    }
    add("an initializer", section(".dynamic") + 16 * 9, &[12]);
    for (number, name) in [
        (3, "DYNAMIC"),
        (4, "RELRO"),
        (5, "GNU_EH_FRAME"),
        (6, "GNU_STACK"),
    ] {
        add(&format!("no {name}"), header(number), &[0; 4]);
    }
    add("GNU_STACK executable", header(6) + 4, &[7]);
    add("slots that cannot be written", header(2) + 4, &[4]);
    add("code that can be written", header(1) + 4, &[7]);
    add("misaligned", header(1) + 8, &[8]);
    add("aligned to 1", header(1) + 48, &1_u64.to_le_bytes());
    add(
        "aligned to 2 MiB",
        header(1) + 48,
        &(2_u64 << 20).to_le_bytes(),
    );
    add("beyond the end", header(2) + 32, &0x5000_u64.to_le_bytes());
    add("OSABI 9", 7, &[9]);
    add("OSABI 3", 7, &[3]);
    add("no section headers", 40, &[0; 8]);
    add("none counted", 60, &[0; 2]);
    let global = 0x10;
    for (what, info) in [("NOTYPE", 0), ("OBJECT", 1), ("TLS", 6), ("IFUNC", 10)] {
        add(what, give + 4, &[global | info]);
    }
    for (what, other) in [("INTERNAL", 1), ("HIDDEN", 2), ("PROTECTED", 3)] {
        add(what, give + 5, &[other]);
    }
    add("WEAK", give + 4, &[0x22]);
    add("LOCAL", give + 4, &[0x02]);
    add("undefined", give + 6, &[0; 2]);
    add("ABS", give + 6, &[0xf1, 0xff]);
    add("another section", give + 6, &[1, 0]);
    add("no size", give + 16, &[0; 8]);
    add("another value", give + 8, &[0x10]);
    add("needs the thunks", thunk + 4, &[0x10]);
    let versions = section(".gnu.version");
    add(
        "another version",
        versions + 2 * index("pool_drop"),
        &[9, 0x80],
    );
    add("no version", versions + 2 * index("pool_drop"), &[1, 0]);
    add(
        "a version for all",
        versions + 2 * index("pool_give"),
        &[3, 0],
    );
    add("a version's hash", section(".gnu.version_d") + 28 + 8, &[0]);
    add(
        "a version's name",
        section(".gnu.version_d") + 28 + 20,
        &[1],
    );
    add("the next version", section(".gnu.version_d") + 16, &[0]);
    add("no buckets", section(".gnu.hash"), &[0; 4]);
    add("no filter", section(".gnu.hash") + 8, &[3]);
    add("a shut filter", section(".gnu.hash") + 16, &[0; 8]);
    add("a chain without end", section(".gnu.hash") + 24, &[0; 40]);
    all
}

#[test]
fn every_kind_of_damage_is_refused_or_does_no_harm() {
    let bench = Bench::new();
    let mut harmless = Vec::new();
    for (what, at, change) in changes(&bench.sound) {
        let mut damaged = bench.sound.clone();
        damaged[at..at + change.len()].copy_from_slice(&change);
        assert_ne!(damaged, bench.sound, "{what}: nothing to change");
        if !bench.judge(&what, &damaged) {
            harmless.push(what);
        }
    }
    assert_eq!(
        harmless,
        [
            "no section headers",
            "none counted",
            "another section",
            "no size"
        ]
    );
}

#[test]
fn random_bytes_are_refused_or_do_no_harm() {
    const FLIPS: u32 = 4000;
    const LOADED: usize = 12;
    let bench = Bench::new();
    let mut state = 0x5eed_u64;
    let mut below = |end: usize| {
        // Knuth's generator; the upper bits are the random ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end
    };
    let (mut refused, mut loaded) = (0, 0);
    for number in 0..FLIPS {
        let mut damaged = bench.sound.clone();
        // Half of them in the tables, which are a small part of the file.
        let end = if number % 2 == 0 { damaged.len() } else { 4096 };
        let at = below(end);
        damaged[at] ^= 1 << below(8);
        let what = format!("flip {number}, of a bit of byte {at:#x}");
        if whofreed_adapter::verify(&bench.adapter, &damaged).is_err() {
            refused += 1;
        } else if loaded < LOADED {
            loaded += 1;
            assert!(!bench.judge(&what, &damaged));
        }
    }
    assert!(refused > FLIPS / 2, "{refused} of {FLIPS}");
    assert_eq!(loaded, LOADED, "of padding and section headers");
}
