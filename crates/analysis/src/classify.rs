//! What sort of code a culprit is, by the rules that come along. Where there are others, their word counts in the end.

use whofreed_trace::Frame;

use crate::Class;
use crate::Rules;

/// Classes the culprit that `site` names, whose excess free had `stack`.
pub(crate) fn classify(site: &Frame, stack: &[Frame]) -> Class {
    Rules::shipped().class(site, stack)
}
