"""The course as an attendee sees it: a real JupyterLab in a real browser, Debian's Chromium.

WORKSHOP_SCREENSHOTS names a folder that keeps the screenshots; else they go to a temporary one.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from patience import STEP
from record_factory import record

from workshop_utils import paths
from workshop_utils.running import notebooks
from workshop_utils.running import page as pages
from workshop_utils.running.report import comparison_page

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser"])), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium (on Debian: sudo apt install chromium)", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

EPOCHS = 60  # in place of 500: this test is about what is shown, not about what is learned
TOKEN = "a-token-for-this-test"
SETTINGS = {
    # All cells in the page, so that all of them can be looked at.
    "notebook-extension/tracker": {"windowingMode": "none"},
}
# What the page is asked for, in JavaScript. `app` is JupyterLab's, see --expose-app-in-browser.
# Milliseconds. Without it the browser asks at each frame, which keeps it busy.
POLLING = 200
WIDGET = "window.jupyterapp?.shell?.currentWidget"  # not there until the page has loaded
SESSION = f"{WIDGET}?.context?.sessionContext?.session"
# A kernel that dies is never idle again, or only another one is: whoever waits for it hears so.
DEAD = f"""const status = {SESSION}?.kernel?.status;
  if (["dead", "autorestarting"].includes(status)) throw new Error(`The kernel is ${{status}}.`);"""
IDLE = f"() => {{ {DEAD} return status === 'idle'; }}"
CELLS = f"() => {WIDGET}.content.model.toJSON().cells"
# Notes every text that an output shows, also for a moment.
WATCH = """() => {
  window.shown = new Set();
  window.watch = window.watch || new MutationObserver(() =>
    document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output pre")
      .forEach(pre => window.shown.add(pre.textContent.trim())));
  window.watch.observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
PICTURES = """() => {
  const images = [...document.querySelectorAll(".jp-MarkdownViewer img")];
  return images.length && images.every(image => image.naturalWidth > 100);
}"""
CLEAR = f"""() => {WIDGET}.content.widgets.forEach(
  cell => cell.model.type === "code" && cell.model.clearExecution())"""
THEME = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
CLOSE = "() => [...window.jupyterapp?.shell.widgets('main') ?? []].forEach(one => one.dispose())"
SHOW = "path => { jupyterapp.commands.execute('docmanager:open', {path}); }"
OPEN = f"name => {WIDGET}?.context?.path?.endsWith(name) && {WIDGET}.context.isReady"
# Texts with less contrast than the Web Content Accessibility Guidelines ask for.
PALE = r"""top => {
  const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = rgb => rgb.map(linear)
    .reduce((sum, value, number) => sum + value * [0.2126, 0.7152, 0.0722][number], 0);
  const parse = text => {
    const colour = text.match(/[\d.]+/g).map(Number);
    return colour.length > 3 ? colour : [...colour, 1];
  };
  const over = (front, back) => back.map((v, i) => front[i] * front[3] + v * (1 - front[3]));
  const upwards = one => one ? [one, ...upwards(one.parentElement)] : [];
  const found = new Set();
  for (const element of document.querySelector(top).querySelectorAll(":not(style, script)")) {
    const own = [...element.childNodes].some(one => one.nodeType === 3 && one.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const styles = upwards(element).map(one => getComputedStyle(one));
    const back = styles.map(one => parse(one.backgroundColor)).reverse()
      .reduce((below, layer) => over(layer, below), [255, 255, 255]);
    const colour = parse(styles[0].color);
    colour[3] *= styles.reduce((product, one) => product * one.opacity, 1);
    const [low, high] = [luminance(over(colour, back)), luminance(back)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    const where = `${element.tagName} ${element.className} ${colour} on ${back}`;
    if (contrast < 4.5) found.add(`${where}: ${contrast.toFixed(2)}`);
  }
  return [...found];
}"""
DONE = f"""() => {{
  {DEAD}
  const cells = {WIDGET}.content.model.toJSON().cells.filter(cell => cell.cell_type === "code");
  const failed = cell => cell.outputs.some(output => output.output_type === "error");
  return cells.every(cell => cell.execution_count) || cells.some(failed);
}}"""


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    chosen = os.environ.get("WORKSHOP_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a free port, in a copy of the course."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    project, home = folder / "course", folder / "home"
    (project / "notebooks").mkdir(parents=True)
    for file in [paths.PROJECT / "README.md", *paths.NOTEBOOKS_DIR.glob("*.*")]:
        text = file.read_text(encoding="utf-8").replace('"EPOCHS = 500', f'"EPOCHS = {EPOCHS}')
        (project / file.relative_to(paths.PROJECT)).write_text(text, encoding="utf-8")
    shutil.copytree(paths.PROJECT / "docs", project / "docs")
    for name, settings in SETTINGS.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    places = {
        name: str(folder / name.lower())
        for name in (*("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"),
                     *("JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"))
    }  # fmt: skip
    environment = {
        **os.environ,
        **places,
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "WORKSHOP_HOME": str(home),
        "PYTHONPATH": str(paths.PROJECT),
    }
    options = ["--ServerApp.root_dir=.", "notebooks/01_setup.ipynb"]  # as install.sh --lab does
    options += ["--no-browser", "--allow-root", "--expose-app-in-browser", "--ServerApp.port=0"]
    options += [f"--IdentityProvider.token={TOKEN}", "--ServerApp.ip=127.0.0.1"]
    options += ["--LabApp.extension_manager=readonly"]
    log = folder / "log.txt"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=project, env=environment, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        yield _address(server, log)
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        with contextlib.suppress(ProcessLookupError):  # its kernels, if it left any
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _address(server, log):
    """Wait until the server says where it is; that it said so with an address is no matter."""
    for _ in range(10 * STEP):
        found = re.search(r"(http://127\.0\.0\.1:\d+)/lab", log.read_text())
        if found:
            return found[1]
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            timeout=1000 * STEP,
        )
        yield chromium
        chromium.close()


def new_page(browser, **options):
    """`page.asked` collects the addresses that it asks for, `page.said` errors."""
    page = browser.new_page(**options)
    page.set_default_timeout(1000 * STEP)
    page.asked, page.said = [], []
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("console", lambda one: one.type == "error" and page.said.append(one.text))
    return page


@pytest.fixture(scope="module")
def opened():
    return {}


@pytest.fixture
def page(browser, opened, screenshots, request):
    """A page that tests share, since a browser takes seconds to load JupyterLab; it has its own."""
    kind = "lab" in request.fixturenames
    page = opened[kind] = opened.get(kind) or new_page(browser)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.asked.clear()
    page.said.clear()
    yield page
    page.screenshot(path=screenshots / f"end_of_{request.node.name}.png")
    if kind:
        page.evaluate(CLOSE)


def test_an_attendee_goes_through_the_course(lab, page, screenshots):
    page.goto(f"{lab}/lab/tree/notebooks/01_setup.ipynb?token={TOKEN}")
    names = [path.name for number, path in notebooks.notebooks().items() if number <= "06"]
    for number, name in enumerate(names):
        wait_for_notebook(page, name)
        assert page.locator(".jp-toastContainer, .Toastify__toast").count() == 0, "It asks."
        assert page.locator(".jp-CodeCell .cm-content.cm-lineWrapping").count() > 0
        page.screenshot(path=screenshots / f"{name[:2]}_opened.png")
        run_all(page, name)
        look_at_outputs(page, name)
        if name.startswith("04"):
            show(page, ".jp-OutputArea-output img", -1)
        page.screenshot(path=screenshots / f"{name[:2]}_done.png")
        if name.startswith("05"):
            turn_a_knob(page, screenshots)
        page.evaluate(f"() => {WIDGET}.context.sessionContext.shutdown()")
        if number + 1 < len(names):
            follow(page, "next: ", names[number + 1])
    read_around(page, screenshots)
    outside = [url for url in page.asked if not is_local(url)]
    assert not outside, outside
    assert not page.said, page.said


def test_tab_completes_what_has_run(lab, page, screenshots):
    """Set-up leaves out packages of JupyterLab's: what is there does without them, in silence."""
    name = "02_dataset.ipynb"
    open_notebook(page, lab, name)
    page.evaluate(CLEAR)
    cell = page.locator(".jp-Notebook:visible .jp-CodeCell .cm-content").first
    cell.click()
    page.keyboard.press("Control+Enter")
    page.locator(".jp-Notebook:visible .jp-InputPrompt", has_text="[1]:").wait_for()
    wait_until(page, IDLE)
    cell.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("\nplots.plot")
    page.keyboard.press("Tab")
    page.locator(".jp-Completer-item", has_text=".plot_split").first.wait_for()
    page.screenshot(path=screenshots / "tab.png")
    assert page.locator("[data-jp-item-name='debugger-icon']").count() == 0
    assert not page.said, page.said


def test_a_notebook_reads_well_in_jupyterlab(lab, page, screenshots):
    """On a screen of 1024 pixels. What JupyterLab puts around the cells is its own."""
    page.set_viewport_size({"width": 1024, "height": 768})
    open_notebook(page, lab, "05_tensorflow_lite.ipynb")
    cells = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-viewport"
    assert page.locator(f"{cells} .jp-CodeCell").count() > 15
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate(THEME, theme)
        wait_until(page, "theme => document.body.dataset.jpThemeName === theme", arg=theme)
        assert page.evaluate(PALE, cells) == []
        page.locator(f"{cells} img").first.scroll_into_view_if_needed()
        page.screenshot(path=screenshots / f"05_{theme.split()[1]}.png")
        wide = page.locator(f"{cells} .jp-OutputArea-output").evaluate_all(
            "outputs => outputs.filter(one => one.scrollWidth > one.clientWidth + 1).length"
        )
        assert wide == 0, f"{theme}: an output is wider than its place."


def open_notebook(page, lab, name):
    if page.url.startswith(lab):
        page.evaluate(SHOW, f"notebooks/{name}")
    else:
        page.goto(f"{lab}/lab/tree/notebooks/{name}?token={TOKEN}&reset")
    wait_for_notebook(page, name)


def wait_until(page, condition, **options):
    page.wait_for_function(condition, polling=POLLING, **options)


def wait_for_notebook(page, name):
    wait_until(page, OPEN, arg=name)
    wait_until(page, IDLE)
    page.locator(".jp-Notebook:visible .jp-MarkdownOutput h1").first.wait_for()


def run_all(page, name):
    """From the menu, as a person would. A notebook that trains shows a bar that moves."""
    # What is stored with the notebook must not be taken for what is made now.
    page.evaluate(CLEAR)
    page.evaluate(WATCH)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_until(page, DONE)
    wait_until(page, IDLE)
    bars = [text for text in page.evaluate("() => [...window.shown]") if " epochs" in text]
    assert bool(bars) == (name[:2] in ("03", "04"))
    moving = r"^ *\d+% \|.*\| \d+ of 60 epochs, loss \d\.\d+, val_loss \d\.\d+, \d+ s left$"
    assert not bars or any(re.search(moving, text) for text in bars), bars


def look_at_outputs(page, name):
    """No cell failed, none was left out, and every picture is there to see."""
    pictures = 0
    for cell in page.evaluate(CELLS):
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            assert cell["execution_count"], f"{name}: did not run: {source}"
            for output in cell["outputs"]:
                assert output["output_type"] != "error", f"{name}: {source}: {output}"
                assert output.get("name") != "stderr", f"{name}: {source}: {output}"
                pictures += any(kind.startswith("image/") for kind in output.get("data", {}))
    images = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output img")
    if pictures:
        images.nth(pictures - 1).wait_for()  # The knobs draw theirs when they are there.
    found = images.evaluate_all(
        "images => images.map(img => [img.naturalWidth, img.clientWidth, img.complete, img.alt])"
    )
    assert len(found) == pictures
    for natural, shown, done, words in found:
        assert natural > 100 and shown > 100 and done, found
        assert len(words) > 40, f"{name}: a picture without alternative text."
    bars = page.locator(".jp-Notebook:visible .jp-OutputArea-output pre", has_text="100% |")
    assert bars.count() == {"03": 1, "04": 1}.get(name[:2], 0)
    for text in bars.all_inner_texts():
        assert re.search(r"60 of 60 epochs, loss \d\.\d{4}, val_loss \d\.\d{4}$", text.strip())


def turn_a_knob(page, screenshots):
    """Another number of neurons gives another picture, within some seconds."""
    image = page.locator(".jp-Notebook:visible .widget-html img").first
    image.scroll_into_view_if_needed()
    assert page.locator(".jp-Notebook:visible .widget-slider").count() == 3
    before = image.get_attribute("src")
    handle = page.locator(".jp-Notebook:visible .widget-slider .noUi-handle").nth(1)
    handle.focus()
    for _ in range(8):
        handle.press("ArrowLeft")
    wait_until(
        page,
        "before => { const image = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) "
        ".widget-html img'); return image.src !== before && image.naturalWidth > 400 }",
        arg=before,
    )
    page.wait_for_timeout(1000)
    page.screenshot(path=screenshots / "05_knobs.png")


def follow(page, before, name):
    """Click the link on top that leads to another notebook."""
    link = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").first.locator(
        f'a[href*="{name}"]'
    )
    link.scroll_into_view_if_needed()
    assert before in link.locator("xpath=..").inner_text()
    link.click()


def read_around(page, screenshots):
    """From the last notebook to the contents, to the project's README, and to the glossary."""
    viewer = ".jp-MarkdownViewer:visible"
    word = page.locator('.jp-NotebookPanel:not(.lm-mod-hidden) a[href*="glossary.md"]').first
    word.scroll_into_view_if_needed()
    word.click()
    page.locator(f"{viewer} h1", has_text="Glossary").wait_for()
    page.screenshot(path=screenshots / "glossary.png")
    page.locator(f'{viewer} a[href*="README.md"]').first.click()
    page.locator(f"{viewer} h1", has_text="Contents").wait_for()
    page.screenshot(path=screenshots / "contents.png")
    page.locator(f"{viewer} a", has_text="The project").click()
    page.locator(f"{viewer} h1", has_text="From a sine wave").wait_for()
    wait_until(page, PICTURES)


def show(page, selector, which):
    page.locator(f".jp-Notebook:visible {selector}").nth(which).scroll_into_view_if_needed()
    page.wait_for_timeout(300)


def is_local(url):
    return urlsplit(url).scheme in ("data", "blob", "file") or urlsplit(url).hostname == "127.0.0.1"


def test_the_page_of_a_run_is_whole_and_stays_at_home(page, screenshots, tmp_path):
    report = pages.render(list(notebooks.notebooks().values()), tmp_path / "report.html")
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    elsewhere = [url for url in page.asked if url != report.as_uri() and not url.startswith("data")]
    assert not elsewhere and not page.said
    sizes = page.evaluate("() => [...document.images].map(img => [img.naturalWidth, img.complete])")
    assert len(sizes) > 20 and all(width > 100 and done for width, done in sizes), sizes
    missing = page.evaluate(
        "() => [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href'))"
        ".filter(href => !document.getElementById(decodeURIComponent(href.slice(1))))"
    )
    assert not missing, missing
    page.screenshot(path=screenshots / "report_top.png")
    page.get_by_role("link", name="05_tensorflow_lite").click()
    place = "() => document.getElementById('05_tensorflow_lite').getBoundingClientRect().top"
    assert abs(page.evaluate(place)) < 50, "The link does not lead there."
    page.screenshot(path=screenshots / "report_05.png")
    solution = page.locator("details", has_text="The largest error doubles").first
    assert not solution.locator("pre").first.is_visible(), "The solution is not folded."
    solution.locator("summary").click()
    assert solution.locator("pre").first.is_visible()
    assert page.evaluate(WIDER) <= 0


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The page of a run of two notebooks, and that of two runs."""
    folder = tmp_path_factory.mktemp("pages")
    shown = [path for number, path in notebooks.notebooks().items() if number in ("01", "05")]
    return [
        pages.render(shown, folder / "report.html", record()),
        comparison_page(record(), record(seconds=99.0), folder / "compare.html"),
    ]


WIDER = "() => document.documentElement.scrollWidth - window.innerWidth"


@pytest.mark.parametrize(
    ("scheme", "width", "scale"), [("light", 1024, 1), ("dark", 1280, 1), ("light", 683, 1.5)]
)
def test_the_page_of_a_run_reads_well(browser, page, screenshots, rendered, scheme, width, scale):
    """In a light and a dark system, on a small screen, and at 150 %."""
    if scale != 1:
        page = new_page(browser, device_scale_factor=scale)
    page.set_viewport_size({"width": width, "height": 768})
    page.emulate_media(color_scheme=scheme)
    for path in rendered:
        page.goto(path.as_uri())
        page.screenshot(path=screenshots / f"{path.stem}_{scheme}_{width}.png")
        assert page.evaluate(PALE, "body") == []
        assert page.evaluate(WIDER) <= 0
        paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
