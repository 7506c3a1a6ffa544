"""Street addresses with a house number, with the postcode and town that follow; postcodes after a word for one."""

import re
from collections.abc import Iterator

from brandpulse.masking.handles import Found
from brandpulse.masking.hints import Hint, Hints, at_words

ADDRESS = "[address]"
POSTCODE = "[postcode]"

_U = r"[A-ZÀ-ÖØ-ÞĀŁŚŠŽ]"
_CAP = rf"(?:{_U}[\w'’\-]*+\.?|\d{{1,3}}(?:st|nd|rd|th))"
_LOW = r"[^\W\d_][\w'’\-]*+"
_UNIT_WORD = (
    r"(?:flat|apt|apartment|unit|suite|ste|room|floor|house|h\.?[ ]?no|plot|door[ ]no|"
    r"d\.?[ ]?no|block|bldg|building|wing|villa|qtr|no|shop|c/o)"
)
_UNIT = (
    rf"(?:\b(?i:{_UNIT_WORD})\.?[ ]?(?:no\.?[ ]?)"
    rf"?[#:]?[ ]?[A-Za-z]?-?\d{{1,5}}[A-Za-z]?(?:[/\-]\d{{1,4}}){{0,3}},?[ ]{{1,2}})"
)
_NUMBER = r"[1-9]\d{0,4}(?:[ ]?[A-Za-z](?![\w']))?(?:[/\-]\d{1,4}[A-Za-z]?){0,3}"

_SURE_TYPES = (
    r"street|avenue|boulevard|blvd|lane|road|rd|terrace|crescent|parkway|pkwy|mews|gardens|"
    r"grove|highway|hwy|turnpike|cul-de-sac|freeway|marg|nagar|salai|chowk|gali|vihar|colony|"
    r"enclave|layout|mohalla|expressway|esplanade|straat|weg|laan"
)
_MAYBE_TYPES = (
    r"st|ave|av|dr|drive|ln|ct|court|pl|place|way|close|square|sq|circle|cir|loop|trail|trl|"
    r"row|hill|walk|wharf|quay|heights|vale|croft|bypass|alley|ridge|crest|plaza|lodge|villas|drv|fwy|"
    r"broadway|meadow|meadows|bazaar|puram|pally|peth|wadi|pura|ganj|society|residency|apartments|towers"
)
_MAYBE_TITLES = "|".join(f"{one.title()}|{one.upper()}" for one in _MAYBE_TYPES.split("|"))
_ANGLO = re.compile(
    rf"(?<![\w.,€£$₹/\-]){_UNIT}{{0,2}}{_NUMBER},?[ ](?:[NSEW]{{1,2}}\.?[ ]|(?:North|South|East|"
    rf"West|Old|New|Upper|Lower|Great|Little|The)[ ]){{0,2}}"
    rf"(?:(?P<cap>(?:{_CAP}[ ]){{1,4}}?(?:(?i:{_SURE_TYPES})|{_MAYBE_TITLES})\b\.?|"
    rf"\d{{1,3}}(?:st|nd|rd|th)[ ](?:Main|Cross)\b)|(?P<low>(?:{_LOW}[ ])"
    rf"{{1,2}}?(?i:{_SURE_TYPES}|st|ave|dr|drive|close|court|square)\b\.?)|(?P<one>The[ ]{_CAP}|"
    rf"Broadway\b|(?:Crescent|Terrace|Green|Mews|Avenue|Street)[ ](?!of)[A-Z]\b))"
    r"(?:[ ](?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\b\.?)?(?!['’]s\b)"
)
_LOW_STOP = frozenset(
    """
    the a an of on in to at for from by with and or off per more other different same down up along via into
    onto hours hour minutes minute mins min days day miles mile km kms kilometers metres meters feet weeks
    week months months years year times time people cars lanes trains buses flights blocks block am pm st th
    is are was were my our your their his her this that these those we i you they it out another star stars
    way ways min. more when while k m left before after until till about over under near behind around across
    every each than then percent blocked closed dead big huge busy main wrong
    """.split()  # noqa: SIM905
)
_FRENCH = re.compile(
    rf"(?<![\w.,€/\-])(?:\b(?i:appt?|apt|bât|bat|esc|étage|résidence)\.?[ ][\w\-]{{1,12}},?[ ])"
    rf"?\d{{1,4}}(?:[ ]?(?:bis|ter|quater|[A-D])\b)?,?[ ](?i:rue|avenue|av|boulevard|bd|bld|"
    rf"place|pl|chemin|ch|impasse|allées?|quai|route|rte|cours|square|passage|sentier|faubourg|"
    rf"fbg|rond-point|"
    rf"esplanade|montée|ruelle|villa|cité|lotissement|traverse|promenade|voie|mail)"
    rf"\.?[ ](?:(?:(?:(?:de|du|des|la|le|les|et|aux?|sur|en)[ ]|d'|d’|l'|l’){{1,3}}{_LOW}|{_U}[\w'’\-]*+)"
    rf"(?=[^\w]|$)[ ]?){{1,5}}"
)
_STREET_FIRST = (
    # Spain
    r"(?:[Cc]alle|[Cc]/|C\.|[Aa]v(?:enida|da|d|gda)?\.?|[Pp]aseo|[Pp]º|[Pp]laza|[Pp]za\.?|"
    r"[Cc]arrer|[Cc]amino|[Rr]onda|[Tt]raves[ií]a|[Gg]ran[ ][Vv][ií]a|[Pp]asseig|[Pp]laça|"
    r"[Rr]ambla|[Cc]arretera|[Cc]tra\.?|[Gg]lorieta|[Cc]uesta|[Uu]rbanizaci[óo]n|[Bb]arrio|"
    r"[Pp]asaje|[Cc]allej[óo]n|[Cc]osta[ ]|[Cc]arrera|[Cc]ra\.?|[Cc]ll\.?|"
    # Italy
    r"[Vv]ia(?:le)?|V\.le|P\.za|[Pp]iazza(?:le|tta)?|[Cc]orso|C\.so|[Vv]icolo|[Ss]trada|"
    r"[Cc]ontrada|[Ll]ungotevere|[Ll]ungarno|[Bb]orgo|[Ss]alita|[Ll]ocalità|[Ff]ondamenta|"
    r"[Cc]alata|"
    # Portugal, Brazil
    r"[Rr]ue|[Cc]hemin|[Pp]lace|[Qq]uai|[Rr]ua|R\.|[Tt]ravessa|[Tt]v\.|[Pp]ra[çc]a|[Aa]lameda|[Aa]l\.|[Ee]strada|[Ee]str\.|"
    r"[Rr]odovia|[Rr]od\.|[Ll]argo|[Bb]eco|[Ll]adeira|[Vv]iela|[Qq]uadra|"
    # Poland, Russia, Turkey, Romania, Czechia
    r"ul\.|[Uu]lica|[Aa]leja|al\.|pl\.|os\.|ул\.|улица|проспект|пр-т|[Ss]trada|[Ss]tr\.|[Bb]ulevardul)"
)
_LATIN = re.compile(
    rf"(?<![\w])(?P<type>{_STREET_FIRST})[ ]?(?P<name>(?:(?:de|da|do|dos|das|del|della|delle|dei|"
    rf"degli|dell'|dell’|di|la|las|los|el|y|e|d'|d’|san|santa|são|dr|dra|gen|don|doña|nossa|"
    rf"senhora|von|du|des|de[ ]l'|XX|XXV|1º|[IVX]+|\d{{1,2}}[ ]de)\.?[ ]?){{0,3}}(?:{_U}|[А-Я])[\w'’.]*+"
    rf"(?:[ \-](?:(?:de|da|do|dos|das|del|della|delle|dei|degli|di|la|las|los|el|y|e|d'|d’)[ ])"
    rf"{{0,2}}(?:{_U}|[А-Я])[\w'’.]*+){{0,5}}?),?[ ](?:(?:n[º°.]?|nº\.?|núm\.?|"
    rf"num\.?|número|numero|no\.?|civico|д\.?)[ ]?)?(?P<number>\d{{1,5}}(?:[ ]?[A-Za-z](?![\w'’])"
    rf")?(?:[/\-][\dA-Za-z]{{1,4}})?)(?![\w:%€]|[.,]\d|[ ]?(?:€|%|°))"
)
_LOWER_LATIN = re.compile(
    r"(?<![\w])(?:calle|rua|viale|piazza|avenida|paseo|corso|via)[ ]"
    r"(?!(?:the|a|an|my|your|this)[ ])(?:(?:de|da|do|dos|das|del|"
    r"della|dei|delle|degli|di|la|las|los)[ ]){0,2}[^\W\d_]{3,}(?:[ ][^\W\d_]{3,}){0,2}?,?[ ](?:n[º°.]?[ ]?)"
    r"?\d{1,4}[a-z]?(?![\w:%€]|[.,]\d|[ ]?(?:€|%|°))"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_TIMES = re.compile(
    r"[ ]?(?:x\b|times\b|time\b|hours?\b|hrs?\b|h\b|mins?\b|minut\w*|days?\b|am\b|pm\b|weeks?\b|"
    r"months?\b|years?\b|people\b|persone\b|ore\b|giorni\b|volte\b|scali\b|euro\b|horas?\b|"
    r"días?\b|dias?\b|veces\b|vezes\b|personas\b|pessoas\b|"
    r"stunden\b|tage\b|uhr\b|mal\b|percent\b|stops?\b|min\b|km\b|miles\b|años\b|anos\b|anni\b|"
    r"reais\b|flights?\b|tickets?\b|passengers?\b|stars?\b|points?\b|prozent\b|grad\b|mio\b|"
    r"jahre?\b|monate?\b|wochen?\b|personen\b|minuti\b|minutos\b|heures\b|jours\b|fois\b)",
    re.IGNORECASE,
)
_GERMAN_ENDS = (
    r"stra(?:ß|ss)e|str\.?|weg|platz|allee|gasse|ring|damm|ufer|chaussee|steig|stieg|markt|hof|"
    r"graben|berg|tor|wall|zeile|pfad|promenade|kamp|winkel|anger|steinweg|twiete|gracht|straat|"
    r"laan|plein|kade|gatan|vägen|gata|veien|vegen|vej|gade|vei"
)
_GERMAN = re.compile(
    rf"(?<![\w])(?:(?P<joined>[^\W\d_][\w\-]{{2,40}}(?:{_GERMAN_ENDS}))|(?P<apart>(?:{_CAP}[ \-])"
    rf"{{1,3}}(?:Stra(?:ß|ss)e|Str\.|Allee|Ring|Weg|Ufer|Damm|Chaussee|Landstraße|Gasse|Markt|"
    rf"Tor|Promenade|Steig)|(?:Stra(?:ß|ss)e|Platz|Allee)[ ](?:der|des)[ ](?:\d{{1,2}}\.[ ])?{_CAP}(?:[ ]{_CAP})?)|"
    rf"(?P<at>(?-i:Am|An[ ]der|An[ ]den|Auf[ ]der|Auf[ ]dem|Im|In[ ]der|In[ ]den|Zum|Zur|"
    rf"Unter[ ]den|Unter[ ]der|Hinter[ ]der|Hinter[ ]dem|Bei[ ]der|Beim|Vor[ ]dem|Alter|Alte|"
    rf"Neuer|Neue)[ ](?:{_CAP}[ ]){{0,2}}{_U}[^\W\d_]{{2,}}))"
    r"[ ](?:Nr\.?[ ]?)?(?P<number>\d{1,4}(?:[ ]?[a-zA-Z](?![\w]))?(?:[/\-]\d{1,3}[a-z]?)?)"
    r"(?![\w:%€]|[.,]\d|[ ]?(?:€|%|°)|\.[ ]?(?:jan|feb|mär|apr|mai|jun|jul|aug|sep|okt|nov|dez))",
    re.IGNORECASE,
)
_NO_STREETS = frozenset(
    """
    sitzplatz parkplatz stellplatz fensterplatz gangplatz arbeitsplatz flugplatz bahnsteig spring string
    during bring hering frühling flughafenring sarg supermarkt markt platz weg ring wring steig einstieg
    ausstieg anstieg abstieg umstieg aufstieg bahnhof tabellenplatz listenplatz startplatz schlafplatz
    liegeplatz campingplatz fußballplatz bauernhof heimweg umweg feldweg radweg nirgendweg durchweg weltmarkt
    aktienmarkt baumarkt arbeitsmarkt wohnungsmarkt flohmarkt rang motor direktor doktor faktor sektor reaktor
    traktor monitor autor editor factor doctor sector tractor actor director author factor investor visitor
    operator navigator equator vector mentor error terror mirror eigentor victor history store storage
    herausforderung boeing boxring ehering ohrring schlüsselring norway hallway highway subway railway runway
    gateway hostel hostage regen bereich unterwegs keineswegs deswegen wegen hinweg mittelweg jahrmarkt
    weihnachtsmarkt drogeriemarkt kapitalmarkt friedhof gasthof spielplatz sportplatz golfplatz standort
    gutshof innenhof hinterhof kirchhof neuberg freiberg heidelberg nürnberg bamberg wittenberg bad-bamberg
    ingolstadt gegenüber gate upgrade grade trade brigade decade parade lemonade made fade blade shade
    renegade facade downgrade
    """.split()  # noqa: SIM905
)
_GERMAN_TYPES_SURE = re.compile(
    r"(?:stra(?:ß|ss)e|str\.?|allee|gasse|chaussee|damm|ufer|weg|platz|straat|laan|gracht|plein|"
    r"kade|gatan|vägen|veien|vegen)\Z",
    re.IGNORECASE,
)
_NO_PLACES = frozenset(
    """
    januar februar märz april mai juni juli august september oktober november dezember gate terminal gleis
    halle stand raum zimmer tag ende alter block kapitel artikel saison spiel jahr stock stockwerk montag
    dienstag mittwoch donnerstag freitag samstag sonntag abschnitt wagen reihe airbus boeing ice ic re rb flug
    bus linie zug monat quartal schnitt alter modus level teil
    """.split()  # noqa: SIM905
)

_INDIAN = re.compile(
    rf"(?<![\w.,€£$₹/\-])(?:{_UNIT}|(?:\b(?:H\.?[ ]?No|Plot|Door[ ]No|House|Flat|Shop|Block)"
    rf"\.?[ ]?#?[\w/\-]{{1,12}},[ ])){{1,3}}(?:[A-Z][\w.'\-]*,?[ ]){{0,6}}?(?:(?:Sector|Phase|"
    rf"Block|Ward|Stage|Cross|Main)[ \-]?\d{{1,3}}[A-Z]?|(?:[A-Z][\w.'\-]*[ ]){{0,3}}(?:Road|Rd|"
    rf"Nagar|Marg|Street|Lane|Colony|Layout|Enclave|Vihar|Society|Apartments|Residency|Towers|"
    rf"Extension|Chowk|Bazaar|Puram))\b"
)
_UK_POSTCODE = r"(?:GIR[ ]?0AA|[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[ABD-HJLNP-UW-Z]{2})"
_CODE = re.compile(r"[1-9]\d\d[ ]?\d{3}(?!\d)|[A-Z]{2},?[ ]\d{5}(?!\d)|[A-Z]\d[A-Z\d]?[ ]?\d[A-Z]{2}(?!\w)")
_TO_CODE = re.compile(
    rf"(?<![\w.,€£$₹/\-])(?:(?i:{_UNIT_WORD})\.?[ ]?(?i:no)?\.?[ ]?#?[ ]?[\w/\-]{{1,12}}|"
    rf"{_NUMBER}|[A-Z]{{1,2}}-?\d{{1,4}}),?[ ]"
    rf"(?:(?:{_U}[\w'’.\-]*|\d{{1,3}}(?:st|nd|rd|th)),?[ ](?:-[ ])?){{1,9}}?"
    rf"(?:{_UK_POSTCODE}|[A-Z]{{2}},?[ ]\d{{5}}(?:-\d{{3,4}})?|[1-9]\d{{2}}[ ]?\d{{3}})(?![\w%€]|[.,]\d)"
)
_GRAN_VIA = re.compile(
    r"\b(?:gran[ ]v[ií]a|ramblas?)(?:[ ](?:de|del)[ ][\w]+)?,?[ ](?:n[º°.]?[ ]?)?\d{1,3}(?![\w:%€]|[.,]\d)",
    re.IGNORECASE,
)
_BOX = re.compile(
    r"\b(?:p\.?[ ]?o\.?[ ]?box|post(?:al)?[ ]box|postfach|boîte[ ]postale|b\.?p\.?|"
    r"apartado(?:[ ]de[ ]correos)?|casella[ ]postale|caixa[ ]postal|postbus)"
    r"[ ]?(?:n[°º]?\.?[ ]?)?:?[ ]?\d{1,6}(?:[ ]\d{2,3})?(?!\w)",
    re.IGNORECASE,
)

_UK_ALONE = re.compile(
    r"(?<![\w\-#@/])(?:A[BL]|B[ABDHLNRST]?|C[ABFHMORTVW]|D[ADEGHLNTY]|E[CHNX]?|F[KY]|G[LUY]?|"
    r"H[ADGPRSUX]|I[GMPV]|JE|K[ATWY]|L[ADELNSU]?|M[EKL]?|N[EGNPRW]?|O[LX]|P[AEHLOR]|R[GHM]|"
    r"S[AEGKLMNOPRSTWY]?|T[ADFNQRSW]|UB|W[ACDFNRSV]?|YO|ZE)"
    r"\d[A-Z\d]?[ ](?!\d(?:GB|TB|PB|LB|HD|PS|TH|ST|ND|RD|AD|BN|US|UK|EU)\b)\d[ABD-HJLNP-UW-Z]{2}(?![\w\-])"
)
_TOWN = (
    rf"(?:{_U}[\w'’.\-]*(?:[ \-](?:de|del|di|da|do|la|le|les|sur|en|am|an[ ]der|upon|am[ ]|im[ ]|"
    rf"in[ ]der|los|las|el|on|sous|of)(?=[ \-]))?(?:[ \-]{_U}[\w'’.\-]*){{0,3}})"
)
_TAIL = re.compile(
    rf"(?:[ ]?[,·|\n\-/]{{0,2}}[ ]{{0,2}}(?:"
    rf"{_UK_POSTCODE}(?!\w)|"
    rf"(?:[A-Z]{{1,2}}[ \-])?\d{{2}}[ ]?\d{{3}}(?:-\d{{3,4}})?(?![\w%€]|[.,]\d)(?:[ ]{_TOWN})"
    rf"?(?:[ ]?\([A-Z]{{2}}\))?|\d{{4}}(?:[ ][A-Z]{{2}}(?![\w]))?[ ](?!Uhr|EUR|Euro|USD)(?={_U})"
    rf"{_TOWN}|"
    rf"\d{{3}}[ ]\d{{3}}(?!\w)|\d{{3}}[ ]\d\d[ ]{_TOWN}|"
    rf"(?i:apt|apartment|unit|suite|ste|flat|floor|fl|room|rm|apto|ap|apt[oº]|bloco|bl|casa|sala|"
    rf"conj|piso|pta|puerta|esc|escalera|planta|portal|bajo|int|interno|scala|piano|étage|etage|"
    rf"bât|appt|wohnung|whg|top|stock|wing|tower|no)"
    rf"\.?[ ]?#?[ ]?(?:\d{{1,4}}[ºª°]?(?:[ ]?[A-Za-z])?|[A-Za-z])(?!\w)|"
    rf"\#[ ]?\d{{1,5}}[A-Za-z]?(?!\w)|\d{{1,2}}[ºª°]?\.?[ ]?(?i:dcha|izda|izq|drcha|piso|andar|"
    rf"OG|Stock|étage|etage|floor)\b\.?|\d{{1,2}}[ºª](?:[ ]?[A-Z](?!\w))?|(?:1st|2nd|3rd|\dth)"
    rf"[ ]floor"
    rf"))"
)
_TOWN_BEFORE_CODE = re.compile(
    rf"[ ]?[,·|\n\-–]{{0,1}}[ ]{{1,2}}(?:(?:{_U}[\w'’.\-]*)(?:[ \-](?:{_U}[\w'’.\-]*|de|do|da|"
    rf"dos|del|upon|on|la)){{0,3}},?[ ]?(?:[\-/][ ]?)?)"
    rf"{{1,4}}(?:[ ,\-/]{{0,3}}(?:[A-Z]{{2}}(?!\w))[,.]?)?[ ]?[,\-–]?[ ]?(?:{_UK_POSTCODE}(?!\w)|"
    rf"(?:\d{{5}}(?:-\d{{3,4}})?|\d{{6}}|\d{{3}}[ ]\d{{3}}|\d{{4}}[ ]?[A-Z]{{2}})(?![\w%€]|"
    rf"[.,]\d))"
)
_STATE = re.compile(
    rf",[ ]?{_TOWN},?[ ](?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|"
    rf"N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]|BC|ON|QC|NSW|VIC|QLD)(?!\w)"
    rf"(?:[ ,]{{1,2}}\d{{5}}(?:-\d{{4}})?(?!\w))?"
)
_POSTCODE_WORD = re.compile(
    r"\b(?:zip(?:[ \-]?code)?|post[ ]?codes?|postal[ ]code|postleitzahl|plz|(?-i:CAP|C\.?P\.?)|"
    r"code[ ]postal|código[ ]postal|cep|pin[ ]?code|pincode)\b[^\w\0\n]{0,3}(?:(?:is|ist|est|es|"
    r"é|è|no|number)[^\w\0\n]{1,2}){0,2}"
    rf"(?P<code>\d{{5}}-\d{{3,4}}|\d{{3}}[ ]?\d{{3}}|\d{{4,6}}(?:[ ]?[A-Z]{{2}}(?!\w))?|"
    rf"{_UK_POSTCODE})(?![\w%€]|[.,]\d)",
    re.IGNORECASE,
)
_SURE = re.compile(rf"(?:{_SURE_TYPES})\.?\Z", re.IGNORECASE)


def find_addresses(view: str, hints: Hints, *, coded: bool = True) -> Iterator[Found]:
    end = 0
    for begin, stop in sorted(_streets(view, hints, coded=coded), key=lambda one: (one[0], -one[1])):
        if begin >= end:
            end = _with_tail(view, stop)
            yield begin, end, ADDRESS


def _streets(view: str, hints: Hints, *, coded: bool) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    if coded and _CODE.search(view):
        found.update(one.span() for one in _TO_CODE.finditer(view) if "," in one.group() or one.group()[0].isalpha())
    if Hint.NUMBER_FIRST in hints:
        found.update(_anglo(view))
    if Hint.UNIT in hints:
        found.update(_indian(view))
    if Hint.FRENCH in hints:
        found.update(one.span() for one in _FRENCH.finditer(view))
    if Hint.LATIN in hints:
        found.update(_latin(view, hints))
    if Hint.GERMAN in hints:
        found.update(_german(view))
    if Hint.BOX in hints:
        found.update(one.span() for one in _BOX.finditer(view))
    return found


def find_postcodes(view: str, hints: Hints) -> Iterator[Found]:
    """Postcodes after a word for one."""
    for found in at_words(_POSTCODE_WORD, view, hints, Hint.POSTCODE):
        yield *found.span("code"), POSTCODE


def find_british_postcodes(view: str) -> Iterator[Found]:
    """A British postcode covers a dozen houses, so it shows by itself where a person lives."""
    for found in _UK_ALONE.finditer(view):
        yield *found.span(), POSTCODE


def _with_tail(view: str, end: int) -> int:
    """The end of the flat, postcode and town that follow a street's end."""
    for _ in range(5):
        tail = _STATE.match(view, end) or _TOWN_BEFORE_CODE.match(view, end) or _TAIL.match(view, end)
        if tail is None or tail.end() == end or not view[end : tail.end()].strip(" ,-"):
            break
        end = tail.end()
    while view[end - 1] in " ,-\n.":
        end -= 1
    return end


def _anglo(view: str) -> Iterator[tuple[int, int]]:
    for found in _ANGLO.finditer(view):
        words = found.group().casefold().replace(",", " ").split()
        if found.group("low") is not None:
            middle = found.group("low").casefold().split()[:-1]
            if (
                any(word in _LOW_STOP for word in middle)
                or middle[0].endswith("s")
                or (not _SURE.search(found.group("low")) and len(middle) > 1)
            ):
                continue
        elif found.group("cap") is not None and any(
            word in _LOW_STOP - {"main", "m", "k", "st", "th"} for word in words[1:-1] if word != "the"
        ):
            continue
        yield found.span()


def _indian(view: str) -> Iterator[tuple[int, int]]:
    for found in _INDIAN.finditer(view):
        if any(c.isdecimal() for c in found.group()):
            yield found.span()


def _latin(view: str, hints: Hints) -> Iterator[tuple[int, int]]:
    for pattern in (_LATIN, _LOWER_LATIN, _GRAN_VIA):
        for found in at_words(pattern, view, hints, Hint.LATIN):
            if not _TIMES.match(view, found.end()):
                yield found.span()


def _german(view: str) -> Iterator[tuple[int, int]]:
    for found in _GERMAN.finditer(view):
        if _TIMES.match(view, found.end()) or _YEAR.fullmatch(found.group("number")):
            continue
        joined, place = found.group("joined"), found.group("at")
        if joined is not None:
            word = joined.casefold()
            if word in _NO_STREETS or (
                not joined[0].isupper() and not word.endswith(("straße", "strasse", "str.", "str", "straat"))
            ):
                continue
            if not _GERMAN_TYPES_SURE.search(joined) and (
                view[found.start() - 2 : found.start() - 1] == "." or not _at_end(view, found.end())
            ):
                continue
        elif place is not None and (
            not place[0].isupper()
            or place.split()[-1].casefold() in _NO_PLACES
            or not place.split()[-1][0].isupper()
            or not _at_end(view, found.end())
        ):
            continue
        yield found.span()


def _at_end(view: str, end: int) -> bool:
    """Whether a house number ends the text, or is followed by a comma, a postcode or the next sentence."""
    return re.match(r"[ ]?(?:$|[,.;!?)\n]|\d{4,5}[ ]|in[ ]|und[ ]|and[ ]|bei[ ])", view[end:]) is not None
