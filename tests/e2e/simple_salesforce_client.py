"""simple-salesforce, unchanged, against the address in the environment. Prints what it got as one JSON object."""

import json
import os

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

# A session of its own: requests would let variables of the environment override `verify`.
session = requests.Session()
session.trust_env = False
session.verify = os.environ["E2E_CA"]

sf = Salesforce(
    instance_url=os.environ["E2E_ORIGIN"],
    session_id=os.environ["E2E_TOKEN"],
    version=os.environ.get("E2E_VERSION", "61.0"),
    session=session,
)

first = sf.query("SELECT Id, Name, Email, Phone, Account.Name FROM Contact ORDER BY Id LIMIT 5")
whole = sf.query_all("SELECT Id, Email FROM Contact")

page = sf.query("SELECT Id FROM Contact")
pages, ids = 1, [r["Id"] for r in page["records"]]
next_urls = []
while not page["done"]:
    next_urls.append(page["nextRecordsUrl"])
    page = sf.query_more(page["nextRecordsUrl"], identifier_is_url=True)
    pages += 1
    ids += [r["Id"] for r in page["records"]]

described = sf.Contact.describe()
record = sf.Contact.get(first["records"][0]["Id"])

refusals = {}
for field in ["Email", "Salary__c", "Name"]:
    try:
        sf.query(f"SELECT Id FROM Contact ORDER BY {field} LIMIT 1")
        refusals[field] = None
    except SalesforceError as error:
        [content] = error.content
        refusals[field] = {
            "kind": type(error).__name__,
            "status": error.status,
            "code": content["errorCode"],
            "message": content["message"],
        }

print(
    json.dumps(
        {
            "query": first,
            "query_all": {
                "totalSize": whole["totalSize"],
                "emails": [r.get("Email") for r in whole["records"]],
                "distinct": len({r["Id"] for r in whole["records"]}),
            },
            "pages": {"count": pages, "distinct": len(set(ids)), "next": next_urls},
            "describe": {f["name"]: f for f in described["fields"]},
            "global": [o["name"] for o in sf.describe()["sobjects"]],
            "record": record,
            "refusals": refusals,
        }
    )
)
