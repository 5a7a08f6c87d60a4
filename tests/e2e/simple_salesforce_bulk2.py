"""simple-salesforce, unchanged, extracts and loads tables through Bulk API 2.0. Prints what it got as one JSON object."""

import csv
import io
import json
import os

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

session = requests.Session()
session.trust_env = False
session.verify = os.environ["E2E_CA"]

sf = Salesforce(
    instance_url=os.environ["E2E_ORIGIN"],
    session_id=os.environ["E2E_TOKEN"],
    version="61.0",
    session=session,
)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


contacts = sf.bulk2.Contact
pages = [rows(page) for page in contacts.query("SELECT Id, Name, Email, Salary__c FROM Contact", max_records=900)]
inserted = contacts.insert(
    records=[
        {"LastName": "Unseen", "Title": "made"},
        {"LastName": "Unseen", "Title": "x" * 300},
    ]
)
job = inserted[0]["job_id"]
successful = rows(contacts.get_successful_records(job))
failed = rows(contacts.get_failed_records(job))
made = [row["sf__Id"] for row in successful]
updated = contacts.update(records=[{"Id": made[0], "Title": "changed"}])
title = sf.Contact.get(made[0])["Title"]
deleted = contacts.delete(records=[{"Id": made[0]}])
mistake = None
try:
    for page in contacts.query("SELECT Id FROM Contact ORDER BY Email"):
        pass
except SalesforceError as error:
    mistake = {"status": error.status, "content": error.content}
print(
    json.dumps(
        {
            "pages": [len(page) for page in pages],
            "rows": [row for page in pages for row in page][:5],
            "inserted": inserted,
            "successful": successful,
            "failed": failed,
            "updated": updated,
            "title": title,
            "deleted": deleted,
            "mistake": mistake,
        }
    )
)
