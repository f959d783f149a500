"""A browser for the pages that are made of results."""

import shutil

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
RATIO = """
() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (at) => {
    for (; at; at = at.parentElement) {
      const c = numbers(getComputedStyle(at).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const ratios = {};
  for (const at of document.querySelectorAll("h1,h2,p,th,td,caption,figcaption,a,summary,pre,dt,dd,button,#curves text,#c1-accuracy text")) {
    if (!at.textContent.trim()) continue;
    const style = getComputedStyle(at);
    const ink = light(numbers(at.closest("svg") ? style.fill : style.color));
    const paper = light(ground(at.closest("svg") ? at.closest("svg").parentElement : at));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const name = at.tagName + "." + (at.getAttribute("class") || "");
    ratios[name] = Math.min(ratio, ratios[name] ?? 99);
  }
  return ratios;
}
"""


@pytest.fixture(scope="module")
def browser():
    """Start Chromium once for all of these tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def sketched(monkeypatch):
    """Let the figures of reports be empty drawings: theirs is most of the time."""
    from lottery.results.reports import one, several, sheets

    def picture(name, runs, caption, anchor, problems, settings=None):
        return [sheets.Picture("<svg></svg>", caption)]

    for module in (one, several):
        monkeypatch.setattr(module, "picture", picture)


@pytest.fixture
def contrasts():
    """Return a script that gives the least contrast of text and ground, by kind of element."""
    return RATIO
