//! Opens whole files, as users give them.

use crate::verdict::FindingKind;
use crate::{Dataset, DatasetError, ReadOptions, Severity, Verdict};
use proptest::prelude::*;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use tunesmith_core::contract::{DatasetView, Role, Selection};
use tunesmith_core::tokens::Tokenizer;

pub(super) fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    file
}

pub(super) fn open(bytes: &[u8]) -> Dataset {
    Dataset::open(file(bytes).path(), &ReadOptions::default()).unwrap()
}

fn row(system: &str, question: &str, answer: &str) -> String {
    serde_json::json!({"messages": [
        {"role": "system", "content": system},
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]})
    .to_string()
        + "\n"
}

fn tasks_file(rows: usize, tasks: usize) -> String {
    (0..rows).map(|n| row(&format!("task {}", n % tasks), &format!("question {n}"), "an answer")).collect()
}

#[test]
fn a_plain_file_is_read_whole() {
    let dataset = open(tasks_file(120, 3).as_bytes());
    assert_eq!((dataset.rows(), dataset.typed_rows(), dataset.task_count()), (120, 120, 3));
    assert_eq!(dataset.verdict(), &Verdict::default());
    let example = dataset.example(7).unwrap().unwrap();
    assert_eq!(example.messages[0].content, "task 1");
    assert_eq!(example.messages[1].content, "question 7");
    assert_eq!(example.messages[2].role, Role::Assistant);
    assert_eq!(dataset.example(120).unwrap(), None);
    let counting = dataset.count(Tokenizer::O200k).unwrap();
    let by_hand: u64 =
        (0..120).map(|id| Tokenizer::O200k.count_example(&dataset.example(id).unwrap().unwrap())).sum();
    assert!(counting.exact);
    assert_eq!(counting.total, by_hand);
}

#[test]
fn the_digest_is_of_the_bytes() {
    let text = tasks_file(60, 1);
    let expected = tunesmith_core::digest::Digest::of(&text).to_string();
    assert_eq!(open(text.as_bytes()).digest(), expected);
}

#[test]
fn only_regular_files_are_read() {
    let refused = |path: &str| match Dataset::open(&PathBuf::from(path), &ReadOptions::default()) {
        Err(error) => tunesmith_core::failure::Failure::from(error).message,
        Ok(_) => panic!("{path} was read"),
    };
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(refused(pipe.to_str().unwrap()).ends_with("is a pipe, not a regular file"));
    assert!(refused(dir.path().to_str().unwrap()).ends_with("is a directory, not a regular file"));
    assert!(refused("/dev/zero").ends_with("is a device, not a regular file"));
    assert!(refused("/nonexistent/x.jsonl").starts_with("cannot read dataset"));
}

#[test]
fn a_file_that_changed_is_noticed() {
    let mut file = file(tasks_file(60, 1).as_bytes());
    let dataset = Dataset::open(file.path(), &ReadOptions::default()).unwrap();
    dataset.unchanged().unwrap();
    file.write_all(b"{}\n").unwrap();
    assert!(matches!(dataset.unchanged(), Err(DatasetError::Changed { .. })));
    assert!(matches!(dataset.example(3), Err(DatasetError::Changed { .. })));
}

#[test]
fn threads_do_not_change_the_result() {
    let mut text = tasks_file(9000, 7);
    text.push_str("{\"messages\": []}\n\nnot json\n");
    text.push_str(&tasks_file(9000, 5));
    let file = file(text.as_bytes());
    let with = |threads| {
        let options = ReadOptions { threads: NonZeroUsize::new(threads), ..ReadOptions::default() };
        let dataset = Dataset::open(file.path(), &options).unwrap();
        let inner = dataset.inner;
        (inner.verdict.clone(), inner.digest.clone(), inner.rows.index.entries.clone(), inner.sums.clone())
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(5));
    let lines: Vec<_> =
        one.0.findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.line).collect();
    assert_eq!(lines, [Some(9001), Some(9003)]);
}

#[test]
fn sample_is_balanced_spread_and_limited() {
    // One task has nearly all rows.
    let mut text: String = (0..2000).map(|n| row("common", &format!("question {n}"), "yes")).collect();
    text.extend((0..20).map(|n| row("rare", &format!("special {n}"), "no")));
    let dataset = open(text.as_bytes());
    let view = dataset.view(Tokenizer::Cautious, 1).unwrap();
    let sample = view.sample(&Selection { count: 16, ..Selection::default() });
    let of_task = |task| sample.iter().filter(|row| row.task == task).map(|row| row.id).collect::<Vec<_>>();
    assert_eq!((of_task(0).len(), of_task(1).len()), (8, 8));
    for quarter in 0..4 {
        let range = quarter * 500..(quarter + 1) * 500;
        assert!(of_task(0).iter().any(|id| range.contains(id)), "no row of {range:?}: {:?}", of_task(0));
    }
    for row in &sample {
        assert_eq!(Some(&row.example), dataset.example(row.id).unwrap().as_ref());
        assert_eq!(u64::from(row.tokens), Tokenizer::Cautious.count_example(&row.example));
    }
    let one_task = view.sample(&Selection { count: 50, task: Some(1), ..Selection::default() });
    assert_eq!(one_task.len(), 20);
    assert!(one_task.iter().all(|row| row.task == 1));
    assert_eq!(
        sample,
        dataset
            .view(Tokenizer::Cautious, 1)
            .unwrap()
            .sample(&Selection { count: 16, ..Selection::default() })
    );
    let other = dataset.view(Tokenizer::Cautious, 2).unwrap();
    assert_ne!(sample, other.sample(&Selection { count: 16, ..Selection::default() }));
}

#[test]
fn sample_skips_rows_that_exceed_the_budget() {
    let text: String = (0..200)
        .map(|n| row("s", &format!("question {n}"), &"long ".repeat(if n % 10 == 0 { 1 } else { 400 })))
        .collect();
    let view = open(text.as_bytes()).view(Tokenizer::Cautious, 3).unwrap();
    let budget = 200;
    let sample = view.sample(&Selection { count: 100, token_budget: Some(budget), ..Selection::default() });
    assert!(sample.len() >= 5, "{}", sample.len());
    assert!(sample.iter().map(|row| row.tokens).sum::<u32>() <= budget);
    let short = view.sample(&Selection { count: 100, longest_row_tokens: Some(100), ..Selection::default() });
    assert_eq!(short.len(), 20);
}

#[test]
fn sample_has_no_duplicates_and_no_incomplete_rows() {
    let mut text: String = row("s", "same", "answer").repeat(50);
    // The same again, written otherwise.
    text.push_str("{\"messages\":[{\"role\":\"system\",\"content\":\"\\u0073\"},{\"content\":\"same\",\"role\":\"user\"},{\"role\":\"assistant\",\"content\":\"answer\"}]}\n");
    text.push_str("{\"messages\":[{\"role\":\"user\",\"content\":\"no answer\"}]}\n");
    text.push_str("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]}\n");
    let dataset = open(text.as_bytes());
    assert_eq!(dataset.verdict().count(FindingKind::DuplicateRow), 50);
    let sample = dataset
        .view(Tokenizer::Cautious, 0)
        .unwrap()
        .sample(&Selection { count: 99, ..Selection::default() });
    assert_eq!(sample.iter().map(|row| row.id).collect::<Vec<_>>(), [0]);
}

#[test]
fn one_task_per_row_is_sampled_evenly() {
    let dataset = open(tasks_file(1000, 1000).as_bytes());
    let view = dataset.view(Tokenizer::Cautious, 0).unwrap();
    let sample = view.sample(&Selection { count: 8, ..Selection::default() });
    assert!(sample.iter().any(|row| row.id < 250) && sample.iter().any(|row| row.id >= 750));
    let tasks = view.tasks(70);
    assert_eq!(tasks.len(), 70);
    assert_eq!(tasks[69].system, "task 69");
}

#[test]
fn an_estimate_is_close_and_says_how_close() {
    let words = ["alpha", "naïve", "注文", "return x;", "because", "the", "quick", "über", "привет"];
    let text: String = (0..12_000)
        .map(|n: usize| {
            let answer: String =
                (0..n % 60 + 5).map(|m| words[(n * 7 + m * m) % words.len()].to_owned() + " ").collect();
            row("You answer.", &format!("question {n}"), &answer)
        })
        .collect();
    let file = file(text.as_bytes());
    let estimate =
        Dataset::open(file.path(), &ReadOptions::default()).unwrap().count(Tokenizer::O200k).unwrap();
    let exact = Dataset::open(file.path(), &ReadOptions { exact: true, ..ReadOptions::default() })
        .unwrap()
        .count(Tokenizer::O200k)
        .unwrap();
    assert!(!estimate.exact && exact.exact);
    let off = (estimate.total as f64 / exact.total as f64 - 1.0).abs();
    assert!(off < 2.0 * estimate.error && estimate.error < 0.05, "off {off}, said {}", estimate.error);
    assert!(estimate.longest <= exact.longest && estimate.longest * 100 >= exact.longest * 95);
}

#[test]
fn rows_between_those_kept_are_found() {
    let text: String = (0..50).map(|n| format!("\n{}", row("s", &format!("question {n}"), "a"))).collect();
    let mut dataset = open(text.as_bytes());
    let rows = Arc::get_mut(&mut Arc::get_mut(&mut dataset.inner).unwrap().rows).unwrap();
    rows.index.stride = 8;
    let mut n = 0;
    rows.index.entries.retain(|_| {
        n += 1;
        (n - 1) % 8 == 0
    });
    // The file is gone by now, but the open handle still reads it.
    for id in 0..50 {
        let example = dataset.example(id).unwrap().unwrap();
        assert_eq!(example.messages[1].content, format!("question {id}"));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_lose_no_row(bytes in prop::collection::vec(
        prop_oneof![3 => any::<u8>(), 2 => Just(b'\n'), 1 => Just(b'{'), 1 => Just(b'"'), 1 => Just(b' ')], 0..400,
    )) {
        // The first line settles that the file is lines of JSON, not an array, a table
        // or something compressed.
        let bytes = [b"{\"messages\": []}\n".as_slice(), &bytes].concat();
        let rows = bytes
            .split(|&byte| byte == b'\n')
            .filter(|line| line.iter().any(|byte| !matches!(byte, b' ' | b'\t' | b'\r')))
            .count() as u64;
        let file = file(&bytes);
        let dataset = Dataset::open(file.path(), &ReadOptions::default()).unwrap();
        prop_assert_eq!(dataset.rows(), rows);
    }
}
