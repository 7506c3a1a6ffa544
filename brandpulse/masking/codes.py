"""Codes that identify a person or a booking, found by the words before them or by their form."""

import re
from collections.abc import Iterator

from brandpulse.masking.handles import Found
from brandpulse.masking.hints import Hint, Hints, at_words

BOOKING = "[booking code]"
REFERENCE = "[reference number]"
IDENTITY = "[id number]"
TRACKING = "[tracking number]"
BIRTH_DATE = "[birth date]"
ADDRESS_OF_MACHINE = "[ip address]"

_FILLER = (
    r"(?:nos?|nrs?|n|num|numb|number|numbers|nummer|nummern|numero|número|numéro|núm|no\.|nº|n°|"
    r"id|ids|code|codes|código|codigo|codice|kod|key|pin|"
    r"ref|reference|refs|referenz|référence|referencia|referência|riferimento|is|was|are|lautet|"
    r"ist|war|es|era|est|é|è|of|for|the|my|mein|meine|"
    r"mon|ma|mi|mio|mia|il|la|le|der|die|das|de|da|do|di|del|della|du|des|à|con|com|mit|avec|"
    r"with|called|here|hier|below|aqui|aquí|qui|ici|again|"
    r"client|cliente|customer|cliente|kunden|commande|réservation|reserva|prenotazione|suivi|"
    r"seguimiento|rastreio|rastreamento|tracking|"
    r"caso|ticket|account|booking|order|id\.|c'est|number's|confirmation|locator|record)"
)
_GAP = rf"[^\w\0\n€£$₹¥]{{0,4}}(?:{_FILLER}(?!-\w)[^\w\0\n€£$₹¥]{{1,4}}){{0,4}}"
_MARK = re.compile(
    r"[#:№=]|\b(?:no|nr|n|num|number|nummer|numero|número|numéro|nº|n°|id|code|código|codice|"
    r"ref|reference)\b|[a-zß](?:nummer|nr\b|id\b)",
    re.IGNORECASE,
)

_BOOKING_SURE = (
    r"pnrs?|itinerary[ ](?:numbers?|no|#|id)|trip[ ](?:id|number|no)|record[ ]locator|rec[ ]loc|"
    r"(?:confirmation|reservation|booking)[ ](?:codes?|ref(?:erence)?s?|numbers?|no|id|locator|"
    r"#)|booking[ ]?ref|"
    r"bookingref|buchungs\-?(?:code|nummer|nr|referenz|kennung)|reservierungs\-?(?:code|nummer|"
    r"nr)|reservierungsbestätigung|localizador(?:es)?|locator|"
    r"(?:código|codigo|número|numero|nº|n[°º]|num)[ ](?:de[ ]|da[ ]|di[ ]|della[ ])?(?:la[ ])"
    r"?(?:reserva|prenotazione|réservation|confirmação|confirmación|conferma)|"
    r"codice[ ](?:di[ ])?(?:prenotazione|conferma)|(?:code|numéro|référence|réf|dossier)"
    r"[ ](?:de[ ])?(?:réservation|reservation|dossier|confirmation)|"
    r"boekings(?:nummer|code)|reserveringsnummer|bokningsnummer|kod rezerwacji"
)
_BOOKING_WORDS = (
    r"booking|bookings|reservation|reservations|buchung|buchungen|réservation|réservations|"
    r"reserva|reservas|prenotazione|prenotazioni|dossier|ref|réf|reference|référence|referenz|"
    r"referencia|referência|riferimento|confirmation|itinerary|boeking|check-?in|code|código|"
    r"codigo|codice"
)
_BOOKING = re.compile(
    rf"\b(?:(?P<sure>{_BOOKING_SURE})|(?P<word>{_BOOKING_WORDS}))"
    rf"\b{_GAP}(?P<code>\d{{3}}-\d{{7}}|[A-Za-z0-9]{{5,14}})(?![\w])",
    re.IGNORECASE,
)
_CODE_FIRST = re.compile(
    r"(?<![\w@#])(?P<code>[A-Z0-9]{6})[ ](?:is|ist|es|est|è|é|as|als|como|come|\()[ ]?"
    r"(?:(?:my|the|our|mein|meine|der|die|mon|ma|le|"
    r"la|mi|el|il|mio|mia|o|meu|minha)[ ]){0,2}(?i:pnr|booking|confirmation|reservation|record|buchung|réservation|"
    r"localizador|reserva|prenotazione|code|código|codice)"
)
_FLIGHT = re.compile(r"(?:[A-Z]{2}|[A-Z]\d|\d[A-Z])\d{1,4}[A-Z]?|[A-Z]{3}\d{1,4}")
_NO_CODES = frozenset(
    """
    STATUS PLEASE NUMBER CANCEL ONLINE FLIGHT TICKET REFUND SYSTEM AGENTS THANKS CHANGE CHECKIN FAILED ISSUES
    BROKEN HORROR RESERVATION BOOKING ALWAYS BEFORE SHOULD THROUGH PERSON PEOPLE MOBILE WEBSITE SEARCH SERVER
    EXPIRED DELETE INVALID DOUBLE SINGLE RETURN FAMILY BITTE DANKE UNGÜLTIG STORNO ANULADA CANCELADA ANNULÉE
    UNAVAILABLE LONDON MADRID BERLIN LISBON DUBLIN SYDNEY
    """.split()  # noqa: SIM905
)
_VOWELS = frozenset("aeiouAEIOU")

_REFERENCE_WORDS = (
    r"orders?|purchase|po|customers?|clients?|clientes?|cliente|tickets?|tkt|cases?|claims?|"
    r"complaints?|incidents?|requests?|enquiry|inquiry|queries|query|sr|ref|reference|"
    r"invoices?|receipts?|contracts?|policy|memberships?|members?|accounts?|acct|a/c|loyalty|"
    r"frequent[ ]flyer|ffp?|skymiles|avios|transactions?|txn|utr|vouchers?|payment|"
    r"docket|job|application|quote|serial|imei|meter|subscription|"
    r"bestellung(?:en)?|auftrag|aufträge|kunden?|kundin|vorgang|fall|rechnung|vertrag|mitglied|"
    r"referenz|beschwerde|reklamation|aktenzeichen|az|konto|police|gutschein|"
    r"(?:bestell|auftrags|kunden|vorgangs|ticket|fall|rechnungs|vertrags|mitglieds|referenz|"
    r"beschwerde|schadens?|schaden|policen?|konto|vielflieger|akten|bearbeitungs|"
    r"reklamations|service|transaktions|anfrage|beleg|gutschein|zähler|beitrags|versicherungs|"
    r"seriennummer|serien)\-?(?:nummern?|nr|id|zeichen|no)|"
    r"(?:kd|best|auftr|vorg|vertr|re|ref|rg)\.?[ \-]?nr|"
    r"commandes?|facture|contrat|dossiers?|réclamation|reclamation|compte|adhérent|abonné|sinistre|"
    r"pedidos?|factura|contrato|expediente|reclamación|reclamacion|cuenta|socio|póliza|incidencia|queja|"
    r"ordine|ordini|fattura|contratto|pratica|reclamo|conto|polizza|segnalazione|tessera|"
    r"protocolos?|chamado|atendimento|reclamação|fatura|nota[ ]fiscal|conta|apólice|compra|encomenda|matrícula|"
    r"bestelling|klantnummer|ordernummer|zamówieni[ea]|kundnummer"
)
_REFERENCE = re.compile(
    rf"\b(?:{_REFERENCE_WORDS})\b{_GAP}(?P<code>(?-i:[A-Z])(?:[ ]\d{{3,4}}){{2,4}}|"
    r"(?:[nN][°º][ ]?)?[A-Za-z0-9][A-Za-z0-9/\-._]{2,40})(?!\w)",
    re.IGNORECASE,
)

_ID_WORDS = (
    r"passports?|passeports?|reisep[aä]ss(?:es)?|reisepass\-?(?:nummer|nr)|pass(?:\-?nummer|"
    r"\-?nr)|pasaportes?|passaporto|passaportes?|paspoort|(?:personal)?ausweis\-?(?:nummer|nr|"
    r"es|s)?|perso|"
    r"dni|nie|nif|rg|cpf|cnh|rne|identidade|aadha?ar|uid(?:ai)?|pan|ssn|social[ ]security|"
    r"social|(?:sozialversicherungs|sv)\-?(?:nummer|nr)|ni|nino|national[ ]insurance|"
    r"steuer\-?id(?:entifikationsnummer)?|steuer\-?(?:nummer|nr)|codice[ ]fiscale|cf|c\.f\.|"
    r"dri(?:ver'?s?|ving)[ ]licen[cs]e|licen[cs]e|dl|führerschein\-?(?:nummer|nr)?|permis|"
    r"patente|"
    r"carta[ ]d'?[ ]?identità|carte[ ]d'?[ ]?identité|cni|nir|sécurité[ ]sociale|sécu|"
    r"seguridad[ ]social|visa[ ](?:number|no)|voter[ ]id|epic|nhs|medicare|carnet|carné|cédula|"
    r"curp|rut|"
    r"tax[ ]id|itin|identity[ ]card|id[ ]card|documento|bsn|pesel|personnummer|ahv|"
    r"krankenkassen\-?nummer|versicherten\-?nummer|título[ ]de[ ]eleitor|pis|nis|green[ ]card|"
    r"student[ ]id|employee[ ]id|"
    r"personenkennzahl|alien[ ]number|known[ ]traveler|ktn|redress"
)
_ID = re.compile(
    rf"\b(?:{_ID_WORDS})\b{_GAP}(?P<code>\d\d[ ]?\d{{6}}[ ]?[A-Za-z][ ]?\d{{3}}|"
    rf"[A-Za-z0-9](?:[./\-]?[A-Za-z0-9]){{4,24}}|\d(?:[ ./\-]?\d)"
    rf"{{5,19}}(?:[\-/ ]?[A-Za-z\d](?!\w))?|[A-Za-z]{{1,2}}(?:[ ]\d{{2,3}}){{2,4}}[ ]?[A-Za-z]?)"
    rf"(?!\w)",
    re.IGNORECASE,
)

_TRACKING_WORDS = (
    r"tracking|track|parcels?|packages?|shipments?|consignments?|delivery|awb|airway[ ]bill|waybill|docket|courier|"
    r"sendungs?\-?(?:nummer|nr|verfolgung|id)?|sendung|pakets?|paket\-?(?:nummer|nr)|päckchen|einlieferungs\-?nummer|"
    r"suivi|colis|colissimo|chronopost|mondial[ ]relay|envío|envio|envíos|seguimiento|paquetes?|"
    r"spedizion[ei]|tracciamento|pacco|pacchi|rastreio|rastreamento|encomendas?|objeto|"
    r"dhl|ups|fedex|usps|hermes|dpd|gls|evri|yodel|royal[ ]mail|parcelforce|correos|seur|mrw|"
    r"brt|bartolini|sda|poste[ ]italiane|correios|jadlog|loggi|"
    r"blue[ ]?dart|delhivery|dtdc|ekart|speed[ ]?post|india[ ]post|tnt|amazon|aramex|postnl|"
    r"inpost|canada[ ]post|zending|przesyłk[ai]|försändelse"
)
_TRACKING = re.compile(
    rf"\b(?:{_TRACKING_WORDS})\b{_GAP}(?P<code>\d{{2,12}}(?:[ \-]\d{{2,10}}){{1,8}}|"
    rf"[A-Za-z]{{2}}(?:[ ]\d{{2,4}}){{2,4}}[ ]?[A-Za-z]{{2}}|[A-Za-z0-9\-]{{8,40}})(?!\w)",
    re.IGNORECASE,
)

_TRACKING_FORM = re.compile(
    r"\b(?:1Z[ ]?(?:[0-9A-Z][ ]?){15}[0-9A-Z]|[A-Z]{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}[ ]?[A-Z]{2}|"
    r"TB[ACM]\d{10,14}|JJ?D\d{12,24}|"
    r"9[1-5]\d{2}(?:[ ]?\d{4}){4}(?:[ ]?\d\d)?|003\d{17}|00[ ]?34\d{16}|H[0-9A-Z]{2}[A-Z0-9]{2}A\d{10})\b"
)
_MIXED_ID = re.compile(
    r"(?<![\w.\-])(?:"
    r"(?!BG|GB|NK|KN|TN|NT|ZZ)"
    r"[A-CEGHJ-PQRSTW-Z][A-CEGHJ-NPQRSTW-Z][ ]?\d\d[ ]?\d\d[ ]?\d\d[ ]?[A-D]|"  # NINO; Q is in its usual example
    r"[A-Z]{6}\d\d[A-EHLMPR-T]\d\d[A-Z]\d{3}[A-Z]|"  # codice fiscale
    r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]|"  # PAN
    r"[XYZ]-?\d{7}-?[A-Z]"  # NIE
    r")(?!\w)"
)
_NUMBER_ID = re.compile(
    r"\d(?<![\w.\-]\d)(?<![\w.\-]-\d)(?:(?<!9)(?<!\w\d)\d\d-(?!00)\d\d-(?!0000)\d{4}|"  # SSN
    r"\d\d\.\d{3}\.\d{3}-\d\d|"  # CPF
    r"(?<=[12])[ ]\d\d[ ](?:0[1-9]|1[0-2]|[2-9]\d)[ ]\d[\dAB][ ]\d{3}[ ]\d{3}(?:[ ]\d\d)?|"  # NIR
    r"(?<=[12])\d\d(?:0[1-9]|1[0-2])\d[\dAB]\d{8})(?![\w])(?!-\d)"
)
_DNI = re.compile(r"(?<![\w.\-])(\d{8})-?([A-Z])(?!\w)")
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_AADHAAR = re.compile(r"[2-9](?<![\w.\-]\d)\d{3}[ \-]?\d{4}[ \-]?\d{4}(?![\w\-])")
_CPF = re.compile(r"\d(?<![\w.,\-]\d)\d{10}(?![\w\-])")

_IPV4 = re.compile(r"(?<![\w.\-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w\-]|\.\d)")
_VERSION_BEFORE = re.compile(
    r"(?:v|ver|vers(?=\.)|version|versión|versione|versão|update|build|firmware|release|ios|android|"
    r"app|software|driver|kernel|patch|chrome|firefox|windows)[ .:]{0,2}\Z",
    re.IGNORECASE,
)
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F:]{0,40}[0-9a-fA-F])(?:(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|"
    r"(?=[^:]{0,4}:(?:[^:]{1,4}:){0,6}:)[0-9a-fA-F]{1,4}(?:::?[0-9a-fA-F]{1,4}){1,7})(?![\w:])"
)

_MONTH = (
    r"(?:jan(?:uary|uar|vier|eiro)?|ene(?:ro)?|gen(?:naio)?|feb(?:ruary|ruar|rero|braio)?|"
    r"fev(?:ereiro)?|févr?(?:ier)?|mar(?:ch|s|zo|ço)?|märz|mär|apr(?:il|ile)?|avr(?:il)?|"
    r"abr(?:il)?|"
    r"may|mai|mayo|mag(?:gio)?|maio|june?|juni|juin|jun(?:io|ho)?|giu(?:gno)?|july?|juli|"
    r"juil(?:let)?|jul(?:io|ho)?|lug(?:lio)?|aug(?:ust)?|août|ago(?:sto)?|"
    r"sept?(?:ember|embre|iembre)?|set(?:tembre|embro)?|oct(?:ober|obre|ubre)?|okt(?:ober)?|"
    r"ott(?:obre)?|out(?:ubro)?|nov(?:ember|embre|iembre|embro)?|"
    r"dec(?:ember)?|dez(?:ember|embro)?|déc(?:embre)?|dic(?:iembre|embre)?)\.?"
)
DATE = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th|er|\.|º|ª)?[ \-]?(?:of[ ]|de[ ])"
    rf"?{_MONTH}(?:[ ,\-]{{1,2}}(?:de[ ]|del[ ])?\d{{2,4}})?|{_MONTH}[ \-]\d{{1,2}}(?:st|nd|rd|"
    rf"th)?(?:,?[ ]\d{{2,4}})?|"
    r"\d{4}[./\-]\d{1,2}[./\-]\d{1,2}|\d{1,2}[ ]?[./\-][ ]?\d{1,2}[ ]?[./\-][ ]?\d{2,4}|\d{8})"
)
_BIRTH = re.compile(
    r"\b(?:born(?:[ ](?:on|in))?|d\.?o\.?b\.?|date[ ]of[ ]birth|birth[ ]?dates?|birth[ ]?day|bday|b-day|"
    r"geboren(?:[ ]am)?|geb\.?|geburtsdatum|geburtstag|né|née|nés|date[ ]de[ ]naissance|"
    r"naissance|anniversaire|naci[óo]?|nací|nacid[oa]|fecha[ ]de[ ]nacimiento|nacimiento|"
    r"cumpleaños|"
    r"nat[oa]|nascita|data[ ]di[ ]nascita|compleanno|nasci|nascid[oa]|nasceu|nascimento|"
    r"data[ ]de[ ]nascimento|aniversário)\b"
    rf"[^\w\0\n]{{0,4}}(?:(?:is|was|ist|war|est|es|era|é|è|the|on|am|le|el|il|em|en|in|de|dem|"
    rf"den|the)[^\w\0\n]{{1,3}}){{0,3}}(?P<date>{DATE})(?!\w)",
    re.IGNORECASE,
)

_UNITS = re.compile(
    r"[ ]?(?:€|£|\$|₹|%|°|eur\b|euros?\b|dollars?\b|usd\b|gbp\b|pounds?\b|quid\b|reais\b|"
    r"rupees\b|rs\b|inr\b|bucks\b|people\b|personen\b|points?\b|punkte\b|points\b|puntos\b|"
    r"miles\b|meilen\b|km\b|steps\b|"
    r"times\b|mal\b|hours?\b|hrs\b|days?\b|tage\b|weeks?\b|minutes?\b|mins?\b|users\b|"
    r"customers\b|followers\b|views\b|likes\b|tickets\b|items\b|units\b|copies\b|jobs\b|million|"
    r"millones\b|tausend|k\b|"
    r"personas\b|personnes\b|persone\b|pessoas\b|passagers\b|passengers\b|kunden\b|"
    r"spectateurs\b|zuschauer\b|kwh\b|kg\b|mb\b|gb\b)",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_CLOCK_OR_DATE = re.compile(
    r"\d{1,2}[./\-]\d{1,2}(?:[./\-]\d{2,4})?|\d{1,2}(?:am|pm|h\d{0,2})|\d{4}-\d{2}-\d{2}|\d{1,3}[xX]\d{1,4}",
    re.IGNORECASE,
)
_MODEL = re.compile(r"(?:A3[0-9]0|B?7[0-9]7|iphone|galaxy|ps[45]|rtx|gtx|win|ios|v\d)", re.IGNORECASE)


def _digits(code: str) -> int:
    return sum(c.isdecimal() for c in code)


def find_bookings(view: str, hints: Hints) -> Iterator[Found]:
    for found in at_words(_BOOKING, view, hints, Hint.BOOKING):
        code = found.group("code")
        sure = found.group("sure") is not None
        between = view[found.end("sure") if sure else found.end("word") : found.start("code")]
        if _is_booking(code, sure=sure, marked=sure or bool(_MARK.search(between)), shouted=_shouted(view, found)):
            yield *found.span("code"), BOOKING

    for found in _CODE_FIRST.finditer(view) if Hint.BOOKING in hints else ():
        code = found.group("code")
        if _is_booking(code, sure=True, marked=True, shouted=False) and (not code.isdecimal() or len(code) > 6):
            yield *found.span("code"), BOOKING


def _shouted(view: str, found: re.Match[str]) -> bool:
    after = re.match(r"[ ,.!]{1,3}([^\W\d_]{2,})", view[found.end() : found.end() + 40])
    word = found.group("sure") or found.group("word")
    return (after is not None and after.group(1).isupper()) or (len(word) > 4 and word.isupper())


def _is_booking(code: str, *, sure: bool, marked: bool, shouted: bool) -> bool:
    digits = _digits(code)
    if digits == len(code.replace("-", "")):
        return sure and not _YEAR.fullmatch(code) and not code.endswith("000") and len(code) >= 5
    if digits:
        if sure:
            return len(code) >= 5
        return len(code) == 6 and code.isupper() and (marked or not _FLIGHT.fullmatch(code)) and not _MODEL.match(code)
    if len(code) != 6 or code.upper() in _NO_CODES:
        return False
    vowels = sum(c in _VOWELS for c in code)
    if code.isupper():
        return (vowels <= 1) if shouted or not sure else True
    return sure and vowels <= 1 and code.islower()


def find_references(view: str, hints: Hints) -> Iterator[Found]:
    for found in at_words(_REFERENCE, view, hints, Hint.REFERENCE):
        begin, end = found.span("code")
        while end > begin and view[end - 1] in "-._/":
            end -= 1
        code = view[begin:end]
        between = view[found.start() : begin]
        if (
            _is_reference(code, marked=bool(_MARK.search(between)) or code[:1] in "nN")
            and not _UNITS.match(view, end)
            and view[end : end + 2] not in (",0", ":0")
        ):
            yield begin, end, REFERENCE


def _is_reference(code: str, *, marked: bool) -> bool:
    digits = _digits(code)
    if digits < 3 or _CLOCK_OR_DATE.fullmatch(code) or (_FLIGHT.fullmatch(code) and not marked) or _MODEL.match(code):
        return False
    if code.count(".") and code.replace(".", "").isdecimal():
        return False
    return digits >= 4 or not code.isdecimal() if marked and not _YEAR.fullmatch(code) else digits >= 5


def find_identities(view: str, hints: Hints) -> Iterator[Found]:
    for found in at_words(_ID, view, hints, Hint.IDENTITY):
        code = found.group("code")
        if (
            _digits(code) >= 4
            and len(code) >= 6
            and not _CLOCK_OR_DATE.fullmatch(code)
            and not _UNITS.match(view, found.end("code"))
        ):
            yield *found.span("code"), IDENTITY


def find_mixed_identities(view: str) -> Iterator[Found]:
    """Personal numbers with letters, found by their form, or by a check letter."""
    for found in _MIXED_ID.finditer(view):
        yield *found.span(), IDENTITY
    for found in _DNI.finditer(view):
        if _DNI_LETTERS[int(found.group(1)) % 23] == found.group(2):
            yield *found.span(), IDENTITY


def find_identity_numbers(view: str) -> Iterator[Found]:
    """Personal numbers of only digits, found by their form, or by their check digits."""
    for found in _NUMBER_ID.finditer(view):
        if not found.group().startswith(("000", "666")):
            yield *found.span(), IDENTITY
    for found in _AADHAAR.finditer(view):
        if is_verhoeff("".join(c for c in found.group() if c.isdecimal())):
            yield *found.span(), IDENTITY
    for found in _CPF.finditer(view):
        if is_cpf(found.group()):
            yield *found.span(), IDENTITY


def find_tracking(view: str, hints: Hints) -> Iterator[Found]:
    for found in at_words(_TRACKING, view, hints, Hint.TRACKING):
        code = found.group("code")
        if (
            _digits(code) >= 6
            and len(code) >= 8
            and not _CLOCK_OR_DATE.fullmatch(code)
            and not _UNITS.match(view, found.end("code"))
        ):
            yield *found.span("code"), TRACKING


def find_tracking_forms(view: str) -> Iterator[Found]:
    for found in _TRACKING_FORM.finditer(view):
        yield *found.span(), TRACKING


def find_birth_dates(view: str, hints: Hints) -> Iterator[Found]:
    for found in at_words(_BIRTH, view, hints, Hint.BIRTH):
        yield *found.span("date"), BIRTH_DATE


def find_machines(view: str) -> Iterator[Found]:
    for found in _IPV4.finditer(view):
        if not _VERSION_BEFORE.search(view[max(0, found.start() - 12) : found.start()]):
            yield *found.span(), ADDRESS_OF_MACHINE
    if ":" in view:
        for found in _IPV6.finditer(view):
            yield *found.span(), ADDRESS_OF_MACHINE


def is_cpf(digits: str) -> bool:
    """Brazil's personal number, by its two check digits."""
    if len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(int(d) * (length + 1 - at) for at, d in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


def _rows(table: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, row)) for row in table.split())


_D = _rows(
    "0123456789 1234067895 2340178956 3401289567 4012395678 5987604321 6598710432 7659821043 8765932104 9876543210"
)
_P = _rows("0123456789 1576283094 5803796142 8916043527 9453126870 4286573901 2793806415 7046913258")


def is_verhoeff(digits: str) -> bool:
    """The check of India's Aadhaar numbers (Verhoeff, 1969)."""
    check = 0
    for at, digit in enumerate(reversed(digits)):
        check = _D[check][_P[at % 8][int(digit)]]
    return check == 0
