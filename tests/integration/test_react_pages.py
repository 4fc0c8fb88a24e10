"""The pages of the clinic, used by people in a browser, with nothing between them and the API."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.runtime.dependencies import DependencyCache
from tests.integration.react import CLINIC, chromium, install, run, write_project

driver = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
expect = driver.expect
ADMIN = {"email": "admin@example.com", "password": "a long enough password"}
DOCTOR = {"email": "doctor@example.com", "password": "another long password"}
PREFIX = "/p/acme/clinic"
Open = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Clinic:
    url: str
    behind_proxy: str
    """The same, as it runs where a proxy publishes it under `PREFIX`."""
    axe: str
    """The program that looks for what keeps people out."""


@pytest.fixture(scope="module")
def clinic(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Clinic]:
    """The running clinic with its pages, sample records, a doctor and thirty more patients."""
    chromium()
    project = write_project(CLINIC, tmp_path_factory.mktemp("clinic") / "project")
    web = project / "web"
    install(web, Path(request.config.cache.mkdir("node")))
    run(web, "vite/bin/vite.js", "build", "--logLevel", "warn")
    axe = (web / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    cache = DependencyCache(Path(request.config.cache.mkdir("environments")))
    with (
        asyncio.run(cache.ensure(project / "requirements.lock")) as environment,
        _served(project, environment.python) as url,
        _served(project, environment.python, PREFIX) as behind_proxy,
    ):
        _fill(url)
        yield Clinic(url, behind_proxy, axe)


@contextmanager
def _served(project: Path, python: Path, root: str = "") -> Iterator[str]:
    """The address of the running platform, which believes to be published under `root`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [str(python), "-m", "app"],
        cwd=project,
        env={
            "PATH": os.defpath,
            "PORT": str(port),
            "ROOT_PATH": root,
            "DATABASE_URL": f"sqlite:///{project}/clinic.db",
            "JWT_SECRET": "0123456789abcdef0123456789abcdef",
            "ADMIN_EMAIL": ADMIN["email"],
            "ADMIN_PASSWORD": ADMIN["password"],
            "SEED": "1",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def _fill(url: str) -> None:
    with httpx.Client(base_url=f"{url}/api") as api:
        token = api.post("/auth/login", json=ADMIN).json()["access_token"]
        api.headers["Authorization"] = f"Bearer {token}"
        assert api.post("/users", json={**DOCTOR, "role": "doctor"}).status_code == 201
        for number in range(30):
            body = {"full_name": f"Patient {number:02}", "phone": f"+9665550000{number:02}"}
            assert api.post("/patients", json=body).status_code == 201


@pytest.fixture(scope="module")
def browser(clinic: Clinic) -> Iterator[Any]:
    """After the clinic, as the driver occupies the loop of the thread."""
    with driver.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any, clinic: Clinic) -> Iterator[Open]:
    """Opens pages; fails when one logs an error that no answer of the API explains."""
    contexts = []
    complaints: list[str] = []

    def note(message: Any) -> None:
        # A refused request is logged by the browser itself, and is what some tests are about.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def open_one(path: str = "/", who: dict[str, str] | None = None, **settings: Any) -> Any:
        context = browser.new_context(
            **{"locale": "en-GB", "timezone_id": "Asia/Riyadh", **settings}
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{clinic.url}{path}")
        if who:
            _sign_in(page, who)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _sign_in(page: Any, who: dict[str, str]) -> None:
    page.locator("input[type=email]").fill(who["email"])
    page.locator("input[type=password]").fill(who["password"])
    page.locator("button[type=submit]").click()
    expect(page.locator("nav").first).to_be_visible()


def _go(page: Any, path: str) -> None:
    page.goto(re.sub(r"(://[^/]+).*", rf"\1{path}", page.url))


def test_a_wrong_password_is_said_and_the_right_one_leads_to_the_page_that_was_asked_for(
    open_page: Open,
) -> None:
    page = open_page("/records/patients?sort=full_name")
    page.get_by_label("Email").fill(ADMIN["email"])
    page.get_by_label("Password").fill("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The email or the password is wrong.")
    page.get_by_label("Password").fill(ADMIN["password"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Patients")
    assert page.url.endswith("/records/patients?sort=full_name")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Patients")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_what_is_wrong_stands_at_its_field_before_and_after_the_api_was_asked(
    open_page: Open,
) -> None:
    page = open_page("/records/doctors/new", ADMIN)
    page.get_by_role("button", name="Save").click()
    name, licence = page.get_by_label("Full name"), page.get_by_label("License number")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description("This is required.")
    licence.fill("nonsense")
    name.fill("X")
    page.get_by_label("Fee").fill("1.234")
    page.get_by_role("button", name="Save").click()
    expect(licence).to_have_accessible_description("This doesn't have the right form.")
    expect(name).to_have_accessible_description("At least 2 characters.")
    expect(page.get_by_label("Fee")).to_have_accessible_description(
        "At most 2 digits after the point."
    )
    name.fill("Layla Haddad")
    licence.fill("SA-77777")
    # Digits as an Arabic keyboard types them.
    page.get_by_label("Fee").fill("٢٥٠٫٥")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Layla Haddad")
    expect(page.get_by_text("250.50")).to_be_visible()
    _go(page, "/records/doctors/new")
    page.get_by_label("Full name").fill("Somebody else")
    page.get_by_label("License number").fill("SA-77777")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("License number")).to_have_accessible_description(
        "Another record has this already."
    )


def test_lists_are_searched_filtered_sorted_and_paged_in_their_address(open_page: Open) -> None:
    page = open_page("/records/patients", ADMIN)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(20)
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(14)
    assert "page=2" in page.url
    page.get_by_role("button", name="Full name").click()
    expect(page.get_by_role("columnheader", name="Full name")).to_have_attribute(
        "aria-sort", "ascending"
    )
    assert "sort=full_name" in page.url and "page=" not in page.url
    page.get_by_label("Search").fill("patient 07")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Patient 07")
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_label("Gender").select_option("female")
    expect(page).to_have_url(re.compile("gender=female"))
    page.reload()
    expect(page.get_by_label("Gender")).to_have_value("female")
    page.get_by_label("Phone contains").fill("no such number")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_a_record_is_related_moved_on_changed_and_deleted(open_page: Open) -> None:
    page = open_page("/records/appointments/new", ADMIN)
    page.get_by_label("Starts at").fill("2027-03-01T09:30")
    page.get_by_role("combobox", name="Patient").fill("Patient 21")
    expect(page.get_by_role("option")).to_have_text("Patient 21")
    page.keyboard.press("Enter")
    page.get_by_role("combobox", name="Doctor").focus()
    expect(page.get_by_role("option", name="Omar Haddad")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save").click()
    details = page.locator("dl")
    expect(details).to_contain_text("Patient 21")
    expect(details).to_contain_text("Requested")
    expect(details).to_contain_text("1 Mar 2027, 09:30")
    expect(page.get_by_role("button", name="Complete")).to_have_count(0)
    page.get_by_role("button", name="Confirm").click()
    expect(details).to_contain_text("Confirmed")
    expect(page.get_by_role("button", name="Confirm")).to_have_count(0)
    expect(page.get_by_role("button", name="Complete")).to_be_visible()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Duration minutes").fill("45")
    page.get_by_role("button", name="Save").click()
    expect(details).to_contain_text("45")
    address = page.url
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Appointments")
    page.goto(address)
    expect(page.get_by_role("alert")).to_contain_text("There is no such record")


def test_a_doctor_sees_what_doctors_may_do(open_page: Open) -> None:
    page = open_page("/", DOCTOR)
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(
        ["Dashboard", "Doctors", "Patients", "Appointments"]
    )
    _go(page, "/records/patients")
    expect(page.locator("tbody tr")).to_have_count(20)
    expect(page.get_by_role("link", name="New")).to_have_count(0)
    for path in ("/users", "/records/patients/new", "/records/nothing"):
        _go(page, path)
        expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")


def test_people_sign_up_and_administrators_change_who_may_do_what(open_page: Open) -> None:
    page = open_page("/auth/sign-up")
    page.get_by_label("Email").fill("mona@example.com")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create an account").click()
    expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Password").fill("long enough at last")
    page.get_by_role("button", name="Create an account").click()
    expect(page.get_by_text("Patient", exact=True)).to_be_visible()
    admin = open_page("/users", ADMIN)
    admin.get_by_label("Search").fill("mona")
    expect(admin.locator("tbody tr")).to_have_count(1)
    admin.get_by_role("button", name="Edit mona@example.com").click()
    admin.get_by_label("Role").select_option("receptionist")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("tbody tr")).to_contain_text("Receptionist")
    page.reload()
    expect(page.get_by_text("Receptionist", exact=True)).to_be_visible()


def test_the_language_and_the_theme_are_chosen_and_kept(open_page: Open) -> None:
    page = open_page("/records/appointments", ADMIN)
    root = page.locator("html")
    page.get_by_role("button", name="العربية").click()
    expect(root).to_have_attribute("dir", "rtl")
    expect(root).to_have_attribute("lang", "ar")
    expect(page.get_by_role("columnheader", name="وقت البدء")).to_be_visible()
    page.get_by_role("button", name="المظهر").click()
    page.get_by_role("menuitemradio", name="داكن").click()
    expect(root).to_have_class("dark")
    page.reload()
    expect(root).to_have_attribute("dir", "rtl")
    expect(root).to_have_class("dark")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(open_page(locale="ar-EG").locator("html")).to_have_attribute("dir", "rtl")


def test_without_a_network_the_page_says_so(open_page: Open) -> None:
    page = open_page("/records/doctors", ADMIN)
    expect(page.locator("tbody tr").first).to_be_visible()
    page.context.set_offline(True)
    expect(page.get_by_text("You are offline.")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("You are offline.")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-GB", "ar-SA"])
def test_nothing_keeps_people_out(open_page: Open, clinic: Clinic, locale: str, theme: str) -> None:
    # The examination is a script of its own, which the policy of the page rightly refuses.
    page = open_page("/auth/sign-up", locale=locale, color_scheme=theme, bypass_csp=True)
    expect(page.locator("form")).to_be_visible()
    found = {"sign-up": _violations(page, clinic)}
    _go(page, "/")
    expect(page.locator("form")).to_be_visible()
    found["sign-in"] = _violations(page, clinic)
    _sign_in(page, ADMIN)
    expect(page.locator("ol li").first).to_be_visible()
    found["dashboard"] = _violations(page, clinic)
    for path, sign in (
        ("/records/patients", "tbody"),
        ("/records/appointments?status=requested", "#filters select"),
        ("/records/doctors/new", "form"),
        ("/users", "tbody"),
        ("/nothing", "h1"),
    ):
        _go(page, path)
        expect(page.locator(sign).first).to_be_visible()
        found[path] = _violations(page, clinic)
    _go(page, "/records/doctors/new")
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found["errors"] = _violations(page, clinic)
    _go(page, "/records/appointments")
    page.locator("tbody a").first.click()
    expect(page.locator("dl")).to_be_visible()
    found["record"] = _violations(page, clinic)
    page.locator("main button").last.click()
    expect(page.get_by_role("alertdialog")).to_be_visible()
    found["question"] = _violations(page, clinic)
    assert {place: each for place, each in found.items() if each} == {}


def _violations(page: Any, clinic: Clinic) -> list[Any]:
    page.evaluate(clinic.axe)
    result = page.evaluate("axe.run(document)")
    assert len(result["passes"]) > 5
    return [[each["id"], [node["html"] for node in each["nodes"]]] for each in result["violations"]]


def test_the_pages_work_under_a_path_of_a_proxy(browser: Any, clinic: Clinic) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    # The proxy takes the path away again, as the platform's own address has none.
    page.route(
        f"**{PREFIX}/**",
        lambda route: route.continue_(url=route.request.url.replace(PREFIX, "", 1)),
    )
    published = f"{clinic.behind_proxy}{PREFIX}"
    page.goto(f"{published}/records/doctors")
    _sign_in(page, ADMIN)
    expect(page.locator("tbody tr").first).to_be_visible()
    page.reload()
    expect(page.locator("tbody tr").first).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name="Appointments").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    assert page.url == f"{published}/records/appointments"
    context.close()


def test_only_navigations_get_the_page_and_nothing_inline_runs(clinic: Clinic) -> None:
    html = {"Accept": "text/html,*/*;q=0.8"}
    page = httpx.get(f"{clinic.url}/records/doctors", headers=html)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert re.findall(r"<script(?![^>]* src=)", page.text) == []
    assert re.findall(r"(?:src|href)=\"(?:/[^\"]|http)", page.text) == []
    for path in ("/api/nothing", "/api", "/assets/nothing.js", "/assets/%2e%2e/index.html"):
        assert httpx.get(f"{clinic.url}{path}", headers=html).status_code == 404
    assert httpx.get(f"{clinic.url}/records/doctors").status_code == 404
    assert httpx.post(f"{clinic.url}/records", headers=html).status_code == 404
    assert httpx.get(f"{clinic.url}/health", headers=html).json()["status"] == "ok"
    script = re.search(r'src="\./(assets/[^"]+\.js)"', page.text)
    assert script is not None
    asset = httpx.get(f"{clinic.url}/{script[1]}")
    assert "immutable" in asset.headers["cache-control"]
    assert asset.headers["content-encoding"] == "gzip"
