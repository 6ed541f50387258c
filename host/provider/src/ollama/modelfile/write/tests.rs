use super::super::represent::Reason;
use super::*;
use crate::ollama::names::{ModelName, destination, modelfile_name};
use crate::ollama::printable::is_printable;
use proptest::prelude::*;
use tunesmith_core::contract::{Example, OllamaConfig, Role, Setting, Shot, Value};

const JOB: &str = "Customer Support LoRA";

fn rendered(
    config: &OllamaConfig,
    rows: &dyn Fn(u32) -> Option<Example>,
) -> (CreateRequest, Result<String, Withheld>) {
    let baked = crate::ollama::check(config, &[], rows).unwrap();
    let base = ModelName::parse("llama2").unwrap();
    let request = CreateRequest::new(destination(JOB, "lora", &base), base, &baked).unwrap();
    let file_name = modelfile_name(JOB, "lora");
    let heading = Heading { job: JOB, method: "lora", file_name: &file_name };
    let text = render_checked(&request, &baked, heading);
    (request, text)
}

fn pair(question: &str, answer: &str) -> Example {
    let message = |role, content: &str| Message { role, content: content.into() };
    Example { messages: vec![message(Role::User, question), message(Role::Assistant, answer)] }
}

fn config(system: &str, shots: Vec<Shot>, stops: &[&str], notes: &[&str]) -> OllamaConfig {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let mut parameters = vec![
        Setting { name: "temperature".into(), value: Value::Number(0.7) },
        Setting { name: "num_ctx".into(), value: Value::Integer(32_768) },
    ];
    if !stops.is_empty() {
        parameters.push(Setting { name: "stop".into(), value: Value::Texts(texts(stops)) });
    }
    OllamaConfig { system: Some(system.into()), shots, parameters, notes: texts(notes) }
}

#[test]
fn a_modelfile_as_a_person_reads_it() {
    let rows = |id| (id == 17).then(|| pair("Where is my order?", "It left our warehouse on Monday."));
    let mut own = pair("Refund?", "Of course.\nIt takes \"three\" days.");
    own.messages.insert(0, Message { role: Role::System, content: "You handle refunds.".into() });
    let config = config(
        "You are the support of Acme.\n\nBe brief.",
        vec![Shot::Row(17), Shot::Written(own)],
        &["</s>", "\n\n"],
        &[
            "chose 2 of 64 rows, balanced over 3 tasks, so that the model sees each kind of question at least once \
             and still has room for an answer",
            "two\nlines",
        ],
    );
    insta::assert_snapshot!(rendered(&config, &rows).1.unwrap());
}

#[test]
fn text_that_it_cannot_hold_is_named_and_the_request_stands() {
    let rows = |id: u32| Some(pair("ok?", if id == 3 { "non\u{a0}breaking" } else { "fine" }));
    let config = config("\"\"\"\nhi", vec![Shot::Row(2), Shot::Row(3)], &["\u{200b}"], &[]);
    let (request, text) = rendered(&config, &rows);
    let withheld = text.unwrap_err();
    insta::assert_snapshot!(withheld);
    insta::assert_json_snapshot!(withheld);
    assert!(request.messages.iter().any(|message| message.content == "non\u{a0}breaking"));
}

#[test]
fn a_flood_of_such_texts_is_cut() {
    let config = config("x", (0..30).map(Shot::Row).collect(), &[], &[]);
    let (_, text) = rendered(&config, &|_| Some(pair("\u{200d}", "\u{200d}")));
    let Err(Withheld::Unrepresentable { texts, more }) = text else { panic!("{text:?}") };
    assert_eq!((texts.len(), more), (MOST_NAMED, 60 - MOST_NAMED));
}

#[test]
fn a_config_of_another_request_is_refused() {
    let rows = |_| Some(pair("q", "a"));
    let baked = |shots| crate::ollama::check(&config("x", shots, &[], &[]), &[], &rows).unwrap();
    let base = ModelName::parse("llama2").unwrap();
    let request =
        CreateRequest::new(destination(JOB, "lora", &base), base, &baked(vec![Shot::Row(1)])).unwrap();
    let heading = Heading { job: JOB, method: "lora", file_name: "Modelfile" };
    assert!(matches!(
        render_checked(&request, &baked(vec![]), heading),
        Err(Withheld::ReadsBackDifferently { .. })
    ));
}

#[test]
fn every_field_is_compared() {
    let rows = |_| Some(pair("q", "a"));
    let (request, text) = rendered(&config("sys", vec![Shot::Row(1)], &["x"], &[]), &rows);
    let text = text.unwrap();
    let compared = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        difference(&request, &read(text.replacen(from, to, 1).as_bytes()).unwrap())
    };
    assert_eq!(compared("FROM llama2", "FROM llama3"), Some("base"));
    assert_eq!(compared("\"\"\"sys\"\"\"", "\"\"\"sis\"\"\""), Some("system prompt"));
    assert_eq!(compared("MESSAGE user", "MESSAGE system"), Some("list of messages"));
    assert_eq!(compared("\"\"\"q\"\"\"", "\"\"\"q \"\"\""), Some("list of messages"));
    assert_eq!(compared("MESSAGE user \"\"\"q\"\"\"\n", ""), Some("list of messages"));
    assert_eq!(compared("0.7", "0.70001"), Some("list of parameters"));
    assert_eq!(compared("PARAMETER num_ctx 32768\n", ""), Some("list of parameters"));
    assert_eq!(
        compared("PARAMETER stop \"\"\"x\"\"\"\n", "PARAMETER stop x\nPARAMETER stop x\n"),
        Some("list of parameters")
    );
    assert_eq!(compared("FROM llama2", "FROM llama2\nPARAMETER top_k 1"), Some("list of parameters"));
    assert_eq!(compared("FROM llama2", "FROM llama2\nPARAMETER adapter /x"), Some("list of commands"));
    assert_eq!(compared("FROM llama2", "# FROM llama3\nFROM llama2"), None);
}

/// The rule of what a Modelfile cannot hold, said in another way than the code does.
fn holds(text: &str) -> bool {
    let printable = text.chars().all(|c| is_printable(c) || " \t\n\r".contains(c));
    let mut lines: Vec<&str> = text.split(['\n', '\r']).collect();
    lines.pop();
    printable && lines.iter().all(|line| !line.trim_matches([' ', '\t']).ends_with("\"\"\""))
}

/// Texts that are likely to break out of quotes.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("\"".to_owned()),
        3 => Just("\"\"\"".to_owned()),
        3 => Just("\n".to_owned()),
        1 => Just("\r".to_owned()),
        1 => Just("\r\n".to_owned()),
        2 => Just(" ".to_owned()),
        1 => Just("\t".to_owned()),
        1 => Just("\u{200b}".to_owned()),
        1 => Just("ADAPTER /etc/hostname".to_owned()),
        1 => Just("# FROM x".to_owned()),
        1 => Just("PARAMETER system x".to_owned()),
        1 => any::<char>().prop_map(String::from),
        1 => "[a-z ]{1,8}",
    ];
    prop_oneof![3 => proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

/// The same, but not blank: the check takes a blank system prompt for none, and
/// refuses a blank answer.
fn not_blank() -> impl Strategy<Value = String> {
    hostile().prop_map(|text| if text.trim().is_empty() { format!("{text}x{text}") } else { text })
}

/// The same, but of a stop text's length.
fn short() -> impl Strategy<Value = String> {
    hostile().prop_map(|text| if text.is_empty() { "s".to_owned() } else { text.chars().take(32).collect() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_comes_back_exactly_or_is_refused_by_the_rule(
        system in not_blank(), question in hostile(), answer in not_blank(), stop in short(),
    ) {
        let rows = |_| Some(pair(&question, &answer));
        let (_, text) = rendered(&config(&system, vec![Shot::Row(0)], &[&stop], &[]), &rows);
        let all_hold = [&system, &question, &answer, &stop].into_iter().all(|text| holds(text));
        match text {
            Ok(_) => prop_assert!(all_hold),
            Err(Withheld::Unrepresentable { .. }) => prop_assert!(!all_hold),
            Err(Withheld::ReadsBackDifferently { field }) => prop_assert!(false, "{}", field),
        }
    }

    #[test]
    fn the_rule_refuses_nothing_that_could_be_held(text in hostile()) {
        let naive = format!("FROM b\nSYSTEM \"\"\"{text}\"\"\"\n");
        let same = read(naive.as_bytes()).is_ok_and(|read| {
            read.from == "b" && read.system == text && read.others.is_empty() && read.messages.is_empty()
        });
        match fault(&text) {
            None => prop_assert!(same),
            Some((_, _, Reason::Dropped { .. } | Reason::QuotesEndLine)) => prop_assert!(!same),
        }
    }

    #[test]
    fn a_note_never_leaves_its_comment(notes in proptest::collection::vec(hostile(), 1..4), job in hostile()) {
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        let config = config("sys", vec![], &[], &notes);
        let baked = crate::ollama::check(&config, &[], &|_| None).unwrap();
        let base = ModelName::parse("llama2").unwrap();
        let request = CreateRequest::new(destination(&job, "lora", &base), base, &baked).unwrap();
        let text = render_checked(&request, &baked, Heading { job: &job, method: &job, file_name: &job }).unwrap();
        let commands = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        prop_assert_eq!(commands, 4, "{}", text);
    }
}
