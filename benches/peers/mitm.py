"""mitmproxy add-on: the same three treatments on the decoded body."""

import json


def response(flow):
    body = json.loads(flow.response.content)
    for record in body["records"]:
        email = record.get("Email")
        if isinstance(email, str):
            local, _, domain = email.partition("@")
            record["Email"] = f"{local[:1]}****@{domain}"
        record["Phone"] = None
        if isinstance(record.get("Account"), dict):
            record["Account"].pop("Name", None)
    flow.response.content = json.dumps(body, separators=(",", ":")).encode()
