#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

struct CaseFolder(tempfile::TempDir);

impl CaseFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> &Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn read(&self) -> Result<Vec<Case>, CaseError> {
        read(self.0.path())
    }
}

#[test]
fn case_needs_only_a_call() {
    let place = CaseFolder::new();
    place
        .put("rows.jsonl", "{}")
        .put("one/case.json", r#"{"call": "ollama.configure", "settings": {"b": 1, "a": [2]}}"#)
        .put(
            "two/case.json",
            r#"{"call": "openai.configure", "dataset": null, "name": "N", "baseModel": "m"}"#,
        )
        .put("two/rows.jsonl", "{}")
        .put(".hidden/case.json", "not looked at");
    let cases = place.read().unwrap();
    let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    let [one, two] = cases.as_slice() else { panic!("two cases") };
    assert_eq!((one.job.as_str(), one.base_model.as_str()), ("one", "llama3.2"));
    assert_eq!(one.rows.as_deref(), Some(&*place.0.path().join("rows.jsonl")));
    let given: Vec<_> = one.settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(given, ["b", "a"], "in the order of the file");
    assert_eq!((two.job.as_str(), two.base_model.as_str(), &two.rows), ("N", "m", &None));
}

#[test]
fn case_errors_name_file_and_reason() {
    for (text, wrong) in [
        ("{", "EOF while parsing"),
        ("{}", "missing field `call`"),
        (r#"{"call": "ollama.configur"}"#, "did you mean ollama.configure?"),
        (r#"{"call": "method.describe", "datset": null}"#, "unknown field `datset`"),
        (r#"{"call": "ollama.configure", "dataset": "../rows.jsonl"}"#, "without folders"),
        (r#"{"call": "ollama.configure", "dataset": "/etc/hostname"}"#, "without folders"),
        (r#"{"call": "ollama.configure", "dataset": ".."}"#, "without folders"),
        (r#"{"call": "ollama.configure", "dataset": "other.jsonl"}"#, "does not exist"),
    ] {
        let place = CaseFolder::new();
        let error = place.put("one/case.json", text).read().unwrap_err();
        assert!(error.place.ends_with("one/case.json"), "{error}");
        assert!(error.reason.contains(wrong), "{text}: {error}");
    }
    let place = CaseFolder::new();
    let error = place.put("one/rows.jsonl", "").read().unwrap_err();
    assert!(error.reason.contains("missing file"), "{error}");
}

#[test]
fn a_case_reads_nothing_through_a_link() {
    let place = CaseFolder::new();
    place.put("elsewhere", "{}").put("one/case.json", r#"{"call": "ollama.configure"}"#);
    std::os::unix::fs::symlink(place.0.path().join("elsewhere"), place.0.path().join("one/rows.jsonl"))
        .unwrap();
    assert!(place.read().unwrap_err().reason.contains("not a regular file"));
    let other = CaseFolder::new();
    other.put("one/text", r#"{"call": "ollama.configure"}"#);
    std::os::unix::fs::symlink("text", other.0.path().join("one/case.json")).unwrap();
    assert!(other.read().unwrap_err().reason.contains("not a regular file"));
}

#[test]
fn number_of_cases_is_limited() {
    let place = CaseFolder::new();
    for n in 0..=MOST_CASES {
        fs::create_dir(place.0.path().join(format!("case-{n}"))).unwrap();
    }
    assert!(place.read().unwrap_err().reason.contains("the limit is 256"));
}
