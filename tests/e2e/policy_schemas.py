"""The JSON Schemas of the YAML files, held by an independent validator (jsonschema, PyPI): the files that are shipped are
valid, and each of 30 broken ones is not.

Usage: policy_schemas.py REPOSITORY. Needs jsonschema and PyYAML. Prints one JSON object; exit code 1 if anything is not as
it should be.
"""

import copy
import glob
import json
import os
import sys

import yaml
from jsonschema import Draft202012Validator


class Loader(yaml.SafeLoader):
    """YAML 1.2 as editors read it: a time and a date are texts, and so are yes, no, on and off."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers
            if tag != "tag:yaml.org,2002:timestamp"
            and not (tag == "tag:yaml.org,2002:bool" and first in "yYnNoO")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader)


def removed(document, *path):
    for key in path[:-1]:
        document = document[key]
    del document[path[-1]]


def put(document, value, *path):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def main(root):
    schemas = os.path.join(root, "src/engine/workbench/schemas")
    validators = {}
    for kind in ["privet", "vocabulary", "api", "policy-test", "monitors"]:
        with open(os.path.join(schemas, kind + ".schema.json"), encoding="utf-8") as file:
            schema = json.load(file)
        Draft202012Validator.check_schema(schema)
        validators[kind] = Draft202012Validator(schema)

    shipped = [
        ("privet", "examples/*/privet.yaml"),
        ("vocabulary", "policies/vocabulary.yaml"),
        ("monitors", "policies/monitors.yaml"),
        ("api", "policies/apis/*.yaml"),
        ("policy-test", "policies/tests/*_test.yaml"),
        ("policy-test", "policies/packs/*/tests/*_test.yaml"),
    ]
    valid, wrong, first = 0, [], {}
    for kind, pattern in shipped:
        files = sorted(glob.glob(os.path.join(root, pattern)))
        if not files:
            wrong.append(f"{pattern}: no such file")
        for file in files:
            document = read(file)
            first.setdefault(kind, document)
            found = [f"{file}: {'/'.join(map(str, e.path))}: {e.message}" for e in validators[kind].iter_errors(document)]
            wrong.extend(found)
            valid += not found

    house = {
        "schema": 1, "tenant": "acme", "keys": "keys", "state": "state",
        "listen": {"address": "127.0.0.1:8080"},
        "admin": {"address": "127.0.0.1:8081", "token": "env:A", "viewer_token": "env:B"},
        "identity": {"api_keys": "keys.yaml", "session_lifetime_s": 3600},
        "apis": {"crm": {"dialect": "salesforce", "upstream": {"url": "https://crm.example"},
                         "credential": {"kind": "passthrough"}}},
        "limits": {"upload_bytes_max": 1000},
        "audit": {"directory": "audit", "spool_bytes_max": 1 << 30,
                  "witness_http": {"url": "https://witness.example", "token": "t"},
                  "alert_webhook": {"url": "https://hooks.example/x", "timeout_ms": 5000},
                  "ship": [{"name": "lake", "kind": "file", "path": "x", "format": "ocsf"}, {"name": "out", "kind": "stdout"},
                           {"name": "siem", "kind": "syslog", "address": "h:6514", "trust": "ca.pem",
                            "client_certificate": {"certificate": "c", "key": "k"}},
                           {"name": "hec", "kind": "splunk", "url": "https://h", "token": "t"},
                           {"name": "es", "kind": "elastic", "url": "https://h", "index": "i"},
                           {"name": "bus", "kind": "nats", "address": "h:4222", "tls": False, "subject": "a.b"}]},
        "log": {"format": "json", "level": "info"},
    }
    wrong.extend(f"the house: {e.message}" for e in validators["privet"].iter_errors(house))
    test = {"schema": 1, "callers": {"ana": {"user": "ana"}},
            "tests": [{"name": "t", "caller": "ana", "object": "Contact", "expect": {"ana": {"Email": "clear"}}}]}
    words = first["vocabulary"]
    mapped = first["api"]
    watch = first["monitors"]
    broken = [
        ("privet", house, lambda d: put(d, 2, "schema")),
        ("privet", house, lambda d: removed(d, "tenant")),
        ("privet", house, lambda d: put(d, "x", "listen")),
        ("privet", house, lambda d: put(d, "x", "listen", "adress")),
        ("privet", house, lambda d: put(d, "soql", "apis", "crm", "dialect")),
        ("privet", house, lambda d: put(d, "basic", "apis", "crm", "credential", "kind")),
        ("privet", house, lambda d: put(d, "off", "apis", "crm", "mode")),
        ("privet", house, lambda d: put(d, "many", "limits", "upload_bytes_max")),
        ("privet", house, lambda d: put(d, "1h", "identity", "session_lifetime_s")),
        ("privet", house, lambda d: put(d, "x", "audit", "folder")),
        ("privet", house, lambda d: put(d, "kafka", "audit", "ship", 0, "kind")),
        ("privet", house, lambda d: removed(d, "audit", "ship", 0, "path")),
        ("privet", house, lambda d: put(d, "x", "audit", "ship", 1, "url")),
        ("privet", house, lambda d: put(d, "Big Name", "audit", "ship", 2, "name")),
        ("privet", house, lambda d: put(d, "x", "audit", "witness_http", "path")),
        ("monitors", watch, lambda d: put(d, "refusal", "monitors", "query-guessing", "kind")),
        ("monitors", watch, lambda d: put(d, "stop", "monitors", "query-guessing", "then")),
        ("monitors", watch, lambda d: put(d, "10", "monitors", "query-guessing", "window")),
        ("monitors", watch, lambda d: put(d, "stricter", "monitors", "log-trouble", "then")),
        ("monitors", watch, lambda d: put(d, {"kind": "canary"}, "monitors", "c")),
        ("vocabulary", words, lambda d: put(d, "1.0", "schema")),
        ("vocabulary", words, lambda d: put(d, "support", "purposes")),
        ("vocabulary", words, lambda d: put(d, ["eu"], "region")),
        ("vocabulary", words, lambda d: put(d, {"pii": {"entropy": "medium"}}, "classes")),
        ("vocabulary", words, lambda d: put(d, "always", "second_net")),
        ("api", mapped, lambda d: removed(d, "routes")),
        ("api", mapped, lambda d: put(d, "FETCH", "routes", 0, "method")),
        ("api", mapped, lambda d: put(d, "x", "routes", 0, "verb")),
        ("policy-test", test, lambda d: put(d, "x", "tests", 0, "excpect")),
        ("policy-test", test, lambda d: put(d, ["ana"], "callers", "ana", "user")),
    ]
    rejected = 0
    for number, (kind, document, slip) in enumerate(broken, 1):
        document = copy.deepcopy(document)
        slip(document)
        if validators[kind].is_valid(document):
            wrong.append(f"broken file {number} ({kind}) passes")
        else:
            rejected += 1
    print(json.dumps({"valid": valid, "rejected": rejected, "broken": len(broken), "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
