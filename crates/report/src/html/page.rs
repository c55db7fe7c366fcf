//! The file itself: the frame, the answer as plain text in it, the data, the style and the script.

use sha2::Digest;
use sha2::Sha256;

const FRAME: &str = include_str!("../../html/page.html");
const STYLE: &str = include_str!("../../html/page.css");
/// One script, in the order in which its parts need each other.
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("../../html/base.js"),
    include_str!("../../html/table.js"),
    include_str!("../../html/culprits.js"),
    include_str!("../../html/time.js"),
    include_str!("../../html/lifeline.js"),
    include_str!("../../html/live.js"),
    include_str!("../../html/icicle.js"),
    include_str!("../../html/tables.js"),
    include_str!("../../html/paper.js"),
    include_str!("../../html/main.js"),
);

/// The page with this answer, line by line, and this data.
pub(super) fn page(answer: &str, data: &str) -> String {
    let mut lines = answer.lines();
    let first = lines.next().unwrap_or_default();
    // The name of the program is the page's own.
    let first = first.strip_prefix("whofreed: ").unwrap_or(first);
    let rest: String = lines
        .map(|line| format!("<p>{}</p>\n", escaped(line.trim_start())))
        .collect();
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let parts = [
        ("{{policy}}", policy.as_str()),
        ("{{style}}", STYLE),
        ("{{answer}}", &escaped(first)),
        ("{{doubts}}", &rest),
        ("{{data}}", data),
        ("{{script}}", SCRIPT),
    ];
    // Each part in its turn, so that no part is looked for in another one.
    let mut page = String::with_capacity(FRAME.len() + STYLE.len() + SCRIPT.len() + data.len());
    let mut left = FRAME;
    for (place, part) in parts {
        let (before, after) = left.split_once(place).unwrap_or((left, ""));
        page.push_str(before);
        page.push_str(part);
        left = after;
    }
    page.push_str(left);
    page
}

/// Text as it stands between tags.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            _ => shown.push(character),
        }
    }
    shown
}

/// As a content security policy has it.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0;
        for at in 0..3 {
            bits = bits << 8 | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // The examples of RFC 4648.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn hashes_are_those_of_a_policy() {
        // As `printf '' | openssl dgst -sha256 -binary | base64` has it.
        let empty = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(hash(""), empty);
    }

    #[test]
    fn the_frame_has_a_place_for_every_part_in_turn() {
        let page = page("whofreed: a <b> & c\n  d\n", "{\"x\":\"{{script}}\"}");
        assert!(page.contains("a &lt;b&gt; &amp; c"), "{page}");
        assert!(page.contains("<p>d</p>"));
        assert!(page.contains("{\"x\":\"{{script}}\"}"));
        assert_eq!(page.matches("{{").count(), 1, "only what the data has");
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
        assert!(!SCRIPT.contains("<!--") && !SCRIPT.contains("innerHTML"));
    }
}
