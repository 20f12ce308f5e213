"""Which languages can a form and a directory name? BCP 47 codes of Medi-Cal's statewide set (domain.md 7.5)."""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class Language(Code):
    """Spoken and written ones; Chinese is two of each. `other` is named in words beside it."""

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
