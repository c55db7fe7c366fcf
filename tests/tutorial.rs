//! docs/adapters-tutorial.md, carried out: its commands run as they stand there, its TOML is the file that it says, and
//! what is printed is what it shows.

mod common;

use std::env;
use std::fs;
use std::process::Command;

use common::Scratch;
use common::page::Step;
use common::page::is_as_shown;
use common::page::steps;

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
            Step::Edit(_, text) => fs::write(scratch.file("pool.toml"), text).expect("a file"),
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
