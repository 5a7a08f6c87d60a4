"""zeep, unchanged, speaks the partner API that privet's own WSDL describes: logs in, reads, pages, changes, describes.
Prints what it got as one JSON object."""

import json
import os

import requests
import zeep
from zeep.helpers import serialize_object

origin = os.environ["E2E_ORIGIN"]
session = requests.Session()
session.trust_env = False
session.verify = os.environ["E2E_CA"]
seen = []
session.hooks["response"].append(
    lambda response, **_: seen.append(json.dumps(dict(response.headers)) + response.text)
)
client = zeep.Client(f"{origin}/services/wsdl/partner/61.0", transport=zeep.Transport(session=session))
login = client.service.login(username=os.environ["E2E_CLIENT"], password=os.environ["E2E_TOKEN"])
service = client.create_service("{urn:partner.soap.sforce.com}SoapBinding", login.serverUrl)
HEADER = {"SessionHeader": {"sessionId": login.sessionId}}
SOBJECT = client.get_type("{urn:sobject.partner.soap.sforce.com}sObject")


def element(name, text):
    from lxml import etree

    one = etree.Element("{urn:sobject.partner.soap.sforce.com}" + name)
    one.text = text
    return one


def record(_id=None, **fields):
    some = {"type": "Contact", "_value_1": [element(n, t) for n, t in fields.items()]}
    if _id:
        some["Id"] = _id
    return SOBJECT(**some)


def plain(one):
    """A record as a dictionary of texts."""
    got = {"type": one.type, "Id": one.Id}
    for child in one._value_1 or []:
        name = child.tag.rsplit("}", 1)[-1]
        nil = child.get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"
        got[name] = None if nil else child.text
    return got


def ask(call, *arguments, headers=None, **named):
    return getattr(service, call)(*arguments, _soapheaders={**HEADER, **(headers or {})}, **named)


query = ask("query", "SELECT Id, Email, Name, Title FROM Contact ORDER BY Id LIMIT 2")
page = ask("query", "SELECT Id FROM Contact", headers={"QueryOptions": {"batchSize": 1000}})
pages, ids = 1, {r.Id for r in page.records}
size = page.size
while not page.done:
    page = ask("queryMore", page.queryLocator)
    ids |= {r.Id for r in page.records}
    pages += 1
first = query.records[0].Id
retrieved = ask("retrieve", "Id, Email, Name, Title", "Contact", [first])
created = ask("create", [record(LastName="Unseen", Title="made")])
made = created[0].id
updated = ask("update", [record(made, Title="changed")])
after = ask("retrieve", "Id, Title", "Contact", [made])
upserted = ask("upsert", "Loyalty_Number__c", [record(Loyalty_Number__c="L-900003", LastName="Keyed")])
describe = ask("describeSObject", "Contact")
world = ask("describeGlobal")
failures = {}
for name, call in {
    "filter": lambda: ask("query", "SELECT Id FROM Contact WHERE Salary__c = 1"),
    "mask": lambda: ask("update", [record(made, Email="j****@firm.example")]),
    "session": lambda: service.query("SELECT Id FROM Contact", _soapheaders={"SessionHeader": {"sessionId": "pvs_x"}}),
}.items():
    try:
        call()
    except zeep.exceptions.Fault as fault:
        failures[name] = {"code": fault.code, "message": fault.message}
deleted = ask("delete", [made])

print(
    json.dumps(
        {
            "serverUrl": login.serverUrl,
            "session": login.sessionId[:4],
            "size": size,
            "pages": pages,
            "distinct": len(ids),
            "records": [plain(r) for r in query.records],
            "retrieved": [plain(r) for r in retrieved],
            "created": serialize_object(created[0], dict),
            "updated": serialize_object(updated[0], dict),
            "upserted": serialize_object(upserted[0], dict),
            "deleted": serialize_object(deleted[0], dict),
            "after": [plain(r) for r in after],
            "fields": {f.name: [f.type, f.filterable] for f in describe.fields},
            "objects": [o.name for o in world.sobjects],
            "failures": failures,
            "seen": seen,
        },
        default=str,
    )
)
