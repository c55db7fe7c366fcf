//! docs/adapters-tutorial.md, carried out: its commands run as they stand there, its TOML is the file that it says, and
//! what is printed is what it shows.

mod common;

use std::env;
use std::fs;
use std::process::Command;

use common::Scratch;

/// What a page of documentation has its reader do.
#[derive(Debug)]
enum Step {
    /// A command, and what it prints.
    Run(String, String),
    /// This is now the text of pool.toml.
    Edit(String),
}

/// The steps of a page: its `console` blocks, with commands behind `$ `, and its `toml` blocks.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, block) in page.split("```").enumerate() {
        if index % 2 == 0 {
            continue;
        }
        if let Some(text) = block.strip_prefix("toml\n") {
            steps.push(Step::Edit(text.to_owned()));
        } else if let Some(text) = block.strip_prefix("console\n") {
            for command in text.split("$ ").skip(1) {
                let (command, printed) = command.split_once('\n').expect("a line");
                steps.push(Step::Run(command.to_owned(), printed.to_owned()));
            }
        }
    }
    steps
}

/// Whether `text` is what `shown` says, in which `…` stands for anything: as a line of its own for any lines, or none.
fn is_as_shown(shown: &str, text: &str) -> bool {
    let shown = shown.replace("\n…\n", "\n…");
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn dots_stand_for_anything() {
    assert!(is_as_shown("a\n…\nd\n", "a\nb\nc\nd\n"));
    assert!(is_as_shown("a\n…\nd\n", "a\nd\n"));
    assert!(is_as_shown("pid … here\n", "pid 17 here\n"));
    assert!(is_as_shown("same\n", "same\n"));
    assert!(!is_as_shown("same\n", "same\nmore\n"));
    assert!(!is_as_shown("a…c", "ab"));
    assert!(!is_as_shown("a…b…c", "a-c"));
}

#[test]
fn the_tutorial_leads_from_a_library_to_the_culprits_name() {
    let page =
        fs::read_to_string(common::root().join("docs/adapters-tutorial.md")).expect("the tutorial");
    let scratch = Scratch::new("tutorial");
    for entry in fs::read_dir(common::root().join("c_tests/pool")).expect("its sources") {
        let path = entry.expect("a source").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        fs::copy(&path, scratch.file(name)).expect("a copy");
    }
    let command_folder = common::cli();
    let mut folders = vec![command_folder.parent().expect("a folder").to_path_buf()];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(folders).expect("folders without a colon");

    let mut names_culprit = 0;
    let mut commands = 0;
    for step in steps(&page) {
        match step {
            Step::Edit(text) => fs::write(scratch.file("pool.toml"), text).expect("a file"),
            Step::Run(command, shown) => {
                let ran = common::run(
                    Command::new("sh")
                        .arg("-c")
                        .arg(format!("{{ {command}\n}} 2>&1"))
                        .current_dir(scratch.path())
                        .env("PATH", &path)
                        .env("HOME", scratch.path())
                        .env_remove("XDG_CONFIG_HOME")
                        .env_remove("XDG_CACHE_HOME")
                        .env_remove("WHOFREED_ADAPTERS_PATH")
                        .env_remove("WHOFREED_OPTIONS")
                        .env_remove("COLUMNS"),
                );
                assert!(
                    is_as_shown(&shown, &ran.stdout),
                    "$ {command}\nis to print\n{shown}\nbut prints\n{}",
                    ran.stdout
                );
                commands += 1;
                let culprit = "explained by 1 culprit: thumbnail_evict\n  (server.c:23)";
                names_culprit += usize::from(ran.stdout.contains(culprit));
            }
        }
    }
    assert!(commands >= 8, "{commands} commands");
    assert_eq!(
        names_culprit, 2,
        "by the path of the adapter, and by its name"
    );
}
