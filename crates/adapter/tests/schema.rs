//! docs/adapter.schema.json says of an adapter what the reader says of it: the same keys, the same events, and what an
//! event needs. Whoever adds a key is told here which line is missing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;
use whofreed_adapter::SCHEMA;
use whofreed_adapter::build;
use whofreed_hooktable::Event;

const HEAD: &str = "name = \"pool\"\nlibrary = \"libpool.so*\"\n";

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

/// The first complaint of the schema about an adapter.
fn complaint(adapter: &str) -> Option<String> {
    let adapter: Value = toml::from_str(adapter).unwrap();
    let error = validator().validate(&adapter).err()?;
    Some(format!("{}: {error}", error.instance_path()))
}

/// What the reader says of an adapter.
fn read(adapter: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, adapter).unwrap();
    build(path.to_str().unwrap())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The keys that the reader knows in a place, by what it says of one that it does not know.
fn keys_read(adapter_with_unknown: &str) -> BTreeSet<String> {
    let error = read(adapter_with_unknown).unwrap_err();
    let (_, known) = error.rsplit_once("(known: ").expect(&error);
    let known = known.trim_end_matches(')').split(", ");
    known.map(str::to_owned).collect()
}

#[test]
fn the_schema_has_the_keys_that_the_reader_knows_and_no_others() {
    let schema = schema();
    let unknown = "no_such_key_at_all = 1\n";
    for (what, place, adapter) in [
        (
            "an adapter",
            &schema["properties"],
            format!("{unknown}{HEAD}"),
        ),
        (
            "a [[hook]]",
            &schema["definitions"]["hook"]["properties"],
            format!("{HEAD}[[hook]]\n{unknown}"),
        ),
        (
            "a [[device]]",
            &schema["definitions"]["part"]["properties"],
            format!("{HEAD}[[device]]\n{unknown}"),
        ),
    ] {
        let read = keys_read(&adapter);
        let told: BTreeSet<String> = place.as_object().unwrap().keys().cloned().collect();
        let missing: Vec<_> = read.difference(&told).collect();
        let stale: Vec<_> = told.difference(&read).collect();
        assert!(
            missing.is_empty() && stale.is_empty(),
            "docs/adapter.schema.json is stale: of {what} the reader (crates/adapter/src/source.rs) knows the keys \
             {missing:?}, so add a line \"KEY\": {{ \"type\": …, \"description\": … }} for each; it does not know \
             {stale:?}, so take these away",
        );
        for (key, about) in place.as_object().unwrap() {
            assert!(
                about["description"].is_string(),
                "{key} of {what} has no description"
            );
        }
    }
}

#[test]
fn the_schema_has_the_events_that_the_reader_knows_and_what_each_needs() {
    let schema = schema();
    let hook = &schema["definitions"]["hook"];
    let told: BTreeSet<&str> = {
        hook["properties"]["event"]["enum"]
            .as_array()
            .unwrap()
            .iter()
    }
    .map(|event| event.as_str().unwrap())
    .collect();
    let read_here: BTreeSet<&str> = Event::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        told, read_here,
        "docs/adapter.schema.json is stale: left are the events it has, right those of whofreed_hooktable::Event"
    );

    for event in told {
        let begin = format!("{HEAD}[[hook]]\nevent = \"{event}\"\nsymbols = [\"f\"]\n");
        let mut needed = Vec::new();
        // What the reader asks for, one after the other.
        let text = loop {
            let keys: String = { needed.iter() }
                .map(|key| format!("{key} = \"arg0\"\n"))
                .collect();
            let text = format!("{begin}{keys}");
            match read(&text) {
                Ok(()) => break text,
                Err(error) => {
                    // Of several that would do, the first.
                    let (_, keys) = error.split_once(" needs ").expect(&error);
                    needed.push(keys.split('`').nth(1).expect(&error).to_owned());
                    assert!(
                        complaint(&text).is_some(),
                        "docs/adapter.schema.json is stale: a hook of event {event} needs {needed:?} (a line of its `allOf`)"
                    );
                }
            }
        };
        assert_eq!(complaint(&text), None, "the reader takes this:\n{text}");
    }
}

#[test]
fn every_adapter_of_ours_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    let mut folders = vec![
        root.join("adapters"),
        root.join("tests"),
        root.join("c_tests"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // There may be manifests of Rust crates among the tests' files.
            if text.contains("[[hook]]") {
                seen += 1;
                assert_eq!(complaint(&text), None, "{}", path.display());
            }
        }
    }
    assert!(seen >= 2, "adapters/ and tests/preload have one each");
}

#[test]
fn what_the_reader_refuses_by_its_form_the_schema_refuses() {
    let sound = "[[hook]]\nevent = \"deallocate\"\nsymbols = [\"f\"]\naddress = \"arg0\"\n";
    assert_eq!(complaint(&format!("{HEAD}{sound}")), None);
    let part = "[[device]]\nvalue = \"0\"\n";
    for wrong in [
        format!("name = \"pool\"\n{sound}"),
        format!("name = \"\"\nlibrary = \"x\"\n{sound}"),
        format!("{HEAD}hook = []\n"),
        format!("{HEAD}owner_unique = 1\n{sound}"),
        format!("{HEAD}kinds = [1]\n{sound}"),
        format!("{HEAD}{}{sound}", part.repeat(5)),
        format!("{HEAD}[[device]]\nnames = [\"a\"]\n{sound}"),
        format!("{HEAD}{}", sound.replace("deallocate", "dealocate")),
        format!("{HEAD}{}", sound.replace("[\"f\"]", "\"f\"")),
        format!("{HEAD}{}", sound.replace("[\"f\"]", "[]")),
        format!("{HEAD}{}", sound.replace("address", "adress")),
        format!("{HEAD}{}", sound.replace("\"arg0\"", "0")),
        format!("{HEAD}{sound}stack_words = 257\n"),
        format!("{HEAD}{sound}simd = 1\n"),
        format!("{HEAD}{sound}build_id = []\n"),
        format!("{HEAD}{sound}build_id = [\"0X\"]\n"),
        format!("{HEAD}{sound}guard = \"0\"\n"),
    ] {
        assert!(complaint(&wrong).is_some(), "{wrong}");
        assert!(read(&wrong).is_err(), "{wrong}");
    }
}
