//! jsforce reads stored queries and the User Interface API: nothing changed but address and session id.

use privet::demo::callers::CALLERS;

use crate::clients::Client;
use crate::expected::Expected;
use crate::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_reads_reports_and_list_views_through_privet() {
    let house = House::new(true).await;
    let Some(got) = house.asked_by(Client::JsforceReports).await else {
        return;
    };
    let expected = Expected::new(&house, &CALLERS[0]);
    let view = &got["view"];
    let wanted = expected.contact(view, &["Id", "Name", "Email"]);
    for name in ["Id", "Name", "Email"] {
        assert_eq!(view[name], wanted[name], "{name}: {got}");
    }
    assert!(view.get("Salary__c").is_none(), "{got}");
    for row in [&got["row"], &got["later"]] {
        assert_eq!(row["EMAIL"], wanted["Email"], "{got}");
        assert_eq!(row["NAME"], wanted["Name"], "{got}");
        for gone in ["RATING_TEXT", "Contact.Salary__c"] {
            assert!(row.get(gone).is_none(), "{got}");
        }
    }
    let fields = &got["record"]["fields"];
    assert_eq!(fields["Email"]["value"], wanted["Email"], "{got}");
    assert!(!got["described"].to_string().contains("RATING_TEXT"));
    assert_eq!(
        (&got["instances"], &got["components"]),
        (&1.into(), &2.into())
    );
    assert!(
        got["mistake"]["message"]
            .as_str()
            .unwrap()
            .contains("sorted"),
        "{got}"
    );
}
