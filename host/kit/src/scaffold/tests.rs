use super::*;
use std::collections::BTreeSet;

fn below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

#[test]
fn project_contains_every_file_of_its_sources() {
    let names = |list: &[(&str, &str)]| list.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<String> = names(vendored::CONTRACT);
    assert_eq!(found, below(&root().join("wit/method")));
    let found: BTreeSet<String> = names(vendored::SDK);
    assert_eq!(
        found,
        below(&root().join("plugins/sdk/src")).iter().map(|name| format!("src/{name}")).collect()
    );
    for language in Language::ALL {
        let folder = root().join("host/kit/templates").join(language.as_str());
        let common = below(&root().join("host/kit/templates/common"));
        let mut found = BTreeSet::new();
        for (path, _) in templates::of(language).filter(|(path, _)| !path.starts_with("sdk/")) {
            found.insert(if path == ".gitignore" { "gitignore".to_owned() } else { path.to_owned() });
        }
        assert_eq!(found, below(&folder).union(&common).cloned().collect(), "{language:?}");
    }
}

#[test]
fn a_project_bears_its_name_everywhere() {
    for language in Language::ALL {
        let files = files("few-shots2", language).unwrap();
        let all: String = files
            .iter()
            .filter(|file| !file.path.starts_with("sdk/") && !file.path.starts_with("wit/"))
            .map(|file| format!("{}\n{}", file.path, file.content))
            .collect();
        for left in ["my-method", "my_method", "MyMethod", "My Method"] {
            assert!(!all.contains(left), "{left} is left in the {language:?} project");
        }
        assert!(all.contains("few-shots2") && all.contains("Few Shots2"));
    }
}

#[test]
fn project_sdk_has_no_development_dependencies() {
    let manifest = vendored::sdk_manifest();
    assert!(manifest.contains("[dependencies]") && manifest.contains("wit-bindgen = "));
    assert!(!manifest.contains("wit-bindgen-core") && !manifest.contains("dev-dependencies"));
}

#[test]
fn invalid_name_suggests_a_valid_one() {
    for (name, near) in [
        ("My Method", Some("my-method")),
        ("2fast", Some("fast")),
        ("café", Some("caf")),
        ("", None),
        ("Ω", None),
    ] {
        match check_name(name, Language::JavaScript) {
            Err(ScaffoldError::Name { near: found, .. }) => assert_eq!(found.as_deref(), near, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(check_name("lora", Language::Python), Err(ScaffoldError::Taken { .. })));
    assert!(matches!(check_name("async", Language::Rust), Err(ScaffoldError::Taken { .. })));
    assert!(check_name("async", Language::Python).is_ok());
}

#[test]
fn a_folder_that_exists_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("mine");
    fs::create_dir(&folder).unwrap();
    let error = create(&folder, "mine", Language::Rust).unwrap_err();
    assert!(matches!(error, ScaffoldError::Exists { .. }));
    assert_eq!(below(place.path()).len(), 0);
    fs::remove_dir(&folder).unwrap();
    let files = create(&folder, "mine", Language::Rust).unwrap();
    assert_eq!(below(&folder).len(), files.len());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing else is left");
    assert!(create(&folder, "mine", Language::Rust).is_err());
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let error = create(&place.path().join("no/such/mine"), "mine", Language::Python).unwrap_err();
    assert!(matches!(error, ScaffoldError::Write { .. }));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
