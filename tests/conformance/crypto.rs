//! Published vectors for the ciphers that tokens stand on.

use aes_siv::KeyInit;
use aes_siv::siv::Aes128Siv;
use serde_json::Value;

use crate::data;

#[test]
fn aes_siv_agrees_with_rfc_5297() {
    let Some(path) = data::path("crypto/rfc5297_vectors.json") else {
        return;
    };
    let text = std::fs::read_to_string(path).expect("readable");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let hex = |value: &Value| {
        data_encoding::HEXLOWER
            .decode(value.as_str().expect("hex").as_bytes())
            .expect("hex")
    };
    let vectors = file["vectors"].as_array().expect("a list");
    assert!(!vectors.is_empty());
    for vector in vectors {
        let ad: Vec<Vec<u8>> = vector["ad"]
            .as_array()
            .expect("a list")
            .iter()
            .map(hex)
            .collect();
        let key: [u8; 32] = hex(&vector["key"]).try_into().expect("32 bytes");
        let (plain, sealed) = (hex(&vector["pt"]), hex(&vector["out"]));
        let mut siv = Aes128Siv::new(&key.into());
        assert_eq!(siv.encrypt(&ad, &plain).expect("sealed"), sealed);
        assert_eq!(siv.decrypt(&ad, &sealed).expect("opened"), plain);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x80;
            assert!(siv.decrypt(&ad, &changed).is_err());
        }
    }
}

/// AEAD-AES-SIV-CMAC of Project Wycheproof, with the 256-bit and the 512-bit keys (privet uses the latter).
#[test]
fn aes_siv_agrees_with_wycheproof() {
    use aes_siv::siv::Aes256Siv;
    use wycheproof::aead::{TestName, TestSet};

    let set = TestSet::load(TestName::AesSivCmac).expect("vectors");
    let mut judged = 0;
    for group in set.test_groups {
        for test in group.tests {
            let headers = [test.aad.as_slice(), test.nonce.as_slice()];
            let sealed = [test.tag.as_slice(), test.ct.as_slice()].concat();
            let (encrypted, decrypted) = match test.key.len() {
                32 => {
                    let key: [u8; 32] = test.key.as_slice().try_into().expect("32 bytes");
                    let mut siv = Aes128Siv::new(&key.into());
                    (
                        siv.encrypt(headers, &test.pt),
                        siv.decrypt(headers, &sealed),
                    )
                }
                64 => {
                    let key: [u8; 64] = test.key.as_slice().try_into().expect("64 bytes");
                    let mut siv = Aes256Siv::new(&key.into());
                    (
                        siv.encrypt(headers, &test.pt),
                        siv.decrypt(headers, &sealed),
                    )
                }
                _ => continue, // AES-192
            };
            if test.result.must_fail() {
                assert!(decrypted.is_err(), "{}", test.tc_id);
            } else {
                assert_eq!(encrypted.expect("sealed"), sealed, "{}", test.tc_id);
                assert_eq!(decrypted.expect("opened"), *test.pt, "{}", test.tc_id);
            }
            judged += 1;
        }
    }
    assert!(judged > 500, "only {judged} vectors");
}
