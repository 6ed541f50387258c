use super::*;
use proptest::prelude::*;

fn blocks(container: &Container, text: &[u8]) -> Vec<Block> {
    let mut framer = Framer::new(container, text);
    std::iter::from_fn(|| framer.next_block(Vec::new()).unwrap()).collect()
}

fn records(container: &Container, text: &[u8]) -> Vec<String> {
    blocks(container, text)
        .iter()
        .flat_map(|block| {
            block.spans.iter().flatten().map(|span| {
                String::from_utf8_lossy(&block.bytes[span.start as usize..span.end as usize]).into_owned()
            })
        })
        .collect()
}

fn problems(container: &Container, text: &[u8]) -> Vec<&'static str> {
    blocks(container, text).iter().filter_map(|block| block.problem).map(|(_, what)| what).collect()
}

proptest! {
    #[test]
    fn blocks_join_to_the_stream(
        lines in prop::collection::vec((0_usize..300_000, any::<u8>()), 0..12),
        newline_at_end in any::<bool>(),
        kind in 0..3,
    ) {
        let mut text: Vec<u8> = Vec::new();
        for (length, byte) in lines {
            text.extend(std::iter::repeat_n(byte, length));
            text.push(b'\n');
        }
        if !newline_at_end {
            text.pop();
        }
        let container = [Container::Jsonl, Container::Array, Container::Csv(Vec::new())][kind as usize].clone();
        let mut joined = Vec::new();
        for block in blocks(&container, &text) {
            prop_assert_eq!(block.offset, joined.len() as u64);
            joined.extend_from_slice(&block.bytes);
        }
        prop_assert_eq!(joined, text);
    }

    #[test]
    fn a_list_is_cut_into_its_values(values in prop::collection::vec("[a-z,\\]\\[{}\"\\\\]{0,20}", 0..30)) {
        let values: Vec<serde_json::Value> =
            values.into_iter().map(|text| serde_json::json!({ "a": [text] })).collect();
        for text in [serde_json::to_vec(&values).unwrap(), serde_json::to_vec_pretty(&values).unwrap()] {
            let found: Vec<serde_json::Value> = records(&Container::Array, &text)
                .iter()
                .map(|record| serde_json::from_str(record).unwrap())
                .collect();
            prop_assert_eq!(&found, &values);
            prop_assert!(problems(&Container::Array, &text).is_empty());
        }
    }
}

#[test]
fn row_that_is_too_long_is_skipped_alone() {
    let long = "x".repeat(MAX_ROW_BYTES + 10);
    let text = format!("first\n{long}\nlast\n");
    let found = blocks(&Container::Jsonl, text.as_bytes());
    let seen: Vec<_> = found.iter().map(|block| (block.offset, block.too_long)).collect();
    let after = 7 + long.len() as u64;
    assert_eq!(seen, [(0, None), (6, Some(long.len() as u64 + 1)), (after, None)]);
    assert_eq!(found[2].bytes, b"last\n");

    let text = format!("[{{\"a\":1}},\n{{\"a\":\"{long}\"}},\n{{\"a\":3}}]");
    let found = blocks(&Container::Array, text.as_bytes());
    assert_eq!(found.iter().filter(|block| block.too_long.is_some()).count(), 1);
    assert_eq!(records(&Container::Array, text.as_bytes()), ["{\"a\":1}", "{\"a\":3}"]);
    assert!(problems(&Container::Array, text.as_bytes()).is_empty());

    let text = format!("a,b\n1,2\n\"{long}\n\",2\n3,4\n");
    assert_eq!(records(&Container::Csv(Vec::new()), text.as_bytes()), ["1,2", "3,4"]);
}

#[test]
fn a_broken_list_is_said_to_be_broken() {
    let what = |text: &str| problems(&Container::Array, text.as_bytes());
    assert_eq!(what("[{}, {}"), ["unexpected end of file: the list's closing `]` is missing"]);
    assert_eq!(what("[{}, {},]"), ["trailing comma before the list's closing `]`"]);
    assert_eq!(what("[{}] x"), ["unexpected text after the list's closing `]`"]);
    assert_eq!(what("[{} {}]"), ["missing comma between two rows"]);
    assert_eq!(records(&Container::Array, b"[{} {}, 7]"), ["{}", "{}", "7"]);
    assert_eq!(records(&Container::Array, b"[{}, {\"a\": [1, 2"), ["{}", "{\"a\": [1, 2"]);
}

#[test]
fn csv_values_may_span_lines() {
    let text = b"a,b\r\n\"x\ny\",2\r\n\r\n\"say \"\"hi\"\"\n\",4";
    assert_eq!(records(&Container::Csv(Vec::new()), text), ["\"x\ny\",2", "\"say \"\"hi\"\"\n\",4"]);
}
