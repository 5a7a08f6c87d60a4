//! A client of the Streaming API that nobody here wrote: jsforce, which speaks Bayeux through faye.

use serde_json::json;

use privet::demo::callers::CALLERS;

use crate::clients::Client;
use crate::expected::Expected;
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_hears_events_through_privet() {
    let house = House::new(true).await;
    house.allow_changes();
    let Some(got) = house.asked_by(Client::JsforceStreaming).await else {
        return;
    };
    let expected = Expected::new(&house, &CALLERS[0]);
    let event = &got["events"]["topic"];
    assert_eq!(event["event"]["type"], "updated", "{got}");
    let record = &event["sobject"];
    let wanted = expected.contact(record, &["Id", "Name", "Email", "Phone"]);
    for name in ["Id", "Name", "Phone", "Email"] {
        assert_eq!(record[name], wanted[name], "{name}: {got}");
    }
    assert!(record.get("Salary__c").is_none(), "{got}");

    let payload = &got["events"]["changes"]["payload"];
    assert_eq!(payload["Title"], "heard", "{got}");
    let header = &payload["ChangeEventHeader"];
    assert_eq!(header["recordIds"], json!([got["id"]]));
    assert_eq!(header["changeType"], "UPDATE");
    assert!(
        header["changedFields"]
            .as_array()
            .unwrap()
            .contains(&"Title".into())
    );
    assert!(got["events"]["changes"]["event"]["replayId"].is_u64());

    for (name, code) in [("filtered", 400), ("platform", 403), ("hidden", 400)] {
        assert_eq!(got["failures"][name]["code"], code, "{name}: {got}");
    }
}
