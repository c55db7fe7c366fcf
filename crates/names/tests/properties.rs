//! What holds for every name, of a compiler's or of anybody's.

use proptest::prelude::*;
use whofreed_names::balanced;
use whofreed_names::behind_parameters;
use whofreed_names::operator_at;
use whofreed_names::operator_length;
use whofreed_names::operator_symbol;
use whofreed_names::own_type;
use whofreed_names::without_clone;

const BRACKETS: [(char, char); 4] = [('<', '>'), ('(', ')'), ('[', ']'), ('{', '}')];

/// Text as it stands between brackets, all of them closed.
fn closed() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        "[a-z_]{1,6}",
        Just("::".to_owned()),
        Just(", ".to_owned()),
        Just("漢".to_owned()),
        Just(" -> ".to_owned()),
    ];
    plain.prop_recursive(4, 24, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| parts.concat());
        let bracketed = (0..BRACKETS.len(), inner).prop_map(|(kind, inside)| {
            let (open, close) = BRACKETS[kind];
            format!("{open}{inside}{close}")
        });
        prop_oneof![several, bracketed]
    })
}

/// Whatever can be made of what names are made of.
fn anything() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec![
            "<", ">", "(", ")", "[", "]", "{", "}", "-", "->", "::", " ", " as ", "operator", "()",
            " const", ".cold", "漢", "h",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_bracket_finds_the_partner_that_it_was_written_with(
        kind in 0..BRACKETS.len(),
        inside in closed(),
        after in anything(),
    ) {
        let (open, close) = BRACKETS[kind];
        let bracketed = format!("{open}{inside}{close}");
        let text = format!("{bracketed}{after}");
        prop_assert_eq!(balanced(&text, open, close), (&*bracketed, &*after));
    }

    #[test]
    fn the_parts_of_a_method_are_those_that_it_was_written_with(
        own in closed(),
        of_trait in closed(),
        method in "[a-z_]{1,8}",
    ) {
        let method = format!("::{method}");
        let name = format!("<{own} as {of_trait}>{method}");
        prop_assert_eq!(own_type(&name), Some((&*own, &*method)));
        let name = format!("<{own}>{method}");
        prop_assert_eq!(own_type(&name), Some((&*own, &*method)));
    }

    #[test]
    fn a_function_inside_of_a_function_is_found(parameters in closed(), inner in anything()) {
        for qualifiers in ["", " const", " const volatile"] {
            let text = format!("({parameters}){qualifiers}::{inner}");
            let inner = format!("::{inner}");
            prop_assert_eq!(behind_parameters(&text), Some(&*inner));
        }
        let text = format!("({parameters}) const");
        prop_assert_eq!(behind_parameters(&text), None);
    }

    #[test]
    fn nothing_is_added_or_lost(text in anything()) {
        for (open, close) in BRACKETS {
            let (inside, after) = balanced(&text, open, close);
            prop_assert_eq!(format!("{inside}{after}"), &*text);
        }
        if let Some((own, after)) = own_type(&text) {
            let begins = format!("<{own}");
            prop_assert!(text.starts_with(&begins) && text.ends_with(after));
        }
        if let Some(rest) = behind_parameters(&text) {
            prop_assert!(rest.starts_with("::") && text.ends_with(rest));
        }
        prop_assert!(text.starts_with(without_clone(&text)));
        prop_assert!(without_clone(&text).is_empty() == text.is_empty());
    }

    #[test]
    fn an_operator_is_what_its_text_begins_with(text in anything(), before in anything()) {
        let whole = format!("operator{text}");
        if let Some(name) = operator_at(&before, &whole) {
            prop_assert!(name.starts_with("operator") && whole.starts_with(name));
            prop_assert!(name.len() <= operator_length(&whole));
        }
        let before = format!("{before}operator");
        if let Some(symbol) = operator_symbol(&before, &text) {
            prop_assert!(!symbol.is_empty() && text.starts_with(symbol));
        }
        // A name of nothing but the word is still of some length.
        prop_assert!(whole.is_char_boundary(operator_length(&whole)));
    }
}
