//! What stands in a text with mutants.

use super::*;

fn mutant(source: &str, number: usize, (kind, at, with): (Kind, &str, &str)) -> Mutant {
    let offset = source.find(at).expect("it is in the source");
    let start = source[..offset].rfind('\n').map_or(0, |end| end + 1);
    Mutant {
        number,
        name: String::new(),
        file: String::new(),
        kind,
        place: (
            1 + source[..offset].matches('\n').count(),
            1 + source[start..offset].chars().count(),
        ),
        replacement: with.to_owned(),
    }
}

fn planted(source: &str, mutants: &[(Kind, &str, &str)]) -> Planted {
    planted_unwatched(source, mutants, &[])
}

fn planted_unwatched(source: &str, mutants: &[(Kind, &str, &str)], unwatched: &[usize]) -> Planted {
    let unwatched = unwatched.iter().copied().collect();
    let mutants = mutants.iter().enumerate();
    let mutants: Vec<Mutant> = mutants
        .map(|(number, one)| mutant(source, number, *one))
        .collect();
    let all: Vec<&Mutant> = mutants.iter().collect();
    let planted = plant(source, &all, &BTreeSet::new(), &unwatched).expect("it can be parsed");
    assert!(syn::parse_file(&planted.text).is_ok(), "{}", planted.text);
    planted
}

#[test]
fn each_operator_of_a_sum_is_asked_for_alone() {
    let source = "fn f() -> u8 { \"ä\"; a + b * c }";
    let planted = planted(
        source,
        &[(Kind::Operator, "+", "-"), (Kind::Operator, "*", "/")],
    );
    let product = "crate::chosen(1, || (b / c), || (b * c))";
    let sum = format!("crate::chosen(0, || (a - {product}), || (a + {product}))");
    assert_eq!(planted.text, source.replace("a + b * c", &sum));
    assert_eq!(planted.numbers, BTreeSet::from([0, 1]));
    let at = planted.text.find("b / c").expect("it is there");
    assert_eq!(planted.at(at..at + 1), Some(&[1][..]));
    assert_eq!(planted.watched_at(&(at..at + 1)), BTreeSet::from([0, 1]));
}

#[test]
fn what_cannot_be_reckoned_twice_is_chosen_before() {
    for source in [
        "fn f() { a.next() + b }",
        "fn f() { a? + b }",
        "fn f() { x(&mut a) + b }",
        "fn f() { x[a += b] + 1 }",
    ] {
        let planted = planted(source, &[(Kind::Operator, "+ ", "-")]);
        let (left, right) = source[9..]
            .trim_end_matches(" }")
            .rsplit_once(" + ")
            .expect("a sum");
        let choice =
            format!("(if crate::is_mutant(0) {{({left} - {right})}} else {{({left} + {right})}})");
        assert!(planted.text.contains(&choice), "{}", planted.text);
        assert!(planted.watched.is_empty());
    }
    let all = [(Kind::Operator, "+", "-"), (Kind::Operator, "+", "*")];
    let one_is_not = planted_unwatched("fn f() { a + b }", &all, &[1]);
    assert!(one_is_not.watched.is_empty(), "{}", one_is_not.text);
    let both = planted("fn f() { a + b }", &all);
    let choice = "crate::chosen(0, || (a - b), || crate::chosen(1, || (a * b), || (a + b)))";
    assert!(both.text.contains(choice), "{}", both.text);
}

#[test]
fn bodies_arms_guards_negations_and_fields_are_asked_for() {
    let source = "fn f(x: u8) -> S {\n    match x {\n        1 => a(),\n        2 if !b => c(),\n        \
                  _ => S { d: 3, ..e },\n    }\n}\n";
    let planted = planted(
        source,
        &[
            (Kind::FunctionBody, "match", "S::new()"),
            (Kind::MatchArm, "1 =>", ""),
            (Kind::MatchArm, "2 if", ""),
            (Kind::Guard, "!b", "true"),
            (Kind::Guard, "!b", "false"),
            (Kind::Negation, "!b", ""),
            (Kind::Field, "d: 3", ""),
        ],
    );
    let ask = |number: usize| format!("crate::is_mutant({number})");
    let (body, first, second) = (ask(0), ask(1), ask(2));
    let (always, never, negation, field) = (ask(3), ask(4), 5, ask(6));
    for piece in [
        format!("if {body} {{return S::new();}} match x"),
        format!("1 if !{first}  => a()"),
        format!(
            "2 if !{second} && ({always} || !{never} && (crate::chosen({negation}, || b, || !b))) => c()"
        ),
        format!("S {{ d: (if {field} {{(e).d}} else {{3}}), ..e }}"),
    ] {
        assert!(planted.text.contains(&piece), "{piece}\n{}", planted.text);
    }
    assert_eq!(planted.numbers.len(), 7);
}

/// What binds a name in a condition, and what the compiler reckons, stays as it is.
#[test]
fn some_mutants_are_not_planted() {
    let source = "const A: u8 = 1 + 2;\nfn f() { if a && let Some(b) = c {} }\n";
    let planted = planted(
        source,
        &[(Kind::Operator, "+", "-"), (Kind::Operator, "&&", "||")],
    );
    assert_eq!(planted.text, source);
    assert!(planted.numbers.is_empty());
    assert_eq!(planted.rejected, BTreeSet::from([1]));
}
