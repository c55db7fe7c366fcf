//! The page as text; `tests/html.rs` opens it in a browser.

use std::sync::Arc;

use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Evidence;
use whofreed_analysis::Example;
use whofreed_analysis::Finding;
use whofreed_analysis::Mark;
use whofreed_analysis::Site;
use whofreed_analysis::Standing;
use whofreed_analysis::SuppressionLine;
use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::*;

fn frame(line: u32) -> Frame {
    Frame {
        function: Some("pool::Cache<int>::evict(int)".to_owned()),
        module: Arc::from("/lib/libpool.so"),
        offset: u64::from(line),
        file: Some(Arc::from("/src/cache.cpp")),
        line,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}

fn culprit(line: u32, confidence: Confidence) -> Culprit {
    Culprit {
        site: Site { frame: frame(line) },
        class: Class::Cache,
        explains: 1,
        observed: 1,
        buffers: 1,
        devices: vec![0],
        confidence,
        alternatives: Vec::new(),
        evidence: Evidence::default(),
        example: Example {
            excess: Arc::from([frame(line), frame(900)]),
            address: u64::MAX,
            ..Example::default()
        },
    }
}

fn page(analysis: &Analysis, snippets: &Snippets) -> serde_json::Value {
    let text = TextOptions::default();
    let options = HtmlOptions {
        text: &text,
        snippets,
    };
    let page = to_html(analysis, &Timeline::default(), &options);
    let (_, data) = page.split_once("id=\"data\">").unwrap_or_default();
    let (data, _) = data.split_once("</script>").unwrap_or_default();
    serde_json::from_str(data).unwrap_or_default()
}

#[test]
fn a_name_is_said_once_however_many_culprits_have_it() {
    let culprits = (1..=1000).map(|line| culprit(line, Confidence::Proven));
    let analysis = Analysis {
        culprits: culprits.collect(),
        ..Analysis::default()
    };
    let data = page(&analysis, &Snippets::new());
    assert_eq!(data["culprits"].as_array().map(Vec::len), Some(1000));
    let names = data["table"]["names"].as_array().cloned();
    let evict = |name: &serde_json::Value| name.as_str().is_some_and(|it| it.contains("evict"));
    // The short one and the whole one.
    assert_eq!(
        names.unwrap_or_default().into_iter().filter(evict).count(),
        2
    );
}

#[test]
fn culprits_at_one_site_have_links_of_their_own() {
    let analysis = Analysis {
        culprits: vec![
            culprit(4, Confidence::Proven),
            culprit(4, Confidence::Undecided),
        ],
        ..Analysis::default()
    };
    let data = page(&analysis, &Snippets::new());
    let id = |at: usize| {
        data["culprits"][at]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(id(1), format!("{}-2", id(0)));
}

#[test]
fn numbers_that_a_script_cannot_hold_are_text() {
    let analysis = Analysis {
        culprits: vec![culprit(4, Confidence::Proven)],
        ..Analysis::default()
    };
    let data = page(&analysis, &Snippets::new());
    assert_eq!(
        data["culprits"][0]["example"]["address"],
        "0xffffffffffffffff"
    );
}

#[test]
fn source_is_asked_for_around_frames_with_lines_and_stands_at_those_that_have_some() {
    let analysis = Analysis {
        culprits: vec![culprit(4, Confidence::Proven)],
        ..Analysis::default()
    };
    let file: Arc<str> = Arc::from("/src/cache.cpp");
    let asked: Vec<u32> = places(&analysis)
        .into_iter()
        .map(|(_, line)| line)
        .collect();
    assert_eq!(asked, [4, 900]);
    let snippet = Snippet {
        first: 3,
        lines: vec!["{".to_owned(), "\tevict();\u{202e}".to_owned()],
        is_newer: false,
    };
    let data = page(&analysis, &Snippets::from([((file, 4), snippet)]));
    let frames = &data["table"]["frames"];
    assert_eq!((&frames[0][7], &frames[1][7]), (&0.into(), &(-1).into()));
    assert_eq!(
        data["table"]["snippets"][0]["lines"][1],
        "    evict();\\u{202e}"
    );
}

#[test]
fn a_page_without_culprits_has_an_answer_all_the_same() {
    let text = TextOptions::default();
    let snippets = Snippets::new();
    let options = HtmlOptions {
        text: &text,
        snippets: &snippets,
    };
    let page = to_html(&Analysis::default(), &Timeline::default(), &options);
    assert!(
        page.contains("<h1 id=\"answer-title\">no event was recorded"),
        "{page}"
    );
}

#[test]
fn a_page_says_what_was_said_of_culprits_before() {
    let mark = |suppressed_by, known| Mark {
        suppressed_by,
        known,
    };
    let line = SuppressionLine {
        file: "own\u{202e}.txt".to_owned(),
        line: 3,
        finding: Finding::Excess,
        pattern: "evict".to_owned(),
        silences: 1,
    };
    let analysis = Analysis {
        culprits: (1..=3)
            .map(|line| culprit(line, Confidence::Proven))
            .collect(),
        standing: Standing {
            culprits: vec![mark(Some(0), false), mark(None, true), mark(None, false)],
            lines: vec![line],
            has_baseline: true,
            ..Standing::default()
        },
        ..Analysis::default()
    };
    let data = page(&analysis, &Snippets::new());
    let said = |at: usize| {
        data["culprits"][at]["standing"]
            .as_str()
            .unwrap_or_default()
    };
    assert!(said(0).starts_with("suppressed by own"), "{}", said(0));
    assert!(said(0).ends_with(".txt:3"), "{}", said(0));
    assert!(!said(0).contains('\u{202e}'), "{}", said(0));
    assert_eq!([said(1), said(2)], ["known from the baseline", "new"]);
}
