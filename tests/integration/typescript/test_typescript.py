"""A TypeScript client, generated from the document, compiles and asks a running service."""

import json
import subprocess
from pathlib import Path

import httpx
import local
import npm_packages
from api_examples import CHAMPION

from serving.routes import document

PACKAGES = (
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    "typescript@5.9.3",
    "@types/node@24.10.1",
)
PROGRAM = """
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const [url, account] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });
const { data, error } = await client.POST("/v1/score", { body: { account } });
if (!data || typeof data === "string" || !("rule" in data)) throw new Error(JSON.stringify(error));
const verdict: components["schemas"]["RuleAnswer"]["verdict"] = data.rule.verdict;
const refused = await client.POST("/v1/plan", { body: { account: "nobody" } });
console.log(JSON.stringify([verdict, refused.error?.errors?.[0]?.pointer]));
"""
SETTINGS = {
    "compilerOptions": {
        "strict": True,
        "module": "nodenext",
        "target": "es2022",
        "types": ["node"],
    },
    "files": ["use.ts"],
}


def run(place: Path, *command: str) -> str:
    """Return what a program of the packages says; its own words where it fails."""
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_generated_client_compiles_and_is_answered(tmp_path: Path) -> None:
    """Strictly, against the document of today; answers and refusals have the types it states."""
    packages = npm_packages.installed(PACKAGES) / "node_modules"
    place = tmp_path / "client"
    place.mkdir()
    (place / "node_modules").symlink_to(packages)
    (place / "package.json").write_text('{"type": "module"}')
    (place / "openapi.json").write_text(json.dumps(document()))
    (place / "tsconfig.json").write_text(json.dumps(SETTINGS))
    (place / "use.ts").write_text(PROGRAM)
    tools = packages / ".bin"
    options = ("openapi.json", "--default-non-nullable", "false", "-o", "api.ts")
    run(place, str(tools / "openapi-typescript"), *options)
    run(place, str(tools / "tsc"), "-p", ".")
    with (
        local.api(tmp_path, CHAMPION, simulated=local.book()) as app,
        local.listening(app) as url,
    ):
        one = httpx.get(f"{url}/v1/accounts?limit=1", timeout=60).json()["accounts"][0]["account"]
        said = run(place, "node", "use.js", url, one)
        stated = httpx.post(f"{url}/v1/score", json={"account": one}, timeout=60).json()
    assert json.loads(said) == [stated["rule"]["verdict"], "/account"]
