"""The page in a browser: what changes appears by itself, and what a reader does stays."""

import shutil
import threading

import pytest

from lottery.results.watching.page import Page
from lottery.results.watching.server import Server

CANARY = "<img src=x onerror=window.canary=1>"


@pytest.fixture
def visit(browser, served):  # whose servers end after the pages
    """Open the page of a server; it may log nothing, and ask nobody but its server."""
    contexts, told, asked, servers = [], [], [], []

    def call(server, width=1280, scheme="light", quiet=True):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        servers.append(server.address)
        opened = context.new_page()
        opened.set_default_timeout(60_000)  # of what comes at once, on an idle machine
        if quiet:
            opened.on("console", lambda message: told.append(message.text))
        opened.on("pageerror", lambda error: told.append(str(error)))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(server.address)
        return opened

    yield call
    for context in contexts:
        context.close()
    assert told == []
    assert [url for url in asked if not url.startswith(tuple(servers))] == []
    assert asked


def count(opened, name):
    return opened.locator(f"#count-{name} dd").first


def until(opened, name, text):
    count(opened, name).filter(has_text=text).wait_for()


def test_a_job_that_ends_appears_without_a_reload(visit, served, fabricate, at_work, say):
    for k in range(3):
        fabricate(replicate=k)
    going = fabricate(ident="bbbbbbbbbb", choices={"prune": "snip"})
    server = served().server
    with at_work(going, curve=[(0, 0.1)]):
        opened = visit(server)
        until(opened, "running", "1")
        row = opened.locator("#running-table tbody tr")
        assert "snip, replicate 0" in row.inner_text() and "level 1/3" in row.inner_text()
        assert row.locator("progress").get_attribute("aria-label") == "snip, replicate 0: level 1/3, 33 % of the run"
        assert opened.locator("#charts .chart").count() == 2
        steps = opened.locator(".chart", has_text="at work").locator("text[text-anchor=middle]").all_text_contents()
        assert steps[:1] == ["0"] and steps[-1] == "training step"
        assert "1 running, 3 done" in opened.title()
        opened.evaluate("window.same = document.querySelector('#done-table tbody tr')")
    say(going, state="failed", error="it ran out of luck")
    until(opened, "running", "0")
    until(opened, "failed", "1")
    assert opened.locator(".failure").inner_text().split("\n")[:3] == ["failed", "snip, replicate 0", "it ran out of luck"]
    assert opened.evaluate("window.same.isConnected")  # no other row was touched
    assert opened.locator("#running").is_hidden()
    say(going, state="done", error="")
    until(opened, "done", "4")
    assert opened.locator(".failure").count() == 0
    assert "snip, replicate 0: done" in opened.locator("#news").inner_text()
    shutil.rmtree(going)
    until(opened, "done", "3")
    opened.locator("#done-table tbody tr").nth(2).wait_for()


@pytest.mark.slow
def test_what_a_reader_does_stays(visit, served, fabricate, say, outputs):
    log = outputs / ".sweeps" / "0123456789" / "0.log"
    log.parent.mkdir(parents=True)
    log.write_text("one line\nlottery: it broke\n")
    log.with_name("1.log").write_text("job: model=x\nlottery: there is no such net\n")  # of a job that has no run
    failed = [fabricate(replicate=k, record={"state": "failed", "error": "it broke", "log": ".sweeps/0123456789/0.log"}) for k in range(2)]
    for k in range(40):
        fabricate(ident=f"{k:010d}", choices={"prune": "ab"[k % 2]}, config={"train.batch_size": k + 1})
    opened = visit(served().server)
    until(opened, "done", "40")
    assert opened.locator("#done-table tbody tr").count() == 30
    job = opened.locator(".failure", has_text="there is no such net")
    assert job.inner_text().split("\n")[:3] == ["failed", "model=x", "there is no such net"]
    opened.locator("#done-more").click()
    assert opened.locator("#done-table tbody tr").count() == 40
    opened.locator(".failure summary", has_text="replicate 1").click()
    opened.locator(".failure[open] pre.log").filter(has_text="one line").wait_for()
    opened.locator(".legend button").first.click()
    opened.locator(".chart .fold > summary").first.click()
    opened.locator(".chart .fold table").first.wait_for()
    drawn = opened.locator(".chart .line").count()
    opened.evaluate("scrollTo(0, 700)")
    opened.evaluate("getSelection().selectAllChildren(document.querySelector('#done-table tbody th'))")
    before = opened.evaluate("[scrollY, String(getSelection())]")
    say(failed[1], error="it broke again")
    opened.locator(".failure", has_text="it broke again").wait_for(state="attached")
    fabricate(ident="9" * 10)
    until(opened, "done", "41")
    assert opened.evaluate("[scrollY, String(getSelection())]")[1] == before[1]
    assert opened.locator("#done-table tbody tr").count() == 41
    assert opened.locator(".failure[open]").count() == 1
    assert opened.locator(".legend button[aria-pressed=false]").count() == 1
    assert opened.locator(".chart .fold[open] table").count() == 1
    assert opened.locator(".chart .line").count() == drawn


def test_a_line_that_would_squash_the_others_is_cut_off_and_shown_when_asked_for(visit, served, fabricate):
    for k, end in enumerate((0.96, 0.965, 0.1)):
        fabricate(ident=f"{k:010d}", choices={"prune": f"method{k}"}, test=(0.97, end))
    opened = visit(served().server)
    beyond, ticks = opened.locator(".chart .beyond"), opened.locator(".chart text[text-anchor=end]")
    beyond.wait_for()
    assert beyond.inner_text() == "Not shown, below 96 %: method2 down to 10 %. Show all"
    assert min(float(text) for text in ticks.all_text_contents()) > 95
    assert opened.locator(".chart line.dense").count() == 1 == opened.locator(".chart text.dense").count()
    assert opened.locator(".chart [clip-path]").count() == 1
    beyond.locator("button").click()
    assert beyond.inner_text() == "Show where most lines are" and opened.locator(".chart [clip-path]").count() == 0
    assert min(float(text) for text in ticks.all_text_contents()) < 50
    assert opened.evaluate("[tidy(10.75, 0.25), tidy(1.5625, 0.4), linearTicks(-5, 105)]") == ["10.75", "1.56", [0, 25, 50, 75, 100]]
    beyond.locator("button").click()
    opened.locator(".legend button", has_text="method2").click()
    assert beyond.is_hidden()  # nothing is beyond any more


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_and_one_that_is_back_is_followed(visit, served, fabricate):
    fabricate()
    server = served().server
    opened = visit(server, quiet=False)
    until(opened, "done", "1")
    server.shutdown()
    server.server_close()
    opened.locator("#reached-text", has_text="Not reached since").wait_for()
    assert count(opened, "done").inner_text() == "1"  # what was there stays
    again = Server(server.server_port, server.watch, Page(server.watch.outputs, (), 0.1))
    again.token = server.token
    threading.Thread(target=again.serve_forever, args=(0.02,), daemon=True).start()
    try:
        opened.locator("#reached-text", has_text="Live").wait_for()
        again.token = "another"
        opened.locator("#reached-text", has_text="no more").wait_for()
    finally:
        again.shutdown()
        again.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark_wide_and_narrow(visit, served, fabricate, at_work, contrasts, scheme):
    for k in range(7):
        fabricate(ident=f"{k:010d}", choices={"prune": f"method{k}"}, name="a_rather_long_name_of_a_run_" * 2)
    fabricate(ident="f" * 10, record={"state": "failed", "error": "a long line of words " * 20})
    with at_work(fabricate(ident="e" * 10)):
        server = served().server
        for width in (1280, 360):
            opened = visit(server, width, scheme)
            until(opened, "running", "1")
            opened.locator(".chart .line").first.wait_for(state="attached")
            opened.locator(".failure summary").click()
            assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
            ratios = opened.evaluate(contrasts)
            assert {"H1.", "TD.n", "text."} <= ratios.keys()
            assert {n: r for n, r in ratios.items() if r < 4.5} == {}
            dark = opened.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (int(dark.split("(")[1].split(",")[0]) < 60) == (scheme == "dark")


@pytest.mark.slow
def test_no_class_of_the_page_means_something_else_in_the_styles_of_reports(visit, served, fabricate):
    fabricate()
    opened = visit(served().server)
    until(opened, "done", "1")
    place = opened.locator("#done-table .place")
    style = place.evaluate("at => [getComputedStyle(at).borderTopWidth, getComputedStyle(at).paddingTop]")
    assert (place.inner_text(), style) == ("lenet_300_100_digits_imp/aaaaaaaaaa", ["0px", "0px"])


@pytest.mark.slow
def test_everything_can_be_reached_by_keyboard(visit, served, fabricate):
    fabricate(record={"state": "failed", "error": "x"})
    fabricate(replicate=1)
    opened = visit(served().server)
    until(opened, "done", "1")
    found = []
    for _ in range(8):
        opened.keyboard.press("Tab")
        found.append(opened.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
    assert found[:2] == ["A.skip", "BUTTON."]
    assert found[2:4] == ["SUMMARY.", "SUMMARY."]  # the numbers; the failure
    assert "DIV.scroll" in found


def test_nothing_that_people_wrote_is_obeyed(visit, served, fabricate, at_work):
    text = f"{CANARY}</script><script>window.canary=1</script>"
    fabricate(name=CANARY, choices=dict.fromkeys(("model", "dataset", "prune", "rewind"), text),
              record={"error": text, "state": "failed", "host": text, "command": text, "ended": text})  # fmt: skip
    fabricate(name=CANARY, ident="cccccccccc", choices={"prune": text})
    with at_work(fabricate(name=CANARY, ident="bbbbbbbbbb", choices={"prune": text}), branch=text):
        opened = visit(served().server)
        until(opened, "running", "1")
        opened.locator(".failure summary").click()
        opened.locator(".chart .fold > summary").first.click()
        for box in opened.locator("th, td, .legend button").all():
            if box.is_visible():
                box.hover()
        assert CANARY in opened.locator("#running-table").inner_text()
        assert opened.locator("img").count() == 0
        assert opened.evaluate("window.canary") is None


@pytest.mark.slow
def test_a_hidden_page_asks_nothing_until_it_is_seen(visit, served, fabricate):
    fabricate()
    opened = visit(served().server)
    until(opened, "done", "1")
    opened.evaluate("""() => {
      window.asked = 0;
      const real = window.fetch;
      window.fetch = (...all) => { window.asked += 1; return real(...all); };
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    fabricate(replicate=1)
    opened.wait_for_timeout(600)  # six turns of a page that is seen
    assert opened.evaluate("window.asked") == 0
    opened.evaluate("""() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => false });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    until(opened, "done", "2")
