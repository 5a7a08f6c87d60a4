//! `examples/salesforce/privet.yaml` with the program itself: a person changes the marked lines and runs it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use http::Method;
use privet::demo::callers::CALLERS;
use privet::demo::client::{ask, encode};
use privet::observe::audit::{Checks, verify};
use serde_json::Value;

use crate::expected::Expected;
use crate::house::House;

/// A running `privet run`; it ends with this value whatever happens.
struct Program {
    child: Child,
    log: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it; on return it serves.
    fn start(house: &House) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_privet"))
            .args(["run", "--config"])
            .arg(&house.config)
            .env_clear()
            .envs(&house.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        let mut program = Self { child, log };
        assert!(program.says("serving"), "it ended instead of serving");
        program
    }

    /// Reads its log up to a line with `word`; false when the log ends before.
    fn says(&mut self, word: &str) -> bool {
        let mut lines = self.log.by_ref().lines().map_while(Result::ok);
        lines.any(|line| line.contains(word))
    }

    /// Asks it to stop, as a service manager does, and gives its exit code.
    fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        assert!(self.says("stopped"));
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs_with_its_marked_lines_changed() {
    let house = House::new(false).await;
    let key = house.issue(&CALLERS[0]);
    let program = tokio::task::block_in_place(|| Program::start(&house));

    // The example's own curl line.
    let soql = "SELECT Id,Name,Email,Phone FROM Contact LIMIT 3";
    let target = format!("/services/data/v61.0/query?q={}", encode(soql));
    let received = ask(Method::GET, &house.origin, &target, &key, None)
        .await
        .unwrap();
    assert_eq!(received.status, 200);
    let answer: Value = serde_json::from_slice(&received.body).unwrap();
    let records = answer["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    let expected = Expected::new(&house, &CALLERS[0]);
    for record in records {
        assert_eq!(
            *record,
            expected.contact(record, &["Id", "Name", "Email", "Phone"])
        );
    }
    drop(expected);
    assert_eq!(received.headers["privet-treated"], "Email=mask");
    let refused = ask(Method::GET, &house.origin, &target, "pvt_wrong", None);
    assert_eq!(refused.await.unwrap().status, 401);

    assert_eq!(tokio::task::block_in_place(|| program.terminate()), Some(0));
    // The start of the log, start and end of the service, and two requests, each with its outcome.
    let audit = verify(&house.state().join("audit"), &Checks::default()).unwrap();
    assert_eq!((audit.records, audit.open), (7, 0));
}
