//! The page of runs of the real TT-Metal runtime, on mock boards.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use super::check;
use super::common;
use super::common::Scratch;
use super::packages;
use super::setting::NEWEST;
use super::setting::Setting;

/// Runs a case on a board, and opens its page in a browser, which has to show these facts.
fn shown(test: &str, board: &str, case: &str, arguments: &[&str], facts: &Value) {
    let Some(packages) = packages(test) else {
        return;
    };
    let Some(page) = Page::of(test, board, case, arguments) else {
        return;
    };
    check(&packages, &page.file, facts);
}

/// The page of a run, and the folder that it is in.
struct Page {
    file: PathBuf,
    _scratch: Scratch,
}

impl Page {
    /// `None` where the runtime cannot be had.
    fn of(test: &str, board: &str, case: &str, arguments: &[&str]) -> Option<Self> {
        let setting = Setting::wanted(NEWEST, board, test)?;
        let scratch = Scratch::new("html-ttnn");
        let file = scratch.file("report.html");
        let mut run = Command::new(&setting.whofreed);
        run.args(["run", "--format", "html", "--report"]).arg(&file);
        run.arg("--trace").arg(scratch.file("case.wft")).arg("--");
        run.arg(&setting.python)
            .arg(common::root().join("tests/ttnn/cases").join(case))
            .args(arguments)
            .envs(setting.variables)
            // Compiled programs of its own, with the slash at the end that the runtime wants.
            .env("TT_METAL_CACHE", scratch.file("programs/"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(scratch.path());
        common::run(&mut run).expect_code(0);
        let text = fs::read_to_string(&file).expect("the page is there");
        for outside in ["http://", "https://", "url("] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(outside), "{outside}");
        }
        Some(Self {
            file,
            _scratch: scratch,
        })
    }
}

#[test]
fn a_browser_shows_a_decode_loop_on_a_mesh_with_the_python_line_that_is_to_blame() {
    let facts = json!({
        "answer": "60 excess frees in 3 of 72 buffers, all explained by 1 culprit: <module> (model_like.py:88)",
        "culprits": 1,
        "stacks": 3,
        "source": "ttnn.deallocate(x)  # excess (alias)",
        "sites": {
            "allocated": "board.py:19",
            "freed": "model_like.py:76",
            "again": "model_like.py:88",
        },
        "lines": 3,
        "levels": 2,
    });
    let arguments = ["15", "4", "alias"];
    shown(
        "html, a decode loop on ttnn",
        "mesh",
        "model_like.py",
        &arguments,
        &facts,
    );
}

#[test]
fn a_browser_shows_two_python_lines_that_freed_one_address_on_one_chip() {
    let facts = json!({
        "answer": "2 excess frees in 1 of 3 buffers, all explained by 2 culprits",
        "culprits": 2,
        "stacks": 3,
        "search": "c11_output_is_input.py:19",
        "source": "ttnn.deallocate(a)  # excess",
        "lines": 1,
        "levels": 1,
    });
    shown(
        "html, two lines on ttnn",
        "n150",
        "c11_output_is_input.py",
        &[],
        &facts,
    );
}
