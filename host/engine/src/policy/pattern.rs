//! Patterns of names: `*` stands for any text, `?` for any one character.

use std::fmt;

/// A pattern. Everything but `*` and `?` stands for itself; case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Takes a pattern as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the whole name fits. Takes time in the product of both lengths at most.
    pub fn fits(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut p, mut n) = (0, 0);
        // The latest star, and how much of the name it takes so far. Giving an earlier
        // star more would never help: the latest can take as much.
        let mut star = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        p = at + 1;
                        n = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_fit_as_a_whole() {
        let fits = |pattern: &str, name: &str| Pattern::new(pattern).fits(name);
        for (pattern, name) in [
            ("llama3.2", "llama3.2"),
            ("llama3*", "llama3"),
            ("llama3*", "llama3.2:1b"),
            ("*", ""),
            ("gpt-4.1-*", "gpt-4.1-mini-2025-04-14"),
            ("*-mini-*", "gpt-4.1-mini-2025-04-14"),
            ("?wen*b", "qwen2.5:7b"),
            ("a**b", "ab"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("llama3.2", "llama3.2:1b"),
            ("llama3*", "xllama3"),
            ("llama3?", "llama3"),
            ("LLAMA*", "llama3"),
            ("", "a"),
            ("*b", "bc"),
            // A dot is a dot.
            ("llama3.2", "llama3x2"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_what_is_made_of_it(name in "[a-c*]{0,12}", cut in 0_usize..13) {
            let cut = cut.min(name.len());
            prop_assert!(Pattern::new(name.clone()).fits(&name));
            let pattern = format!("{}*{}", &name[..cut], "?".repeat(name.len() - cut));
            prop_assert!(Pattern::new(pattern).fits(&name));
        }

        #[test]
        fn many_stars_end_soon(stars in 1_usize..200) {
            let pattern = Pattern::new(format!("{}b", "*a".repeat(stars)));
            prop_assert!(!pattern.fits(&"a".repeat(2_000)));
        }
    }
}
