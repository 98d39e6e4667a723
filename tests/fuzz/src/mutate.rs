//! Changes of a text that depend on a seed alone: what the ordinary tests have where libFuzzer is not.

/// Where a change wants something that means something in one of the languages.
const TOKENS: [&str; 32] = [
    "\0",
    "\n",
    "\n\n",
    "\t",
    "'",
    "\"",
    "`",
    "$$",
    "$a$",
    "\\",
    "--",
    "/*",
    "*/",
    ";",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ":",
    "@",
    "/",
    "?",
    "&",
    "%00",
    "%",
    "#",
    "---\n",
    "\u{feff}",
    "\u{1F600}",
    "\u{202e}",
];
/// So many changes are made to one text at most.
const CHANGES_MAX: usize = 4;

/// Numbers that look random (xorshift64*): the same ones for the same seed.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// One below `limit`; 0 where there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap_or_default() % limit.max(1)
    }
}

/// `text` with a few changes; `other` is a text to take parts of.
pub fn changed(text: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut changed = text.to_vec();
    let changes = 1 + numbers.below(CHANGES_MAX);
    for _ in 0..changes {
        change(&mut changed, other, numbers);
    }
    changed
}

fn change(text: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let (from, to) = range(text.len(), numbers);
    match numbers.below(7) {
        0 => {
            if let Some(byte) = text.get_mut(from) {
                *byte ^= 1 << numbers.below(8);
            }
        }
        1 => {
            text.drain(from..to);
        }
        2 => {
            let twice = text[from..to].to_vec();
            text.splice(from..from, twice);
        }
        3 | 4 => {
            let token = TOKENS[numbers.below(TOKENS.len())];
            text.splice(from..from, token.bytes());
        }
        5 => text.truncate(from),
        _ => {
            let (begin, end) = range(other.len(), numbers);
            text.splice(from..to, other[begin..end].iter().copied());
        }
    }
}

/// A part of so many bytes, mostly a short one.
fn range(len: usize, numbers: &mut Numbers) -> (usize, usize) {
    let from = numbers.below(len + 1);
    let longest = if numbers.below(4) == 0 { len } else { 16 };
    (from, (from + numbers.below(longest + 1)).min(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_all_and_texts_differ() {
        let of = |seed| {
            let mut numbers = Numbers::new(seed);
            let texts = (0..200).map(|_| changed(b"SELECT 1;\n", b"DROP TABLE t", &mut numbers));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let distinct: std::collections::BTreeSet<_> = of(0).into_iter().collect();
        assert!(distinct.len() > 150, "{}", distinct.len());
    }
}
