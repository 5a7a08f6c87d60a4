#!/usr/bin/env bash
# Installs what tests/e2e/pages.rs clicks with: playwright-core and axe-core (npm) into $PRIVET_CLIENTS/pages, else
# .cache/clients/pages; and, where apt and root are at hand, Debian's chromium and promtool (package prometheus).
# Running it again does nothing.
set -euo pipefail

playwright=1.65.1
axe=4.14.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
clients=${PRIVET_CLIENTS:-$here/../../.cache/clients}
mkdir -p "$clients"
cd "$clients"

mark=pages/.playwright-$playwright-axe-$axe
if [ ! -f "$mark" ]; then
    rm -rf pages
    mkdir pages
    printf '{"private":true}\n' > pages/package.json
    (cd pages && npm install --silent --no-audit --no-fund --ignore-scripts \
        "playwright-core@$playwright" "axe-core@$axe")
    touch "$mark"
fi

missing=()
[ -n "${CHROMIUM:-}" ] || [ -x /usr/bin/chromium ] || missing+=(chromium)
command -v promtool >/dev/null || missing+=(prometheus)
if [ ${#missing[@]} -gt 0 ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "please install: ${missing[*]}" >&2
    fi
fi

echo "the browser's tools are in $PWD/pages"
