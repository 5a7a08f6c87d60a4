//! `GET /services/data/vNN.0/limits`.

use serde_json::json;

use crate::demo::crm::Reply;

/// The answer.
pub fn answer() -> Reply {
    Reply::json(
        200,
        &json!({
            "ConcurrentAsyncGetReportInstances": {"Max": 200, "Remaining": 200},
            "DailyApiRequests": {"Max": 15000, "Remaining": 14982, "Ana Example (App)": {"Max": 0, "Remaining": 0}},
            "DailyBulkApiBatches": {"Max": 15000, "Remaining": 15000},
            "DataStorageMB": {"Max": 1073, "Remaining": 1005},
            "FileStorageMB": {"Max": 1073, "Remaining": 1073},
            "SingleEmail": {"Max": 5000, "Remaining": 4987},
        }),
    )
}
