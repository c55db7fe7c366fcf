//! `whofreed adapters init`: what is drafted from the names of real libraries is an adapter as it is, and the check is
//! content with it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::Folder;
use common::printed;
use common::said;

/// Drafts from the library, checks the draft against it, and returns the draft.
fn drafted(folder: &Folder, library: &str) -> String {
    let output = folder.run(&["init", library]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let draft = printed(&output);
    let (found, code) = folder.check(&draft, &[library]);
    assert_eq!(code, 0, "{draft}\n{found:#}");
    draft
}

/// The hooks of a draft: the event and the symbol of each.
fn hooks(draft: &str) -> Vec<String> {
    let value = |line: &str, key: &str| {
        line.strip_prefix(key)
            .map(|it| it.replace(['[', ']', '"'], ""))
    };
    let events = draft.lines().filter_map(|line| value(line, "event = "));
    let symbols = draft.lines().filter_map(|line| value(line, "symbols = "));
    events
        .zip(symbols)
        .map(|(event, symbol)| format!("{event} {symbol}"))
        .collect()
}

#[test]
fn names_of_c_are_put_together_by_what_stands_around_their_verbs() {
    let folder = Folder::new();
    let names = [
        "pool_take",
        "pool_give",
        "pool_give_all",
        "pool_size",
        "pool_get_name",
        "pool_realloc",
        "heap_realloc",
        "xAllocateMemory",
        "xFreeMemory",
        "xAllocateMemoryManaged",
        "ring_get",
        "ring_put",
        "list_get",
        "list_free",
        "obj_new",
        "obj_ref",
        "obj_unref",
        "node_ref",
        "file_open",
        "file_close",
        "door_open",
        "slaballoc",
        "slabfree",
        "queue_create",
    ];
    let source: String = names
        .map(|name| format!("void {name}(void) {{}}\n"))
        .concat();
    folder.library("libmany.so.1.2", &source, &["-Wl,-soname,libmany.so.1"]);
    let draft = drafted(&folder, "libmany.so.1.2");
    assert!(
        draft.contains("\nname = \"many\"\nlibrary = \"libmany.so*\"\n"),
        "{draft}"
    );
    let mut found = hooks(&draft);
    found.sort();
    assert_eq!(
        found,
        [
            "allocate file_open",
            "allocate obj_new",
            "allocate pool_take",
            "allocate ring_get",
            "allocate slaballoc",
            "allocate xAllocateMemory",
            "allocate xAllocateMemoryManaged",
            "deallocate file_close",
            "deallocate pool_give",
            "deallocate ring_put",
            "deallocate slabfree",
            "deallocate xFreeMemory",
            "realloc pool_realloc",
            "release obj_unref",
            "retain obj_ref",
        ],
        "{draft}"
    );
    // What was left out is there, as comments that become hooks.
    let (_, left_out) = draft.split_once("# Left out").unwrap();
    for name in [
        "pool_give_all",
        "list_free",
        "list_get",
        "door_open",
        "node_ref",
        "queue_create",
        "heap_realloc",
    ] {
        assert!(left_out.contains(name), "{name}: {draft}");
    }
    assert!(!draft.contains("pool_size"), "{draft}");
    let taken_in = left_out.replace("\n# ", "\n");
    let (_, taken_in) = taken_in.split_once('\n').unwrap();
    let (head, _) = draft.split_once("# Left out").unwrap();
    let (found, code) = folder.check(&format!("{head}{taken_in}"), &["libmany.so.1.2"]);
    assert_eq!(code, 0, "{found:#}");
    assert!(found.to_string().contains("pool_give_all"), "{found:#}");
}

#[test]
fn functions_of_cxx_have_their_signature_and_the_arguments_that_their_types_tell() {
    let folder = Folder::new();
    let source = "
        struct Pool { Pool(); void *take(double, unsigned long size); void give(int, void *block); };
        Pool::Pool() {}
        void *Pool::take(double, unsigned long) { return this; }
        void Pool::give(int, void *) {}
        namespace plain { void *create(unsigned long size, int) { return nullptr; } void destroy(void *) {} }
        namespace slots { unsigned create() { return 1; } void destroy(unsigned) {} }
        struct Status {}; namespace other { Status acquire(int, void **out) { return {}; } void release(void *) {} }
    ";
    folder.compile("c++", "libpool.so", source, &["-shared"]);
    let draft = drafted(&folder, "libpool.so");
    let hook_of = |symbol: &str| {
        let hook = draft
            .split("[[hook]]\n")
            .find(|hook| hook.contains(symbol))
            .unwrap();
        hook.to_owned()
    };
    let take = hook_of("_ZN4Pool4takeEdm");
    assert!(
        take.contains("signature = \"Pool::take(double, unsigned long)\"\n"),
        "{take}"
    );
    assert!(
        take.contains("\nsize = \"arg1\""),
        "`this`, and a double that is no integer: {take}"
    );
    assert!(
        hook_of("_ZN4Pool4giveEiPv").contains("\naddress = \"arg2\""),
        "{draft}"
    );
    assert!(
        hook_of("_ZN5plain6createEmi").contains("\nsize = \"arg0\""),
        "{draft}"
    );
    assert!(
        hook_of("_ZN5plain7destroyEPv").contains("\naddress = \"arg0\""),
        "{draft}"
    );
    let narrow = hook_of("_ZN5slots7destroyEj");
    assert!(
        narrow.contains("\naddress = \"arg0 & 0xffffffff\""),
        "{narrow}"
    );
    assert!(narrow.contains("\n# guard = 0"), "{narrow}");
    assert!(
        hook_of("_ZN5other7acquireEiPPv").contains("# or: address = \"*u64(arg1)\""),
        "{draft}"
    );
}

#[test]
fn a_draft_has_the_name_and_the_file_that_were_asked_for_and_overwrites_none() {
    let folder = Folder::new();
    folder.library(
        "libpool.so",
        "void pool_take(void) {} void pool_give(void) {}",
        &[],
    );
    let made = folder.run(&[
        "init",
        "libpool.so",
        "--name",
        "my \"own\"",
        "--output",
        "mine.toml",
    ]);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    assert_eq!(printed(&made), "");
    let (found, code) = folder.check(
        &std::fs::read_to_string(folder.path().join("mine.toml")).unwrap(),
        &["libpool.so"],
    );
    assert_eq!(
        (&found["adapters"][0]["name"], code),
        (&"my \"own\"".into(), 0)
    );
    folder.write("mine.toml", "# worked on");
    let again = folder.run(&["init", "libpool.so", "--output", "mine.toml"]);
    assert_eq!(again.status.code(), Some(125));
    assert_eq!(
        said(&again),
        "whofreed: mine.toml: cannot be written: it is there already, and may have been worked on: remove it, or name another file\n"
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("mine.toml")).unwrap(),
        "# worked on"
    );
}

#[test]
fn files_with_odd_names_and_libraries_without_a_candidate_are_no_trouble() {
    let folder = Folder::new();
    let name = "lib*\"\n# x.so|y";
    folder.library(
        "plain.so",
        "void pool_take(void) {} void pool_give(void) {}",
        &[],
    );
    std::fs::copy(folder.path().join("plain.so"), folder.path().join(name)).unwrap();
    let draft = drafted(&folder, name);
    assert!(
        hooks(&draft).contains(&"allocate pool_take".to_owned()),
        "{draft}"
    );

    folder.library("libnothing.so", "int answer(void) { return 42; }", &[]);
    let none = folder.run(&["init", "libnothing.so"]);
    assert_eq!(none.status.code(), Some(125));
    assert!(
        said(&none).contains("none is called like one that allocates or frees"),
        "{}",
        said(&none)
    );
    assert_eq!(printed(&none), "");

    // One half alone is better than nothing, and an adapter.
    folder.library(
        "libhalf.so",
        "void clReleaseMemObject(void *b) { (void)b; }",
        &[],
    );
    assert_eq!(
        hooks(&drafted(&folder, "libhalf.so")),
        ["deallocate clReleaseMemObject"]
    );
}

#[test]
fn the_schema_is_printed() {
    let schema: serde_json::Value =
        serde_json::from_slice(&Folder::new().run(&["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "whofreed adapter");
}
