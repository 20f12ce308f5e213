"""Which languages can a form and a directory name? BCP 47 codes of Medi-Cal's statewide set (domain.md 7.5)."""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code, folded


class Language(Code):
    """Spoken and written ones; Chinese is two of each. `other` comes with its name in words."""

    ENGLISH = "en", "English"
    SPANISH = "es", "Spanish"
    CANTONESE = "yue", "Cantonese"
    MANDARIN = "cmn", "Mandarin"
    CHINESE_SIMPLIFIED = "zh-Hans", "Chinese, simplified"
    CHINESE_TRADITIONAL = "zh-Hant", "Chinese, traditional"
    VIETNAMESE = "vi", "Vietnamese"
    TAGALOG = "tl", "Tagalog"
    KOREAN = "ko", "Korean"
    ARMENIAN = "hy", "Armenian"
    FARSI = "fa", "Farsi"
    ARABIC = "ar", "Arabic"
    RUSSIAN = "ru", "Russian"
    HMONG = "hmn", "Hmong"
    KHMER = "km", "Khmer"
    PUNJABI = "pa", "Punjabi"
    HINDI = "hi", "Hindi"
    JAPANESE = "ja", "Japanese"
    LAO = "lo", "Lao"
    MIEN = "ium", "Mien"
    THAI = "th", "Thai"
    UKRAINIAN = "uk", "Ukrainian"
    PORTUGUESE = "pt", "Portuguese"
    AMERICAN_SIGN = "ase", "American Sign Language"
    OTHER = "other", "Another language"


# What else a language is called: its ISO 639-2 and 639-3 codes, other names in English, and its own.
_ALSO: dict[Language, tuple[str, ...]] = {
    Language.ENGLISH: ("eng",),
    Language.SPANISH: ("spa", "español", "castellano"),
    Language.CANTONESE: ("zh-yue", "cantonese chinese"),
    Language.MANDARIN: ("zh-cmn", "mandarin chinese"),
    Language.CHINESE_SIMPLIFIED: ("zh-cn", "simplified chinese"),
    Language.CHINESE_TRADITIONAL: ("zh-tw", "zh-hk", "traditional chinese"),
    Language.VIETNAMESE: ("vie", "tiếng việt"),
    Language.TAGALOG: ("tgl", "fil", "filipino", "pilipino"),
    Language.KOREAN: ("kor", "한국어"),
    Language.ARMENIAN: ("hye", "arm", "հայերեն"),
    Language.FARSI: ("fas", "per", "persian", "فارسی"),
    Language.ARABIC: ("ara", "العربية"),
    Language.RUSSIAN: ("rus", "русский"),
    Language.HMONG: ("hmoob",),
    Language.KHMER: ("khm", "cambodian", "ខ្មែរ"),
    Language.PUNJABI: ("pan", "panjabi", "ਪੰਜਾਬੀ"),
    Language.HINDI: ("hin", "हिन्दी"),
    Language.JAPANESE: ("jpn", "日本語"),
    Language.LAO: ("laotian", "ລາວ"),
    Language.MIEN: ("iu mien",),
    Language.THAI: ("tha", "ไทย"),
    Language.UKRAINIAN: ("ukr", "українська"),
    Language.PORTUGUESE: ("por", "português"),
    Language.AMERICAN_SIGN: ("sgn-ase", "asl"),
}
_BY_CODE = {language.value: language for language in Language}
_BY_NAME = {
    folded(word): language
    for language in Language
    for word in (language.value, language.label, *_ALSO.get(language, ()))
}


def language_of(said: object) -> Language | None:
    """The language somebody names: by code, with or without a region (`es-MX`), or by name; case and accents aside.
    None where it is none of Medi-Cal's."""
    if not isinstance(said, str):
        return None
    if said in _BY_CODE:
        return _BY_CODE[said]
    known = _BY_NAME.get(folded(said))
    code, dash, region = said.strip().partition("-")
    return known or (_BY_NAME.get(folded(code)) if dash and region.isalnum() and len(code) <= 3 else None)
