"""Users and hashes of their passwords."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.passwords import Users, hashed, read_users

HASH = "scrypt$32768$8$3$s5j+FPE3dtalkHcBuwMCkA==$N7EMzvl/mTCaWlLYkZ3cp4TM4I35lWZaphpw7Z56/eM="  # of "x"


def test_a_user_is_known_by_the_password_alone() -> None:
    first, second = hashed("ein Päßwort"), hashed("ein Päßwort")
    assert first != second  # each has a salt of its own
    users = Users({"anna": first, "berta": second})
    assert users.knows("anna", "ein Päßwort")
    assert users.knows("berta", "ein Päßwort")
    for name, password in (
        ("anna", "ein Passwort"), ("anna", ""), ("nobody", "ein Päßwort"), ("anna", "x" * 2_000), ("anna", "\ud800"),
    ):  # fmt: skip
        assert not users.knows(name, password)


@pytest.mark.parametrize("password", ["", "x" * 1_025])
def test_a_password_that_cannot_be_used_is_refused(password: str) -> None:
    with pytest.raises(InputError, match="expected 1 to 1024 bytes"):
        hashed(password)


@pytest.mark.parametrize(
    "text",
    [
        "- anna", "", f"anna: {HASH}\nanna: {HASH}",
        "anna: plain", "anna: 5", "anna: scrypt$16384$8$5$eA==$eA==", "a: [", "anna: scrypt$1e9$8$5$a$b",
        f"anna: {HASH.replace('32768', '32769')}", f"anna: {HASH.replace('$8$', '$9999$')}",
    ],
    ids=str.split("list empty twice plain number short open cost cost-of-no-power blocks"),
)  # fmt: skip
def test_a_file_of_users_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "users.yaml").write_text(text)
    with pytest.raises(InputError, match=r"users|python -m runtime\.passwords"):
        read_users(tmp_path / "users.yaml")


def test_the_command_prints_what_goes_into_the_file(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime.passwords"],
        input="secret 7\n", env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "users.yaml").write_text(f"anna: {done.stdout}")
    assert read_users(tmp_path / "users.yaml").knows("anna", "secret 7")
