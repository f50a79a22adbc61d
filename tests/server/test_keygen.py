from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zmq
import zmq.auth
from bert_serving.server.commands.keygen import write_keys

from bert_ft.errors import BertFtError


def keygen(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from bert_serving.server.commands.keygen import keygen as run; "
    code += "run(sys.argv[1:], 'bert-serving-keygen')"
    paths = [path for path in sys.path if path and not path.endswith("site-packages")] + [str(Path.cwd())]
    paths += [str(Path.cwd() / "server"), str(Path.cwd() / "client")]
    environment = {"PYTHONPATH": ":".join(paths)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment)


def test_the_command_writes_a_pair_that_zmq_auth_reads(tmp_path: Path) -> None:
    done = keygen("server", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    public, nothing = zmq.auth.load_certificate(tmp_path / "server.key")
    again, secret = zmq.auth.load_certificate(tmp_path / "server.key_secret")
    assert nothing is None
    assert secret is not None
    assert public == again == zmq.curve_public(secret)
    assert secret.decode() not in (tmp_path / "server.key").read_text() + done.stdout
    assert stat.S_IMODE((tmp_path / "server.key_secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("present", ["server.key", "server.key_secret"])
def test_nothing_is_overwritten(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("precious")
    done = keygen("server", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {present}: is there already")
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {present: "precious"}


def test_a_link_in_the_place_of_a_key_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.key_secret").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BertFtError, match="is there already"):
        write_keys(tmp_path / "a")
    assert not (tmp_path / "elsewhere").exists()


def test_no_such_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BertFtError, match=r"none/a\.key_secret: cannot be written: No such file"):
        write_keys(tmp_path / "none" / "a")


def test_two_pairs_differ(tmp_path: Path) -> None:
    keys = [zmq.auth.load_certificate(write_keys(tmp_path / name)[1]) for name in "ab"]
    assert len({key for pair in keys for key in pair}) == 4
