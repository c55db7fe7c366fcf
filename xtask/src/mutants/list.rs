//! The mutants that cargo-mutants lists.

use serde_json::Value;

use crate::run::Outcome;

/// One mutant, as cargo-mutants lists it.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its number among all that are planted.
    pub number: usize,
    /// In words, with its place.
    pub name: String,
    pub file: String,
    pub kind: Kind,
    /// Where it begins: line and column, both from 1.
    pub place: (usize, usize),
    /// What stands there instead.
    pub replacement: String,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    FunctionBody,
    Operator,
    Negation,
    MatchArm,
    Guard,
    Field,
}

impl Kind {
    /// By the word that cargo-mutants has for it.
    pub fn of(genre: &str) -> Option<Self> {
        match genre {
            "FnValue" => Some(Self::FunctionBody),
            "BinaryOperator" => Some(Self::Operator),
            "UnaryOperator" => Some(Self::Negation),
            "MatchArm" => Some(Self::MatchArm),
            "MatchArmGuard" => Some(Self::Guard),
            "StructField" => Some(Self::Field),
            _ => None,
        }
    }
}

/// The mutants of a list by cargo-mutants, in JSON.
pub fn mutants(json: &str) -> Outcome<Vec<Mutant>> {
    // Nothing is said where a change has nothing to mutate.
    if json.trim().is_empty() {
        return Ok(Vec::new());
    }
    let list: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let mut mutants = Vec::new();
    for (number, one) in list.as_array().into_iter().flatten().enumerate() {
        let Some(kind) = Kind::of(&word(one, "genre")) else {
            return Err(format!("unknown kind of mutant: {one}"));
        };
        let start = &one["span"]["start"];
        let place = |name: &str| start[name].as_u64().unwrap_or(1) as usize;
        mutants.push(Mutant {
            number,
            name: word(one, "name"),
            file: word(one, "file"),
            kind,
            place: (place("line"), place("column")),
            replacement: word(one, "replacement"),
        });
    }
    Ok(mutants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_may_be_empty() {
        let json = r#"[{"file":"a.rs","genre":"FnValue","name":"a.rs:3:5: replace f with ()","replacement":"()",
            "span":{"start":{"line":3,"column":5},"end":{"line":3,"column":9}}}]"#;
        let mutants = mutants(json).expect("it is a list");
        assert_eq!(mutants[0].kind, Kind::FunctionBody);
        assert_eq!(mutants[0].place, (3, 5));
        assert!(super::mutants("").expect("there are none").is_empty());
        assert!(super::mutants(r#"[{"genre":"Other"}]"#).is_err());
    }
}
