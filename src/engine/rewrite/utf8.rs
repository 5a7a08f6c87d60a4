//! UTF-8 over any cuts.

/// What is left of a character that a cut has parted.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    tail: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// How many bytes of `part` are good: all of them, unless one is not UTF-8.
    pub(super) fn good(&mut self, part: &[u8]) -> usize {
        let mut from = 0;
        while self.length > 0 {
            let Some(b) = part.get(from) else {
                return part.len();
            };
            self.tail[self.length] = *b;
            self.length += 1;
            match std::str::from_utf8(&self.tail[..self.length]) {
                Ok(_) => self.length = 0,
                Err(e) if e.error_len().is_none() => {}
                Err(_) => return from,
            }
            from += 1;
        }
        match std::str::from_utf8(&part[from..]) {
            Ok(_) => part.len(),
            Err(e) => {
                let valid = from + e.valid_up_to();
                if e.error_len().is_some() {
                    return valid;
                }
                self.length = part.len() - valid;
                self.tail[..self.length].copy_from_slice(&part[valid..]);
                part.len()
            }
        }
    }

    /// Whether no character is open.
    pub(super) fn is_complete(&self) -> bool {
        self.length == 0
    }
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One leading byte-order mark, which is left out, over any cuts.
#[derive(Debug, Default)]
pub(super) struct ByteOrderMark {
    /// Bytes of it seen; 3 = seen or absent.
    seen: usize,
}

impl ByteOrderMark {
    /// Bytes of earlier parts that turn out to be text, and where the text starts in `part`.
    pub(super) fn skip(&mut self, part: &[u8]) -> (&'static [u8], usize) {
        let before = self.seen;
        let mut from = 0;
        while self.seen < MARK.len() {
            match part.get(from) {
                None => break,
                Some(b) if *b == MARK[self.seen] => {
                    self.seen += 1;
                    from += 1;
                }
                Some(_) => {
                    self.seen = MARK.len();
                    return (&MARK[..before], 0);
                }
            }
        }
        (&[], from)
    }

    /// The document ends: what was seen of a mark is text.
    pub(super) fn end(&mut self) -> &'static [u8] {
        let seen = std::mem::replace(&mut self.seen, MARK.len());
        if seen < MARK.len() {
            &MARK[..seen]
        } else {
            &[]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_gives_the_same_answer() {
        for (text, good) in [
            (&b"a\xc3\xa9\xf0\x9f\x98\x80z"[..], true),
            (b"a\xc3", false),
            (b"\xc0\x80", false),
            (b"\xed\xa0\x80", false),
            (b"ab\xff", false),
        ] {
            for cut in 0..=text.len() {
                let mut utf8 = Utf8::default();
                let all = [&text[..cut], &text[cut..]]
                    .iter()
                    .all(|part| utf8.good(part) == part.len())
                    && utf8.is_complete();
                assert_eq!(all, good, "{text:?} {cut}");
            }
        }
    }
}
