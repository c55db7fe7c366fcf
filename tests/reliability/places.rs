//! Where traces are written to: never over what is there, never through a link.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;

/// Runs a host whose trace is to be at `name`; returns how many traces of its are there in the end.
fn record_at(scratch: &Scratch, name: &str) -> usize {
    let host = Host::c("c_tests/threads.c").compile(scratch, "host");
    let trace = scratch.file(&format!("{name}.wft"));
    let options = format!("trace={}:summary=0", trace.display());
    common::run(
        std::process::Command::new(&host)
            .arg("800")
            .env("WHOFREED_OPTIONS", options),
    )
    .expect_code(0);
    let files = fs::read_dir(scratch.path()).expect("a folder").flatten();
    let traces = files.filter(|file| {
        let path = file.path();
        let file = file.file_name();
        let file = file.to_string_lossy();
        let is_other = path != trace && file.starts_with(name) && file.ends_with(".wft");
        if is_other {
            let data = fs::symlink_metadata(&path).expect("a file");
            assert!(data.is_file() && data.nlink() == 1);
            assert_eq!(data.permissions().mode() & 0o777, 0o600);
        }
        is_other
    });
    traces.count()
}

#[test]
fn a_trace_never_takes_a_file_that_is_there() {
    let row = Row::new("files", "a file stands where the trace is to be", "P1");
    let scratch = Scratch::new("taken");
    let victim = scratch.file("taken.wft");
    fs::write(&victim, "somebody's").expect("a file");
    assert_eq!(record_at(&scratch, "taken"), 1);
    assert_eq!(fs::read(&victim).expect("it is there"), b"somebody's");
    row.held(
        1,
        "it stays as it is; the trace is beside it, readable to its user alone",
    );
}

#[test]
fn a_trace_never_follows_a_link() {
    let row = Row::new("files", "a link stands where the trace is to be", "P1");
    let scratch = Scratch::new("linked");
    let victim = scratch.file("victim");
    for (traces_before, is_there) in [true, false].into_iter().enumerate() {
        if is_there {
            fs::write(&victim, "somebody's").expect("a file");
        }
        symlink(&victim, scratch.file("link.wft")).expect("a link");
        assert_eq!(record_at(&scratch, "link"), traces_before + 1);
        if is_there {
            assert_eq!(fs::read(&victim).expect("it is there"), b"somebody's");
            fs::remove_file(&victim).expect("a file");
        } else {
            assert!(!victim.exists(), "something was made where the link leads");
        }
        fs::remove_file(scratch.file("link.wft")).expect("a link");
    }
    row.held(2, "what it leads to stays as it is, and is not made");
}
