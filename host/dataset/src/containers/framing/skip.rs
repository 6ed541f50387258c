//! Skipping a row that is too long, without holding it in memory.

/// Finds the end of a row that is too long.
pub(super) enum Skip {
    Line,
    Record { quoted: bool },
    Value { depth: u32, text: bool, escape: bool, begun: bool },
}

impl Skip {
    /// Where the row ends in these further bytes, its line end included.
    pub fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Line => memchr::memchr(b'\n', bytes).map(|at| at + 1),
            Self::Record { quoted } => {
                for at in memchr::memchr2_iter(b'"', b'\n', bytes) {
                    if bytes[at] == b'"' {
                        *quoted = !*quoted;
                    } else if !*quoted {
                        return Some(at + 1);
                    }
                }
                None
            }
            Self::Value { depth, text, escape, begun } => {
                for (at, &byte) in bytes.iter().enumerate() {
                    if *text {
                        match byte {
                            _ if *escape => *escape = false,
                            b'\\' => *escape = true,
                            b'"' => *text = false,
                            _ => {}
                        }
                        continue;
                    }
                    match byte {
                        b'"' => *text = true,
                        b'[' | b'{' => *depth += 1,
                        // A separator before the row is not its end.
                        b',' if *depth == 0 && !*begun => continue,
                        b',' | b']' if *depth == 0 => return Some(at),
                        b']' | b'}' => *depth = depth.saturating_sub(1),
                        b' ' | b'\t' | b'\n' | b'\r' => continue,
                        _ => {}
                    }
                    *begun = true;
                }
                None
            }
        }
    }
}
