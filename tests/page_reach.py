"""What a page must be for people who see little, see no colours, or use no mouse: axe-core's rules, and some of our own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """(rules) => axe.run(document, {runOnly: rules, resultTypes: ["violations"], elementRef: false})
    .then((found) => found.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`))"""

CONTRAST = """() => {
  const numbers = (css) => { const n = css.match(/[\\d.]+/g).map(Number); return css.startsWith("color(srgb") ? [n[0] * 255, n[1] * 255, n[2] * 255, n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = (c) => { const [r, g, b] = c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const ground = (el) => {
    const layers = [];
    for (let at = el; at; at = at.parentElement) { const c = numbers(getComputedStyle(at).backgroundColor); layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((under, top) => over(top, under), numbers(getComputedStyle(document.body).backgroundColor));
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const el = node.parentElement;
    if (!node.data.trim() || !el.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || el.closest(".sr, noscript, :disabled")) continue;
    const style = getComputedStyle(el);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const back = ground(el);
    const got = ratio(over(numbers(style.color), back), back);
    seen += 1;
    if (got < least) found.push(`${got.toFixed(2)} for ${JSON.stringify(node.data.trim().slice(0, 40))} in ${el.className || el.tagName}`);
  }
  return [seen, [...new Set(found)]];
}"""

SHAPE = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((el) => el.id);
  const broken = [...document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls], label[for]")].filter((el) => el.checkVisibility()).flatMap((el) =>
    ["aria-labelledby", "aria-describedby", "aria-controls", "for"].flatMap((name) => (el.getAttribute(name) || "").split(" ").filter(Boolean)).filter((id) => !document.getElementById(id)));
  const wide = document.documentElement.scrollWidth > innerWidth ? [`${document.documentElement.scrollWidth} px wide`] : [];
  return { twice: ids.filter((id, i) => ids.indexOf(id) !== i), broken, wide };
}"""


@cache
def axe() -> str:
    """The script of axe-core, as the package carries it."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def barriers(page: Any) -> list[str]:
    """What keeps somebody from using the page as it is now, in light or in dark; empty when nothing does."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"() => {{ {axe()} }}")
    found: list[str] = page.evaluate(RUN, RULES)
    shape = page.evaluate(SHAPE)
    found += [f"{name}: {each}" for name, all_of in shape.items() for each in all_of]
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        seen, faint = page.evaluate(CONTRAST)
        assert seen > 10, "no text was looked at"
        found += [f"{scheme}: {each}" for each in faint]
    return found
