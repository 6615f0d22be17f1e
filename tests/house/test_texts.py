"""Holds that no committed file depends on one machine or one registry, and that the project's papers are whole."""

import re
from pathlib import Path

import pytest

# Spelt in parts, so that this file keeps the rules it holds.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("repo1", "maven", "org"),
        ("static", "crates", "io"),
    ]
)
MACHINE_PATHS = re.compile(r"/(?:work/(?:main|shared)|root|Users/\w+|tmp/team)/|[.]pyenv/")


@pytest.fixture(scope="module")
def texts(project_files: list[str], root: Path) -> dict[str, str]:
    return {path: (root / path).read_text(errors="replace") for path in project_files}


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_file_names_a_registrys_host(host: str, texts: dict[str, str]) -> None:
    assert [path for path, text in texts.items() if host in text] == []


def test_no_file_names_a_path_of_one_machine(texts: dict[str, str]) -> None:
    assert {path: found[0] for path, text in texts.items() if (found := MACHINE_PATHS.search(text))} == {}


def test_the_licence_is_apache_2_in_full(texts: dict[str, str]) -> None:
    licence = texts["LICENSE"]
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_contributing_opens_with_its_summary_in_one_line(texts: dict[str, str]) -> None:
    opening, blank, *_ = texts["CONTRIBUTING.md"].splitlines()
    assert opening.endswith(".")
    assert blank == ""


def test_the_changelog_has_a_place_for_what_comes_next(texts: dict[str, str]) -> None:
    assert "## [Unreleased]" in texts["CHANGELOG.md"]
