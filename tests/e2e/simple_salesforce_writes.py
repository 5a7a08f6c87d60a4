"""simple-salesforce, unchanged, changes records and asks in every other way it knows. Prints what it got as one JSON
object."""

import json
import os

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceResourceNotFound

session = requests.Session()
session.trust_env = False
session.verify = os.environ["E2E_CA"]
seen = []
session.hooks["response"].append(
    lambda response, **_: seen.append(json.dumps(dict(response.headers)) + response.text)
)

sf = Salesforce(
    instance_url=os.environ["E2E_ORIGIN"],
    session_id=os.environ["E2E_TOKEN"],
    version="61.0",
    session=session,
)
V = "/services/data/v61.0"

created = sf.Contact.create({"LastName": "Unseen", "Title": "made", "Loyalty_Number__c": "L-900001"})
made = created["id"]
before = sf.Contact.get(made)
updated = sf.Contact.update(made, {"Title": "changed"})
after = sf.Contact.get(made)
upserted = sf.Contact.upsert("Loyalty_Number__c/L-900001", {"Department": "upserted"})
by_key = sf.Contact.get_by_custom_id("Loyalty_Number__c", "L-900001")
composite = sf.restful(
    "composite",
    method="POST",
    json={
        "compositeRequest": [
            {"method": "GET", "referenceId": "one", "url": f"{V}/sobjects/Contact/{made}?fields=Title"},
            {"method": "PATCH", "referenceId": "two", "url": f"{V}/sobjects/Contact/{made}",
             "body": {"Department": "@{one.Title}"}},
        ]
    },
)
found = sf.search("FIND {Unseen} IN NAME FIELDS RETURNING Contact(Id, Title, Email)")
mistake = None
try:
    sf.Contact.create({"Title": "nobody"})
except SalesforceError as error:
    mistake = {"status": error.status, "content": error.content}
deleted = sf.Contact.delete(made)
gone = False
try:
    sf.Contact.get(made)
except SalesforceResourceNotFound:
    gone = True

print(
    json.dumps(
        {
            "created": created,
            "before": before,
            "updated": updated,
            "after": after,
            "upserted": upserted,
            "by_key": by_key,
            "composite": composite["compositeResponse"],
            "found": found["searchRecords"],
            "mistake": mistake,
            "deleted": deleted,
            "gone": gone,
            "seen": seen,
        }
    )
)
