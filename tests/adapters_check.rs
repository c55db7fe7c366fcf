//! What `whofreed adapters check` says of a library before the run, held against what a run with it records.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::Scratch;
use common::number;
use common::total;
use serde_json::Value;

/// `pool_give` is called from two places in the library, and by the program.
const LIBRARY: &str = r#"
#include <stddef.h>
#ifndef ATTRIBUTES
#define ATTRIBUTES
#endif
static char blocks[8][64];
static int taken;
void *pool_take(void) { return blocks[taken++]; }
#ifdef IFUNC
__attribute__((noinline)) static void give(void *block) { *(char *)block = 1; }
static void *choose(void) { return (void *)give; }
void pool_give(void *block) __attribute__((ifunc("choose")));
#else
ATTRIBUTES __attribute__((noinline)) void pool_give(void *block) { *(char *)block = 1; }
#endif
void pool_flush(void *one, void *other) { pool_give(one); pool_give(other); taken = 0; }
"#;

const PROGRAM: &str = r#"
void *pool_take(void); void pool_give(void *); void pool_flush(void *, void *);
int main(void) {
    void *one = pool_take(), *other = pool_take();
#ifndef HIDDEN
    pool_give(pool_take());
    pool_give(pool_take());
    pool_give(pool_take());
#endif
    pool_flush(one, other);
    return 0;
}
"#;

const ADAPTER: &str = r#"
name = "pool"
library = "libpool.so*"
[[hook]]
event = "allocate"
symbols = ["pool_take"]
address = "ret"
[[hook]]
event = "deallocate"
symbols = ["pool_give"]
address = "arg0"
"#;

fn compile(scratch: &Scratch, source: &str, output: &str, flags: &[&str]) {
    let mut command = Command::new("cc");
    command
        .current_dir(scratch.path())
        .args(["-O1", "-o", output, source])
        .args(flags);
    common::run(&mut command).expect_code(0);
}

/// Takes the section headers of a library away, as some tools do to make files small: the dynamic linker reads none.
fn forget_sections(library: &Path) {
    let mut bytes = fs::read(library).expect("a library");
    // e_shoff; then e_shentsize, e_shnum, e_shstrndx.
    bytes[40..48].fill(0);
    bytes[58..64].fill(0);
    fs::write(library, bytes).expect("a library");
}

/// What the check says of `pool_give`, and how many deallocations a run records.
fn both(name: &str, library_flags: &[&str]) -> (Value, u64) {
    let scratch = Scratch::new(name);
    let adapter = match name {
        "this build" => format!("{ADAPTER}build_id = [\"00\", \"ab12\"]\n"),
        "other build" => format!("{ADAPTER}build_id = [\"00\", \"ab13\"]\n"),
        _ => ADAPTER.to_owned(),
    };
    for (file, text) in [
        ("pool.c", LIBRARY),
        ("host.c", PROGRAM),
        ("pool.toml", &adapter),
        ("map", "POOL_1 { global: *; };\n"),
    ] {
        fs::write(scratch.file(file), text).expect("a file");
    }
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libpool.so"];
    let flags = [&shared[..], library_flags].concat();
    compile(&scratch, "pool.c", "libpool.so", &flags);
    let hidden = if name == "hidden" {
        "-DHIDDEN"
    } else {
        "-DOPEN"
    };
    let flags = [hidden, "-L.", "-lpool", "-Wl,-rpath,$ORIGIN"];
    compile(&scratch, "host.c", "host", &flags);

    if name.ends_with("without sections") {
        forget_sections(&scratch.file("libpool.so"));
    }

    let adapter = scratch.file("pool.toml");
    let adapter = adapter.to_str().expect("a path");
    let mut check = Command::new(common::cli());
    check
        .args(["adapters", "check", "--format", "json", "--adapters"])
        .arg(adapter)
        .arg(scratch.file("libpool.so"));
    let check = common::run(&mut check);
    let told: Value = serde_json::from_str(&check.stdout).expect("JSON");
    let symbol = told["adapters"][0]["hooks"][1]["symbols"][0].clone();
    assert_eq!(symbol["symbol"], "pool_give");

    let host = scratch.file("host");
    let tracked = common::track(&scratch, &["--adapters", adapter], &host, &[""; 0]);
    assert_eq!(tracked.run.code(), 0, "{}", tracked.run.stderr);
    (symbol, total(&tracked.report, "deallocations"))
}

#[test]
fn what_the_check_says_is_seen_is_recorded_and_nothing_else() {
    const FROM_OUTSIDE: u64 = 3;
    const INSIDE: u64 = 2;
    for (name, flags) in [
        ("plain", &[][..]),
        ("no plt", &["-fno-plt"]),
        ("bound at once", &["-Wl,-z,relro,-z,now"]),
        ("versioned", &["-Wl,--version-script=map"]),
        ("symbolic", &["-Wl,-Bsymbolic"]),
        ("symbolic functions", &["-Wl,-Bsymbolic-functions"]),
        (
            "protected",
            &["-DATTRIBUTES=__attribute__((visibility(\"protected\")))"],
        ),
        (
            "hidden",
            &["-DATTRIBUTES=__attribute__((visibility(\"hidden\")))"],
        ),
        ("no interposition", &["-fno-semantic-interposition", "-O2"]),
        ("ifunc", &["-DIFUNC"]),
        ("stripped", &["-s", "-Wl,-Bsymbolic"]),
        ("this build", &["-Wl,--build-id=0xab12cd34"]),
        ("other build", &["-Wl,--build-id=0xab12cd34"]),
        ("without sections", &["-Wl,--build-id"]),
        (
            "hashed without sections",
            &["-Wl,--hash-style=sysv", "-Wl,-z,relro,-z,now"],
        ),
        (
            "versioned without sections",
            &["-Wl,--version-script=map", "-Wl,-Bsymbolic"],
        ),
    ] {
        let (symbol, recorded) = both(name, flags);
        let expected = if symbol["state"] == "seen" {
            let direct = number(&symbol, &["direct_calls"]);
            assert!(direct == 0 || direct == INSIDE, "{name}: {symbol}");
            FROM_OUTSIDE + INSIDE - direct
        } else {
            0
        };
        assert_eq!(recorded, expected, "{name}: {symbol}");
        let is_there = !matches!(name, "hidden" | "other build");
        assert_eq!(symbol["state"] == "seen", is_there, "{name}: {symbol}");
        if name.starts_with("versioned") {
            assert_eq!(symbol["version"], "POOL_1", "{name}: {symbol}");
        }
        println!("{name}: {recorded} recorded, as the check says");
    }
}

/// Takes and gives a block once, by a library that goes by the names.
const USER: &str = r#"
void *pool_take(void); void pool_give(void *);
void use(void) { pool_give(pool_take()); }
"#;

/// A program with a pool of its own, and one call of it; the library's calls go where the linker leads them.
const OWNER: &str = r#"
void use(void);
static char block[64];
ATTRIBUTES __attribute__((noinline)) void *pool_take(void) { return block; }
ATTRIBUTES __attribute__((noinline)) void pool_give(void *taken) { *(char *)taken = 1; }
int main(void) { pool_give(pool_take()); use(); return 0; }
"#;

#[test]
fn what_a_program_has_of_its_own_is_seen_as_far_as_the_check_says() {
    for (attributes, key, usable, recorded) in [
        ("", "exported", false, 0),
        ("__attribute__((visibility(\"hidden\")))", "inside", true, 1),
    ] {
        let scratch = Scratch::new(key);
        for (file, text) in [
            ("pool.c", LIBRARY),
            ("user.c", USER),
            ("host.c", OWNER),
            ("pool.toml", ADAPTER),
        ] {
            fs::write(scratch.file(file), text).expect("a file");
        }
        let origin = ["-L.", "-lpool", "-Wl,-rpath,$ORIGIN"];
        let shared = ["-shared", "-fPIC", "-Wl,-soname,libpool.so"];
        compile(&scratch, "pool.c", "libpool.so", &shared);
        let flags = [&["-shared", "-fPIC"][..], &origin].concat();
        compile(&scratch, "user.c", "libuser.so", &flags);
        let attributes = format!("-DATTRIBUTES={attributes}");
        let flags = [&["-L.", "-luser", attributes.as_str()][..], &origin].concat();
        compile(&scratch, "host.c", "host", &flags);

        let adapter = scratch.file("pool.toml");
        let mut check = Command::new(common::cli());
        check
            .args(["adapters", "check", "--format", "json", "--adapters"])
            .args([&adapter, &scratch.file("libpool.so"), &scratch.file("host")]);
        let check = common::run(&mut check).expect_code(i32::from(!usable));
        let told: Value = serde_json::from_str(&check.stdout).expect("JSON");
        let own = &told["adapters"][0]["programs"][0][key];
        assert_eq!(own.as_array().map(Vec::len), Some(2), "{key}: {told:#}");

        let adapter = adapter.to_str().expect("a path");
        let host = scratch.file("host");
        let tracked = common::track(&scratch, &["--adapters", adapter], &host, &[""; 0]);
        assert_eq!(total(&tracked.report, "deallocations"), recorded, "{key}");
    }
}

/// A library with the pool, in a folder of its own.
fn pool(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    fs::write(scratch.file("pool.c"), LIBRARY).expect("a file");
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libpool.so"];
    compile(&scratch, "pool.c", "libpool.so", &shared);
    scratch
}

#[test]
fn an_adapter_that_is_too_large_is_passed_over_where_nobody_asked_for_it() {
    let scratch = pool("too large");
    let endless = format!("\"ret{}\"", "+0".repeat(20_000));
    let endless = ADAPTER.replace("\"ret\"", &endless);
    fs::write(scratch.file("endless.toml"), endless).expect("a file");
    fs::write(scratch.file("pool.toml"), ADAPTER).expect("a file");
    let mut check = Command::new(common::cli());
    check
        .args(["adapters", "check"])
        .arg(scratch.file("libpool.so"))
        .env("WHOFREED_ADAPTERS_PATH", scratch.path());
    let told = common::run(&mut check).expect_code(0).stdout;
    let why = "endless.toml:7:514: more than 250 values in one expression";
    assert!(told.contains("passed over: "), "{told}");
    assert!(told.contains(why), "{told}");
}

/// Takes and gives by pointers alone, and has a pool of that name nowhere.
const ASKER: &str = r#"
#include <dlfcn.h>
int main(void) {
    void *pool = dlopen("libpool.so", RTLD_NOW);
    void *(*take)(void) = (void *(*)(void))dlsym(pool, "pool_take");
    void (*give)(void *) = (void (*)(void *))dlsym(pool, "pool_give");
    give(take());
    return 0;
}
"#;

#[test]
fn what_is_not_exported_is_seen_through_dlsym_as_the_check_says() {
    let scratch = pool("asker");
    let adapter = ADAPTER.replace("symbols", "export = false\nsymbols");
    fs::write(scratch.file("pool.toml"), adapter).expect("a file");
    fs::write(scratch.file("host.c"), ASKER).expect("a file");
    let flags = ["-ldl", "-Wl,-rpath,$ORIGIN"];
    compile(&scratch, "host.c", "host", &flags);
    let adapter = scratch.file("pool.toml");
    let mut check = Command::new(common::cli());
    check
        .args(["adapters", "check", "--adapters"])
        .args([&adapter, &scratch.file("libpool.so")]);
    let told = common::run(&mut check).expect_code(0).stdout;
    let notes = told.matches("only pointers that dlsym hands out are seen");
    assert_eq!(notes.count(), 2, "{told}");

    let adapter = adapter.to_str().expect("a path");
    let host = scratch.file("host");
    let tracked = common::track(&scratch, &["--adapters", adapter], &host, &[""; 0]);
    assert_eq!(total(&tracked.report, "deallocations"), 1);
}
