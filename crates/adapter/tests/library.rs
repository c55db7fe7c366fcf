//! The generated library, read back by another reader and loaded by the loader itself.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use object::Object;
use object::ObjectSymbol;
use whofreed_hooktable::Event;
use whofreed_hooktable::STUBS_SYMBOL;
use whofreed_hooktable::TABLE_SYMBOL;
use whofreed_hooktable::Table;
use whofreed_hooktable::flags;

const POOL: &str = r#"
name = "pool"
library = "libpool.so*"
kinds = ["slab", "page"]

[define]
block = "arg1"

[[device]]
value = "arg0"
names = ["main"]

[[hook]]
event = "allocate"
symbols = ["pool_take", "pool_take_v2"]
address = "ret"
ok = "ret != 0"
size = "arg1"

[[hook]]
event = "deallocate"
symbols = ["pool_give"]
address = "block"
guard = -1

[[hook]]
event = "deallocate"
symbols = ["pool_drop"]
export = false
address = "block"
"#;

fn generate(directory: &Path, adapter: &str) -> PathBuf {
    let path = directory.join("pool.toml");
    fs::write(&path, adapter).unwrap();
    let library = whofreed_adapter::build(path.to_str().unwrap()).unwrap();
    let path = directory.join("whofreed-hooks.so");
    fs::write(&path, library.unwrap()).unwrap();
    path
}

fn compile(directory: &Path, name: &str, code: &str, flags: &[&str]) -> PathBuf {
    let source = directory.join(format!("{name}.c"));
    let output = directory.join(name);
    fs::write(&source, code).unwrap();
    let status = Command::new("cc")
        .arg("-O1")
        .arg("-o")
        .args([&output, &source])
        .args(flags)
        .status();
    assert!(status.unwrap().success(), "cc {name}");
    output
}

#[test]
fn exports_exactly_the_symbols_and_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = fs::read(generate(directory.path(), POOL)).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let defined = |symbol: &object::Symbol<'_, '_>| {
        symbol.is_definition()
            || [TABLE_SYMBOL, STUBS_SYMBOL]
                .map(Ok)
                .contains(&symbol.name())
    };
    let mut names: Vec<_> = file
        .dynamic_symbols()
        .filter(defined)
        .map(|symbol| symbol.name().unwrap().to_owned())
        .collect();
    names.sort();
    // Besides what is asked for: where libraries are unloaded and symbols looked up, and where the host changes who it is.
    assert_eq!(
        names,
        [
            "dlclose",
            "dlsym",
            "dlvsym",
            "initgroups",
            "pool_give",
            "pool_take",
            "pool_take_v2",
            "setegid",
            "seteuid",
            "setgid",
            "setgroups",
            "setns",
            "setregid",
            "setresgid",
            "setresuid",
            "setreuid",
            "setuid",
            "unshare",
            STUBS_SYMBOL,
            TABLE_SYMBOL
        ],
        "what is not to be exported is not"
    );
    assert!(
        file.imports().unwrap().count() == 4,
        "only the thunks are asked for"
    );

    let table = file
        .dynamic_symbols()
        .find(|symbol| symbol.name() == Ok(TABLE_SYMBOL))
        .unwrap();
    let start = usize::try_from(table.address()).unwrap();
    let table = Table::new(&bytes[start..start + usize::try_from(table.size()).unwrap()]).unwrap();
    assert_eq!(
        (
            table.adapter_count(),
            table.hook_count(),
            table.stub_count()
        ),
        (2, 18, 19),
        "the pool's, and what every run hooks: dlclose, dlsym, dlvsym, and twelve by which a host changes who it is"
    );
    let take = table.hook(0).unwrap();
    assert_eq!(Event::from_number(take.event), Some(Event::Allocate));
    let after = flags::CALL_THROUGH | flags::REPORT_AFTER;
    assert_eq!(take.flags, after, "what it returns is needed");
    let give = table.hook(1).unwrap();
    assert_eq!(give.flags, flags::CAN_GUARD, "a deallocate ends in a jump");
    assert_eq!(give.guard_value(), u64::MAX);
    assert_eq!(table.stub(1).unwrap().hook, 0);
    let drop = table.stub_named(b"pool_drop").unwrap();
    let drop = table.hook(table.stub(drop).unwrap().hook as usize).unwrap();
    assert_eq!(drop.flags, flags::NOT_EXPORTED);
}

#[test]
fn the_loader_binds_calls_to_the_stubs() {
    let directory = tempfile::tempdir().unwrap();
    let hooks = generate(directory.path(), POOL);
    // Each fake thunk returns the number that the stub hands over, plus a mark of its own.
    let thunks = compile(
        directory.path(),
        "libthunks.so",
        r#"__asm__(".text\n.globl wf_thunk_tail, wf_thunk_call\n"
                 ".type wf_thunk_tail,@function\n.type wf_thunk_call,@function\n"
                 "wf_thunk_tail: lea 100(%r11), %eax\nret\n"
                 "wf_thunk_call: lea 200(%r11), %eax\nret\n");"#,
        &["-shared", "-fPIC"],
    );
    let pool = compile(
        directory.path(),
        "libpool.so",
        "int pool_take(int d, int n) { return 1; } int pool_take_v2(int d, int n) { return 2; } int pool_give(int d, long b) { return 3; }",
        &["-shared", "-fPIC"],
    );
    let host = compile(
        directory.path(),
        "host",
        r#"#include <stdio.h>
           int pool_take(int, int), pool_take_v2(int, int), pool_give(int, long);
           int main(void) { printf("%d %d %d\n", pool_take(0, 1), pool_take_v2(0, 1), pool_give(0, 1));
             FILE *maps = fopen("/proc/self/maps", "r"); char line[512];
             while (fgets(line, sizeof line, maps)) if (line[0] && (__builtin_strstr(line, "whofreed-hooks") || __builtin_strstr(line, "[stack]"))) fputs(line, stdout); }"#,
        &[
            "-fno-builtin-strstr",
            "-include",
            "string.h",
            pool.to_str().unwrap(),
            "-Wl,-rpath,$ORIGIN",
        ],
    );
    let run = |preload: String| {
        let output = Command::new(&host)
            .env("LD_PRELOAD", preload)
            .env("LD_LIBRARY_PATH", directory.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = run(String::new());
    assert!(plain.starts_with("1 2 3\n"), "{plain}");
    let hooked = run(format!("{}:{}", thunks.display(), hooks.display()));
    assert!(hooked.starts_with("200 201 102\n"), "{hooked}");
    assert!(hooked.contains("whofreed-hooks.so"), "{hooked}");
    assert!(
        !hooked.contains("rwx"),
        "nothing may be writable and executable:\n{hooked}"
    );
    let writable = hooked
        .lines()
        .filter(|line| line.contains("whofreed-hooks") && line.contains("rw-p"));
    assert_eq!(
        writable.count(),
        0,
        "the slots are read-only after relocation:\n{hooked}"
    );
}

#[test]
fn many_symbols_are_all_found() {
    let directory = tempfile::tempdir().unwrap();
    let symbols: Vec<String> = (0..1000)
        .map(|number| format!("\"symbol_{number}\""))
        .collect();
    let adapter = format!(
        "name = \"many\"\nlibrary = \"*\"\n[[hook]]\nevent = \"deallocate\"\naddress = \"arg0\"\nsymbols = [{}]\n",
        symbols.join(", ")
    );
    let hooks = generate(directory.path(), &adapter);
    let host = compile(
        directory.path(),
        "finder",
        r#"#define _GNU_SOURCE
           #include <dlfcn.h>
           #include <stdio.h>
           int main(int n, char **v) { void *h = dlopen(v[1], RTLD_NOW); char name[32]; int found = 0; Dl_info info;
             if (!h) { puts(dlerror()); return 1; }
             for (int i = 0; i < 1000; i++) { sprintf(name, "symbol_%d", i); void *p = dlsym(h, name);
               found += p && dladdr(p, &info) && info.dli_sname && info.dli_saddr == p; }
             printf("%d\n", found); return 0; }"#,
        &["-ldl"],
    );
    let output = Command::new(host).arg(hooks).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1000\n");
}

#[test]
fn every_shipped_adapter_makes_a_library() {
    for name in whofreed_adapter::names() {
        assert!(whofreed_adapter::source(name).is_some_and(|text| text.contains("[[hook]]")));
        let made = whofreed_adapter::build(name).unwrap();
        assert!(made.is_some_and(|library| library.starts_with(b"\x7fELF")));
    }
    // Named twice, and by `auto` again: once.
    let list = format!("auto, {},auto", whofreed_adapter::automatic().join(","));
    let build = |list| whofreed_adapter::build(list).unwrap();
    assert_eq!(build(&list), build("auto"));
}

/// Whoever asks for nothing is not slowed down by every malloc.
#[test]
fn the_c_library_is_hooked_only_when_it_is_named() {
    assert!(!whofreed_adapter::automatic().contains(&"libc"));
    let names_malloc = |list| {
        let library = whofreed_adapter::build(list).unwrap().unwrap();
        library.windows(7).any(|bytes| bytes == b"malloc\0")
    };
    assert!(names_malloc("libc") && names_malloc("auto,libc"));
    assert!(!names_malloc("auto"));
}
