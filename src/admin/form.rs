//! Names and values of a query or a form (application/x-www-form-urlencoded).

/// Decoded pairs, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a query or a form body. What is not UTF-8 after decoding is replaced, so that it fits nothing.
    pub(super) fn read(text: &[u8]) -> Self {
        Self(
            text.split(|b| *b == b'&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
                    let value = pair.get(at + 1..).unwrap_or_default();
                    (decoded(&pair[..at]), decoded(value))
                })
                .collect(),
        )
    }

    /// The first value of `name`; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of `name`.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| &**v)
    }
}

fn decoded(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex = |b: &u8| char::from(*b).to_digit(16);
        rest = after;
        match (first, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [a, b, after @ ..]) => match (hex(a), hex(b)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (other, _) => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encoded for a query value.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back() {
        for text in ["", "a b+c", "ä=&%", "100 %", "{\"x\":1}"] {
            let form = Form::read(format!("a=1&n={}", encode(text)).as_bytes());
            assert_eq!(form.get("n"), text);
            assert_eq!(form.get("a"), "1");
        }
        let odd = Form::read(b"&x&y=%2&z=%zz&z=2");
        assert_eq!(odd.get("y"), "%2");
        assert_eq!(odd.all("z").collect::<Vec<_>>(), ["%zz", "2"]);
        assert_eq!(odd.get("none"), "");
    }
}
