"""The bars of the README: MB/s of each proxy at each size, on a logarithmic scale."""

import html
import math

WIDTH, LEFT, BAR, GAP = 860, 270, 16, 6
SHADES = {"edits": "#2f6f8f", "forwards": "#b8c4cc", "own": "#d9622b"}


def svg(found, proxies, machine) -> str:
    sizes = list(dict.fromkeys(size for transport, _, size in found if transport == "http1"))
    rows, y = [], 46
    text = lambda x, y, words, more="": f'<text x="{x}" y="{y}" {more}>{html.escape(words)}</text>'
    fastest = max((r["mbs"] for (t, _, _), r in found.items() if t == "http1"), default=1.0)
    span = math.log10(max(fastest, 10.0))
    for size in sizes:
        rows.append(text(10, y, f"{size} answers, MB/s", 'font-weight="600"'))
        y += 12
        for name, (words, _, edits, _) in proxies.items():
            result = found.get(("http1", name, size))
            if result is None:
                continue
            shade = SHADES["own" if name in ("privet", "privet-engine") else "edits" if edits else "forwards"]
            width = max(2.0, (WIDTH - LEFT - 90) * max(0.0, math.log10(max(result["mbs"], 1.0))) / span)
            rows.append(text(LEFT - 8, y + 12, words, 'text-anchor="end"'))
            rows.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2" fill="{shade}"/>')
            rows.append(text(LEFT + width + 6, y + 12, f"{result['mbs']:.0f}"))
            y += BAR + GAP
        y += 22
    legend = "grey: forwards untouched · blue: edits three fields · orange: privet, three fields treated"
    head = text(10, 20, "What passes through one core (logarithmic)", 'font-weight="600" font-size="15"')
    foot = text(10, y, f"{legend} · {machine}", 'fill="#5b6770" font-size="11"')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 14}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>privet and its peers</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/><g fill="#1d2a33">{head}{"".join(rows)}{foot}</g></svg>\n'
    )
