//! What an adapter's author is told.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use whofreed_adapter::build;

fn told(adapter: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    fs::write(&path, adapter).unwrap();
    let error = build(path.to_str().unwrap()).unwrap_err().to_string();
    error
        .rsplit_once("mine.toml:")
        .map_or(error.clone(), |(_, told)| told.to_owned())
}

const HEAD: &str = "name = \"pool\"\nlibrary = \"libpool.so*\"\n";

fn hook(keys: &str) -> String {
    told(&format!("{HEAD}[[hook]]\n{keys}\n"))
}

#[test]
fn toml_errors_have_a_line_and_a_suggestion() {
    assert!(told("name = ").starts_with("1:"), "{}", told("name = "));
    let error = hook("event = \"deallocate\"\nsybmols = [\"pool_free\"]\naddress = \"arg0\"");
    assert!(
        error.starts_with("5:1: `sybmols` is not known here; did you mean `symbols`?"),
        "{error}"
    );
    let error = told("name = \"pool\"\n");
    assert!(error.contains("missing field `library`"), "{error}");
}

/// What has no end is not waited for.
#[test]
fn only_a_regular_file_of_sensible_size_is_read() {
    let error = build("/dev/zero").unwrap_err().to_string();
    assert_eq!(error, "/dev/zero: is no regular file");
    let error = build("/").unwrap_err().to_string();
    assert_eq!(error, "/: is no regular file");
    let error = told(&"#".repeat((1 << 20) + 1));
    assert!(
        error.contains("is larger than any adapter (1 MiB)"),
        "{error}"
    );
    let error = told(&format!("{HEAD}#{}", "#".repeat(1 << 19)));
    assert!(!error.contains("larger"), "{error}");
}

#[test]
fn expression_errors_have_a_line_and_a_column() {
    let error = hook("event = \"deallocate\"\nsymbols = [\"pool_free\"]\naddress = \"*u64(arg0\"");
    assert_eq!(error, "6:21: expected `)`, found the end");
    let error = hook(
        "event = \"deallocate\"\nsymbols = [\"pool_free\"]\naddress = \"adress\"\ndefine.address = \"arg0\"",
    );
    assert_eq!(
        error,
        "6:11: `adress` is neither built in nor in a `define`; did you mean `address`?"
    );
    let error = hook(
        "event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"a\"\ndefine = { a = \"b\", b = \"a + 1\" }",
    );
    assert!(error.contains("`a` is defined by itself"), "{error}");
    let deep = format!("arg0{}", " + (arg0".repeat(20) + &")".repeat(20));
    let error = hook(&format!(
        "event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"{deep}\""
    ));
    assert!(error.contains("more than 16 values at once"), "{error}");
}

#[test]
fn a_hook_says_what_its_event_needs_and_no_more() {
    let error = hook("event = \"dealocate\"\nsymbols = [\"f\"]\naddress = \"arg0\"");
    assert!(
        error.starts_with("4:9: `dealocate` is no event; did you mean `deallocate`?"),
        "{error}"
    );
    let error = hook("event = \"attempt\"\nsymbols = [\"f\"]\nhandle = \"arg0\"");
    assert!(
        error.ends_with("a hook of event `attempt` needs `live`"),
        "{error}"
    );
    let error = hook("event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"arg0\"\nsize = \"8\"");
    assert!(
        error.ends_with("a hook of event `deallocate` has no use for `size`"),
        "{error}"
    );
    let error = hook("event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"ret\"");
    assert!(error.contains("can use neither `ret` nor `ok`"), "{error}");
    let error = hook("event = \"allocate\"\nsymbols = [\"f\"]\naddress = \"ret\"\nguard = 0");
    assert!(
        error.contains("`guard` is for a deallocate, a release, a realloc or an attempt"),
        "{error}"
    );
    let error = hook("event = \"release\"\nsymbols = [\"f\"]\naddress = \"ret\"");
    assert!(error.contains("a release is recorded before"), "{error}");
    let error = hook("event = \"realloc\"\nsymbols = [\"f\"]\naddress = \"ret\"\nfrom = \"ret\"");
    assert!(
        error.starts_with("7:8: a realloc gives back before"),
        "{error}"
    );
    let error = hook("event = \"realloc\"\nsymbols = [\"f\"]\naddress = \"ret\"");
    assert!(error.ends_with("needs `from`"), "{error}");
    assert!(
        hook("event = \"deallocate\"\nsymbols = []\naddress = \"arg0\"").contains("at least one")
    );
    assert!(told(HEAD).contains("hooks nothing"));
}

#[test]
fn a_resolver_says_where_its_name_is() {
    let error = hook("event = \"resolver\"\nsymbols = [\"f\"]\nout = \"arg1\"");
    assert_eq!(error, "3:1: a hook of event `resolver` needs `name`");
    let error = hook("event = \"resolver\"\nsymbols = [\"f\"]\nname = \"*u64(ret)\"");
    assert_eq!(
        error,
        "6:8: the name is read before the real function runs, so it cannot use `ret`"
    );
    let error = hook("event = \"resolver\"\nsymbols = [\"f\"]\nname = \"arg0\"\naddress = \"ret\"");
    assert!(error.ends_with("has no use for `address`"), "{error}");
    let error =
        hook("event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"arg0\"\nname = \"arg1\"");
    assert!(
        error.ends_with("a hook of event `deallocate` has no use for `name`"),
        "{error}"
    );
    let error = hook("event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"arg0\"\nexport = 0");
    assert!(error.starts_with("7:10: "), "{error}");
    let error = hook("event = \"resolvr\"\nsymbols = [\"f\"]\nname = \"arg0\"");
    assert!(error.contains("did you mean `resolver`?"), "{error}");
}

#[test]
fn symbols_are_checked() {
    let error = hook("event = \"deallocate\"\nsymbols = [\"f\", \"f\"]\naddress = \"arg0\"");
    assert!(error.starts_with("5:17: `f` is hooked twice"), "{error}");
    let error =
        hook("event = \"deallocate\"\nsymbols = [\"Pool::free(void*)\"]\naddress = \"arg0\"");
    assert!(error.contains("a C++ name is given mangled"), "{error}");
    let error = hook("event = \"deallocate\"\nsymbols = [\"vfork\"]\naddress = \"arg0\"");
    assert!(error.contains("calling convention"), "{error}");
    let error = hook(
        "event = \"deallocate\"\nsymbols = [\"_ZN4Pool7releaseEPv\"]\nsignature = \"Pool::release(int)\"\naddress = \"arg1\"",
    );
    assert!(
        error.starts_with("6:13: ") && error.contains("Pool::release(void*)"),
        "{error}"
    );
}

#[test]
fn unknown_names_and_missing_files_are_told() {
    let told = |list: &str| build(list).unwrap_err().to_string();
    assert!(
        told("tt-metl").starts_with("no adapter is called `tt-metl`; did you mean `tt-metal`?")
    );
    assert!(told("./nowhere.toml").starts_with("./nowhere.toml: "));
    assert!(build("none").unwrap().is_none());
}
