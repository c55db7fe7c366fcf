//! The words that reports have for things.

use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::diff::Answer;
use whofreed_analysis::diff::Doubt;
use whofreed_analysis::diff::Fingerprint;

/// Others read these words.
#[test]
fn words_stay_as_they_are() {
    let answers = [
        Answer::Fixed,
        Answer::PartlyFixed,
        Answer::NotFixed,
        Answer::Worse,
        Answer::Uncertain,
        Answer::NobodyNamed,
    ];
    assert_eq!(
        answers.map(Answer::name),
        [
            "fixed",
            "partly_fixed",
            "not_fixed",
            "worse",
            "uncertain",
            "nobody_named"
        ]
    );
    let confidences = [
        Confidence::Proven,
        Confidence::Counterfactual,
        Confidence::Undecided,
    ];
    assert_eq!(
        confidences.map(Confidence::name),
        ["proven", "counterfactual", "undecided"]
    );
    let classes = [
        Class::Destructor,
        Class::Cache,
        Class::ProgramCache,
        Class::Pool,
        Class::StaticTeardown,
        Class::Interpreter,
        Class::Explicit,
        Class::Other,
    ];
    assert_eq!(
        classes.map(Class::name).join(" "),
        "destructor cache program_cache pool static_teardown interpreter explicit other"
    );
    let doubts = [
        Doubt::Empty,
        Doubt::Lost(1),
        Doubt::Untracked(1),
        Doubt::Damaged(1),
        Doubt::Killed(9),
        Doubt::Unexplained(1),
        Doubt::Suspect,
        Doubt::Victim,
        Doubt::Nameless,
        Doubt::Short,
    ];
    assert_eq!(
        doubts.map(Doubt::name).join(" "),
        "nothing_recorded lost_events untracked_events damaged killed unexplained suspect victim nameless short_run"
    );
    let fingerprint = format!("{:?}", Fingerprint(0x1f));
    assert_eq!(fingerprint, "Fingerprint(000000000000001f)");
}
