"""Author ids that name no person."""

import pytest

from brandpulse.schema.unknown_authors import is_unknown

UNKNOWN = ["[deleted]", "[removed]", "u/[deleted]", "/u/[Removed]", "None", "null", "NaN", "N/A", "-", "0", '""', "''"]
UNKNOWN += ["(null)", "<unknown>", "Deleted_User", "deleted-account", "anonymous", "GELÖSCHT", "utilisateur supprimé"]
UNKNOWN += ["匿名", "삭제된 사용자", "Gelo\u0308scht", "Удалён", "@deleted", "—", "\u200b"]


@pytest.mark.parametrize("author_id", UNKNOWN)
def test_an_id_that_names_no_person_is_unknown(author_id: str) -> None:
    assert is_unknown(author_id)


@pytest.mark.parametrize(
    "author_id", ["ann", "nancy", "12345", "10", "u/ann", "user", "deleted_scenes", "匿名希望の猫"]
)
def test_an_id_of_an_account_is_known(author_id: str) -> None:
    assert not is_unknown(author_id)
