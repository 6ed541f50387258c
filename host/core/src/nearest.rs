//! "Did you mean": the known name that a misspelled one is most like.

/// The known name that the given one probably means: a misspelling by no more than
/// a third of its letters.
pub fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    // Comparing costs the product of the lengths; no known name is near one that is
    // this long.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&candidate.to_lowercase(), &name), candidate))
        .filter(|&(distance, candidate)| distance <= candidate.len().max(3) / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How alike two names are, from 0 to 1, with more weight on how they begin: for putting
/// names in order where every one is shown.
pub fn likeness(one: &str, other: &str) -> f64 {
    strsim::jaro_winkler(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_find_their_name() {
        let known = ["lora_rank", "lora_alpha", "seed"];
        assert_eq!(nearest(known, "lora_rnak"), Some("lora_rank"));
        assert_eq!(nearest(known, "Seed"), Some("seed"));
        assert_eq!(nearest(["BASE_URL"], "BASEURL"), Some("BASE_URL"));
        assert_eq!(nearest(known, "temperature"), None);
        assert_eq!(nearest(known, &"lora_rank".repeat(10)), None);
    }
}
