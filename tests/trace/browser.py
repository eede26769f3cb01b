"""A real browser for tests: headless Chromium, spoken to over two pipes, without any library.

The DevTools protocol is JSON messages that end with a zero byte; ``--remote-debugging-pipe`` makes
Chromium read them from descriptor 3 and write them to descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["CHROMIUM", "Page", "opened"]

CHROMIUM: Final = shutil.which("chromium")
"""Where it is, or None: the Debian package ``chromium``."""

DEADLINE_S: Final = 60.0

_OPTIONS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)


class Page:
    """A page that is open in a browser. What goes wrong in its scripts is in ``errors``."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.errors: list[str] = []
        self._to, self._from = to_browser, from_browser
        self._unread = b""
        self._number = 0
        self._session = ""

    def attach(self) -> None:
        """Make a page of one's own, and listen to it."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: object) -> Any:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _read(self) -> dict[str, Any]:
        until_s = time.monotonic() + DEADLINE_S
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._from], [], [], until_s - time.monotonic())
            assert readable, "the browser says nothing"
            more = os.read(self._from, 1 << 20)
            assert more, "the browser has ended"
            self._unread += more
        line, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"])[:2000])
        elif event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith(("file:", "data:")):
                self.errors.append(f"asks the network for {url}")

    def open(self, path: Path, width: int = 1400, height: int = 760, dots: float = 1) -> None:
        """Open a file, and wait until it is drawn."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=dots,
            mobile=False,
        )
        self.command("Page.navigate", url=path.as_uri())
        self.run(
            "new Promise(ready => document.readyState === 'complete' ? ready() : "
            "addEventListener('load', ready))"
        )
        self.drawn()

    def drawn(self) -> None:
        """Wait until everything that was asked for so far is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """Return the value of an expression, once it is there."""
        result = self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def dark(self, dark: bool) -> None:
        """Prefer dark colours, or light ones."""
        value = "dark" if dark else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.command("Emulation.setEmulatedMedia", features=features)
        self.drawn()

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """Let a pointer event happen: ``mouseMoved``, ``mousePressed``, ``mouseReleased``, ..."""
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.drawn()

    def click(self, x: float, y: float) -> None:
        """Press and release the first button."""
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key."""
        modifiers = 8 if shift else 0
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers)
        self.drawn()

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])


@contextmanager
def opened() -> Iterator[Page]:
    """Start a browser, and end it with its files."""
    assert CHROMIUM is not None
    read_browser, to_browser = os.pipe()
    from_browser, write_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # The shell puts the pipes where Chromium looks for them, whatever numbers they have here.
        script = f'exec "$@" 3<&{read_browser} 4>&{write_browser}'
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}"],
            pass_fds=(read_browser, write_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_browser)
        os.close(write_browser)
        try:
            page = Page(to_browser, from_browser)
            page.attach()
            yield page
        finally:
            os.close(to_browser)
            os.close(from_browser)
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)  # it ends when its pipes are closed
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
