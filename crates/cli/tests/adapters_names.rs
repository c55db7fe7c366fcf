//! Adapters that are asked for by name: where they are looked for, and who finds them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use common::Folder;
use common::POOL;
use common::Place;
use common::printed;
use common::said;

#[test]
fn names_are_looked_up_in_the_users_folders_behind_what_is_shipped() {
    let folder = Folder::new();
    let own = folder.path().join("config/whofreed/adapters");
    let team = folder.path().join("team");
    fs::create_dir_all(&own).unwrap();
    fs::create_dir_all(&team).unwrap();
    fs::write(own.join("pool.toml"), POOL).unwrap();
    fs::write(own.join("tt-metal.toml"), POOL).unwrap();
    fs::write(
        team.join("pool.toml"),
        POOL.replace("\"pool\"", "\"the team's\""),
    )
    .unwrap();

    let list = printed(&folder.run(&["list"]));
    let listed: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let path = own.join("pool.toml").display().to_string();
    assert!(listed.contains(&vec!["pool", &path]), "{list}");
    assert!(listed.contains(&vec!["tt-metal", "shipped"]), "{list}");
    assert_eq!(
        list.lines()
            .filter(|line| line.starts_with("tt-metal "))
            .count(),
        1,
        "{list}"
    );
    assert_eq!(printed(&folder.run(&["show", "pool"])), POOL);

    // What the variable names goes first.
    let listed = folder
        .command(&["show", "pool"])
        .env(
            "WHOFREED_ADAPTERS_PATH",
            format!("/nowhere::{}", team.display()),
        )
        .output()
        .unwrap();
    assert!(
        printed(&listed).contains("the team's"),
        "{}",
        printed(&listed)
    );

    let unknown = folder.run(&["show", "poool"]);
    assert_eq!(unknown.status.code(), Some(125));
    assert!(
        said(&unknown).contains("did you mean `pool`? (there are: "),
        "{}",
        said(&unknown)
    );

    // A run knows them by the same names, and says what they call themselves.
    let place = Place::new();
    let ran = place
        .command(&["--adapters", "pool", "--", "true"])
        .env("WHOFREED_ADAPTERS_PATH", &team)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    assert!(said(&ran).contains("the team's"), "{}", said(&ran));
    let ran = place
        .command(&["--adapters", "poool", "--", "true"])
        .env("WHOFREED_ADAPTERS_PATH", &team)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(125));
    assert!(
        said(&ran).contains("did you mean `pool`?"),
        "{}",
        said(&ran)
    );
}

#[test]
fn the_rules_of_an_adapter_found_by_name_count_as_those_of_one_given_by_path() {
    let place = Place::new();
    let wrong = format!("machinery = [\"no-such-rule x\"]\n{POOL}");
    fs::write(place.path().join("pool.toml"), wrong).unwrap();
    let ran = place
        .command(&["--adapters", "pool", "--", "true"])
        .env("WHOFREED_ADAPTERS_PATH", place.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(125));
    assert!(said(&ran).contains("pool.toml:1:15: "), "{}", said(&ran));
}

#[test]
fn an_adapter_of_the_users_own_is_found_by_the_library_it_is_for() {
    let folder = Folder::new();
    let own = folder.path().join("config/whofreed/adapters");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("mypool.toml"), POOL).unwrap();
    fs::write(own.join("broken.toml"), "name = ").unwrap();
    let source = "void *pool_take(void) { return 0; } void pool_give(void *block) { (void)block; }";
    folder.library("somewhere.so", source, &["-Wl,-soname,libpool.so.1"]);
    let output = folder.run(&["check", "somewhere.so"]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("adapter pool ("), "{text}");
    assert!(!text.contains("adapter tt-metal"), "{text}");
    assert!(
        text.contains("passed over: ") && text.contains("broken.toml:1:"),
        "{text}"
    );
}
