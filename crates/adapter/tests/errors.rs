//! What an adapter's author is told.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use whofreed_adapter::build;

fn told(adapter: impl AsRef<[u8]>) -> String {
    complaint(adapter.as_ref()).unwrap()
}

/// What is said of an adapter, if it is not sound.
fn complaint(adapter: &[u8]) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    fs::write(&path, adapter).unwrap();
    let error = build(path.to_str().unwrap()).err()?.to_string();
    let told = error.split_once("mine.toml:");
    Some(told.map_or(error.clone(), |(_, told)| told.to_owned()))
}

const HEAD: &str = "name = \"pool\"\nlibrary = \"libpool.so*\"\n";

fn hook(keys: &str) -> String {
    told(format!("{HEAD}[[hook]]\n{keys}\n"))
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
    let error = told("#".repeat((1 << 20) + 1));
    assert!(
        error.contains("is larger than any adapter (1 MiB)"),
        "{error}"
    );
    let error = told(format!("{HEAD}#{}", "#".repeat(1 << 19)));
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
        "6:12: `adress` is neither built in nor in a `define`; did you mean `address`?"
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
        error.starts_with("7:8: this is asked for before the real function of a realloc runs"),
        "{error}"
    );
    for labels in ["", "\nlabel = \"a\"\nlabel_at = \"arg0\""] {
        let error = hook(&format!("event = \"scope\"\nsymbols = [\"f\"]{labels}"));
        assert!(
            error.ends_with("needs either `label` or `label_at`"),
            "{error}"
        );
    }
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
    assert_eq!(error, "5:17: `f` is hooked twice, first at 5:12");
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

/// A tree as deep as its text is long would overflow the stack.
#[test]
fn an_expression_without_end_is_refused_where_it_becomes_too_long() {
    let of = |terms: usize| {
        let address = format!("arg0{}", "+0".repeat(terms - 1));
        let keys = format!("event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"{address}\"");
        complaint(format!("{HEAD}[[hook]]\n{keys}\n").as_bytes())
    };
    assert_eq!(of(250), None);
    for terms in [251, 20_000, 200_000] {
        let error = of(terms).unwrap();
        let expected = "6:515: more than 250 values in one expression";
        assert_eq!(error, expected, "{terms}");
    }
}

#[test]
fn a_definition_that_grows_without_end_is_refused_by_its_name() {
    let doubled: String = (1..=40)
        .map(|it| format!("define.d{it} = \"d{0}+d{0}\"\n", it - 1))
        .collect();
    let chain: String = (1..=9000)
        .map(|it| format!("define.d{it} = \"*u8(d{})\"\n", it - 1))
        .collect();
    let lists: String = (1..=40)
        .map(|it| format!("define.d{it} = \"d{}{}\"\n", it - 1, "+0".repeat(200)))
        .collect();
    for (last, definitions) in [("d40", doubled), ("d9000", chain), ("d40", lists)] {
        let error = hook(&format!(
            "event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"8 + {last}\"\ndefine.d0 = \"arg0\"\n{definitions}"
        ));
        assert_eq!(
            error,
            format!(
                "6:16: `{last}` makes this too large: once names are replaced there may be 2000 parts, 300 within each other"
            )
        );
    }
}

#[test]
fn an_unknown_name_is_told_where_it_is_written() {
    let of = |address: &str, define: &str| {
        let told = hook(&format!(
            "event = \"deallocate\"\nsymbols = [\"f\"]\naddress = {address}\ndefine = {{ {define} }}"
        ));
        told.split_once(": ").unwrap().0.to_owned()
    };
    assert_eq!(of("\"call(blok, 8) + blok\"", ""), "6:28");
    assert_eq!(of("'8 + blok'", ""), "6:16");
    assert_eq!(of("\"\"\"\n8 +\nblok\"\"\"", ""), "8:1");
    assert_eq!(of("\"8 \\u002b blok\"", ""), "6:11", "an escape");
    assert_eq!(of("\"8 + a\"", "a = \"1 + blok\""), "7:21");
    assert_eq!(of("\"a\"", "a = \"b\", b = \"8 + a\""), "7:30");
}

#[test]
fn what_is_no_text_is_told_where_it_begins() {
    let bytes = [HEAD.as_bytes(), b"kinds = [\"\xc3\xa4\", \"\xff\"]\n"].concat();
    let error = told(bytes);
    assert_eq!(error, "3:17: this is no text in UTF-8, as TOML has to be");
}

#[test]
fn a_build_id_of_nothing_is_told_where_it_is_written() {
    let error =
        hook("event = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"arg0\"\nbuild_id = []");
    assert_eq!(
        error,
        "7:12: a `build_id` without entries is one of no library"
    );
}

/// The shim or the loader calls these before it could tell its own calls from those of the host.
#[test]
fn what_a_hook_itself_cannot_run_without_is_refused() {
    for symbol in [
        "memcpy",
        "strlen",
        "pthread_self",
        "getpid",
        "memcpy@GLIBC_2.14",
    ] {
        let error = hook(&format!(
            "event = \"deallocate\"\nsymbols = [\"{symbol}\"]\naddress = \"arg0\""
        ));
        assert_eq!(
            error,
            format!("5:12: `{symbol}` cannot be hooked: every hook needs it to run itself")
        );
    }
}
