//! Signed checkpoints, retention, and the room on the disk.

use super::*;

fn signed(segment_bytes_max: u64) -> Options {
    Options {
        segment_bytes_max,
        signer: Some(Arc::new(Signer::from_seed(&[3; 32]).unwrap())),
        ..Options::default()
    }
}

/// A log of `sessions` starts with `requests` requests each: each end signs a checkpoint.
async fn sessions(sessions: usize, requests: usize, options: &Options) -> Memory {
    let disk = Memory::default();
    for session in 0..sessions {
        let log = open(&disk, options.clone()).ok().unwrap();
        for n in 0..requests {
            let ticket = log
                .attempt(event(&format!("s{session}r{n}")))
                .await
                .unwrap();
            log.outcome(ticket, finished("")).await.unwrap();
        }
        log.close().await.unwrap();
    }
    disk
}

fn with_file(disk: &Memory, name: &str, bytes: Option<Vec<u8>>) -> Memory {
    let copy = disk.after_crash(1000);
    match bytes {
        Some(bytes) => copy.set(name, bytes),
        None => drop(copy.disk(|disk| disk.files.remove(name))),
    }
    copy
}

#[tokio::test]
async fn a_checkpoint_stands_over_each_thousand_records_and_over_the_end() {
    let disk = Memory::default();
    let log = open(&disk, signed(64 << 20)).ok().unwrap();
    let mut newest = log.checkpoints();
    for _ in 0..2_500 {
        log.shared().push(event("r"), Mark::Control).unwrap();
    }
    log.close().await.unwrap();
    let text = disk.bytes(CHECKPOINTS_FILE);
    let sizes: Vec<u64> = checkpoint::read(&text)
        .unwrap()
        .0
        .iter()
        .map(|c| c.size)
        .collect();
    assert!(
        sizes.contains(&1_000) && sizes.contains(&2_000),
        "{sizes:?}"
    );
    assert!(sizes.windows(2).all(|w| w[1] - w[0] <= 1_000), "{sizes:?}");
    assert_eq!(sizes.last(), Some(&2_501));
    let whole = verified(&disk).unwrap();
    assert_eq!((whole.signed, whole.checkpoints), (2_501, sizes.len()));
    let last = newest.borrow_and_update().clone().unwrap();
    assert_eq!((last.size, last.key), (2_501, whole.keys[0]));
    assert_eq!(log.stats().seq_signed, 2_501);
}

/// Whoever can write to the folder and knows the format rewrites the whole chain with fitting hashes.
#[tokio::test]
async fn a_chain_that_was_written_anew_does_not_match_its_checkpoints() {
    let disk = sessions(3, 4, &signed(64 << 20)).await;
    let name = disk.segments().pop().unwrap();
    let lines = flat(&disk).pop().unwrap().1;
    let checkpoints = checkpoint::read(&disk.bytes(CHECKPOINTS_FILE)).unwrap().0;
    for changed in 0..lines.len() {
        let mut chain = Vec::new();
        let mut prev = record::GENESIS;
        for (n, line) in lines.iter().enumerate() {
            let old = record::parse(&line[..line.len() - 1]).unwrap();
            let place = record::Place { prev, ..old.place };
            let forged = br#"{"kind":"control","request_id":"forged"}"#.as_slice();
            let event = if n == changed { forged } else { old.event };
            prev = record::encode(&mut chain, place, event);
        }
        let forged = with_file(&disk, &name, Some(chain));
        let damage = verified(&forged).expect_err("must be found");
        let before = checkpoints
            .iter()
            .rfind(|c| c.size <= changed as u64)
            .map_or(0, |c| c.size);
        assert_eq!(damage.seq, before + 1, "{damage}");
        let Err(RecoverError::Damaged(_)) = open(&forged, signed(64 << 20)) else {
            panic!("must not start");
        };
    }
}

#[tokio::test]
async fn what_a_checkpoint_is_over_cannot_be_cut_off() {
    let disk = sessions(2, 3, &signed(64 << 20)).await;
    let name = disk.segments().pop().unwrap();
    let mut lines = flat(&disk).pop().unwrap().1;
    let all = lines.len() as u64;
    while lines.pop().is_some() {
        let cut = with_file(&disk, &name, Some(lines.concat()));
        let damage = verified(&cut).expect_err("must be found");
        assert_eq!(damage.seq, lines.len() as u64 + 1);
        assert!(matches!(
            open(&cut, signed(64 << 20)),
            Err(RecoverError::Damaged(d)) if d.seq == damage.seq
        ));
    }
    // Together with the newest checkpoint: only a witness tells.
    let text = disk.bytes(CHECKPOINTS_FILE);
    let notes = checkpoint::read(&text).unwrap().0;
    let lines = flat(&disk).pop().unwrap().1;
    let first = notes[0].size as usize;
    let cut = with_file(&disk, &name, Some(lines[..first].concat()));
    cut.set(
        CHECKPOINTS_FILE,
        format!("{}\n", notes[0].note).into_bytes(),
    );
    assert_eq!(verified(&cut).unwrap().signed, first as u64);
    let checks = Checks {
        witnessed: Some(text),
        ..Checks::default()
    };
    assert!(matches!(
        verify_on(&cut, &checks),
        Err(VerifyError::Damaged(d)) if d.seq == first as u64 + 1
    ));
    assert_eq!(verify_on(&disk, &checks).unwrap().signed, all);
}

#[tokio::test]
async fn every_change_of_the_checkpoints_is_found_and_another_key_is_not_taken() {
    let disk = sessions(3, 2, &signed(64 << 20)).await;
    let text = disk.bytes(CHECKPOINTS_FILE);
    let notes = checkpoint::read(&text).unwrap().0;
    let last = text.len() - notes[2].note.len() - 1;
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1;
        // A changed separator of the last note reads as a torn one: without a witness as good as removed.
        match verified(&with_file(&disk, CHECKPOINTS_FILE, Some(changed))) {
            Ok(whole) => assert!(
                at >= last && text[at] == b'\n' && whole.checkpoints == 2,
                "byte {at}"
            ),
            Err(damage) => assert!(damage.seq <= notes[2].size, "{damage}"),
        }
    }
    let swapped = format!("{}\n{}\n", notes[1].note, notes[0].note);
    verified(&with_file(&disk, CHECKPOINTS_FILE, Some(swapped.into()))).unwrap_err();
    // Of another chain, though signed with the same key.
    let other = sessions(3, 2, &signed(64 << 20)).await;
    let spliced = with_file(&disk, CHECKPOINTS_FILE, Some(other.bytes(CHECKPOINTS_FILE)));
    verified(&spliced).unwrap_err();
    let ours = signed(0).signer.unwrap().public();
    let theirs = Signer::from_seed(&[4; 32]).unwrap().public();
    let check = |keys| {
        verify_on(
            &disk,
            &Checks {
                keys,
                ..Checks::default()
            },
        )
    };
    assert_eq!(check(vec![theirs, ours]).unwrap().keys, [ours]);
    assert!(matches!(check(vec![theirs]), Err(VerifyError::Damaged(d)) if d.seq == 1));
}

#[tokio::test]
async fn a_torn_checkpoint_is_cut_at_every_offset() {
    let disk = sessions(2, 2, &signed(64 << 20)).await;
    let text = disk.bytes(CHECKPOINTS_FILE);
    let notes = checkpoint::read(&text).unwrap().0;
    let first = notes[0].note.len() + 1;
    for cut in first..text.len() {
        let torn = with_file(&disk, CHECKPOINTS_FILE, Some(text[..cut].to_vec()));
        assert_eq!(verified(&torn).unwrap().checkpoints, 1);
        open(&torn, signed(64 << 20))
            .ok()
            .unwrap()
            .close()
            .await
            .unwrap();
        let whole = verified(&torn).unwrap();
        assert_eq!(whole.checkpoints, 2);
        assert_eq!(whole.signed, whole.last.seq);
    }
}

#[tokio::test]
async fn retention_removes_whole_signed_shipped_segments_and_says_so() {
    let options = signed(2_000);
    let disk = sessions(1, 30, &options).await;
    let log = open(&disk, options.clone()).ok().unwrap();
    let before = disk.segments();
    let by_size = Retention {
        bytes: Some(1),
        ..Retention::default()
    };
    let now = jiff::Timestamp::now();
    // Nothing shipped; nothing old; nothing asked.
    assert_eq!(log.retire(by_size, 0, now).await.unwrap(), 0);
    let by_age = Retention {
        days: Some(30),
        ..Retention::default()
    };
    assert_eq!(log.retire(by_age, u64::MAX, now).await.unwrap(), 0);
    assert_eq!(
        log.retire(Retention::default(), u64::MAX, now)
            .await
            .unwrap(),
        0
    );
    assert_eq!(disk.segments(), before);
    let third: u64 = before[2][6..22].parse().unwrap();
    assert_eq!(log.retire(by_size, third, now).await.unwrap(), 2);
    let later = now + jiff::SignedDuration::from_hours(24 * 31);
    let gone = log.retire(by_age, u64::MAX, later).await.unwrap();
    assert!(gone > 3, "{gone}");
    log.close().await.unwrap();
    let whole = verified(&disk).unwrap();
    assert!(whole.first > third && whole.signed == whole.last.seq);
    // It starts, goes on, and verifies after more of it.
    let log = open(&disk, options.clone()).ok().unwrap();
    drop(log.attempt(event("later")).await.unwrap());
    log.close().await.unwrap();
    verified(&disk).unwrap();
    // Somebody else removes one more.
    let name = disk.segments().remove(0);
    let damage = verified(&with_file(&disk, &name, None)).unwrap_err();
    assert_eq!(damage.seq, whole.first, "{damage}");
}

#[tokio::test]
async fn a_segment_that_does_not_verify_is_not_removed() {
    let options = signed(2_000);
    let disk = sessions(1, 30, &options).await;
    let log = open(&disk, options).ok().unwrap();
    let before = disk.segments();
    let mut bytes = disk.bytes(&before[1]);
    bytes[200] ^= 1;
    disk.set(&before[1], bytes);
    let by_size = Retention {
        bytes: Some(1),
        ..Retention::default()
    };
    let result = log.retire(by_size, u64::MAX, jiff::Timestamp::now()).await;
    assert!(
        matches!(result, Err(RetentionError::Damaged(_))),
        "{result:?}"
    );
    assert_eq!(disk.segments()[..2], before[..2]);
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_attempts_until_there_is_room() {
    let disk = Memory::default();
    disk.disk(|disk| disk.space = Some((3 << 30, 100 << 30)));
    let log = open(&disk, Options::default()).ok().unwrap();
    let ticket = log.attempt(event("low")).await.unwrap();
    disk.disk(|disk| disk.space = Some((300 << 20, 100 << 30)));
    // The committer looks at the disk after each commit.
    log.control(control_event("tick", String::new()))
        .await
        .unwrap();
    while log.stats().space != Space::Refusing {
        tokio::task::yield_now().await;
    }
    assert!(log.attempt(event("refused")).await.is_err());
    log.outcome(ticket, finished("low")).await.unwrap();
    disk.disk(|disk| disk.space = Some((50 << 30, 100 << 30)));
    log.control(control_event("tick", String::new()))
        .await
        .unwrap();
    while log.stats().space != Space::Enough {
        tokio::task::yield_now().await;
    }
    drop(log.attempt(event("again")).await.unwrap());
    log.close().await.unwrap();
    assert!(!disk.events().contains_key("refused"));
}
