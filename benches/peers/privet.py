"""privet with everything on: API key, SOQL, policy, audit with fdatasync, metrics. Written new for each run."""

import json
import pathlib
import subprocess

from bodies import FIELDS

PRIVET = pathlib.Path(__file__).resolve().parents[2] / "target/release/privet"
VERSION = "v61.0"

_KINDS = {
    "Id": '{"type": "id"}',
    "Email": '{"type": "email", "length": 80}',
    "Phone": '{"type": "phone", "length": 40}',
    "HasOptedOutOfEmail": '{"type": "boolean"}',
    "DoNotCall": '{"type": "boolean"}',
    "Score__c": '{"type": "double"}',
    "CreatedDate": '{"type": "datetime"}',
    "LastModifiedDate": '{"type": "datetime"}',
    "SystemModstamp": '{"type": "datetime"}',
    "LastActivityDate": '{"type": "date"}',
    "Description": '{"type": "textarea", "length": 32000}',
}


def _schema() -> str:
    contact = {name: json.loads(_KINDS.get(name, '{"type": "string", "length": 255}')) for name in FIELDS}
    contact["AccountId"] = {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"}
    account = {"Id": {"type": "id"}, "Name": {"type": "string", "length": 255, "nameField": True}}
    document = {"Id": {"type": "id"}, "Body": {"type": "base64"}}
    objects = {
        "Account": {"keyPrefix": "001", "fields": account},
        "Attachment": {"keyPrefix": "00P", "fields": document},
        "Contact": {"keyPrefix": "003", "fields": contact},
    }
    return json.dumps(
        {"schema": 1, "api": "salesforce", "dialect": "salesforce", "version": "61.0", "objects": objects}, indent=1
    )


def _files(listen: int, admin: int, origin: int, tls: dict | None) -> dict:
    clear = [f"Contact.{name}" for name in FIELDS if name not in ("Id", "Email", "Phone")]
    transport = f", tls: {{ certificate: {tls['certificate']}, key: {tls['key']} }}" if tls else ""
    scheme = "https" if tls else "http"
    return {
        "privet.yaml": f"""\
schema: 1
tenant: bench
policies: policies
keys: keys.json
state: state
listen: {{ address: "127.0.0.1:{listen}", public_url: "{scheme}://127.0.0.1:{listen}"{transport} }}
admin: {{ address: "127.0.0.1:{admin}" }}
identity: {{ api_keys: api-keys.jsonl }}
apis:
  salesforce:
    dialect: salesforce
    paths: [/services/]
    upstream: {{ url: "http://127.0.0.1:{origin}" }}
    credential: {{ kind: bearer, token: upstream }}
audit: {{ directory: audit }}
log: {{ format: json, level: error }}
""",
        "policies/rules/bench.csv": """\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, role:reader, read, class:id, clear, *, *, -, -, ids
p, allow, role:reader, read, class:operational, clear, *, *, -, -, open
p, allow, role:reader, read, class:pii.email, mask:email, *, *, -, -, email
p, allow, role:reader, read, class:pii.phone, redact, *, *, -, -, phone
""",
        "policies/roles.csv": "# g, who, role\n",
        "policies/classes/bench.csv": "# g2, field, class\n"
        + "".join(f"g2, {field}, class:operational\n" for field in [*clear, "Attachment.Body"])
        + "g2, Contact.Email, class:pii.email\ng2, Contact.Phone, class:pii.phone\ng2, Account.Name, class:pii.name\n",
        "policies/vocabulary.yaml": """\
schema: 1
purposes: [bench]
regions: [eu]
classes:
  operational: {}
  pii.email: { personal: true }
  pii.phone: { personal: true }
  pii.name: { personal: true }
scopes: { bench: Bench }
clients:
  load: { purposes: [bench], scope: bench }
""",
        "policies/schema/salesforce.json": _schema(),
    }


def prepare(folder: pathlib.Path, listen: int, admin: int, origin: int, tls: dict | None = None) -> str:
    """Writes the configuration into `folder` and gives an API key of the load's client."""
    for name, text in _files(listen, admin, origin, tls).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run = lambda *words: subprocess.run([PRIVET, *words], cwd=folder, check=True, capture_output=True, text=True).stdout
    run("keys", "init", "--keys", "keys.json")
    key = run("keys", "issue", "load", "--roles", "reader", "--region", "eu", "--expires", "30d").split()
    return next(word for word in key if word.startswith("pvt_"))
