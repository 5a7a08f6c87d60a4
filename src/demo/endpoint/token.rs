//! `POST /services/oauth2/token`: OAuth 2.0 client credentials (RFC 6749 section 4.4) with Salesforce's reply.

use serde_json::json;

use crate::demo::crm::{Asked, CLIENT_ID, CLIENT_SECRET, Crm, ORGANISATION, Reply};
use crate::demo::server::form;

/// The answer.
pub fn answer(crm: &Crm, asked: &Asked) -> Reply {
    let refuse = |error: &str, description: &str| {
        Reply::json(
            400,
            &json!({"error": error, "error_description": description}),
        )
    };
    if asked.method != "POST" {
        return refuse("invalid_request", "must use HTTP POST");
    }
    let fields = form(&String::from_utf8_lossy(&asked.body));
    let field = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    if field("grant_type") != Some("client_credentials") {
        return refuse("unsupported_grant_type", "grant type not supported");
    }
    let basic = asked
        .header("authorization")
        .and_then(|v| v.strip_prefix("Basic "))
        .and_then(|v| data_encoding::BASE64.decode(v.trim().as_bytes()).ok())
        .and_then(|v| String::from_utf8(v).ok());
    let (id, secret) = match basic.as_deref().and_then(|b| b.split_once(':')) {
        Some(pair) => pair,
        None => (
            field("client_id").unwrap_or_default(),
            field("client_secret").unwrap_or_default(),
        ),
    };
    if id != CLIENT_ID {
        return refuse("invalid_client_id", "client identifier invalid");
    }
    if secret != CLIENT_SECRET {
        return refuse("invalid_client", "invalid client credentials");
    }
    let origin = &asked.origin;
    let user = crate::demo::record_id::make("005", 1);
    let token = crm.open_session();
    let mut reply = Reply::json(
        200,
        &json!({
            "access_token": token,
            "signature": "3m0c9aYt7pYk0mXv8u1s5nLq2wRzTfGhJkLqWeRtYuI=",
            "scope": "api",
            "instance_url": origin,
            "id": format!("{origin}/id/{ORGANISATION}/{user}"),
            "token_type": "Bearer",
            "issued_at": "1795428000000",
            "api_instance_url": origin,
        }),
    );
    reply.headers.push(("cache-control", "no-store".to_owned()));
    reply
}
