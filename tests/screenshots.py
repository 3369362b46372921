"""Take a picture of every page: light and dark, wide and as on a phone. Run by hand, then look.

    python -m tests.screenshots [FOLDER]        # default: build/screenshots

The app, its database and the browser are real; Airflow's login is played by `door_kit`. Beside the
pictures it names every page that is wider than its window, because such a page scrolls sideways.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from playwright.sync_api import Browser, sync_playwright

from airlock.domain.approval.release import Decision
from airlock.ports import CodeChange
from airlock.services.approvals import break_glass
from tests.integration import duty_kit
from tests.integration.door_kit import Doors, running, with_real_keys
from tests.support import ROOT

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/google-chrome")
WIDTHS, SCHEMES = (1400, 390), ("light", "dark")


class Code:
    """A checkout in which two files have changed."""

    def change(self, folder: str, before: str, after: str) -> CodeChange:
        text = (
            f"diff --git a/{folder}/train.py b/{folder}/train.py\n--- a/{folder}/train.py\n"
            f"+++ b/{folder}/train.py\n@@ -40,7 +40,8 @@ def train(rows, target, seed):\n"
            "     features = rows[FEATURES]\n-    model = LogisticRegression(max_iter=200)\n"
            "+    model = HistGradientBoostingClassifier(max_depth=4, random_state=seed, "
            "categorical_features=CODES)\n+    model.fit(features, rows[target])\n"
            "     return model\n"
        )
        files = ((f"{folder}/train.py", 2, 1), (f"{folder}/data.parquet", None, None))
        return CodeChange(files, text, (files[1][0],))


def plot(doors: Doors, name: str) -> str:
    """Draw something as the evaluation does, and keep it; return its digest."""
    mpl.use("Agg")
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 0.1, 0.4, 1], [0, 0.6, 0.9, 1], label="candidate (area 0.861)")
    axes.legend(frameon=False)
    place = doors.folder / name
    figure.savefig(place, format="svg", metadata={"Date": None})
    digest: str = doors.app.state.airlock.files.put(place)
    return digest


def scenes(doors: Doors) -> Iterator[tuple[str, str, str]]:
    """Fill the platform; yield (name, user, address) of every page."""
    world = doors.world
    doors.app.state.airlock.code = Code()
    promoted = duty_kit.promoted(doors)
    rejected = world.request(world.measure("a-no", auc=0.79), "supersede").release
    assert rejected is not None
    long = "The calibration of the north is off by more than a tenth. " * 4
    world.vote(rejected.id, "lena", Decision.REJECT, reason=long)
    blocked = duty_kit.blocked(doors)
    finding = duty_kit.finding(doors)
    duty_kit.delegation(doors)
    duty_kit.newcomer(doors)
    duty_kit.enrolment_of(doors)
    broken = duty_kit.smashed(doors, "lena", "carla")
    break_glass.review(world.store, broken, world.actor("sam"), "it was right")
    names = ("roc.svg", "precision-recall.svg", "calibration.svg", "comparison.svg")
    card = {
        "files": {name: plot(doors, name) for name in names},
        "captions": {name: f"{name[:-4]}: at every threshold." for name in names},
    }
    world.code.head = "9f3c2d1e7a5b4c6d8e0f9f3c2d1e7a5b4c6d8e0f+dirty:sha256:" + "a" * 64
    origin = world.measure("manual__2026-12-01T02:00:00+00:00", champion="1",
                           more={"model-card": card})  # fmt: skip
    opened = world.request(origin, "supersede").release
    assert opened is not None
    doors.app.state.run_note = lambda _dag, _run: (
        "failed: task train failed: refused: training of credit raised KeyError: 'age' at "
        "train.py:42. (12 more tasks did not run because of that)"
    )
    yield from (
        ("inbox", "lena", "/releases"),
        ("list-filtered-empty", "vera", "/releases?state=EXPIRED"),
        ("run-without-release", "vera", "/releases?dag=credit&run=failed"),
        ("release-to-answer", "lena", f"/releases/{opened.id}"),
        ("release-own", "ana", f"/releases/{opened.id}"),
        ("release-promoted", "vera", f"/releases/{promoted}"),
        ("release-rejected", "vera", f"/releases/{rejected.id}"),
        ("release-blocked", "carla", f"/releases/{blocked}"),
        ("release-emergency", "sam", f"/releases/{broken}"),
        ("release-changed", "lena", f"/releases/{opened.id}/review?digest=sha256:{'0' * 64}"),
        ("fresh-login", "lena", f"/releases/{opened.id}/review?digest={opened.subject.digest}"),
        ("evidence-report", "vera", f"/releases/{opened.id}/evidence"),
        ("code", "vera", f"/releases/{opened.id}/code"),
        ("delegations", "lena", "/delegations"),
        ("findings", "carla", f"/findings#{finding}"),
        ("approvers", "admin", "/approvers"),
        ("approvers-reader", "vera", "/approvers"),
        ("slack", "lena", "/slack"),
        ("zone", "vera", "/zone"),
        ("log", "sam", "/log"),
        ("not-found", "vera", "/releases/rel-0"),
        ("forbidden", "vera", "/log"),
        ("logged-out", "", "/releases"),
    )


def take(browser: Browser, doors: Doors, folder: Path, scene: tuple[str, str, str]) -> list[str]:
    """Take the pictures of one page; return what is too wide."""
    name, user, address = scene
    wide = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,  # type: ignore[arg-type]
                java_script_enabled=False,
            )
            if user:
                context.add_cookies([{"name": "_token", "value": user, "url": doors.url}])
            page = context.new_page()
            page.goto(f"{doors.url}/airlock{address}")
            page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            size = page.evaluate("document.documentElement.scrollWidth")
            if size > width:
                wide.append(f"{name} at {width}: {size} pixels wide")
            context.close()
    return wide


def main() -> int:
    """Take all; return 1 if a page is wider than its window."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    wide: set[str] = set()
    with (
        tempfile.TemporaryDirectory() as place,
        running(Path(place)) as doors,
        sync_playwright() as playwright,
    ):
        with_real_keys(doors)
        program = next((one for one in CHROMIUM if Path(one).exists()), None)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for scene in scenes(doors):
            wide.update(take(browser, doors, folder, scene))
            sys.stdout.write(f"{scene[0]}\n")
        browser.close()
    sys.stdout.write("".join(f"too wide: {one}\n" for one in sorted(wide)))
    return int(bool(wide))


if __name__ == "__main__":
    sys.exit(main())
