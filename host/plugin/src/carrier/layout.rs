//! What lies where in the pieces of memory: the canonical ABI's layout of a job, of
//! conversations and of an answer, with the carrier's addresses.

use std::sync::Arc;
use tunesmith_abi::tunesmith::method::types;
use tunesmith_core::contract::{Conversations, MethodJob, Origin, Role, Value};

/// Where a parcel's head lies in the carrier's memory: it is the first memory that is asked
/// for, and the text the next.
const BASE: u32 = 16;

/// Bytes of the carrier's `apply`, flattened: pointers and lengths of the job's name, base
/// model and settings, its seed, pointer and length of the batch, and room to align.
const HEAD: usize = 40;

/// Bytes of a setting, of a conversation (a list), of a message, of a text.
const SETTING: usize = 32;
const EXAMPLE: usize = 8;
const MESSAGE: usize = 12;
const TEXT: usize = 8;

/// Bytes of an item of the answer: whether there is one, and a conversation.
const ITEM: usize = 12;

/// A job and a batch, as the carrier takes them.
pub(crate) struct Parcel {
    /// The job, and of the batch where everything lies.
    pub(crate) head: Vec<u8>,
    /// The batch, whose text lies right after the head.
    pub(crate) batch: Arc<Conversations>,
    /// Conversations that are not left out.
    pub(crate) rows: usize,
    /// Bytes of text, the job's included.
    pub(crate) text: u64,
}

impl Parcel {
    /// Packs a job and those of the conversations that are not left out. None where it
    /// would be larger than an address can say.
    pub(crate) fn pack(job: &MethodJob, batch: &Arc<Conversations>) -> Option<Self> {
        let rows = batch.iter().flatten().count();
        let texts = |value: &Value| match value {
            Value::Texts(texts) => texts.len(),
            _ => 0,
        };
        let of_settings =
            |setting: &tunesmith_core::contract::JobSetting| SETTING + TEXT * texts(&setting.value);
        let of_job = job.settings.iter().map(of_settings).sum::<usize>();
        let job_text = job.name.len()
            + job.base_model.len()
            + job
                .settings
                .iter()
                .map(|setting| setting.name.len() + value_bytes(&setting.value))
                .sum::<usize>();
        let size = HEAD + of_job + EXAMPLE * rows + MESSAGE * batch.messages() + job_text;
        if size.checked_add(batch.text().len()).is_none_or(|whole| whole >= (u32::MAX / 2) as usize) {
            return None;
        }

        let mut parcel = Writer { bytes: vec![0; HEAD], texts: Vec::with_capacity(64) };
        parcel.bytes.reserve_exact(size - HEAD);
        // Everything that has to be aligned comes first, what needs most before the rest.
        let settings = parcel.room(SETTING * job.settings.len());
        for (setting, at) in job.settings.iter().zip((settings..).step_by(SETTING)) {
            parcel.text(at, &setting.name);
            parcel.value(at + 8, &setting.value);
            let origin = match setting.origin {
                Origin::Given => types::Origin::Given,
                Origin::Default => types::Origin::Default,
            };
            parcel.bytes[at + 24] = origin as u8;
        }
        let batch_at = parcel.bytes.len();
        let mut at = batch_at + EXAMPLE * rows;
        for turns in batch.iter().flatten() {
            parcel.push([BASE + at as u32, turns.len() as u32]);
            at += MESSAGE * turns.len();
        }
        let mut at = size;
        // A conversation that is left out has no messages.
        for (role, length) in batch.lengths() {
            let role = match role {
                Role::System => types::Role::System,
                Role::User => types::Role::User,
                Role::Assistant => types::Role::Assistant,
            };
            parcel.push([role as u32, BASE + at as u32, length as u32]);
            at += length;
        }
        parcel.text(0, &job.name);
        parcel.text(8, &job.base_model);
        parcel.list(16, settings, job.settings.len());
        parcel.put(24, job.seed);
        parcel.list(28, batch_at, rows);
        for (at, content) in std::mem::take(&mut parcel.texts) {
            let start = parcel.bytes.len();
            parcel.bytes.extend_from_slice(content.as_bytes());
            parcel.list(at, start, content.len());
        }
        debug_assert_eq!(parcel.bytes.len(), size, "the batch's text begins where its head ends");
        let text = (job_text + batch.text().len()) as u64;
        Some(Self { head: parcel.bytes, batch: Arc::clone(batch), rows, text })
    }

    /// Where the carrier puts the answer.
    fn answer(&self) -> u32 {
        // Checked when it was packed.
        (BASE + (self.head.len() + self.batch.text().len()) as u32).next_multiple_of(8)
    }
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Texts(texts) => texts.iter().map(String::len).sum(),
        Value::Flag(_) | Value::Integer(_) | Value::Number(_) => 0,
    }
}

struct Writer<'a> {
    bytes: Vec<u8>,
    /// Texts that are yet to be added, and where their pointers go.
    texts: Vec<(usize, &'a str)>,
}

impl<'a> Writer<'a> {
    fn room(&mut self, size: usize) -> usize {
        let at = self.bytes.len();
        self.bytes.resize(at + size, 0);
        at
    }

    fn push<const N: usize>(&mut self, values: [u32; N]) {
        self.bytes.extend_from_slice(values.map(u32::to_le_bytes).as_flattened());
    }

    fn put(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Points to something of the parcel.
    fn list(&mut self, at: usize, start: usize, length: usize) {
        self.put(at, BASE + start as u32);
        self.put(at + 4, length as u32);
    }

    fn text(&mut self, at: usize, text: &'a str) {
        self.texts.push((at, text));
    }

    fn value(&mut self, at: usize, value: &'a Value) {
        let (case, payload) = (at, at + 8);
        match value {
            Value::Flag(flag) => {
                self.bytes[case] = 0;
                self.bytes[payload] = u8::from(*flag);
            }
            Value::Integer(number) => {
                self.bytes[case] = 1;
                self.put(payload, number.cast_unsigned());
            }
            Value::Number(number) => {
                self.bytes[case] = 2;
                self.bytes[payload..payload + 8].copy_from_slice(&number.to_le_bytes());
            }
            Value::Text(text) => {
                self.bytes[case] = 3;
                self.text(payload, text);
            }
            Value::Texts(texts) => {
                self.bytes[case] = 4;
                let list = self.room(TEXT * texts.len());
                self.list(payload, list, texts.len());
                for (text, at) in texts.iter().zip((list..).step_by(TEXT)) {
                    self.text(at, text);
                }
            }
        }
    }
}

/// What the carrier gave back for a parcel. None where the bytes are not laid out as the
/// carrier does it: each text and message has a place of its own, so that an answer which
/// points to one place many times, as a plugin's own function could, does not grow here.
pub(crate) fn unpack(parcel: &Parcel, bytes: &[u8]) -> Option<Result<Conversations, types::Refusal>> {
    let answer = Answer { bytes, start: parcel.answer() };
    let start = answer.start;
    if answer.byte(start)? != 0 {
        return answer.refusal(start + 4).map(Err);
    }
    let (list, length) = (answer.word(start + 4)?, answer.word(start + 8)?);
    let items = answer.slice(list, length.checked_mul(ITEM as u32)?)?;
    let mut text = Vec::with_capacity(parcel.batch.text().len());
    let mut messages = Vec::with_capacity(items.len() / ITEM * 2);
    let mut rows = Vec::with_capacity(items.len() / ITEM);
    for item in items.as_chunks::<ITEM>().0 {
        if item[0] == 0 {
            rows.push(None);
            continue;
        }
        let [_, list, length] = words(item);
        let turns = answer.slice(list, length.checked_mul(MESSAGE as u32)?)?;
        let turns = turns.as_chunks::<MESSAGE>().0;
        for turn in turns {
            let role = match turn[0] {
                0 => Role::System,
                1 => Role::User,
                2 => Role::Assistant,
                _ => return None,
            };
            let [_, at, length] = words(turn);
            text.extend_from_slice(answer.slice(at, length)?);
            messages.push((role, text.len()));
            if text.len() + MESSAGE * messages.len() > bytes.len() {
                return None;
            }
        }
        rows.push(Some(turns.len()));
    }
    Conversations::of_parts(text, messages, rows.into_iter()).map(Ok)
}

fn words(bytes: &[u8; 12]) -> [u32; 3] {
    let (words, _) = bytes.as_chunks::<4>();
    [0, 1, 2].map(|n: usize| words.get(n).map_or(0, |word| u32::from_le_bytes(*word)))
}

/// The carrier's memory from an address on.
struct Answer<'a> {
    bytes: &'a [u8],
    start: u32,
}

impl<'a> Answer<'a> {
    fn slice(&self, at: u32, length: u32) -> Option<&'a [u8]> {
        if length == 0 {
            // Nothing may be anywhere.
            return Some(&[]);
        }
        let at = at.checked_sub(self.start)? as usize;
        self.bytes.get(at..at.checked_add(length as usize)?)
    }

    fn byte(&self, at: u32) -> Option<u8> {
        self.slice(at, 1)?.first().copied()
    }

    fn word(&self, at: u32) -> Option<u32> {
        self.slice(at, 4)?.first_chunk().copied().map(u32::from_le_bytes)
    }

    fn text(&self, at: u32) -> Option<String> {
        let bytes = self.slice(self.word(at)?, self.word(at + 4)?)?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn refusal(&self, at: u32) -> Option<types::Refusal> {
        let payload = at + 4;
        Some(match self.byte(at)? {
            0 => types::Refusal::InvalidSetting(types::InvalidSetting {
                name: self.text(payload)?,
                reason: self.text(payload + 8)?,
            }),
            1 => types::Refusal::UnsuitableDataset(self.text(payload)?),
            2 => types::Refusal::Unsupported(self.text(payload)?),
            3 => types::Refusal::Other(self.text(payload)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of so many rows, each with the messages of one list, which say one text.
    fn answer(parcel: &Parcel, rows: u32, messages: u32, text: &[u8]) -> Vec<u8> {
        let start = parcel.answer();
        let items = start + 12;
        let turns = items + rows * ITEM as u32;
        let place = turns + messages * MESSAGE as u32;
        let mut words = vec![0, items, rows];
        for _ in 0..rows {
            words.extend([1, turns, messages]);
        }
        for _ in 0..messages {
            words.extend([1, place, text.len() as u32]);
        }
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.extend_from_slice(text);
        bytes
    }

    #[test]
    fn repeated_place_is_refused_before_it_grows() {
        let job = MethodJob { name: String::new(), base_model: String::new(), settings: vec![], seed: 0 };
        let parcel = Parcel::pack(&job, &Arc::default()).unwrap();
        let once = answer(&parcel, 1, 1, b"said once");
        let found = unpack(&parcel, &once).unwrap().unwrap().examples();
        assert_eq!(found[0].as_ref().unwrap().messages[0].content, "said once");
        // A thousand times a thousand times a megabyte.
        let many = answer(&parcel, 1_000, 1_000, &vec![b'x'; 1 << 20]);
        assert!(unpack(&parcel, &many).is_none());
        assert!(unpack(&parcel, &answer(&parcel, 2, 1, b"said by both of two rows in one place")).is_none());
        assert!(unpack(&parcel, &answer(&parcel, 10_000, 10_000, b"")).is_none());
    }
}
