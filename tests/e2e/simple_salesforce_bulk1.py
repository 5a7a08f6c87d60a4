"""simple-salesforce, unchanged, extracts and loads through Bulk API 1.0. Prints what it got as one JSON object."""

import json
import os

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError, SalesforceResourceNotFound

session = requests.Session()
session.trust_env = False
session.verify = os.environ["E2E_CA"]

sf = Salesforce(
    instance_url=os.environ["E2E_ORIGIN"],
    session_id=os.environ["E2E_TOKEN"],
    version="61.0",
    session=session,
)

contacts = sf.bulk.Contact
rows = contacts.query("SELECT Id, Name, Email, Salary__c FROM Contact")
inserted = contacts.insert(
    [
        {"LastName": "Unseen", "Title": "made"},
        {"LastName": "Unseen", "Title": "x" * 300},
    ]
)
made = inserted[0]["id"]
updated = contacts.update([{"Id": made, "Title": "changed"}], use_serial=True)
title = sf.Contact.get(made)["Title"]
detailed = contacts.update([{"Id": made, "Title": "detailed"}], include_detailed_results=True)
keyed = [{"Loyalty_Number__c": "L-930001", "LastName": "Keyed"}]
upserted = contacts.upsert(keyed, "Loyalty_Number__c")
again = contacts.upsert(keyed, "Loyalty_Number__c", batch_size="auto")
if not again:
    # It sends no batch of one record where it sizes batches by itself.
    again = contacts.upsert(keyed, "Loyalty_Number__c")
deleted = contacts.delete([{"Id": made}])
gone = False
try:
    sf.Contact.get(made)
except SalesforceResourceNotFound:
    gone = True
mistake = None
try:
    contacts.query("SELECT Id FROM Contact ORDER BY Email")
except SalesforceError as error:
    mistake = {"status": error.status, "content": error.content}
print(
    json.dumps(
        {
            "count": len(rows),
            "rows": rows[:5],
            "inserted": inserted,
            "updated": updated,
            "title": title,
            "detailed": detailed,
            "upserted": upserted,
            "again": again,
            "deleted": deleted,
            "gone": gone,
            "mistake": mistake,
        }
    )
)
