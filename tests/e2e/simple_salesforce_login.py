"""simple-salesforce, unchanged, logs in in every way it knows. It always logs in at https://….salesforce.com, so an
adapter leads that host to the address in the environment, as a name server of the house would. Prints what it got as one
JSON object."""

import json
import os

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

ORIGIN = os.environ["E2E_ORIGIN"]
CLIENT = os.environ["E2E_CLIENT"]
KEY = os.environ["E2E_TOKEN"]

seen = []


class Here(HTTPAdapter):
    """Leads a host of Salesforce to privet."""

    def send(self, request, *args, **kwargs):
        path = request.url.split(".salesforce.com", 1)[1]
        request.url = ORIGIN + path
        response = super().send(request, *args, **kwargs)
        seen.append(response.text)
        return response


def session():
    made = requests.Session()
    made.trust_env = False
    made.verify = os.environ["E2E_CA"]
    made.mount("https://login.salesforce.com", Here())
    made.mount("https://acme.my.salesforce.com", Here())
    return made


def look(sf):
    return {
        "instance": sf.sf_instance,
        "token": sf.session_id,
        "records": sf.query("SELECT Id, Email FROM Contact ORDER BY Id LIMIT 2")["records"],
    }


def fails(**arguments):
    try:
        Salesforce(version="61.0", session=session(), **arguments)
        return None
    except SalesforceError as error:
        return {"kind": type(error).__name__, "code": error.code, "message": error.auth_message}


def log_in(**arguments):
    return look(Salesforce(version="61.0", session=session(), **arguments))


answer = {
    "soap": log_in(username=f"{CLIENT}@acme.example", password=KEY, security_token="AbCdEf0123456789AbCdEf01"),
    "password": log_in(
        username=CLIENT, password=KEY, consumer_key="app", consumer_secret="secret"
    ),
    "client_credentials": log_in(consumer_key=CLIENT, consumer_secret=KEY, domain="acme.my"),
    "failures": {
        "soap": fails(username=CLIENT, password=KEY[:-2] + "AA", security_token=""),
        "password": fails(
            username="other", password=KEY, consumer_key="app", consumer_secret="secret"
        ),
        "client_credentials": fails(consumer_key=CLIENT, consumer_secret="pvt_no", domain="acme.my"),
    },
}
answer["seen"] = seen
print(json.dumps(answer))
