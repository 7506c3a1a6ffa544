"""Author ids that name no person: `[deleted]`, `None`, `-`. The only definition, for Python and for native code.

Two posts of deleted accounts may be by two people, so each such post has its own vote.
"""

import unicodedata
from functools import lru_cache

TRIMMED = " \t\n\r\u00a0\u200b\ufeff[](){}<>«»\"'`*#@~_-–—.,:;!?/\\|"
"""Characters that may surround the word: brackets, quotes, signs."""
PREFIX = "u/"
"""Reddit writes `u/[deleted]`."""

_WORDS = (
    "deleted|removed|suspended|banned|deactivated|none|null|nil|nan|undefined|unknown|anonymous|anon|n/a|na|n.a|"
    "not available|not provided|no author|no name|noname|redacted|unbekannt|anonym|gelöscht|inconnu|anonyme|supprimé|"
    "desconocido|anónimo|eliminado|borrado|desconhecido|anônimo|excluído|sconosciuto|anonimo|eliminato|onbekend|anoniem|"
    "verwijderd|okänd|raderad|ukjent|slettet|ukendt|tuntematon|poistettu|nieznany|usunięty|usunięte|neznámý|smazáno|"
    "ismeretlen|törölt|necunoscut|șters|bilinmeyen|silindi|silinmiş|anonim|tidak diketahui|dihapus|không xác định|"
    "đã xóa|неизвестно|неизвестный|аноним|анонимно|удалено|удалён|удален|невідомо|видалено|άγνωστος|ανώνυμος|"
    "διαγραμμένος|مجهول|محذوف|غير معروف|ناشناس|حذف شده|לא ידוע|אנונימי|נמחק|अज्ञात|अनाम|हटाया गया|ไม่ทราบ|ไม่ระบุชื่อ|ลบแล้ว|"
    "匿名|匿名用户|匿名用戶|未知|不明|已删除|已刪除|已注销|用户已注销|账号已注销|帳號已刪除|用户已删除|名無し|名無しさん|"
    "削除済み|削除されたユーザー|익명|알 수 없음|삭제됨|삭제된 사용자|탈퇴한 사용자|gelöschter benutzer|"
    "gelöschter nutzer|gelöschtes konto|utilisateur supprimé|compte supprimé|utilisateur inconnu|usuario eliminado|"
    "cuenta eliminada|usuario desconocido|usuário excluído|conta excluída|utente eliminato|account eliminato|"
    "verwijderde gebruiker|raderad användare|usunięty użytkownik|konto usunięte|удалённый пользователь|"
    "удаленный пользователь|пользователь удалён|пользователь удален|видалений користувач"
)
_OF_AN_ACCOUNT = ("deleted", "removed", "suspended", "banned", "deactivated", "unknown", "anonymous")
_NUMBERS = ("0", "00", "000", "0000", "00000", "000000", "0.0", "00000000-0000-0000-0000-000000000000")


def _listed() -> frozenset[str]:
    found = {*_WORDS.split("|"), *_NUMBERS, ""}
    for state in _OF_AN_ACCOUNT:
        for what in ("user", "account", "author", "member", "profile"):
            found |= {f"{state} {what}", f"{what} {state}"}
    for word in [word for word in found if " " in word]:
        found |= {word.replace(" ", joint) for joint in ("_", "-", "")}
    return frozenset(
        unicodedata.normalize(form, word.lower()).strip(TRIMMED) for word in found for form in ("NFC", "NFD")
    )


UNKNOWN = _listed()
"""Trimmed, in lower case, composed and decomposed."""


@lru_cache(maxsize=20_000)
def is_unknown(author_id: str) -> bool:
    """Whether *author_id* names no person."""
    trimmed = author_id.strip(TRIMMED)
    if trimmed[:2].lower() == PREFIX:
        trimmed = trimmed[2:].strip(TRIMMED)
    return trimmed.lower() in UNKNOWN
