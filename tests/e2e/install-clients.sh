#!/usr/bin/env bash
# Installs the CRM clients that tests/e2e runs, unchanged, against privet: simple-salesforce and zeep (PyPI), jsforce
# (npm); the validator that it holds the JSON Schemas with: jsonschema (PyPI); and the SOQL parsers that privet's is held
# against (tree-sitter-sfapex needs a C++ compiler). From Debian, where it can: nats-server, rsyslog and rsyslog-gnutls,
# the receivers that tests/audit ships records to.
# Where: $PRIVET_CLIENTS, else .cache/clients in the repository. Running it again does nothing.
set -euo pipefail

simple_salesforce=1.12.10
zeep=4.3.3
jsforce=3.10.16
jsonschema=4.26.0
pyyaml=6.0.3
soql_parser=6.3.1
tree_sitter=0.25.1
tree_sitter_sfapex=3.0.0

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
clients=${PRIVET_CLIENTS:-$here/../../.cache/clients}
mkdir -p "$clients"
cd "$clients"

python_mark=venv/.simple-salesforce-$simple_salesforce-jsonschema-$jsonschema-pyyaml-$pyyaml
if [ ! -f "$python_mark" ]; then
    rm -rf venv
    python3 -m venv venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check \
        "simple-salesforce==$simple_salesforce" "jsonschema==$jsonschema" "PyYAML==$pyyaml"
    touch "$python_mark"
fi

zeep_mark=venv/.zeep-$zeep
if [ ! -f "$zeep_mark" ]; then
    venv/bin/python -m pip install --quiet --disable-pip-version-check "zeep==$zeep"
    touch "$zeep_mark"
fi

node_mark=node/.jsforce-$jsforce
if [ ! -f "$node_mark" ]; then
    rm -rf node
    mkdir node
    printf '{"private":true}\n' > node/package.json
    (cd node && npm install --silent --no-audit --no-fund --ignore-scripts "jsforce@$jsforce")
    touch "$node_mark"
fi

grammars_mark=grammars/.soql-$soql_parser-$tree_sitter_sfapex
if [ ! -f "$grammars_mark" ]; then
    rm -rf grammars
    mkdir grammars
    printf '{"private":true}\n' > grammars/package.json
    (
        cd grammars
        npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps \
            "@jetstreamapp/soql-parser-js@$soql_parser" "tree-sitter@$tree_sitter" "tree-sitter-sfapex@$tree_sitter_sfapex"
        npm rebuild --silent tree-sitter tree-sitter-sfapex ||
            { echo "tree-sitter-sfapex cannot be built: the test of SOQL needs it" >&2; exit 1; }
    )
    touch "$grammars_mark"
fi

# None of them is started as a service.
if ! { command -v nats-server && [ -x /usr/sbin/rsyslogd ] && ls /usr/lib/*/rsyslog/lmnsd_gtls.so; } >/dev/null 2>&1; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends nats-server rsyslog rsyslog-gnutls >/dev/null
    else
        echo "nats-server, rsyslog and rsyslog-gnutls are not installed; as root: apt-get install nats-server rsyslog rsyslog-gnutls" >&2
    fi
fi

echo "clients are in $PWD"
