"""A described platform is opened in a browser, through the gateway, by its administrator."""

from __future__ import annotations

import os

import pytest

from tests.integration.react import chromium
from tests.system.conftest import succeeded
from webnova import Client

driver = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")

DESCRIPTION = "عيادة أسنان يحجز فيها المرضى مواعيدهم مع الأطباء"


def test_a_described_platform_is_used_in_a_browser(client: Client) -> None:
    program = chromium()
    if os.environ.get("WEBNOVA_FRONTEND") == "none":
        pytest.skip("the pages are not built: npm reaches no registry")
    accepted = client.create(DESCRIPTION)
    run = succeeded(client, accepted.run)
    prepared = next(step for step in run.steps if step.name == "prepare").output
    assert prepared["pages"] is True
    platform = client.platform(accepted.platform.name)
    keys = client.credentials(platform.name)
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(locale="ar-SA")
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(f"{message.type} {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        assert platform.url
        page.goto(platform.url)
        page.locator("input[type=email]").fill(keys.admin_email)
        page.locator("input[type=password]").fill(keys.admin_password)
        page.keyboard.press("Enter")
        menu = page.get_by_role("navigation").get_by_role("link")
        driver.expect(menu.nth(1)).to_be_visible(timeout=20_000)
        assert page.locator("html").get_attribute("dir") == "rtl"
        menu.nth(1).click()
        driver.expect(page.locator("tbody tr").first).to_be_visible(timeout=20_000)
        assert page.url.startswith(platform.url)
        page.reload()
        driver.expect(page.locator("tbody tr").first).to_be_visible(timeout=20_000)
        browser.close()
    assert complaints == []
