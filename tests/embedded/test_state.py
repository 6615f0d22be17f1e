"""What lies in a state directory and in the cache: whole or not there, private, and one owner at a time."""

import lzma
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from innkeeper.embedded import cache, fill_cache, lock, pki
from innkeeper.embedded.errors import AlreadyRuns
from innkeeper.embedded.files import made_whole, private_directory, write_private
from innkeeper.embedded.ports import Ports


def test_a_directory_that_is_not_finished_is_not_there(tmp_path: Path) -> None:
    def give_up_half_way() -> None:
        with made_whole(tmp_path / "made") as draft:
            (draft / "half").write_text("…")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up_half_way()
    assert list(tmp_path.iterdir()) == []


def test_who_comes_second_keeps_what_the_first_made(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with made_whole(target) as second:
        (second / "who").write_text("second")
        with made_whole(target) as first:
            (first / "who").write_text("first")
    assert (target / "who").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_private_file_that_cannot_be_written_leaves_the_former_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_private(file, "former")
    with pytest.raises(UnicodeEncodeError):
        write_private(file, "\ud800")
    assert file.read_text() == "former"
    assert list(tmp_path.iterdir()) == [file]


def test_keys_are_private_and_made_once(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "pki")
    key = made.key("admin").read_text()
    assert pki.ensure(tmp_path / "pki").key("admin").read_text() == key
    assert [path.name for path in (tmp_path / "pki").iterdir() if path.stat().st_mode & 0o077] == []


def test_a_port_is_kept_while_it_is_free_and_replaced_when_it_is_not(tmp_path: Path) -> None:
    port = Ports(tmp_path / "ports.json").take("temporal")
    assert Ports(tmp_path / "ports.json").take("temporal") == port
    assert Ports(tmp_path / "ports.json").take("supabase") != port
    with socket.create_server(("127.0.0.1", port)):
        other = Ports(tmp_path / "ports.json").take("temporal")
    assert other != port
    assert Ports(tmp_path / "ports.json").take("temporal") == other


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from innkeeper.embedded.lock import StateLock\n"
    script += "held = StateLock(Path(sys.argv[1])); held.take(); print('taken', flush=True); sys.stdin.read()"
    assert lock.holder(tmp_path) is None
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert lock.holder(tmp_path) == other.pid
        with pytest.raises(AlreadyRuns, match=f"process {other.pid}") as refused:
            lock.StateLock(tmp_path).take()
        assert "innkeeper down" in refused.value.cause.fix
        other.kill()
    mine = lock.StateLock(tmp_path)
    mine.take()
    assert lock.holder(tmp_path) == os.getpid()
    mine.release()
    assert lock.holder(tmp_path) is None


def test_the_cache_is_filled_once_from_a_packed_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed = tmp_path / "controlplane.xz"
    packed.write_bytes(lzma.compress(b"#!/bin/sh\necho control plane\n"))
    command = [sys.executable, "-m", "innkeeper.embedded.fill_cache", str(packed)]
    for _ in range(2):
        assert Path(subprocess.check_output(command, text=True).strip()) == cache.control_plane()
    assert subprocess.check_output([cache.control_plane()]) == b"control plane\n"


def test_a_database_of_other_migrations_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "1_first.sql").write_text("create table a ();")
    names = [cache.database(tmp_path)]
    (tmp_path / "2_second.sql").write_text("create table b ();")
    names.append(cache.database(tmp_path))
    (tmp_path / "2_second.sql").write_text("create table c ();")
    names.append(cache.database(tmp_path))
    (tmp_path / "2_second.sql").rename(tmp_path / "3_second.sql")
    names.append(cache.database(tmp_path))
    assert len(set(names)) == 4
    assert cache.database(tmp_path) == names[-1]


@pytest.mark.parametrize("content", [b"no xz at all", lzma.compress(b"x" * 100_000)[:-40]])
def test_a_broken_packed_binary_fills_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed = tmp_path / "controlplane.xz"
    packed.write_bytes(content)
    assert fill_cache.main([str(packed)]) == 1
    assert f"cannot fill the cache from {packed}" in capsys.readouterr().err
    assert list(cache.root().iterdir()) == []


def test_filling_the_cache_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert fill_cache.main([]) == 2
    assert "FILE.xz" in capsys.readouterr().err


def test_the_cache_is_the_users_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root() == tmp_path / ".cache" / "innkeeper"
    assert private_directory(cache.root()).stat().st_mode & 0o077 == 0


def test_a_supervisor_that_is_told_nothing_says_who_it_is_and_ends() -> None:
    command = [sys.executable, "-m", "innkeeper.embedded.supervisor"]
    told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert int(told.stdout) > 0
    assert told.stderr == ""
