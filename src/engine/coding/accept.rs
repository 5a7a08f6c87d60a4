//! `Accept-Encoding` (RFC 9110 section 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::Coding;

/// Written codings, the dearest first where a client likes several equally.
const WRITTEN: [Coding; 4] = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];

/// The coding that the client likes best of those that are written. Identity where it names none, likes it better, or
/// says nothing that can be understood: an answer without coding is never refused.
pub fn accepted(headers: &HeaderMap) -> Coding {
    // Thousandths, as weights have at most three digits.
    let mut weights: [Option<u16>; 4] = [None; 4];
    let (mut identity, mut any) = (None, None);
    let elements = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for element in elements {
        let Some((word, weight)) = weighed(element) else {
            continue;
        };
        let place = match Coding::parse(word) {
            Some(Coding::Identity) => &mut identity,
            Some(coding) => match WRITTEN.iter().position(|w| *w == coding) {
                Some(at) => &mut weights[at],
                None => continue,
            },
            None if word == "*" => &mut any,
            None => continue,
        };
        // Named twice: the smaller weight asks for less.
        *place = Some(place.map_or(weight, |w: u16| w.min(weight)));
    }
    let mut best = (Coding::Identity, identity.unwrap_or(0));
    for (coding, weight) in WRITTEN.into_iter().zip(weights) {
        let weight = weight.or(any).unwrap_or(0);
        let better = weight > best.1 || weight == best.1 && best.0 == Coding::Identity;
        if weight > 0 && better {
            best = (coding, weight);
        }
    }
    best.0
}

/// `word[;q=weight]`, the weight in thousandths.
fn weighed(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let word = parts.next().filter(|w| !w.is_empty())?;
    let Some(parameter) = parts.next() else {
        return Some((word, 1000));
    };
    let weight = parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="))?;
    parts
        .next()
        .is_none()
        .then(|| thousandths(weight))?
        .map(|q| (word, q))
}

/// RFC 9110 section 12.4.2: from 0 to 1, at most three digits behind the point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_liked_coding_is_taken() {
        for (said, coding) in [
            (&[][..], Coding::Identity),
            (&[""], Coding::Identity),
            (&["gzip, deflate"], Coding::Gzip),
            (&["deflate"], Coding::Deflate),
            (&["gzip, deflate, br, zstd"], Coding::Zstd),
            (&["gzip;q=1.0, br;q=0.9"], Coding::Gzip),
            (&["gzip", "br"], Coding::Brotli),
            (&["X-GZIP"], Coding::Gzip),
            (&["*"], Coding::Zstd),
            (&["*;q=0.5, gzip;q=0.6"], Coding::Gzip),
            (&["zstd;q=0, *"], Coding::Brotli),
            (&["identity, gzip;q=0.5"], Coding::Identity),
            (&["identity;q=0.5, gzip;q=0.5"], Coding::Gzip),
            (&["gzip;q=0"], Coding::Identity),
            (&["*;q=0"], Coding::Identity),
            // What cannot be understood asks for nothing.
            (&["gzip;q=2"], Coding::Identity),
            (&["gzip;q=0.5555"], Coding::Identity),
            (&["gzip;level=9"], Coding::Identity),
            (&["gzip;q=1;q=0"], Coding::Identity),
            (&["gzip;q=0, gzip"], Coding::Identity),
            (&["compress, lzma"], Coding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(ACCEPT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(accepted(&headers), coding, "{said:?}");
        }
    }
}
