"""A real Chromium without a window, driven through chromedriver over HTTP with the standard library alone.

with Browser(folder) as browser:
    browser.open(path)
    browser.run("return document.title")
    browser.console()                       # what it complained of
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "" if CHROMIUM and DRIVER else "no Chromium with chromedriver on this machine: the page was not opened"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
START_SECONDS = 60.0
JSON = {"Content-Type": "application/json"}

# the ratio of contrast of WCAG 2.2, of every text on the page with what lies behind it
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const parts = [0.2126, 0.7152, 0.0722];
const luminance = (colour) => parts.reduce((sum, part, i) => sum + part * linear(colour[i] / 255), 0);
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const found = rgba(getComputedStyle(at).backgroundColor);
    if (found[3] === 255) return found;
  }
  return rgba("#fff");
};
const low = [];
let seen = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const parent = node.parentElement;
  if (!node.textContent.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "TITLE", "title"].includes(parent.tagName)) continue;
  if (!parent.getClientRects().length) continue;
  const style = getComputedStyle(parent);
  const [a, b] = [rgba(parent instanceof SVGElement ? style.fill : style.color), behind(parent)].map(luminance);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  seen += 1;
  if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${node.textContent.trim().slice(0, 40)}`);
}
return { seen, low };
"""


class Browser:
    """One tab. Sizes are in CSS pixels."""

    def __init__(self, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = ""
        until = time.monotonic() + START_SECONDS
        while not self._session:
            try:
                self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            except urllib.error.URLError:
                if time.monotonic() > until or self._driver.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.1)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and its driver."""
        if self._session:
            with contextlib.suppress(urllib.error.URLError):
                self._ask("DELETE", f"/session/{self._session}")
        self._driver.terminate()
        self._driver.wait()

    def open(self, page: Path, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open a file in a window of this size, in the light or the dark scheme."""
        self.look(width=width, height=height, scheme=scheme)
        self._command("url", {"url": page.absolute().as_uri()})

    def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Change the window and the scheme of the open page."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme_feature]})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page, as the body of a function, and return its result; a promise is awaited."""
        return self._command("execute/sync", {"script": script, "args": list(arguments)})

    def console(self) -> list[str]:
        """Return what the console has said since it was last asked."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._command("se/log", {"type": "browser"})]

    def devtools(self, method: str, parameters: dict[str, Any]) -> Any:
        """Send a command of the DevTools protocol."""
        return self._command("goog/cdp/execute", {"cmd": method, "params": parameters})

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at a point of the window, move, and let go."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            button = {"button": "left", "buttons": 1, "clickCount": 1}
            self.devtools("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **button})

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key, where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self.devtools("Input.dispatchKeyEvent", {"type": kind, "key": key, "modifiers": 8 if shift else 0})

    def picture(self, *, whole: bool = False) -> bytes:
        """Return a PNG of the window, or of the whole page."""
        found = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": whole, **self._clip(whole)})
        return base64.b64decode(found["data"])

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.devtools("Page.printToPDF", {"printBackground": False})["data"])

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.devtools("Page.getLayoutMetrics", {})["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _command(self, name: str, content: dict[str, Any]) -> Any:
        return self._ask("POST", f"/session/{self._session}/{name}", content)

    def _ask(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self._address + path, body, JSON, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None
