"""The bodies that every proxy carries: Salesforce query answers of 1, 207 and 20,569 contacts, compact JSON.

2 KB, 250 KB and 25 MB, about 1.2 KB and 28 keys a record. The same seed gives the same bytes.
"""

import json
import random

SIZES = {"2k": 1, "250k": 207, "25m": 20_569}

# The fields in the order of the SELECT; privet's policy in privet.py masks, redacts and drops three of them.
FIELDS = (
    "Id Email Phone FirstName LastName Name Title Department MailingStreet MailingCity MailingState"
    " MailingPostalCode MailingCountry LeadSource Description AssistantName HasOptedOutOfEmail DoNotCall"
    " CreatedDate LastModifiedDate SystemModstamp LastActivityDate Level__c Languages__c Score__c Region__c"
).split()
SELECT = ", ".join([*FIELDS, "Account.Name"])


def soql(size: str) -> str:
    return f"SELECT {SELECT} FROM Contact LIMIT {SIZES[size]}"


def _text(rng: random.Random, words: int) -> str:
    return " ".join(
        "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 9))) for _ in range(words)
    )


def _record(rng: random.Random, number: int) -> dict:
    url = "/services/data/v61.0/sobjects/"
    contact, account = f"003000000{number:06d}AAA", f"001000000{number % 999:06d}AAA"
    first, last = _text(rng, 1).title(), _text(rng, 1).title()
    values = {
        "Id": contact,
        "Email": f"{first}.{last}@example.org".lower(),
        "Phone": f"+49 30 {rng.randint(100000, 999999)}",
        "FirstName": first,
        "LastName": last,
        "Name": f"{first} {last}",
        "Title": _text(rng, 2),
        "Department": _text(rng, 1),
        "MailingStreet": f"{_text(rng, 2)} {rng.randint(1, 200)}",
        "MailingCity": _text(rng, 1).title(),
        "MailingState": None,
        "MailingPostalCode": str(rng.randint(10000, 99999)),
        "MailingCountry": "Germany",
        "LeadSource": _text(rng, 1),
        "Description": _text(rng, 24),
        "AssistantName": None,
        "HasOptedOutOfEmail": rng.random() < 0.3,
        "DoNotCall": False,
        "CreatedDate": "2024-03-01T09:30:00.000+0000",
        "LastModifiedDate": "2026-10-01T11:12:13.000+0000",
        "SystemModstamp": "2026-10-01T11:12:13.000+0000",
        "LastActivityDate": "2026-09-30",
        "Level__c": _text(rng, 1),
        "Languages__c": _text(rng, 2),
        "Score__c": round(rng.random() * 100, 2),
        "Region__c": "emea",
    }
    return {
        "attributes": {"type": "Contact", "url": f"{url}Contact/{contact}"},
        **{name: values[name] for name in FIELDS},
        "Account": {
            "attributes": {"type": "Account", "url": f"{url}Account/{account}"},
            "Name": f"{_text(rng, 2)} GmbH",
        },
    }


def answer(size: str) -> bytes:
    count = SIZES[size]
    rng = random.Random(7)
    records = [_record(rng, number) for number in range(count)]
    whole = {"totalSize": count, "done": True, "records": records}
    return json.dumps(whole, separators=(",", ":")).encode()
