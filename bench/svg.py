"""bench/svg.py - a line chart as SVG text: logarithmic x, linear y from 0, a few series. No library, no colour but the lines'."""
import math

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 36, 48
COLOURS = ("#0b6e99", "#c0392b", "#2e8b57", "#8e44ad")


def short(value):
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def nice_step(top):
    raw = top / 5
    power = 10 ** math.floor(math.log10(raw))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= raw)


def chart(title, x_label, y_label, series):
    """series: name -> [(x, y), ...] with x >= 1. The text of an .svg file."""
    points = [p for line in series.values() for p in line]
    low, high = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    step = nice_step(max(y for _, y in points) * 1.05)
    top = step * math.ceil(max(y for _, y in points) * 1.02 / step)
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x, y):
        return (LEFT + across * (math.log10(x) - low) / max(high - low, 1e-9), TOP + up * (1 - y / top))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', f'<text x="{LEFT}" y="20" font-size="14">{title}</text>']
    for i in range(round(top / step) + 1):
        y = at(10 ** low, i * step)[1]
        out += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
                f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(round(i * step, 9))}</text>']
    for x in sorted({x for x, _ in points if math.isclose(math.log10(x) % 1, 0, abs_tol=1e-9)}):
        out.append(f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(x)}</text>')
    out += [f'<text x="{LEFT + across / 2}" y="{HEIGHT - 8}" text-anchor="middle">{x_label}</text>',
            f'<text transform="translate(14 {TOP + up / 2}) rotate(-90)" text-anchor="middle">{y_label}</text>']
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (at(*p) for p in sorted(line)))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.5" fill="{colour}"/>' for px, py in (at(*p) for p in line)]
        px, py = at(*max(line))
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{py + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join(out) + "\n</svg>\n"
