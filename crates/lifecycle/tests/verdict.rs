//! The words of a judgement, which the C header, the trace format and the reports share.

use whofreed_lifecycle::Verdict;

#[test]
fn verdicts_keep_their_numbers_and_names() {
    let all = [
        (Verdict::Ok, "ok", false),
        (Verdict::AlreadyFreed, "already_freed", true),
        (Verdict::StaleOwner, "stale_owner", true),
        (Verdict::Unknown, "unknown", false),
        (Verdict::ForeignOwner, "foreign_owner", true),
        (Verdict::Invalid, "invalid", false),
    ];
    for (number, (verdict, name, is_excess)) in all.into_iter().enumerate() {
        assert_eq!(verdict as usize, number);
        assert_eq!(Verdict::from_number(number as u8), Some(verdict));
        assert_eq!(verdict.name(), name);
        assert_eq!(verdict.is_excess(), is_excess);
    }
    assert_eq!(Verdict::from_number(6), None);
}
