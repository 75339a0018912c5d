"""The files for containers are valid, and agree with the programs about names of files and variables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs the package PyYAML")

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"


def dockerfile() -> dict[str, list[list[str]]]:
    """The words of each instruction, by its name."""
    found: dict[str, list[list[str]]] = {}
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found.setdefault(name, []).append(shlex.split(rest.replace(",", " ")))
    return found


def copied() -> set[str]:
    (words,) = dockerfile()["COPY"]
    return {Path(word).name for word in words[:-1]}


def variables_read() -> set[str]:
    sources = "".join(path.read_text() for path in DEPLOY.glob("*.py"))
    return set(re.findall(r"\"((?:MQTT|METRICS)_[A-Z_]+)\"", sources))


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_dockerfile_copies_and_runs_files_that_exist() -> None:
    instructions = dockerfile()
    (words,) = instructions["COPY"]
    assert [word for word in words[:-1] if not (ROOT / word).is_file()] == []
    (command,) = instructions["CMD"]
    (check,) = instructions["HEALTHCHECK"]
    for words in (command, check):
        assert [word.strip("[]") for word in words][-1] in copied()
    (variables,) = instructions["ENV"]
    names = {word.partition("=")[0] for word in variables}
    assert names - {"PYTHONUNBUFFERED"} <= variables_read()


def test_compose_agrees_with_the_programs() -> None:
    services = load("compose.yaml")["services"]
    app = services["app"]
    assert (DEPLOY / app["build"]["context"]).resolve() == ROOT
    assert (ROOT / app["build"]["dockerfile"]).is_file()
    assert set(app["environment"]) <= variables_read()
    assert app["environment"]["MQTT_HOST"] in services
    assert set(app["depends_on"]) <= set(services)


def test_kubernetes_agrees_with_the_programs() -> None:
    job = load("kubernetes.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][0] == "python"
    assert container["command"][1] in copied()
    assert {each["name"] for each in container["env"]} <= variables_read()
    for each in container["env"]:
        assert isinstance(each.get("value", ""), str), each
