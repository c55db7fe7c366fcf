//! The HTML report, opened in a browser: it shows what it should, clicks and keys do what they should, it asks nobody for
//! anything, and hostile names stay text.
//!
//! The checks are in `tests/html/*.mjs`; a page gets those that fit what it is said to have.

#![expect(clippy::expect_used, reason = "a test may panic")]

#[path = "html/big.rs"]
mod big;
mod common;
#[path = "html/hostile.rs"]
mod hostile;
#[path = "html/on_ttnn.rs"]
mod on_ttnn;
#[path = "ttnn/setting.rs"]
mod setting;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use common::Host;
use common::Scratch;
use serde_json::Value;
use serde_json::json;
use whofreed_analysis::Rules;
use whofreed_analysis::Timeline;
use whofreed_report::HtmlOptions;
use whofreed_report::Snippets;
use whofreed_report::TextOptions;

/// Where the packages are that drive a browser.
fn packages(test: &str) -> Option<PathBuf> {
    common::provided(test, "WHOFREED_TEST_BROWSER")
}

/// Opens the page and runs the checks that fit the facts.
fn check(packages: &Path, page: &Path, facts: &Value) {
    let script = common::root().join("tests/html/check.mjs");
    let run = common::run(
        Command::new("node")
            .arg(script)
            .arg(packages)
            .arg(page)
            .arg(facts.to_string()),
    );
    println!("{}", run.stdout);
    for line in run.stdout.lines() {
        if let Some((label, value)) = line
            .strip_prefix("figure ")
            .and_then(|line| line.split_once(": "))
        {
            common::note(label, value);
        }
    }
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn a_browser_shows_the_embedded_example_with_its_culprits_and_their_source() {
    let Some(packages) = packages("html, the embedded example") else {
        return;
    };
    let scratch = Scratch::new("html");
    let host = Host::cxx(&["examples/pool_runtime/main.cpp"]).compile(&scratch, "pool_runtime");
    let page = scratch.file("report.html");
    let mut run = Command::new(common::cli());
    run.args(["run", "--format", "html", "--report"]).arg(&page);
    run.arg("--trace").arg(scratch.file("host.wft"));
    run.arg("--shim").arg(common::shim()).arg("--").arg(&host);
    let run = common::run(run.args(["two", "1"])).expect_code(0);
    assert!(
        run.stderr.contains("explained by 2 culprits"),
        "{}",
        run.stderr
    );
    let text = fs::read_to_string(&page).expect("the page is there");
    for outside in ["http://", "https://", "//cdn", "url("] {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains(outside), "{outside}");
    }
    let facts = json!({
        "answer": "690 excess frees in 11 of 11 buffers, all explained by 2 culprits",
        "culprits": 2,
        "stacks": 3,
        "search": "TraceCapture",
        "source": "buffer->deallocate()",
        "sites": {
            "allocated": "operators.hpp:90",
            "freed": "operators.hpp:94",
            "again": "caches.hpp:40",
        },
        "victim": "Activations::retire",
        "lines": 11,
        "levels": 1,
    });
    check(&packages, &page, &facts);
}

#[test]
fn hostile_names_stay_text() {
    let (analysis, snippets) = hostile::analysis();
    let text = TextOptions {
        notes: vec![hostile::SEEN[0].to_owned()],
        ..TextOptions::default()
    };
    let options = HtmlOptions {
        text: &text,
        snippets: &snippets,
    };
    let page = whofreed_report::to_html(&analysis, &Timeline::default(), &options);
    assert_eq!(page.matches("</script>").count(), 2, "the page's own");
    assert!(!page.contains("<img"));
    let hidden = |character: &char| character.is_control() && *character != '\n';
    assert_eq!(page.chars().find(hidden), None);
    let Some(packages) = packages("html, hostile names") else {
        return;
    };
    let scratch = Scratch::new("hostile");
    let file = scratch.file("report.html");
    fs::write(&file, page).expect("the page can be written");
    let facts = json!({
        "answer": "3 excess frees",
        "culprits": 3,
        "stacks": 3,
        "search": "<!--",
        "hostile": hostile::SEEN,
    });
    check(&packages, &file, &facts);
}

#[test]
fn a_run_with_very_many_buffers_and_culprits_stays_usable() {
    let Some(packages) = packages("html, a large run") else {
        return;
    };
    let (buffers, culprits) = if common::soak() {
        (1_000_000, 10_000)
    } else {
        (40_000, 2_000)
    };
    let traces = [big::trace(buffers, culprits)];
    let rules = Rules::of(&traces);
    let began = Instant::now();
    let (analysis, timeline) =
        whofreed_analysis::analyse_with_timeline(&traces, &big::Names, &rules);
    let analysed = began.elapsed();
    assert_eq!(analysis.culprits.len() as u64, culprits);
    let text = TextOptions::default();
    let options = HtmlOptions {
        text: &text,
        snippets: &Snippets::new(),
    };
    let page = whofreed_report::to_html(&analysis, &timeline, &options);
    let made = began.elapsed();
    let label = format!("HTML report of {buffers} buffers and {culprits} culprits");
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    common::note(&format!("{label}, analysis"), &seconds(analysed));
    common::note(
        &format!("{label}, making the page of it"),
        &seconds(made - analysed),
    );
    let size = page.len() as u64;
    common::note(&format!("{label}, size"), &format!("{} KiB", size / 1024));
    // Whatever the run, nobody wants to be sent more.
    assert!(size < 20 << 20, "{size} bytes");
    let scratch = Scratch::new("big");
    let file = scratch.file("report.html");
    fs::write(&file, page).expect("the page can be written");
    let facts = json!({
        "answer": format!("by {} more", grouped(culprits - 2)),
        "culprits": culprits,
        "stacks": 3,
        "search": "evict_1234 ",
        "big": label,
        "buffers": buffers,
        "lines": timeline.lines.len(),
        "levels": timeline.levels.len(),
    });
    check(&packages, &file, &facts);
}

/// With thousands apart, as people read it.
fn grouped(value: u64) -> String {
    let text = value.to_string();
    let (head, tail) = text.split_at(text.len().saturating_sub(3));
    format!("{head},{tail}")
}
