"""Where does a member live or a provider serve? California's 58 counties, in the state's numbering."""

from __future__ import annotations

import re

from loopkeeper.contract.vocabulary.codes import Code, folded


class County(Code):
    """In alphabetical order, which is the state's numbering 01 to 58."""

    ALAMEDA = "alameda", "Alameda"
    ALPINE = "alpine", "Alpine"
    AMADOR = "amador", "Amador"
    BUTTE = "butte", "Butte"
    CALAVERAS = "calaveras", "Calaveras"
    COLUSA = "colusa", "Colusa"
    CONTRA_COSTA = "contra-costa", "Contra Costa"
    DEL_NORTE = "del-norte", "Del Norte"
    EL_DORADO = "el-dorado", "El Dorado"
    FRESNO = "fresno", "Fresno"
    GLENN = "glenn", "Glenn"
    HUMBOLDT = "humboldt", "Humboldt"
    IMPERIAL = "imperial", "Imperial"
    INYO = "inyo", "Inyo"
    KERN = "kern", "Kern"
    KINGS = "kings", "Kings"
    LAKE = "lake", "Lake"
    LASSEN = "lassen", "Lassen"
    LOS_ANGELES = "los-angeles", "Los Angeles"
    MADERA = "madera", "Madera"
    MARIN = "marin", "Marin"
    MARIPOSA = "mariposa", "Mariposa"
    MENDOCINO = "mendocino", "Mendocino"
    MERCED = "merced", "Merced"
    MODOC = "modoc", "Modoc"
    MONO = "mono", "Mono"
    MONTEREY = "monterey", "Monterey"
    NAPA = "napa", "Napa"
    NEVADA = "nevada", "Nevada"
    ORANGE = "orange", "Orange"
    PLACER = "placer", "Placer"
    PLUMAS = "plumas", "Plumas"
    RIVERSIDE = "riverside", "Riverside"
    SACRAMENTO = "sacramento", "Sacramento"
    SAN_BENITO = "san-benito", "San Benito"
    SAN_BERNARDINO = "san-bernardino", "San Bernardino"
    SAN_DIEGO = "san-diego", "San Diego"
    SAN_FRANCISCO = "san-francisco", "San Francisco"
    SAN_JOAQUIN = "san-joaquin", "San Joaquin"
    SAN_LUIS_OBISPO = "san-luis-obispo", "San Luis Obispo"
    SAN_MATEO = "san-mateo", "San Mateo"
    SANTA_BARBARA = "santa-barbara", "Santa Barbara"
    SANTA_CLARA = "santa-clara", "Santa Clara"
    SANTA_CRUZ = "santa-cruz", "Santa Cruz"
    SHASTA = "shasta", "Shasta"
    SIERRA = "sierra", "Sierra"
    SISKIYOU = "siskiyou", "Siskiyou"
    SOLANO = "solano", "Solano"
    SONOMA = "sonoma", "Sonoma"
    STANISLAUS = "stanislaus", "Stanislaus"
    SUTTER = "sutter", "Sutter"
    TEHAMA = "tehama", "Tehama"
    TRINITY = "trinity", "Trinity"
    TULARE = "tulare", "Tulare"
    TUOLUMNE = "tuolumne", "Tuolumne"
    VENTURA = "ventura", "Ventura"
    YOLO = "yolo", "Yolo"
    YUBA = "yuba", "Yuba"


# FIPS numbers a state's counties by odd numbers in alphabetical order: 06001 is Alameda, 06115 Yuba.
_FIPS = re.compile(r"06(\d{3})", re.ASCII)
_BY_ID = {county.value: county for county in County}
_BY_NUMBER = dict(enumerate(County, 1))
_BY_NAME = {folded(word): county for county in County for word in (county.value, county.label)}


def county_of(said: object) -> County | None:
    """The county somebody names: by its id or name, case, accents and "County" aside; by the state's code 01 to 58; by
    FIPS, written 06xxx. None where it is none of California's."""
    if isinstance(said, bool) or not isinstance(said, str | int):
        return None
    if said in _BY_ID:
        return _BY_ID[str(said)]
    text = str(said).strip()
    if fips := _FIPS.fullmatch(text.zfill(5) if isinstance(said, int) and said > len(County) else text):
        number = int(fips[1])
        return _BY_NUMBER.get((number + 1) // 2) if number % 2 else None
    if text.isascii() and text.isdecimal():
        return _BY_NUMBER.get(int(text)) if len(text) <= 2 else None
    name = folded(text)
    return _BY_NAME.get(name) or _BY_NAME.get(name.removesuffix(" county").removeprefix("county of "))
