"""PVCs as folders."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from standpipe.model.kfp import CREATE_PVC, DELETE_PVC
from standpipe.pods.claims import Claims
from standpipe.pods.settings import SettingError
from standpipe.support.umask import PRIVATE, restrict_umask


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims({"mine": tmp_path / "mine"}, tmp_path / "pvcs")


def test_a_claim_is_made_found_again_and_removed(claims: Claims, tmp_path: Path) -> None:
    outputs, sentence = claims.carry_out(CREATE_PVC, {"pvc_name": "data", "size": "1Gi", "pvc_name_suffix": None})
    folder = tmp_path / "pvcs" / "data"
    assert outputs == {"name": "data"}
    assert str(folder) in sentence
    (folder / "file").touch()
    assert claims.folder("data") == folder
    assert claims.carry_out(CREATE_PVC, {"pvc_name": "data"})[0] == outputs
    assert (folder / "file").exists()
    claims.carry_out(DELETE_PVC, {"pvc_name": "data"})
    assert not folder.exists()


def test_a_generated_name_ends_with_the_suffix(claims: Claims) -> None:
    first, second = (claims.carry_out(CREATE_PVC, {"pvc_name_suffix": "-x"})[0]["name"] for _ in range(2))
    assert first != second
    assert str(first).endswith("-x")
    assert claims.carry_out(CREATE_PVC, {})[0]["name"]


def test_content_that_a_folder_cannot_have_is_said(tmp_path: Path) -> None:
    notices: list[str] = []
    claims = Claims({"mine": tmp_path / "mine"}, tmp_path / "pvcs", notices.append)
    claims.carry_out(CREATE_PVC, {"pvc_name": "plain", "size": "1Gi", "storage_class_name": "fast", "volume_name": ""})
    claims.carry_out(CREATE_PVC, {"pvc_name": "mine", "data_source": {"kind": "VolumeSnapshot"}})
    assert notices == []
    claims.carry_out(CREATE_PVC, {"pvc_name": "copy", "data_source": {"kind": "VolumeSnapshot"}, "volume_name": "v"})
    (notice,) = notices
    assert "ignored the data_source and the volume_name of the PVC 'copy'" in notice


def test_a_folder_of_the_user_is_never_removed(claims: Claims, tmp_path: Path) -> None:
    assert claims.folder("mine") == tmp_path / "mine"
    _, sentence = claims.carry_out(DELETE_PVC, {"pvc_name": "mine"})
    assert "Kept the folder" in sentence
    assert (tmp_path / "mine").is_dir()


def test_any_user_of_a_container_may_write_and_other_users_of_the_machine_may_not(
    claims: Claims, tmp_path: Path
) -> None:
    with restrict_umask(PRIVATE):
        for folder in (claims.folder("data"), claims.folder("data", "a/b")):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o777
    assert stat.S_IMODE((tmp_path / "pvcs").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["..", "a/b", "", ".", "Upper", "-a", "a-", "a\n", "a" * 254])
def test_an_invalid_name_is_rejected(claims: Claims, tmp_path: Path, name: str) -> None:
    for act in (claims.folder, lambda name: claims.carry_out(DELETE_PVC, {"pvc_name": name})):
        with pytest.raises(SettingError, match="invalid PVC name"):
            act(name)
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_fails_in_these_cases_too(claims: Claims) -> None:
    with pytest.raises(SettingError, match="got both"):
        claims.carry_out(CREATE_PVC, {"pvc_name": "a", "pvc_name_suffix": "-b"})
    with pytest.raises(SettingError, match="unknown PVC 'gone'"):
        claims.carry_out(DELETE_PVC, {"pvc_name": "gone"})
