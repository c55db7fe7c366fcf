//! Pages of documentation, carried out: their commands run as they stand there and print what is shown, and the parts of a
//! report that are explained are parts of a real one.

mod common;

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Scratch;
use common::page;
use common::page::Step;
use common::page::is_as_shown;
use common::page::unbroken;

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
fn the_first_five_minutes_go_as_they_are_told() {
    let printed = walk_through("docs/getting-started.md");
    assert!(printed.len() >= 5, "{} commands", printed.len());
}

#[test]
fn the_programs_in_c_and_cxx_are_whole_and_do_what_is_told() {
    let printed = walk_through("docs/native.md");
    assert!(printed.len() >= 5, "{} commands", printed.len());
}

#[test]
fn the_report_that_is_explained_is_a_real_one() {
    let printed = walk_through("docs/reading-a-report.md");
    assert!(printed.len() >= 5, "{} commands", printed.len());
    let text = unbroken(&printed.concat());
    let page = page::read("docs/reading-a-report.md");
    let mut parts = 0;
    for (language, part) in page::blocks(&page) {
        if language == "text" {
            // It stands anywhere in what the commands of the page have printed.
            let anywhere = unbroken(&format!("… {part} …"));
            assert!(is_as_shown(&anywhere, &text), "not in the report:\n{part}");
            parts += 1;
        }
    }
    assert!(parts >= 10, "{parts} parts");
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut pages = vec![common::root().join("README.md")];
    for entry in fs::read_dir(common::root().join("docs")).expect("the pages") {
        let path = entry.expect("a page").path();
        if path.extension() == Some("md".as_ref()) {
            pages.push(path);
        }
    }
    let (mut wrong, mut links) = (Vec::new(), 0);
    for page in &pages {
        let text = prose(page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("a folder").join(file),
            };
            let has_anchor = || anchors(&target).iter().any(|found| found == anchor);
            if !target.exists() || !anchor.is_empty() && !has_anchor() {
                wrong.push(format!("{}: {link}", page.display()));
            }
            links += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links >= 80, "{links} links");
}

/// A page without its blocks of code.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).expect("a page");
    text.split("```").step_by(2).collect()
}

/// What links to the headings of a page are called: lower case, hyphens for spaces, no other signs.
fn anchors(page: &Path) -> Vec<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let name = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            name.chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

/// Runs a page's commands in a folder that looks like the repository: the built files, the headers and the examples. Its
/// blocks of C are files by the name in their first line. Returns what each command printed.
fn walk_through(page: &str) -> Vec<String> {
    let scratch = Scratch::new("page");
    let link = |place: PathBuf, name: &str| {
        symlink(place, scratch.file(name)).expect("a link");
    };
    link(common::root().join("include"), "include");
    link(common::root().join("examples"), "examples");
    fs::create_dir(scratch.file("target")).expect("a folder");
    let built = common::shim().parent().expect("a folder").to_path_buf();
    link(built, "target/release");
    let command_folder = common::cli();
    let mut folders = vec![command_folder.parent().expect("a folder").to_path_buf()];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(folders).expect("folders without a colon");
    let mut all = Vec::new();
    for step in page::steps(&page::read(page)) {
        match step {
            Step::Edit(language, text) => {
                let name = text
                    .split(['/', '*', '#', ' ', ':'])
                    .find(|word| word.ends_with(&format!(".{language}")));
                fs::write(scratch.file(name.expect("a name in its first line")), &text)
                    .expect("a file");
            }
            Step::Run(command, shown) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{{ {command}\n}} 2>&1"));
                shell
                    .current_dir(scratch.path())
                    .env("PATH", &path)
                    .env("HOME", scratch.path());
                for name in [
                    "XDG_CONFIG_HOME",
                    "XDG_CACHE_HOME",
                    "WHOFREED_ADAPTERS_PATH",
                    "WHOFREED_OPTIONS",
                    "COLUMNS",
                ] {
                    shell.env_remove(name);
                }
                let printed = common::run(&mut shell).stdout;
                assert!(
                    is_as_shown(&unbroken(&shown), &unbroken(&printed)),
                    "$ {command}\nis to print\n{shown}\nbut prints\n{printed}"
                );
                all.push(printed);
            }
        }
    }
    all
}
