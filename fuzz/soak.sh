#!/bin/sh
# Runs every fuzz target, or those named, for so many minutes each: fuzz/soak.sh 15 [json csv ...]
# On the stable toolchain there is no address sanitizer and no coverage flag: hence `-s none` and RUSTC_BOOTSTRAP.
# Needs cargo-fuzz. Exits with the first failure; the input is then in fuzz/artifacts/.
set -eu
cd "$(dirname "$0")/.."
minutes=${1:-15}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^privet-fuzz$')
for target; do
    echo "== $target, $minutes minutes"
    RUSTC_BOOTSTRAP=1 nice cargo fuzz run -s none "$target" -- \
        -max_total_time=$((minutes * 60)) -max_len=4096 -print_final_stats=1
done
