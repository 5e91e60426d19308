"""A headless Chromium for tests: ``python -m tests.browser --install`` brings it where it can.

Debian's ``chromium`` and ``chromium-driver`` always fit each other, and play H.264.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "chromium-driver": ("chromedriver",),
}
"""Debian packages, and the programs any one of which makes the package unnecessary."""

_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # there is none for root
    "--disable-dev-shm-usage",  # containers have 64 MB of it
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--mute-audio",
)


def missing() -> list[str]:
    """Return the packages without which no page can be opened."""
    return [package for package in PROGRAMS if program(package) is None]


def program(package: str) -> str | None:
    """Return the path of a package's program, None if there is none."""
    return next((path for name in PROGRAMS[package] if (path := shutil.which(name))), None)


def advice() -> str:
    """Say what is missing and how to install it."""
    packages = " ".join(missing())
    return (
        f"the page cannot be opened in a browser: {packages} missing "
        f"(Debian, Ubuntu: apt-get install --no-install-recommends {packages})"
    )


def must_be_there() -> bool:
    """Whether a missing browser is a failure: on CI, where ``--install`` could install it."""
    return os.environ.get("CI", "").lower() == "true" and os.geteuid() == 0


def install() -> None:
    """Install the missing packages where apt-get and the rights for it are there."""
    packages = missing()
    if not packages or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    print(f"Installing {' '.join(packages)} for the tests of the page …", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-qq", *command], env=environment, check=False)


@contextmanager
def headless() -> Iterator[Any]:
    """Open a browser that logs its console and every request; close it at the end.

    Yields:
        A selenium driver.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium") or ""
    for switch in _SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Without the path selenium would look for a driver on the internet.
    driver = webdriver.Chrome(options=options, service=Service(program("chromium-driver")))
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(30)
    try:
        yield driver
    finally:
        driver.quit()


def main(arguments: list[str]) -> int:
    """Install if asked, and say what is missing; that is no error, as all other tests run."""
    if "--install" in arguments:
        install()
    print(f"Note: {advice()}." if missing() else "Chromium for the tests of the page is there.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
