//! Many conversations in a few pieces of memory, for what handles millions of them.

use super::{Example, Message, Role};

/// Conversations in order, some of which may be left out. All texts lie in one, so that
/// a conversation costs no memory of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversations {
    text: String,
    /// Who speaks, and where in `text` the message ends.
    messages: Vec<(Role, usize)>,
    rows: Vec<Row>,
}

/// Where in the messages a conversation ends, and whether there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    end: usize,
    kept: bool,
}

impl Conversations {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are, those included that are left out.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many messages they have.
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// All texts, one after the other.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Forgets them all and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.messages.clear();
        self.rows.clear();
    }

    /// Adds a message to the conversation that is being written.
    pub fn message(&mut self, role: Role, content: &str) {
        self.text.push_str(content);
        self.end_message(role);
    }

    /// Where the next message's text can be added, before [`Self::end_message`].
    pub fn next_text(&mut self) -> &mut String {
        &mut self.text
    }

    /// Makes what was added to the text since the last message a message.
    pub fn end_message(&mut self, role: Role) {
        self.messages.push((role, self.text.len()));
    }

    /// Ends the conversation that is being written.
    pub fn end_row(&mut self) {
        self.rows.push(Row { end: self.messages.len(), kept: true });
    }

    /// Adds one that is left out, in place of that which is being written.
    pub fn leave_out(&mut self) {
        self.abandon_row();
        self.rows.push(Row { end: self.messages.len(), kept: false });
    }

    /// Forgets the conversation that is being written.
    pub fn abandon_row(&mut self) {
        let messages = self.rows.last().map_or(0, |row| row.end);
        self.messages.truncate(messages);
        let text = self.messages.last().map_or(0, |(_, end)| *end);
        self.text.truncate(text);
    }

    /// Each in order; none for one that is left out.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<Turns<'_>>> {
        let (mut message, mut text) = (0, 0);
        self.rows.iter().map(move |row| {
            let messages = self.messages.get(message..row.end).unwrap_or_default();
            let start = text;
            message = row.end;
            text = messages.last().map_or(start, |(_, end)| *end);
            row.kept.then_some(Turns { text: &self.text, start, messages })
        })
    }

    /// Who says each message of all conversations, and how many bytes it has.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = (Role, usize)> {
        let mut before = 0;
        self.messages.iter().map(move |&(role, end)| {
            let length = end - before;
            before = end;
            (role, length)
        })
    }

    /// The same as values of their own.
    pub fn examples(&self) -> Vec<Option<Example>> {
        self.iter().map(|row| row.map(Turns::example)).collect()
    }

    /// Those whose texts, taken together, are these bytes: for each message who speaks
    /// and where it ends, for each conversation how many messages it has, if it is not
    /// left out. None where that does not fit together or a text is not UTF-8.
    pub fn of_parts(
        bytes: Vec<u8>,
        messages: Vec<(Role, usize)>,
        rows: impl Iterator<Item = Option<usize>>,
    ) -> Option<Self> {
        let text = String::from_utf8(bytes).ok()?;
        let mut before = 0;
        for &(_, end) in &messages {
            if end < before || !text.is_char_boundary(end) {
                return None;
            }
            before = end;
        }
        let mut end = 0;
        let row = |messages: Option<usize>| {
            end += messages.unwrap_or(0);
            Row { end, kept: messages.is_some() }
        };
        let rows = rows.map(row).collect();
        (before == text.len() && end == messages.len()).then_some(Self { text, messages, rows })
    }
}

impl FromIterator<Option<Example>> for Conversations {
    fn from_iter<I: IntoIterator<Item = Option<Example>>>(examples: I) -> Self {
        let mut all = Self::new();
        for example in examples {
            match example {
                None => all.leave_out(),
                Some(example) => {
                    for message in &example.messages {
                        all.message(message.role, &message.content);
                    }
                    all.end_row();
                }
            }
        }
        all
    }
}

/// The messages of one conversation.
#[derive(Debug, Clone)]
pub struct Turns<'a> {
    text: &'a str,
    start: usize,
    messages: &'a [(Role, usize)],
}

impl Turns<'_> {
    /// The conversation as a value of its own.
    pub fn example(self) -> Example {
        let message = |(role, content): (Role, &str)| Message { role, content: content.to_owned() };
        Example { messages: self.map(message).collect() }
    }
}

impl<'a> Iterator for Turns<'a> {
    type Item = (Role, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let ((role, end), rest) = self.messages.split_first()?;
        let content = self.text.get(self.start..*end).unwrap_or_default();
        self.start = *end;
        self.messages = rest;
        Some((*role, content))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.messages.len(), Some(self.messages.len()))
    }
}

impl ExactSizeIterator for Turns<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn examples() -> impl Strategy<Value = Vec<Option<Example>>> {
        let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)];
        let message = (role, any::<String>()).prop_map(|(role, content)| Message { role, content });
        let example = prop::collection::vec(message, 0..4).prop_map(|messages| Example { messages });
        prop::collection::vec(prop::option::of(example), 0..8)
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(examples in examples(), abandoned in any::<String>()) {
            let mut all: Conversations = examples.iter().cloned().collect();
            all.message(Role::User, &abandoned);
            all.next_text().push_str(&abandoned);
            all.abandon_row();
            prop_assert_eq!(all.len(), examples.len());
            prop_assert_eq!(all.examples(), examples.clone());
            all.clear();
            prop_assert!(all.is_empty() && all.text().is_empty() && all.messages() == 0);
        }

        #[test]
        fn parts_that_do_not_fit_are_refused(examples in examples(), spoilt in 0..4) {
            let all: Conversations = examples.iter().cloned().collect();
            let rows: Vec<_> = examples.iter().map(|row| row.as_ref().map(|row| row.messages.len())).collect();
            let (mut bytes, mut messages) = (all.text.clone().into_bytes(), all.messages.clone());
            let made = Conversations::of_parts(bytes.clone(), messages.clone(), rows.iter().copied());
            prop_assert_eq!(made, Some(all));
            match spoilt {
                0 => bytes.push(b'x'),
                1 => bytes.push(0xff),
                2 => messages.push((Role::User, bytes.len())),
                _ => match messages.last_mut() {
                    Some((_, end)) => *end += 1,
                    None => bytes.push(b'x'),
                },
            }
            prop_assert_eq!(Conversations::of_parts(bytes, messages, rows.into_iter()), None);
        }
    }
}
