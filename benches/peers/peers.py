#!/usr/bin/env python3
"""privet and its peers side by side, in one run on one machine.

The proxy under test has core 0 for itself; the origin (nginx, static files) and the load (wrk, h2load) share core 1.
Every proxy carries the same answers (bodies.py) and, where it edits, edits the same three fields. Rounds are
interleaved: a slow minute of the machine hits all of them. What is printed is the median of the rounds.

    peers.py [--rounds N] [--seconds S] [--only NAME,…] [--transport http1,h2] [--out FOLDER]
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import chart
import privet
from bodies import SIZES, answer, soql

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ORIGIN, PROXY, ADMIN = 19100, 19200, 19300
QUERY = f"/services/data/{privet.VERSION}/query"
FILES = f"/services/data/{privet.VERSION}/sobjects/Attachment/"
CONNECTIONS = {"2k": 16, "250k": 8, "25m": 2}
PROXY_CORE, LOAD_CORE = "0", "1"


def target(size: str) -> str:
    return f"{QUERY}?q={urllib.parse.quote(soql(size))}"


def file(size: str) -> str:
    """The same bytes as a file: what privet passes untouched when the policy shows it in clear."""
    return f"{FILES}00P{SIZES[size]:012d}AAA/Body"


class Running:
    """A process tree that was started here, and nothing else."""

    def __init__(self, words, core, cwd, env=None):
        self.log = open(cwd / "log", "ab")
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *map(str, words)],
            cwd=cwd, env={**os.environ, **(env or {})}, stdout=self.log, stderr=self.log, start_new_session=True,
        )

    def pids(self):
        out = subprocess.run(["ps", "-o", "pid=", "-g", str(self.process.pid)], capture_output=True, text=True)
        return [int(word) for word in out.stdout.split()]

    def cpu_s(self) -> float:
        ticks = 0
        for pid in self.pids():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak_reset(self):
        for pid in self.pids():
            try:
                pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                pass

    def peak_kib(self) -> int:
        total = 0
        for pid in self.pids():
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            found = re.search(r"VmHWM:\s+(\d+)", status)
            total += int(found.group(1)) if found else 0
        return total

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()


def await_port(port: int, running: Running):
    for _ in range(300):
        if running.process.poll() is not None:
            raise RuntimeError(f"ended before it listened: {pathlib.Path(running.log.name).read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("does not listen")


# ---- the proxies -------------------------------------------------------------------------------------------------

NGINX = """\
{modules}
worker_processes 1;
daemon off;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 10000000;
    large_client_header_buffers 4 64k;
    client_body_temp_path {folder}/c; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {http}
}}
"""


def nginx(folder, http, modules=""):
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, http=http, modules=modules))
    return ["nginx", "-p", folder, "-c", folder / "nginx.conf"]


def origin(folder):
    for size in SIZES:
        (folder / f"{size}.json").write_bytes(answer(size))
    limits = "".join(f'"~LIMIT(%20|\\+){count}$" {size};' for size, count in SIZES.items())
    files = "".join(f'"~{file(size)}" {size};' for size in SIZES)
    return nginx(
        folder,
        f"""map $args $body {{ default 2k; {limits} }}
    map $uri $file {{ default 2k; {files} }}
    types {{ application/json json; }}
    server {{
        listen 127.0.0.1:{ORIGIN} backlog=1024;
        root {folder};
        location {QUERY} {{ default_type application/json; try_files /$body.json =404; }}
        location {FILES} {{ types {{ }} default_type application/octet-stream; try_files /$file.json =404; }}
    }}""",
    )


def _forward(folder, tls, extra=""):
    listen = f"127.0.0.1:{PROXY}" + (" ssl http2" if tls else "")
    certificate = f"ssl_certificate {tls['certificate']}; ssl_certificate_key {tls['key']};" if tls else ""
    return f"""upstream origin {{ server 127.0.0.1:{ORIGIN}; keepalive 64; keepalive_requests 10000000; }}
    server {{
        listen {listen} backlog=1024; {certificate}
        location / {{
            proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_max_temp_file_size 0; {extra}
        }}
    }}"""


def nginx_pass(folder, tls):
    return nginx(folder, _forward(folder, tls))


def nginx_lua(folder, tls):
    extra = f"header_filter_by_lua_block {{ ngx.header.content_length = nil }} body_filter_by_lua_file {HERE}/lua/nginx.lua;"
    modules = "load_module modules/ndk_http_module.so; load_module modules/ngx_http_lua_module.so;"
    if not pathlib.Path("/usr/share/nginx/modules/ngx_http_lua_module.so").exists():
        modules = "include /etc/nginx/modules-enabled/*.conf;"
    modules = modules.replace("modules/n", "/usr/lib/nginx/modules/n")
    return nginx(folder, _forward(folder, tls, extra), modules)


def haproxy(folder, tls):
    bind = f"bind 127.0.0.1:{PROXY}" + (f" ssl crt {tls['both']} alpn h2,http/1.1" if tls else "")
    (folder / "haproxy.cfg").write_text(
        f"""global
  nbthread 1
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  {bind}
  default_backend b
backend b
  http-reuse always
  server o 127.0.0.1:{ORIGIN}
"""
    )
    return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]


def _envoy(folder, tls, lua):
    filters = [{"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]
    if lua:
        code = (HERE / "lua/envoy.lua").read_text()
        filters.insert(0, {"name": "envoy.filters.http.lua", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": code}}})
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "i",
        "route_config": {"virtual_hosts": [{"name": "o", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "o", "timeout": "60s"}}]}]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [{"certificate_chain": {"filename": str(tls["certificate"])}, "private_key": {"filename": str(tls["key"])}}]}}}
    address = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    config = {
        "static_resources": {
            # A body that is edited is buffered whole: the bound must hold the largest.
            "listeners": [{"address": address(PROXY), "per_connection_buffer_limit_bytes": 67108864 if lua else 1048576, "filter_chains": [chain]}],
            "clusters": [{"name": "o", "type": "STATIC", "per_connection_buffer_limit_bytes": 67108864 if lua else 1048576, "load_assignment": {"cluster_name": "o", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(ORIGIN)}}]}]}}],
        }
    }
    (folder / "envoy.json").write_text(json.dumps(config))
    binary = ROOT / ".cache/peers/venv/bin/envoy"
    return [binary, "-c", folder / "envoy.json", "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]


def envoy_pass(folder, tls):
    return _envoy(folder, tls, False)


def envoy_lua(folder, tls):
    return _envoy(folder, tls, True)


def mitmproxy(folder, tls):
    words = [ROOT / ".cache/peers/venv/bin/mitmdump", "-q", "--set", f"confdir={folder}", "--mode", f"reverse:http://127.0.0.1:{ORIGIN}", "--listen-host", "127.0.0.1", "-p", PROXY, "-s", HERE / "mitm.py"]
    return words + (["--certs", tls["both"]] if tls else [])


def privet_all(folder, tls):
    key = privet.prepare(folder, PROXY, ADMIN, ORIGIN, tls)
    (folder / "key").write_text(key)
    return [privet.PRIVET, "run", "--config", "privet.yaml"]


def carrier(mode):
    def words(folder, tls):
        privet.prepare(folder, PROXY, ADMIN, ORIGIN, tls)
        return [BENCH[0], mode, f"127.0.0.1:{PROXY}", folder / "privet.yaml"]

    return words


BENCH = []

# name -> (what the table says, how to start it, whether it edits, whether it also runs over HTTP/2 with TLS)
PROXIES = {
    "direct": ("no proxy", None, False, False),
    "nginx": ("nginx, forwarding untouched", nginx_pass, False, True),
    "nginx-lua": ("nginx + Lua + cjson", nginx_lua, True, True),
    "haproxy": ("HAProxy, forwarding untouched", haproxy, False, True),
    "envoy": ("Envoy, forwarding untouched", envoy_pass, False, True),
    "envoy-lua": ("Envoy + Lua (by pattern)", envoy_lua, True, False),
    "mitmproxy": ("mitmproxy", mitmproxy, True, False),
    "privet-engine": ("privet, carrier + engine", carrier("engine"), True, False),
    "privet-pass": ("privet, everything on, body untouched", privet_all, False, True),
    "privet": ("privet, everything on", privet_all, True, True),
}


# ---- measuring ---------------------------------------------------------------------------------------------------


def wrk(port, path, headers, connections, seconds):
    words = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    for header in headers:
        words += ["-H", header]
    out = subprocess.run([*words, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
    at = lambda name: (lambda m: float(m.group(1)) * unit[m.group(2)])(re.search(rf"\s{name}%\s+([\d.]+)(us|ms|s|m)", out))
    requests, spent = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
    if int(requests) == 0:
        raise RuntimeError("no answer was complete in time")
    return int(requests), float(spent), at(50), at(99)


def h2load(port, path, headers, connections, seconds):
    with tempfile.NamedTemporaryFile() as log:
        words = ["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{connections}", "-m1", f"-D{seconds}", f"--log-file={log.name}"]
        for header in headers:
            words += ["-H", header]
        started = time.monotonic()
        subprocess.run([*words, f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
        spent = time.monotonic() - started
        rows = [line.split() for line in pathlib.Path(log.name).read_text().splitlines()]
    bad = [row for row in rows if row[1] != "200"]
    if bad or not rows:
        raise RuntimeError(f"{len(bad)} of {len(rows)} answers are no 200")
    times = sorted(int(row[2]) / 1000 for row in rows)
    return len(rows), min(spent, float(seconds)), times[len(times) // 2], times[len(times) * 99 // 100]


def first_body_ms(port, path, headers) -> float:
    """Milliseconds to the first byte of the body on a fresh connection."""
    lines = "".join(f"{header}\r\n" for header in headers)
    ask = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}Connection: close\r\n\r\n".encode()
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(ask)
        got = b""
        while True:
            piece = stream.recv(65536)
            if not piece:
                raise RuntimeError(f"no body: {got[:200]!r}")
            got += piece
            head = got.find(b"\r\n\r\n")
            # The chunk's size line is not the body.
            if head >= 0 and b"{" in got[head:]:
                break
        taken = (time.perf_counter() - started) * 1000
        while stream.recv(1 << 20):
            pass
    return taken


def one(name, size, transport, tls, work, seconds):
    """One proxy, one size: started, warmed, measured, stopped."""
    _, start, _, _ = PROXIES[name]
    folder = work / f"{name}-{size}-{transport}-{time.monotonic_ns()}"
    folder.mkdir()
    port, headers, running = ORIGIN, [], None
    if start:
        running = Running(start(folder, tls if transport == "h2" else None), PROXY_CORE, folder)
        port = PROXY
        await_port(port, running)
        if (folder / "key").exists():
            headers = [f"Authorization: Bearer {(folder / 'key').read_text()}"]
    path = file(size) if name == "privet-pass" else target(size)
    load = wrk if transport == "http1" else h2load
    try:
        load(port, path, headers, CONNECTIONS[size], 1)
        if running:
            running.peak_reset()
        before = running.cpu_s() if running else 0.0
        requests, spent, p50, p99 = load(port, path, headers, CONNECTIONS[size], seconds)
        cpu = (running.cpu_s() - before) if running else 0.0
        result = {
            "rps": requests / spent,
            "mbs": requests / spent * len(answer_cached(size)) / 1e6,
            "p50": p50,
            "p99": p99,
            "cpu_us": cpu / requests * 1e6,
            "peak_mib": running.peak_kib() / 1024 if running else 0.0,
        }
        if transport == "http1":
            result["first_ms"] = statistics.median(first_body_ms(port, path, headers) for _ in range(5))
        return result
    finally:
        if running:
            running.stop()


_answers = {}


def answer_cached(size):
    if size not in _answers:
        _answers[size] = answer(size)
    return _answers[size]


# ---- the run -----------------------------------------------------------------------------------------------------


def certificate(folder):
    key, certificate, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )
    both.write_text(certificate.read_text() + key.read_text())
    return {"key": key, "certificate": certificate, "both": both}


def measure(names, transports, rounds, seconds):
    """All samples: (transport, name, size) -> list of results, rounds interleaved."""
    samples = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        tls = certificate(work)
        (work / "origin").mkdir()
        # nginx gives up root for its worker, which must still reach the files.
        work.chmod(0o755)
        served = Running(origin(work / "origin"), LOAD_CORE, work / "origin")
        try:
            await_port(ORIGIN, served)
            for round_ in range(rounds):
                for transport in transports:
                    for size in SIZES:
                        for name in names:
                            if transport == "h2" and not PROXIES[name][3]:
                                continue
                            try:
                                result = one(name, size, transport, tls, work, seconds)
                            except (RuntimeError, subprocess.CalledProcessError, OSError) as error:
                                print(f"{transport} {name} {size}: {error}", file=sys.stderr)
                                continue
                            samples.setdefault((transport, name, size), []).append(result)
                            print(f"{round_ + 1} {transport:5} {size:5} {name:14} {result['rps']:9.0f}/s {result['mbs']:8.1f} MB/s", file=sys.stderr)
        finally:
            served.stop()
    return samples


def medians(samples):
    return {
        key: {field: statistics.median(r[field] for r in results) for field in results[0]}
        for key, results in samples.items()
    }


def table(found, transport):
    head = "| proxy | " + " | ".join(
        f"{size} {unit}" for size in SIZES for unit in ("req/s", "MB/s", "p50/p99 ms", "CPU µs/req", "first byte ms", "peak MiB")
    ) + " |"
    rows = [head, "|---" * (head.count("|") - 1) + "|"]
    for name, (words, *_) in PROXIES.items():
        cells = []
        for size in SIZES:
            r = found.get((transport, name, size))
            if r is None:
                cells += ["–"] * 6
                continue
            first = f"{r['first_ms']:.2f}" if "first_ms" in r else "–"
            cells += [f"{r['rps']:.0f}", f"{r['mbs']:.0f}", f"{r['p50']:.2f}/{r['p99']:.2f}", f"{r['cpu_us']:.0f}", first, f"{r['peak_mib']:.0f}"]
        if any(cell != "–" for cell in cells):
            rows.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def ratios(found, transport):
    """privet against its peers, with the floor that it has to reach."""
    def of(name, other, size, field):
        a, b = found.get((transport, name, size)), found.get((transport, other, size))
        return a[field] / b[field] if a and b and b[field] else None

    rows = ["| ratio | " + " | ".join(SIZES) + " |", "|---" * (len(SIZES) + 1) + "|"]
    for words, name, other, field in [
        ("carrier + engine ÷ nginx + Lua + cjson, req/s", "privet-engine", "nginx-lua", "rps"),
        ("carrier + engine ÷ nginx untouched, MB/s", "privet-engine", "nginx", "mbs"),
        ("everything on ÷ nginx + Lua + cjson, req/s", "privet", "nginx-lua", "rps"),
        ("everything on ÷ nginx untouched, MB/s", "privet", "nginx", "mbs"),
        ("everything on ÷ own pass-through, req/s", "privet", "privet-pass", "rps"),
        ("everything on ÷ own pass-through, p99", "privet", "privet-pass", "p99"),
        ("first body byte, everything on ÷ direct", "privet", "direct", "first_ms"),
        ("first body byte, carrier + engine ÷ direct", "privet-engine", "direct", "first_ms"),
    ]:
        if transport == "h2" and field == "first_ms":
            continue
        cells = [of(name, other, size, field) for size in SIZES]
        if any(cell is not None for cell in cells):
            rows.append(f"| {words} | " + " | ".join("–" if c is None else f"{c:.2f}" for c in cells) + " |")
    return "\n".join(rows)


def machine() -> str:
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    memory = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)) // 1048576
    return f"{datetime.date.today()}, {os.cpu_count()} × {model}, {memory} GiB, Linux {platform.release().split('-')[0]}"


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=3)
    options.add_argument("--only", default=",".join(PROXIES))
    options.add_argument("--transport", default="http1,h2")
    options.add_argument("--carrier", help="the built bench binary `carrier`", default=None)
    options.add_argument("--out", type=pathlib.Path, default=HERE / "results")
    chosen = options.parse_args()
    names = [name for name in PROXIES if name in chosen.only.split(",")]
    if chosen.carrier:
        BENCH.append(chosen.carrier)
    else:
        names = [name for name in names if name != "privet-engine"]
    for tool in ("nginx", "wrk", "taskset", "openssl"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: run benches/peers/run.sh, which installs it")
    transports = chosen.transport.split(",")
    found = medians(measure(names, transports, chosen.rounds, chosen.seconds))
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = [f"Measured {machine()}; {chosen.rounds} rounds of {chosen.seconds} s, medians.\n"]
    for transport in transports:
        text += [{"http1": "HTTP/1.1", "h2": "HTTP/2 over TLS"}[transport], "", table(found, transport), "", ratios(found, transport), ""]
    (chosen.out / "peers.md").write_text("\n".join(text))
    (chosen.out / "peers.svg").write_text(chart.svg(found, PROXIES, machine()))
    print("\n".join(text))


if __name__ == "__main__":
    main()
