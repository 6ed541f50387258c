//! What holds for every dataset: nothing is lost in conversion but what is listed, a
//! file's container does not matter, and no bytes are too strange.

use crate::support::dataset as invariants;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tunesmith_core::contract::{Conversations, MethodJob};
use tunesmith_dataset::{
    Batch, ConvertOptions, Converted, Dataset, Destination, Format, ReadOptions, SplitOptions,
    TransformOptions, UntypedRows,
};

/// Texts with everything that has to be escaped somewhere.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z ,.?\"\\\\]{1,20}",
        2 => "[ -~\n\r\t,\"é注😀\u{a0}\u{2028}]{1,30}",
        1 => any::<String>().prop_filter("says something", |text| !text.trim_ascii().is_empty() && !text.contains('\0')),
    ]
    .prop_filter("says something", |text| !text.trim_ascii().is_empty())
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

/// Questions and answers in turn, perhaps after a system prompt.
fn conversation() -> impl Strategy<Value = Vec<Value>> {
    (prop::option::of(text()), prop::collection::vec((text(), text()), 1..4)).prop_map(|(system, turns)| {
        let mut messages: Vec<Value> = system.iter().map(|text| message("system", text)).collect();
        for (question, answer) in turns {
            messages.push(message("user", &question));
            messages.push(message("assistant", &answer));
        }
        messages
    })
}

/// What chat rows may have besides.
fn with_details() -> impl Strategy<Value = Value> {
    (conversation(), 0..6).prop_map(|(mut messages, what)| {
        let last = messages.len() - 1;
        match what {
            0 => messages[last]["weight"] = 1.into(),
            1 => messages[last - 1]["name"] = "ann".into(),
            2 => {
                let call = json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }]);
                messages.push(message("user", "And now?"));
                messages.push(json!({ "role": "assistant", "content": null, "tool_calls": call }));
                messages.push(json!({ "role": "tool", "tool_call_id": "c", "content": "7" }));
                messages.push(message("assistant", "7"));
            }
            3 => {
                let parts = json!([{ "type": "text", "text": "What?" }, { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } }]);
                messages[last - 1]["content"] = parts;
            }
            _ => {}
        }
        json!({ "messages": messages })
    })
}

fn write(folder: &Path, name: &str, rows: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(&path, text).unwrap();
    path
}

fn read(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn convert(from: &Path, to: Format, name: &str) -> Result<Converted, tunesmith_dataset::ConvertError> {
    let out = from.parent().unwrap().join(name);
    let destination = Destination::File { path: &out, replace: true };
    let conversion = ConvertOptions { to: Some(to), ..ConvertOptions::default() };
    tunesmith_dataset::convert(from, &ReadOptions::default(), &conversion, destination)
}

/// Role and text of each message.
fn said(row: &Value) -> Vec<(String, String)> {
    let messages = row["messages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    messages.iter().map(|message| (text(&message["role"]), text(&message["content"]))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn plain_conversations_survive_every_format(rows in prop::collection::vec(conversation(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<Value> = rows.into_iter().map(|messages| json!({ "messages": messages })).collect();
        let file = write(folder.path(), "chat.jsonl", &rows);
        for to in [Format::OpenAi, Format::ShareGpt, Format::Alpaca, Format::PromptCompletion] {
            let there = convert(&file, to, "there.jsonl").unwrap();
            prop_assert_eq!(there.rows_written, rows.len() as u64, "{:?}", there.dropped_rows);
            prop_assert!(there.lost.is_empty());
            let found = Dataset::open(&there.file.path, &ReadOptions::default()).unwrap();
            prop_assert_eq!(found.recognized().format, to);
            let back = convert(&there.file.path, Format::OpenAi, "back.jsonl").unwrap();
            prop_assert_eq!(back.rows_written, rows.len() as u64);
            let back = read(&back.file.path);
            for (row, back) in rows.iter().zip(&back) {
                prop_assert_eq!(said(row), said(back), "by way of {}", to.name());
            }
        }
    }

    /// Whether a row is nothing but texts, has weights, or is not seen by the transform.
    #[test]
    fn a_transform_that_changes_nothing_keeps_every_row(rows in prop::collection::vec(with_details(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "chat.jsonl", &rows);
        let job = MethodJob { name: "x".into(), base_model: "x".into(), settings: vec![], seed: 0 };
        let how = TransformOptions { job: &job, untyped: UntypedRows::Pass };
        let same = |_: &MethodJob, rows: &Arc<Conversations>| {
            Ok::<_, Infallible>(Batch { rows: (**rows).clone(), notes: vec![] })
        };
        let out = folder.path().join("out.jsonl");
        let destination = Destination::File { path: &out, replace: true };
        tunesmith_dataset::transform(&file, &ReadOptions::default(), &how, || same, destination).unwrap();
        prop_assert_eq!(read(&out), rows);
    }

    #[test]
    fn what_a_format_cannot_carry_is_listed(rows in prop::collection::vec(with_details(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "chat.jsonl", &rows);
        let plain = |row: &Value| {
            row["messages"].as_array().unwrap().iter().all(|message| {
                message["content"].is_string() && message["role"] != "tool"
            })
        };
        let expressible: Vec<&Value> = rows.iter().filter(|row| plain(row)).collect();
        let details = expressible.iter().flat_map(|row| row["messages"].as_array().unwrap())
            .map(|message| message.as_object().unwrap().len() as u64 - 2).sum::<u64>();
        // Its own format keeps every row byte for byte.
        let same = convert(&file, Format::OpenAi, "same.jsonl").unwrap();
        prop_assert_eq!(fs::read(&same.file.path).unwrap(), fs::read(&file).unwrap());
        let there = match convert(&file, Format::ShareGpt, "there.jsonl") {
            Ok(there) => there,
            Err(error) => {
                prop_assert!(expressible.is_empty(), "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(there.lost.values().sum::<u64>(), details);
        prop_assert_eq!(there.rows_written, expressible.len() as u64);
        prop_assert_eq!(there.dropped.values().sum::<u64>(), (rows.len() - expressible.len()) as u64);
        let back = convert(&there.file.path, Format::OpenAi, "back.jsonl").unwrap();
        for (row, back) in expressible.iter().zip(read(&back.file.path)) {
            prop_assert_eq!(said(row), said(&back));
        }
    }

    #[test]
    fn preference_pairs_survive(rows in prop::collection::vec((conversation(), text()), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let pairs: Vec<Value> = rows.into_iter().map(|(mut messages, rejected)| {
            let preferred = messages.pop().unwrap();
            json!({
                "input": { "messages": messages },
                "preferred_output": [preferred],
                "non_preferred_output": [message("assistant", &rejected)],
            })
        }).collect();
        let file = write(folder.path(), "pairs.jsonl", &pairs);
        let there = convert(&file, Format::Preference, "there.jsonl").unwrap();
        let back = convert(&there.file.path, Format::OpenAiPreference, "back.jsonl").unwrap();
        prop_assert_eq!(&read(&back.file.path), &pairs);
        // Of chat rows the preferred answer is the last.
        let chat = read(&convert(&file, Format::OpenAi, "chat.jsonl").unwrap().file.path);
        for (pair, row) in pairs.iter().zip(&chat) {
            prop_assert_eq!(row["messages"].as_array().unwrap().last(), pair["preferred_output"].get(0));
        }
    }

    #[test]
    fn the_container_does_not_matter(rows in prop::collection::vec(conversation(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<Value> = rows.into_iter().map(|messages| json!({ "messages": messages })).collect();
        let plain = write(folder.path(), "chat.jsonl", &rows);
        let bytes = fs::read(&plain).unwrap();
        let expected = examples(&plain);
        let put = |name: &str, bytes: Vec<u8>| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        let zst = ruzstd::encoding::compress_to_vec(&*bytes, ruzstd::encoding::CompressionLevel::Fastest);
        for path in [
            put("chat.json", serde_json::to_vec(&rows).unwrap()),
            put("pretty.json", serde_json::to_vec_pretty(&rows).unwrap()),
            put("chat.jsonl.gz", packed.finish().unwrap()),
            put("chat.jsonl.zst", zst),
            put("crlf.jsonl", String::from_utf8(bytes.clone()).unwrap().replace('\n', "\r\n").into_bytes()),
            put("bom.jsonl", [b"\xef\xbb\xbf", &*bytes].concat()),
            put("table.csv", csv(&rows)),
        ] {
            prop_assert_eq!(&examples(&path), &expected, "{}", path.display());
        }
    }

    #[test]
    fn split_keeps_rows_shares_and_order(
        tasks in prop::collection::vec((1..60_usize, 0..3_usize), 1..5),
        share in 0.05..0.5_f64,
        seed in any::<u32>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = Vec::new();
        for (task, (count, repeats)) in tasks.iter().enumerate() {
            for n in 0..*count {
                // Some rows are there more than once.
                for _ in 0..=(if n % 7 == 0 { *repeats } else { 0 }) {
                    rows.push(json!({ "messages": [
                        message("system", &format!("task {task}")),
                        message("user", &format!("question {n}")),
                        message("assistant", "yes"),
                    ] }));
                }
            }
        }
        let file = write(folder.path(), "chat.jsonl", &rows);
        let at = |name: &str| folder.path().join(name);
        let division = SplitOptions { validation: share, seed, replace: true };
        let split = |a: &str, b: &str| tunesmith_dataset::split(&file, &ReadOptions::default(), &division, &at(a), &at(b));
        let divided = split("train.jsonl", "validation.jsonl").unwrap();
        let (train, validation) = (read(&at("train.jsonl")), read(&at("validation.jsonl")));
        prop_assert_eq!(divided.training_rows as usize, train.len());
        prop_assert!(train.iter().all(|row| !validation.contains(row)));
        // Each file has the rows in their order, and together they have all.
        let (mut a, mut b) = (train.iter().peekable(), validation.iter().peekable());
        for row in &rows {
            let next = if a.peek() == Some(&row) { a.next() } else { b.next() };
            prop_assert_eq!(next, Some(row));
        }
        // Of the different rows of each task, the share is right to a row.
        for (task, (count, _)) in tasks.iter().enumerate() {
            let system = format!("task {task}");
            let mut of_task: Vec<&Value> =
                validation.iter().filter(|row| row["messages"][0]["content"] == *system).collect();
            of_task.dedup();
            let off = of_task.len() as f64 - *count as f64 * share;
            prop_assert!(off.abs() <= 1.0, "{} of {count} for {share}", of_task.len());
        }
        // The same seed gives the same files.
        split("train2.jsonl", "validation2.jsonl").unwrap();
        prop_assert_eq!(fs::read(at("validation.jsonl")).unwrap(), fs::read(at("validation2.jsonl")).unwrap());
    }

    #[test]
    fn any_bytes_are_judged(
        bytes in prop::collection::vec(
            prop_oneof![
                6 => "[ -~]{0,12}".prop_map(String::into_bytes),
                2 => prop::sample::select(TOKENS.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
                1 => prop::collection::vec(any::<u8>(), 0..6),
            ],
            0..60,
        ),
        name in prop::sample::select(vec!["data.jsonl", "data.txt", "data.csv"]),
    ) {
        invariants::holds(&bytes.concat(), name);
    }
}

/// What arbitrary files are made of, besides arbitrary bytes.
const TOKENS: [&str; 22] = [
    "\n",
    "\r\n",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\u{feff}",
    "\u{c}",
    "\0",
    " ",
    "\\u0000",
    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}",
    "{\"instruction\":\"a\",\"output\":\"b\"}\n",
    "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n",
    "{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"b\"}]}\n",
    "{\"text\":\"a\"}\n",
    "prompt,completion\n",
    "a,\"b\nc\"\n",
    "\"role\":\"tool\"",
];

/// The rows of a file as methods see them.
fn examples(path: &Path) -> Vec<Option<tunesmith_core::contract::Example>> {
    let dataset = Dataset::open(path, &ReadOptions::default()).unwrap();
    (0..dataset.rows()).map(|id| dataset.example(id as u32).unwrap()).collect()
}

/// Rows as a table with one column, which holds JSON.
fn csv(rows: &[Value]) -> Vec<u8> {
    let cells = rows.iter().map(|row| format!("\"{}\"\n", row["messages"].to_string().replace('"', "\"\"")));
    std::iter::once("messages\n".to_owned()).chain(cells).collect::<String>().into_bytes()
}

#[test]
fn form_feeds_are_a_row_everywhere() {
    for file in
        ["\u{c}\n{\"text\":\"a\"}\n", "[\u{c}]", "[{\"text\":\"a\"}\u{c}]", "prompt,completion\n\u{c}\n"]
    {
        invariants::holds(file.as_bytes(), "data.jsonl");
    }
}
