//! What `whofreed run` preloads into a command: the shim, which it looks for and looks at, and the hooks, which it
//! makes and keeps.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use common::Place;
use common::printed;
use common::said;

#[test]
fn the_shim_is_looked_for_and_its_places_are_told() {
    let place = Place::new();
    let run = |shim: &str| {
        Command::new(env!("CARGO_BIN_EXE_whofreed"))
            .args(["run", "--shim", shim, "--", "true"])
            .current_dir(place.path())
            .output()
            .unwrap()
    };
    let output = run("/nowhere/libwhofreed.so");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        said(&output).contains("looked for /nowhere/libwhofreed.so"),
        "{}",
        said(&output)
    );
    for name in ["with space", "with:colon"] {
        let folder = place.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(&place.shim, folder.join("libwhofreed.so")).unwrap();
        let output = run(folder.to_str().unwrap());
        assert_eq!(output.status.code(), Some(125));
        assert!(
            said(&output).contains("cannot stand in LD_PRELOAD"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn what_is_no_shim_is_refused() {
    let place = Place::new();
    let source = place.path().join("foreign.c");
    fs::write(
        &source,
        "const char *wf_version(void);\nconst char *use(void) { return wf_version(); }\n",
    )
    .unwrap();
    let foreign = place.path().join("foreign.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&foreign, &source])
        .status()
        .unwrap();
    assert!(status.success());
    // The same library, for a machine of number 8 (MIPS).
    let mut other = fs::read(&place.shim).unwrap();
    other[18] = 8;
    other[19] = 0;
    let elsewhere = place.path().join("elsewhere.so");
    fs::write(&elsewhere, other).unwrap();
    let text = place.path().join("text.so");
    fs::write(&text, "text").unwrap();
    let empty = place.path().join("nothing.so");
    fs::write(&empty, "").unwrap();
    for (shim, reason) in [
        (Path::new("/bin/true"), "it does not export wf_version"),
        (&foreign, "it does not export wf_version"),
        (&elsewhere, "it is for another machine"),
        (&text, "it is no ELF file"),
        (&empty, "it is no ELF file"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_whofreed"))
            .args(["run", "--shim"])
            .arg(shim)
            .args(["--", "sh", "-c", "echo it ran"])
            .current_dir(place.path())
            .output()
            .unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert_eq!(printed(&output), "", "{}", shim.display());
        assert!(said.contains(reason), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn the_command_gets_the_shim_the_hooks_and_what_the_user_had() {
    let place = Place::new();
    let show = [
        "--guard",
        "--depth=9",
        "--on-excess",
        "print",
        "--",
        "sh",
        "-c",
        "echo $LD_PRELOAD; echo $WHOFREED_OPTIONS",
    ];
    let output = place
        .command(&show)
        .env("WHOFREED_OPTIONS", "depth=7:stacks=excess")
        .output()
        .unwrap();
    let text = printed(&output);
    let lines: Vec<&str> = text.lines().collect();
    let preload: Vec<&str> = lines[0].split(':').collect();
    assert_eq!(
        Path::new(preload[0]),
        fs::canonicalize(&place.shim).unwrap()
    );
    let hooks = Path::new(preload[1]);
    assert_eq!(
        hooks.parent(),
        Some(place.cache().join("whofreed").as_path())
    );
    let options: Vec<&str> = lines[1].split(':').collect();
    assert_eq!(
        options[..2],
        ["depth=7", "stacks=excess"],
        "the user's come first"
    );
    assert_eq!(
        options[2..6],
        ["guard=1", "depth=9", "on_excess=print", "run=1"]
    );
    let session = options[6].strip_prefix("session=").unwrap();
    assert_ne!(u64::from_str_radix(session, 16).unwrap(), 0);
    assert!(options[7].starts_with("tally="), "{}", options[7]);
    let folder = fs::canonicalize(place.path()).unwrap();
    assert_eq!(
        options[8],
        format!("trace={}/whofreed.sh.%p.wft", folder.display())
    );

    let output = place
        .command(&["--adapters", "none", "--", "sh", "-c", "echo $LD_PRELOAD"])
        .env("LD_PRELOAD", &place.shim)
        .output()
        .unwrap();
    let shim = fs::canonicalize(&place.shim).unwrap();
    assert_eq!(
        printed(&output),
        format!("{}:{}\n", shim.display(), place.shim.display())
    );
}

#[test]
fn adapters_that_are_named_must_exist_and_come_first_when_they_bind_nothing() {
    let place = Place::new();
    let output = place.run(&["--adapters", "nonsense", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(said(&output).contains("nonsense"), "{}", said(&output));

    let output = place.run(&["--adapters", "tt-metal", "--", "true"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).starts_with("whofreed: adapter tt-metal bound nothing"),
        "{}",
        said(&output)
    );
    let output = place.run(&["--", "true"]);
    assert!(
        said(&output).starts_with("whofreed: no trace was found: either"),
        "{}",
        said(&output)
    );
}

#[test]
fn what_the_command_leaves_behind_can_still_start_programs() {
    let place = Place::new();
    let gate = place.path().join("gate");
    assert!(
        Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    // The process that stays waits until whofreed has ended, then starts a program.
    let script = "(read line < gate; exec ls -d / 2>&1) &";
    let mut child = place
        .command(&["--report", "report", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    fs::write(&gate, "go\n").unwrap();
    let mut late = String::new();
    child.stdout.unwrap().read_to_string(&mut late).unwrap();
    assert_eq!(late, "/\n");
}

#[test]
fn the_hooks_are_kept_once_in_a_private_folder_and_never_trusted_unseen() {
    let place = Place::new();
    let show = ["--", "sh", "-c", "echo ${LD_PRELOAD##*:}"];
    let hooks = printed(&place.run(&show));
    let path = Path::new(hooks.trim());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(path.parent().unwrap())), (0o600, 0o700));
    let library = fs::read(path).unwrap();

    let other = fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(printed(&place.run(&show)), hooks);
    assert!(fs::metadata(path).unwrap().modified().unwrap() >= other);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    // Something else of that name is replaced, not preloaded.
    fs::write(path, "not a library").unwrap();
    assert_eq!(printed(&place.run(&show)), hooks);
    assert_eq!(fs::read(path).unwrap(), library);

    // A folder that others can write to is not used at all.
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    let elsewhere = printed(&place.run(&show));
    assert!(
        elsewhere.trim().ends_with("/whofreed-hooks.so"),
        "{elsewhere}"
    );
    assert!(
        !Path::new(elsewhere.trim()).exists(),
        "a folder for one run stays"
    );
}
