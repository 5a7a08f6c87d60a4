//! One record as one line: how it is written, hashed and read back.

use std::io::Write as _;

use data_encoding::HEXLOWER;
use ring::digest;

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// What the first record of a chain names as its predecessor.
pub(super) const GENESIS: Hash = [0; 32];

const HASH_MEMBER: &[u8] = b",\"hash\":\"";
const HEX_BYTES: usize = 64;
/// `,"hash":"<64 hex>"}`.
const SEAL_BYTES: usize = HASH_MEMBER.len() + HEX_BYTES + 2;

/// The RFC 9162 leaf hash (section 2.1.1) of a record's bytes: SHA-256(0x00 || bytes).
fn leaf_hash(bytes: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[0]);
    context.update(bytes);
    let mut hash = GENESIS;
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Where a record stands in its chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The chain's id.
    pub(super) chain: &'a str,
    /// From 1, without gaps.
    pub(super) seq: u64,
    /// Every record up to this one was durable when this one was written.
    pub(super) synced: u64,
    /// Hash of the record before.
    pub(super) prev: Hash,
}

/// Appends the line for `event` (a JSON object on one line) to `out` and gives the record's hash.
pub(super) fn encode(out: &mut Vec<u8>, place: Place<'_>, event: &[u8]) -> Hash {
    let start = out.len();
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{{\"chain\":\"{}\",\"seq\":{},\"synced\":{},\"prev\":\"{}\",\"event\":",
        place.chain,
        place.seq,
        place.synced,
        HEXLOWER.encode_display(&place.prev)
    );
    out.extend_from_slice(event);
    let hash = leaf_hash(&out[start..]);
    out.extend_from_slice(HASH_MEMBER);
    let _ = write!(out, "{}", HEXLOWER.encode_display(&hash));
    out.extend_from_slice(b"\"}\n");
    hash
}

/// A line read back, whole in itself; whether it fits its neighbours is the reader's question.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) place: Place<'a>,
    /// The event's JSON.
    pub(super) event: &'a [u8],
    pub(super) hash: Hash,
}

/// Reads one line without its newline.
///
/// # Errors
/// Says what is wrong, without any of its text.
pub(super) fn parse(line: &[u8]) -> Result<Record<'_>, &'static str> {
    const SHAPE: &str = "it is not a whole record";
    let sealed = line.len().checked_sub(SEAL_BYTES).ok_or(SHAPE)?;
    let (body, seal) = line.split_at(sealed);
    let hash = seal
        .strip_prefix(HASH_MEMBER)
        .and_then(|s| s.strip_suffix(b"\"}"))
        .and_then(decode_hash)
        .ok_or(SHAPE)?;
    if leaf_hash(body) != hash {
        return Err("its hash does not match its bytes");
    }
    let rest = body.strip_prefix(b"{\"chain\":\"").ok_or(SHAPE)?;
    let (chain, rest) = split_once(rest, b"\",\"seq\":").ok_or(SHAPE)?;
    let (seq, rest) = split_once(rest, b",\"synced\":").ok_or(SHAPE)?;
    let (synced, rest) = split_once(rest, b",\"prev\":\"").ok_or(SHAPE)?;
    let (prev, event) = split_once(rest, b"\",\"event\":").ok_or(SHAPE)?;
    Ok(Record {
        place: Place {
            chain: std::str::from_utf8(chain).map_err(|_| SHAPE)?,
            seq: number(seq).ok_or(SHAPE)?,
            synced: number(synced).ok_or(SHAPE)?,
            prev: decode_hash(prev).ok_or(SHAPE)?,
        },
        event,
        hash,
    })
}

/// 64 lower-case hex digits as a hash.
pub(super) fn decode_hash(hex: &[u8]) -> Option<Hash> {
    let mut hash = GENESIS;
    if hex.len() != HEX_BYTES {
        return None;
    }
    HEXLOWER.decode_mut(hex, &mut hash).ok()?;
    Some(hash)
}

/// A hash as people read it.
pub(super) fn hex(hash: &Hash) -> String {
    HEXLOWER.encode(hash)
}

fn split_once<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_every_flipped_byte_is_noticed() {
        let mut line = Vec::new();
        let place = Place {
            chain: "c",
            seq: 7,
            synced: 5,
            prev: [9; 32],
        };
        let hash = encode(&mut line, place, br#"{"kind":"control"}"#);
        assert_eq!(line.pop(), Some(b'\n'));
        let record = parse(&line).unwrap();
        assert_eq!((record.place.seq, record.place.synced), (7, 5));
        assert_eq!(record.place.prev, [9; 32]);
        assert_eq!(record.event, br#"{"kind":"control"}"#);
        assert_eq!(record.hash, hash);
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
        for at in 0..line.len() {
            line[at] ^= 1;
            assert!(parse(&line).is_err(), "byte {at}");
            line[at] ^= 1;
        }
    }

    #[test]
    fn the_hash_is_the_one_of_rfc_9162() {
        // SHA-256 of the single byte 0x00: the leaf hash of an empty entry.
        assert_eq!(
            hex(&leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }
}
