"""Pictures of every page."""

from __future__ import annotations

import os
from pathlib import Path

from tests.console.places import places
from tests.console.stage import Stage
from tests.console.town import town


async def test_gallery(at: Stage, tmp_path: Path) -> None:
    folder = Path(os.environ.get("LOOPKEEPER_PICTURES") or tmp_path)
    folder.mkdir(exist_ok=True)
    made = await town(at)
    print(made)
    ids = {**made.ids, "provider": "Luis Ortega"}
    only = os.environ.get("ONLY", "")
    for name, paths in places(ids):
        if only and only not in name:
            continue
        for width, dark in ((1280, False), (360, True)):
            page = await at.be(name, width=width, dark=dark)
            for number, path in enumerate(paths):
                answer = await page.goto(at.url + path)
                file = f"{name.split()[0]}-{number}-{path.split('?')[0].strip('/').replace('/', '.')[:24]}-{width}.png"
                await page.screenshot(path=folder / file, full_page=True)
                if answer.status != 200: print(path, answer.status)
            await page.context.close()
    door = await (await at.context(width=1280)).new_page()
    await door.goto(f"{at.url}/signin")
    await door.screenshot(path=folder / "door-1280.png", full_page=True)
