//! The text of a draft.

use std::fmt::Write as _;
use std::path::Path;

use toml::Value;
use whofreed_names::is_hostile;

use super::Group;
use super::Sorted;
use super::functions::Function;
use super::words::Role;

/// How many functions that were left out are listed; the rest is counted.
const MOST_LEFT_OUT: usize = 50;

/// The column of the comments beside keys.
const COMMENT_AT: usize = 26;

/// The adapter. `known_by` is the file name that a host knows the library by.
pub(super) fn adapter(sorted: &Sorted, path: &str, known_by: &str, name: Option<&str>) -> String {
    let known_by = Path::new(known_by).file_name().map_or_else(
        || known_by.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let base = known_by.split(".so").next().unwrap_or_default();
    let stem = base.strip_prefix("lib").unwrap_or(base);
    let called = name.filter(|name| !name.is_empty()).unwrap_or(stem);
    let called = if called.is_empty() { "drafted" } else { called };
    let globs = if known_by.contains(".so") {
        format!("{}.so*", plain(base))
    } else {
        plain(&known_by)
    };
    let shown = one_line(
        Path::new(path)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .as_ref(),
    );
    let mut text = format!(
        "\
# Drafted by `whofreed adapters init {shown}` from names alone: go through all that says \"check\", and
# hold it against the library: whofreed adapters check --adapters FILE {shown}
# docs/adapters.md explains the language, docs/adapters-tutorial.md goes the whole way once.

name = {}
library = {}
",
        quoted(called),
        quoted(&globs)
    );
    for group in &sorted.groups {
        pair(&mut text, group);
    }
    left_out(&mut text, &sorted.left_out);
    text
}

fn pair(text: &mut String, group: &Group) {
    for function in &group.hands_out {
        text.push('\n');
        text.push_str(&head(function, "allocate"));
        key(
            text,
            "address = \"ret\"",
            "check: it returns the buffer's address, or a handle",
        );
        key(text, "ok = \"ret != 0\"", "check: 0 says that it failed");
        match function.argument(is_size) {
            Some(place) => key(text, &format!("size = \"arg{place}\""), "check: in bytes"),
            None if function.parameters.is_some() => {}
            None => key(
                text,
                "# size = \"arg0\"",
                "check: which argument is the size in bytes, if any",
            ),
        }
        let out = function
            .argument(|it| it.ends_with("**"))
            .unwrap_or(usize::from(function.is_method));
        let status = format!("# or: address = \"*u64(arg{out})\", ok = \"ret == 0\"");
        let _ = writeln!(
            text,
            "{status}, where it returns a status and writes the address"
        );
    }
    for function in &group.resizes {
        text.push('\n');
        resized(text, function);
    }
    // Where references are counted, each use of it is one of several.
    let taking_back = if group.retains.is_empty() {
        "deallocate"
    } else {
        "release"
    };
    for (functions, event) in [(&group.retains, "retain"), (&group.takes_back, taking_back)] {
        for function in functions {
            text.push('\n');
            text.push_str(&head(function, event));
            given_back(text, function);
            if event != "retain" {
                kept_back(text);
            }
        }
    }
}

/// A function that gives one buffer back and hands out another.
fn resized(text: &mut String, function: &Function) {
    let first = usize::from(function.is_method);
    let size = function.argument(is_size).unwrap_or(first + 1);
    text.push_str(&head(function, "realloc"));
    for (line, check) in [
        (
            format!("from = \"arg{first}\""),
            "check: this argument is the buffer that is given back",
        ),
        (
            "address = \"ret\"".to_owned(),
            "check: it returns the buffer that takes its place",
        ),
        (
            "ok = \"ret != 0\"".to_owned(),
            "check: 0 says that it failed",
        ),
        (
            format!("# size = \"arg{size}\""),
            "check: which argument is the size in bytes, if any",
        ),
    ] {
        key(text, &line, check);
    }
}

/// The address of what is handed over to a function.
fn given_back(text: &mut String, function: &Function) {
    let pointer = function.argument(|it| it.ends_with(['*', '&']));
    let has_any = function
        .parameters
        .as_ref()
        .is_none_or(|all| !all.is_empty());
    let place = pointer.unwrap_or(usize::from(function.is_method && has_any));
    let check = if function.is_method && place == 0 {
        "check: `this` is the buffer (else read its address from it)"
    } else {
        "check: this argument is what the other half handed out"
    };
    let narrow = function.argument(is_narrow) == Some(place);
    let mask = if narrow { " & 0xffffffff" } else { "" };
    key(text, &format!("address = \"arg{place}{mask}\""), check);
}

/// With `--guard` a call can be kept from the real function, if the hook says what is returned then.
fn kept_back(text: &mut String) {
    let check = "check: what it returns when --guard keeps a call from it";
    key(text, "# guard = 0", check);
}

/// The lines of a hook that are certain.
fn head(function: &Function, event: &str) -> String {
    let symbol = quoted(&function.symbol);
    let mut text = format!("[[hook]]\nevent = \"{event}\"\nsymbols = [{symbol}]\n");
    if let Some(signature) = &function.signature {
        let _ = writeln!(text, "signature = {}", quoted(signature));
    }
    text
}

fn left_out(text: &mut String, functions: &[Function]) {
    if functions.is_empty() {
        return;
    }
    text.push_str(
        "\n# Left out, since the names have no other half here: take away the `# ` where one belongs to these buffers.\n",
    );
    for function in functions.iter().take(MOST_LEFT_OUT) {
        let mut hook = String::new();
        match function.said.as_ref().map(|said| said.role) {
            Some(Role::HandsOut) => {
                hook = head(function, "allocate");
                hook.push_str("address = \"ret\"\nok = \"ret != 0\"\n");
            }
            Some(Role::Retains) => {
                hook = head(function, "retain");
                given_back(&mut hook, function);
            }
            Some(Role::TakesBack) => {
                hook = head(function, "deallocate");
                given_back(&mut hook, function);
            }
            Some(Role::Resizes) => resized(&mut hook, function),
            None => {}
        }
        text.push_str("#\n");
        for line in hook.lines() {
            let _ = writeln!(text, "# {line}");
        }
    }
    if functions.len() > MOST_LEFT_OUT {
        let _ = writeln!(text, "#\n# … and {} more", functions.len() - MOST_LEFT_OUT);
    }
}

/// An argument of 32 bits has whatever it will in the other half of its register.
fn is_narrow(parameter: &str) -> bool {
    matches!(parameter, "int" | "unsigned int")
}

fn is_size(parameter: &str) -> bool {
    matches!(parameter, "unsigned long" | "unsigned long long")
}

/// A key with what to check beside it.
fn key(text: &mut String, key: &str, check: &str) {
    let _ = writeln!(text, "{key:COMMENT_AT$}# {check}");
}

fn quoted(text: &str) -> String {
    Value::String(one_line(text)).to_string()
}

/// Files can be called anything.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if is_hostile(c) { '?' } else { c })
        .collect()
}

/// What means something in a pattern, as a pattern that fits it.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if "*|/".contains(c) || is_hostile(c) {
                '?'
            } else {
                c
            }
        })
        .collect()
}
