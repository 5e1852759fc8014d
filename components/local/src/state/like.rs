//! SQL's `LIKE`, with the backslash as escape.

/// A pattern: `%` stands for any text, `_` for any one character, and a backslash takes the meaning from what follows.
#[derive(Debug)]
pub(super) struct Like(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Char(char),
    AnyChar,
    AnyText,
}

impl Like {
    pub(super) fn new(pattern: &str) -> Self {
        let mut parts = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '%' => Part::AnyText,
                '_' => Part::AnyChar,
                '\\' => Part::Char(chars.next().unwrap_or('\\')),
                c => Part::Char(c),
            });
        }
        Self(parts)
    }

    /// Whether the whole text matches. Takes no more than the product of both lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut part = 0;
        // Where to go on when a text does not fit: after the last `%`, one character further.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            let next = ahead.next();
            match (self.0.get(part), next) {
                (Some(Part::AnyText), _) => {
                    part += 1;
                    retry = Some((part, rest.clone()));
                    continue;
                }
                (None, None) => return true,
                (Some(Part::AnyChar), Some(_)) => {}
                (Some(Part::Char(wanted)), Some(found)) if *wanted == found => {}
                _ => {
                    let Some((after, from)) = &mut retry else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (part, rest) = (*after, from.clone());
                    continue;
                }
            }
            (part, rest) = (part + 1, ahead);
        }
    }
}
