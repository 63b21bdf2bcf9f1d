"""Listening Unix sockets, and the addresses of settings."""

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest

from oto_trio.control.addresses import ListenAddress, read_addresses
from oto_trio.control.settings import Settings, settings_problems
from oto_trio.control.supervisor import unix_sockets
from oto_trio.control.supervisor.activation import Activation
from oto_trio.control.supervisor.fixed_listeners import bind_admin, bind_fixed
from oto_trio.control.supervisor.listening import BindError, bind_unix_listener, listening
from oto_trio.control.supervisor.unix_sockets import (
    UnixMode,
    listen_on_path,
    read_mode,
    read_owner,
)


def connect(path: Path | str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))


def test_every_slot_shares_the_socket_which_goes_with_its_listener(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    bound = bind_unix_listener("a", str(path), UnixMode(), secured=False, slots=3)
    with listening(bound) as (listener,):
        assert (listener.url, listener.address) == (f"unix:{path}", (f"unix:{path}", 0))
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        connect(path)
        for sock in listener.sockets:
            assert sock.getsockname() == str(path)
        listener.sockets[2].accept()[0].close()
    assert not path.exists()
    listener.close()


def test_a_socket_that_nobody_answers_on_is_replaced_and_another_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    left, _ = listen_on_path(path, UnixMode())
    with pytest.raises(OSError, match="another process listens there") as refused:
        listen_on_path(path, UnixMode())
    assert refused.value.errno == errno.EADDRINUSE
    left.close()  # as a process that is killed leaves it: the file stays
    again, file = listen_on_path(path, UnixMode(0o600))
    connect(path)
    again.close()
    file.remove()
    Path(path).write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="no socket"):
        listen_on_path(path, UnixMode())
    assert Path(path).read_text(encoding="utf-8") == "mine"


def test_a_file_that_another_process_put_in_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    ours = bind_unix_listener("a", str(path), UnixMode(), secured=False, slots=1)
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as theirs:
        theirs.bind(str(path))
        ours.close()
        assert path.exists()


def test_nobody_may_connect_before_the_file_has_its_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sock"
    refused: list[bool] = []

    def chown(at: str, user: int, group: int) -> None:
        assert (at, user, group) == (str(path), -1, os.getgid())
        with pytest.raises(ConnectionRefusedError):
            connect(path)
        refused.append(True)

    monkeypatch.setattr(os, "chown", chown)
    listen_on_path(str(path), UnixMode(0o600, group=os.getgid()))[0].close()
    assert refused == [True]


def test_what_keeps_a_socket_from_being_opened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BindError, match=r"there is no folder .*none; make it"):
        bind_unix_listener("a", str(tmp_path / "none/a"), UnixMode(), secured=False, slots=1)
    monkeypatch.setattr(unix_sockets, "TRY_S", 0.0)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(BindError, match="another process is opening sockets"):
            bind_unix_listener("a", str(tmp_path / "a"), UnixMode(), secured=False, slots=1)
    finally:
        os.close(folder)
    assert not (tmp_path / "a").exists()


def test_modes_and_owners() -> None:
    assert (read_mode("0660"), read_mode("600")) == (0o660, 0o600)
    assert read_owner(None) == read_owner("") == (-1, -1)
    assert read_owner("root") == (0, -1)
    assert read_owner(":root") == (-1, 0)
    assert read_owner("0:12") == (0, 12)
    for wrong in ("rw", "8660", "00660", "66"):
        with pytest.raises(ValueError, match="no mode"):
            read_mode(wrong)
    with pytest.raises(ValueError, match="no user 'nobody-at-all'"):
        read_owner("nobody-at-all")
    with pytest.raises(ValueError, match="no group 'none-at-all'"):
        read_owner(":none-at-all")


def test_addresses_are_read_with_and_without_brackets() -> None:
    assert read_addresses("127.0.0.1, [::1],unix:/run/a.sock") == (
        ListenAddress("127.0.0.1"),
        ListenAddress("::1"),
        ListenAddress(path="/run/a.sock"),
    )
    (relative,) = read_addresses("unix:a.sock")
    assert relative.path == f"{Path.cwd()}/a.sock"
    assert read_addresses("::") == (ListenAddress("::"),)
    both = read_addresses("0.0.0.0,::")
    assert [address.is_v6_only for address in both] == [False, True]
    assert read_addresses("localhost", names=True)[0].is_loopback
    loopback = {"127.0.0.2": True, "::1": True, "unix:/a": True, "::": False, "10.0.0.1": False}
    for text, is_loopback in loopback.items():
        assert read_addresses(text)[0].is_loopback is is_loopback


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("localhost", "no address to listen on"),
        ("[::1]:80", "without a port"),
        ("127.0.0.1,", "no address to listen on"),
        ("unix:", "a path goes behind unix:"),
        ("unix:/run/", "a path goes behind unix:"),
        ("unix:@name", "sockets without one are not supported"),
        ("unix:\0name", "sockets without one are not supported"),
        (f"unix:/{'a' * 107}", "the path has 108 bytes and a socket's may have 107"),
    ],
)
def test_a_wrong_address_is_told(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_addresses(text)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (Settings(bind="nowhere"), "$.settings.bind"),
        (Settings(bind="unix:/a", https_port=0), "$.settings.https_port"),
        (Settings(https_bind="::"), "$.settings.https_bind"),
        (Settings(bind="unix:/a", admin_bind="unix:/a"), "$.settings.bind"),
        (Settings(admin_bind="::1,127.0.0.1"), "$.settings.admin_bind"),
        (Settings(socket_mode="7"), "$.settings.socket_mode"),
        (Settings(socket_owner="nobody-at-all"), "$.settings.socket_owner"),
        (Settings(engine={"unix_targets": ["/"]}), "$.settings.engine.unix_targets"),
        (Settings(unix_targets=("run",)), "$.settings.unix_targets[0]"),
        (Settings(unix_targets=("/run/../etc",)), "$.settings.unix_targets[0]"),
    ],
)
def test_what_is_wrong_with_the_settings_is_told(settings: Settings, path: str) -> None:
    assert [problem.path for problem in settings_problems(settings)] == [path]


def test_listeners_are_opened_for_every_address(tmp_path: Path) -> None:
    settings = Settings(
        bind=f"127.0.0.1,unix:{tmp_path}/a",
        http_port=0,
        https_bind=f"unix:{tmp_path}/b",
        admin_bind=f"unix:{tmp_path}/c",
        socket_mode="0600",
    )
    assert settings_problems(settings) == []
    with (
        listening(*bind_fixed(settings, 2, Activation({}))) as listeners,
        listening(*bind_admin(settings, Activation({}))) as (admin,),
    ):
        shown = [(listener.url, listener.secured) for listener in listeners]
        port = listeners[0].address[1]
        assert shown == [
            (f"http://127.0.0.1:{port}", False),
            (f"unix:{tmp_path}/a", False),
            (f"unix:{tmp_path}/b", True),
        ]
        assert {len(listener.sockets) for listener in listeners} == {2}
        assert admin.url == f"unix:{tmp_path}/c"
    taken = Settings(bind=f"unix:{tmp_path}/a,unix:{tmp_path}/none/b")
    with pytest.raises(BindError):
        bind_fixed(taken, 1, Activation({}))
    assert not (tmp_path / "a").exists(), "those before the one that failed are closed again"
    assert bind_admin(Settings(), Activation({})) == ()
