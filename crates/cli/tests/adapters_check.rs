//! `whofreed adapters check`: what is said of real libraries, and with what exit code.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::process::Command;

use common::Folder;
use common::POOL;
use common::printed;
use common::said;
use serde_json::Value;

/// The state and the notes of a symbol.
fn told<'json>(check: &'json Value, symbol: &str) -> (&'json str, String) {
    let hooks = check["adapters"][0]["hooks"].as_array().unwrap();
    let symbols = hooks
        .iter()
        .flat_map(|hook| hook["symbols"].as_array().unwrap());
    let found = { symbols }.find(|it| it["symbol"] == symbol).unwrap();
    let notes = found["notes"].as_array().unwrap().iter();
    let notes: Vec<&str> = notes.map(|note| note.as_str().unwrap()).collect();
    (found["state"].as_str().unwrap(), notes.join("; "))
}

fn deallocating(symbols: &str) -> String {
    format!(
        "name = \"pool\"\nlibrary = \"libpool.so*\"\n\
         [[hook]]\nevent = \"deallocate\"\nsymbols = [{symbols}]\naddress = \"arg0\"\n"
    )
}

#[test]
fn a_library_with_both_halves_is_usable() {
    let folder = Folder::new();
    let source = "void *pool_take(void) { return 0; } void pool_give(void *block) { (void)block; }";
    folder.library("libpool.so.3", source, &["-Wl,--build-id=0xabcdef"]);
    let (found, code) = folder.check(POOL, &["libpool.so.3"]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(found["schema"], "whofreed-adapters-check/1");
    assert_eq!(found["usable"], true);
    assert_eq!(found["libraries"][0]["build_id"], "abcdef");
    assert_eq!(found["adapters"][0]["hooks"][0]["served_by"], "pool_take");
    assert_eq!(told(&found, "pool_give"), ("seen", String::new()));

    let text = printed(&folder.run(&["check", "--adapters", "./mine.toml", "libpool.so.3"]));
    assert_eq!(
        text,
        "libpool.so.3 (build id abcdef)\n\n\
         adapter pool (./mine.toml) is for libpool.so.3\n  \
           allocate      pool_take\n  \
           deallocate    pool_give\n\
         usable: what is allocated and what is freed would be seen\n"
    );
}

#[test]
fn a_half_that_nothing_serves_is_exit_code_1() {
    let folder = Folder::new();
    folder.library("libpool.so", "void *pool_take(void) { return 0; }", &[]);
    let (found, code) = folder.check(POOL, &["libpool.so"]);
    assert_eq!(code, 1);
    assert_eq!(told(&found, "pool_give").0, "missing");
    let why = found["adapters"][0]["why_not"].as_str().unwrap();
    assert_eq!(why, "its hooks that deallocate would see nothing");

    // Spread over two files, it is whole.
    folder.library(
        "libpool.so.2",
        "void pool_give(void *block) { (void)block; }",
        &[],
    );
    let (found, code) = folder.check(POOL, &["libpool.so", "libpool.so.2"]);
    assert_eq!(code, 0, "{found:#}");

    // An adapter that was asked for and is for none of the files; and files that no adapter is for.
    folder.library("libother.so", "int x;", &[]);
    assert_eq!(folder.check(POOL, &["libother.so"]).1, 1);
    let none = folder.run(&["check", "libother.so"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        printed(&none).contains("no adapter is for any of these files"),
        "{}",
        printed(&none)
    );
}

#[test]
fn what_cannot_be_seen_is_told_with_its_reason() {
    let folder = Folder::new();
    let source = r#"
        #define APART __attribute__((noinline))
        __thread int in_thread; int data;
        __attribute__((visibility("hidden"))) APART void hidden(void *b) { data += b != 0; }
        APART static void in_file(void *b) { data -= b != 0; }
        __attribute__((visibility("protected"))) APART void guarded(void *b) { data *= 2 + (b != 0); }
        APART void plain(void *b) { data ^= b != 0; }
        static void *choose(void) { return (void *)plain; }
        void chosen(void *) __attribute__((ifunc("choose")));
        extern void imported(void *);
        void all(void *b) { hidden(b); in_file(b); guarded(b); guarded(b); plain(b); imported(b); data++; }
    "#;
    let adapter = deallocating(
        "\"plain\", \"hidden\", \"in_file\", \"guarded\", \"chosen\", \"imported\", \"in_thread\", \"data\", \"absent\"",
    );
    folder.library("libpool.so", source, &[]);
    let (found, code) = folder.check(&adapter, &["libpool.so"]);
    // All else would do, but to hook a variable is to break who reads it.
    assert_eq!(code, 1, "{found:#}");
    let why = found["adapters"][0]["why_not"].as_str().unwrap();
    assert!(why.contains("variable"), "{why}");
    assert_eq!(found["adapters"][0]["hooks"][0]["served_by"], "plain");
    assert_eq!(
        told(&found, "plain"),
        ("seen", String::new()),
        "its own call goes by its name"
    );
    for (symbol, state, note) in [
        ("hidden", "kept", "only calls inside"),
        ("in_file", "kept", "only calls inside"),
        (
            "guarded",
            "seen",
            "protected: 2 calls inside its library are bound directly, and not seen",
        ),
        ("chosen", "seen", "IFUNC"),
        ("imported", "imported", "only called here"),
        ("in_thread", "thread_local", "no function"),
        ("data", "data", "no function"),
        ("absent", "missing", ""),
    ] {
        let (is, notes) = told(&found, symbol);
        assert_eq!(is, state, "{symbol}");
        assert!(notes.contains(note), "{symbol}: {notes}");
    }

    folder.library("libpool.so", source, &["-Wl,-Bsymbolic"]);
    let (found, _) = folder.check(&adapter, &["libpool.so"]);
    let notes = found["libraries"][0]["notes"].to_string();
    assert!(notes.contains("-Bsymbolic"), "{notes}");
    let (state, notes) = told(&found, "plain");
    assert_eq!(state, "seen");
    assert_eq!(
        notes,
        "-Bsymbolic: 1 call inside its library is bound directly, and not seen"
    );

    // Bound by the compiler: no flag of the file tells.
    folder.library("libpool.so", source, &["-Wl,-Bsymbolic-functions"]);
    let (found, _) = folder.check(&adapter, &["libpool.so"]);
    assert_eq!(
        told(&found, "plain"),
        (
            "seen",
            "1 call inside its library is bound directly, and not seen".to_owned()
        )
    );
}

#[test]
fn what_is_no_shared_library_is_told() {
    let folder = Folder::new();
    let source = "void pool_give(void *b) { (void)b; } int main(void) { pool_give(0); }";
    let told_of = |name: &str| folder.check(&deallocating("\"pool_give\""), &[name]).0;
    folder.compile("cc", "libpool.so", source, &["-rdynamic"]);
    let found = told_of("libpool.so");
    assert_eq!(found["libraries"][0]["form"], "program");
    assert_eq!(told(&found, "pool_give").0, "program");
    assert_eq!(found["usable"], false);

    folder.compile("cc", "libpool.so.o", source, &["-c"]);
    assert_eq!(
        told_of("libpool.so.o")["libraries"][0]["form"],
        "object_file"
    );
    let archived = Command::new("ar")
        .args(["rc", "libpool.so.a", "libpool.so.o"])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(archived.success());
    let found = told_of("libpool.so.a");
    assert_eq!(found["libraries"][0]["form"], "archive");
    assert_eq!(found["usable"], false);

    folder.write("libpool.so.txt", "no library");
    folder.write("mine.toml", POOL);
    let wrong = folder.run(&[
        "check",
        "--adapters",
        "./mine.toml",
        "libpool.so.txt",
        "missing",
        "/dev/zero",
    ]);
    assert_eq!(wrong.status.code(), Some(125));
    assert_eq!(
        said(&wrong),
        "whofreed: missing: No such file or directory (os error 2)\nwhofreed: /dev/zero: is no regular file\n"
    );
    folder.write("narrow.so", "\x7fELF\x01\x01");
    let wrong = folder.run(&["check", "narrow.so"]);
    assert!(
        said(&wrong).contains("is for a 32-bit machine"),
        "{}",
        said(&wrong)
    );
    let wrong = folder.run(&["check", "libpool.so.txt"]);
    assert_eq!(wrong.status.code(), Some(125));
    assert_eq!(said(&wrong), "whofreed: libpool.so.txt: is no ELF file\n");
    assert_eq!(folder.run(&["check"]).status.code(), Some(125));
}

#[test]
fn a_program_with_functions_of_its_own_is_told() {
    let folder = Folder::new();
    let pool = "void *pool_take(void) { return 0; } void pool_give(void *b) { (void)b; }";
    folder.library("libpool.so", pool, &[]);
    let program = |flags: &[&str]| {
        let source = format!("{pool} int main(void) {{ pool_give(pool_take()); }}");
        // Without the library: what it exports is for libraries that it opens later.
        folder.compile("cc", "host", &source, flags);
        folder.check(POOL, &["libpool.so", "host"])
    };
    let (found, code) = program(&[]);
    assert_eq!(code, 0, "the library's own users are seen: {found:#}");
    let own = &found["adapters"][0]["programs"][0];
    assert_eq!(own["path"], "host");
    assert_eq!(own["inside"].to_string(), r#"["pool_give","pool_take"]"#);
    assert_eq!(told(&found, "pool_give").0, "seen");

    let (found, code) = program(&["-rdynamic"]);
    assert_eq!(code, 1, "{found:#}");
    let own = &found["adapters"][0]["programs"][0];
    assert_eq!(own["exported"].to_string(), r#"["pool_give","pool_take"]"#);
    assert_eq!(told(&found, "pool_give").0, "program");
    let text = printed(&folder.run(&["check", "--adapters", "./mine.toml", "libpool.so", "host"]));
    assert!(
        text.contains("host exports: all calls of these are bound to it"),
        "{text}"
    );

    // One that only calls them has none of its own.
    let source =
        "void *pool_take(void); void pool_give(void *); int main(void) { pool_give(pool_take()); }";
    folder.compile("cc", "host", source, &["-rdynamic", "-L.", "-lpool"]);
    let (found, code) = folder.check(POOL, &["libpool.so", "host"]);
    assert_eq!(
        (&found["adapters"][0]["programs"], code),
        (&serde_json::json!([]), 0)
    );
}

#[test]
fn hooks_that_only_resolvers_lead_to_are_seen_through_them_or_through_dlsym() {
    let folder = Folder::new();
    let adapter = format!(
        "{}[[hook]]\nevent = \"resolver\"\nsymbols = [\"pool_lookup\"]\nname = \"arg0\"\n",
        POOL.replace("symbols =", "export = false\nsymbols =")
    );
    folder.library(
        "libpool.so",
        "void *pool_lookup(char *name) { return name; }",
        &[],
    );
    let (found, code) = folder.check(&adapter, &["libpool.so"]);
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(told(&found, "pool_give").0, "resolved");

    // What others call by its name passes no hook, since it is not exported; a pointer from dlsym does.
    folder.library(
        "libpool.so",
        "void *pool_take(void) { return 0; } void pool_give(void *b) { (void)b; }",
        &[],
    );
    let (found, code) = folder.check(&adapter, &["libpool.so"]);
    assert_eq!(code, 0, "{found:#}");
    let (state, note) = told(&found, "pool_give");
    assert_eq!(state, "resolved");
    assert!(note.contains("dlsym"), "{note}");
}

#[test]
fn versions_are_told_apart() {
    let folder = Folder::new();
    folder.write("map", "POOL_1 { global: *; }; POOL_2 { } POOL_1;\n");
    let source = r#"
        void one(void *b) { (void)b; } void two(void *b) { (void)b; } void old(void *b) { (void)b; }
        __asm__(".symver one, pool_give@POOL_1\n.symver two, pool_give@@POOL_2\n.symver old, pool_drop@POOL_1");
    "#;
    folder.library("libpool.so", source, &["-Wl,--version-script=map"]);
    let (found, code) = folder.check(
        &deallocating("\"pool_drop\", \"pool_give\""),
        &["libpool.so"],
    );
    assert_eq!(code, 0, "{found:#}");
    assert_eq!(
        found["adapters"][0]["hooks"][0]["served_by"],
        "pool_give@POOL_2"
    );
    let (state, notes) = told(&found, "pool_drop");
    assert_eq!(
        (state, &*notes),
        (
            "other_version",
            "has no default version, only pool_drop@POOL_1"
        )
    );
}

#[test]
fn what_expressions_miss_is_told_with_what_it_means() {
    let folder = Folder::new();
    let source = "void *pool_take(void) { return 0; } void pool_give(void *b) { (void)b; } int there(void) { return 0; }";
    folder.library("libpool.so", source, &[]);
    let adapter = "name = \"pool\"\nlibrary = \"libpool.so*\"\ndefine.far = \"call(absent_far, arg0)\"\n\
        [[device]]\nvalue = \"call(absent_device, arg0)\"\n\
        [[hook]]\nevent = \"allocate\"\nsymbols = [\"pool_take\"]\naddress = \"ret\"\n\
        size = \"first(call(absent_size|absent_bytes, ret), call(absent_gone|there, ret))\"\n\
        owner = \"select(present(absent_query), far, 0)\"\nkind = \"far\"\n\
        [[hook]]\nevent = \"deallocate\"\nsymbols = [\"pool_give\"]\naddress = \"arg0\"\nwhen = \"symbol(absent_vtable) == arg0\"\n";
    let (found, code) = folder.check(adapter, &["libpool.so"]);
    assert_eq!(code, 1, "no call of pool_give is an event: {found:#}");
    let missing = found["adapters"][0]["expressions"].as_array().unwrap();
    let told: Vec<String> = missing
        .iter()
        .map(|it| {
            format!(
                "{} {} {}: {}",
                it["key"], it["word"], it["symbols"], it["meaning"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        told,
        [
            "device call [absent_device]: it has no value, so no call of the hook is an event",
            "kind call [absent_far]: it has no value, and counts as 0",
            "owner call [absent_far]: where that part is evaluated, it has no value",
            "owner present [absent_query]: it is 0",
            "size call [absent_size,absent_bytes]: the second value of `first` is taken",
            "device call [absent_device]: it has no value: the device is that of the owner's allocation, or not known",
            "when symbol [absent_vtable]: it has no value, so no call of the hook is an event",
        ]
    );
}

#[test]
fn a_wrong_signature_is_an_error_and_a_right_one_is_shown() {
    let folder = Folder::new();
    let source = "namespace pool { void give(void *b) { (void)b; } }";
    folder.compile("c++", "libpool.so", source, &["-shared"]);
    let adapter = deallocating("\"_ZN4pool4giveEPv\"");
    folder.write(
        "mine.toml",
        &format!("{adapter}signature = \"pool::give(void*)\"\n"),
    );
    let text = printed(&folder.run(&["check", "--adapters", "./mine.toml", "libpool.so"]));
    assert!(
        text.contains("_ZN4pool4giveEPv = pool::give(void*)\n"),
        "{text}"
    );
    folder.write(
        "mine.toml",
        &format!("{adapter}signature = \"pool::give(int)\"\n"),
    );
    let wrong = folder.run(&["check", "--adapters", "./mine.toml", "libpool.so"]);
    assert_eq!(wrong.status.code(), Some(125));
    assert!(
        said(&wrong).contains("is `pool::give(void*)`, not `pool::give(int)`"),
        "{}",
        said(&wrong)
    );
}
