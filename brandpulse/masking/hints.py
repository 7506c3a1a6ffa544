"""Which kinds of private data a text can contain: one search for all words that the patterns need.

A pattern with a hundred words takes 30 µs a post, and nine of ten posts contain none of them. So all words are searched
together, and each pattern is tried only where one of its words begins.
"""

import re
from collections.abc import Iterator, Sequence

import ahocorasick_rs


class Hint:
    """The kinds of data that a word may announce, one bit each. An Enum's operators would cost more than the search."""

    LINK = 1 << 0
    NAMED = 1 << 1
    AT = 1 << 2
    DOT = 1 << 3
    SECURITY = 1 << 4
    BOOKING = 1 << 5
    REFERENCE = 1 << 6
    IDENTITY = 1 << 7
    TRACKING = 1 << 8
    BIRTH = 1 << 9
    PHONE = 1 << 10
    NUMBER_FIRST = 1 << 11
    """A street with the number first."""
    FRENCH = 1 << 12
    LATIN = 1 << 13
    GERMAN = 1 << 14
    UNIT = 1 << 15
    BOX = 1 << 16
    POSTCODE = 1 << 17


_WORDS: dict[int, str] = {
    Hint.LINK: """
        x.com/ twitter.com/ nitter. instagr threads. facebook. fb.com/ fb.me/ m.me/ t.me/ telegram.
        twitch.tv/ vk.com/ pinterest. soundcloud. linktr.ee/ paypal.me/ venmo.com/ ko-fi.com/ patreon.com/
        onlyfans.com/ github.com/ tumblr.com/ last.fm/ truthsocial.com/ gab.com/ ask.fm/ cash.app/
        weibo.com/ about.me/ keybase.io/ linkedin. youtube. bsky.app/ reddit. snapchat. xing. ok.ru/ flickr.
        strava. tripadvisor. yelp. /@ /u/ /user/ /users/ /profile/ /profiles/ /member/ /members/ /people/
        /author/ tiktok.
    """,
    Hint.NAMED: "u/ user/ .bsky. did:plc: did:web: insta_ insta: ig_ ig: instagram telegram tiktok snap "
    "twitter discord skype facebook threads mastodon bluesky",
    Hint.AT: "[at (at {at <at [_at (_at [a] (a) {a} (arroba [arroba (chiocciola [chiocciola (arobas "
    "[arobas (klammeraffe [klammeraffe (ät [ät (ett [ett (@) [@] (_@ [_@",
    Hint.DOT: "_dot_ _punkt_ _punto_ _ponto_ _point_ _punt_ [dot (dot {dot <dot [punkt (punkt [punto "
    "(punto [ponto (ponto [point (point [_dot (_dot _dot_ [.] (.) [punt (punt",
    Hint.SECURITY: "cvv cvc cvn csc prüfziffer kartenprüf security_code cryptogramme",
    Hint.BOOKING: """
        pnr locator record_locator rec_loc localizador booking reserv réserv buchung prenotaz boeking bokning
        kod_rez dossier confirm conferma itinerary check-in checkin code código codigo codice ref_ ref: ref.
        ref# ref, réf refer riferimento reference numéro número numero nº n° num_ n._ n.º
    """,
    Hint.REFERENCE: """
        order purchase po_ po: po# customer client ticket tkt case claim complaint incident request enquir
        inquir quer sr_ sr: sr# ref_ ref: ref. ref# reference invoice receipt contract policy member account
        acct a/c loyalty frequent ff_ ffp skymiles avios transaction txn utr voucher payment docket job
        application quote serial imei meter subscription bestell best.
        best- kd re-nr rg auftr kund vorgang fall rechnung vertrag
        mitglied referenz beschwerde reklamation aktenzeichen az_ konto police gutschein schaden vielflieger
        akten bearbeitung service transaktion anfrage beleg zähler beitrag versicherung serien commande
        facture contrat dossier réclam reclam compte adhérent abonné sinistre pedido factura expediente
        cuenta socio póliza incidencia queja ordin fattura pratica conto polizza segnalazione tessera
        protocolo chamado atendimento fatura nota_fiscal conta apólice compra encomenda matrícula
        klantnummer zamówieni
    """,
    Hint.IDENTITY: """
        passport passeport reisep pass- passn pasaporte passaport paspoort ausweis personalausweis perso_
        perso: dni nie_ nie: nif rg_ rg: cpf cnh rne identidade aadha uid pan_ pan: pan, ssn social
        sozialvers sv-n svn ni_ nino national_ins steuer codice_fisc cf_ cf: c.f. driver driving licen dl_ dl:
        führerschein permis patente carta_d carte_d cni nir_ nir: sécu seguridad_s visa_n voter epic nhs
        medicare carn cédula curp rut_ rut: tax_id itin identity_c id_c documento bsn pesel personnummer ahv
        krankenk versicherten título_d pis_ nis_ green_card student_id employee_id personenk alien_n known_t
        ktn redress
    """,
    Hint.TRACKING: """
        track parcel package shipment consignment delivery awb airway waybill docket courier sendung paket
        päckchen einlieferung suivi colis chronopost mondial envío envio seguimiento paquete spedizion
        tracciamento pacc rastre encomenda objeto dhl ups_ ups: fedex usps hermes dpd gls evri yodel
        royal_mail correos seur mrw brt bartolini sda_ poste_ correios jadlog loggi blue_dart bluedart
        delhivery dtdc ekart speed_post speedpost india_post indiapost tnt_ amazon aramex postnl inpost
        canada_post zending przesyłk försändelse
    """,
    Hint.BIRTH: """
        date_of_b birth date_de_n data_di_n data_de_n fecha_de_n geburt born dob d.o.b birth bday b-day
        gebor geb_ geb. né née nés naissance anniversaire naci nací cumplea nato_ nata_ nato: nata: nascita
        compleanno nasc anivers
    """,
    Hint.PHONE: """
        tel tél phone fone fon_ fon: mobil móvil movil handy cell cel_ cel: celular portable whats zap wpp
        call text txt ring sms fax anruf ruft rufe rückruf appel rappel joindre llam chiam liga ligue
        contact landline hotline helpline reach_ contat signal viber imessage facetime upi gpay paytm pix
        bizum venmo zelle wa.me/ ☎ ☏ 📞 📱 📲
    """,
    Hint.NUMBER_FIRST: """
        street avenue boulevard blvd lane road _rd_ _rd. _rd, terrace crescent parkway pkwy mews gardens
        grove highway hwy turnpike cul-de-sac freeway marg nagar salai chowk gali vihar colony enclave
        layout mohalla expressway esplanade straat weg laan _st_ _st. _st, _ave_ _ave. _ave, _av_ _av. _dr_
        _dr. _dr, drive _ln_ _ln. _ln, court _ct_ _ct, _ct. _pl_ _pl, _pl. place way_ way, way. close square
        _sq_ _sq, _sq. _cir_ trail _trl_ _row_ _row, _row. hill walk         wharf quay heights
        vale croft bypass alley ridge
        crest plaza lodge villas _drv fwy
        broadway meadow bazaar puram pally peth wadi pura ganj society residency
        apartments towers the_cres
    """,
    Hint.FRENCH: "rue avenue _av_ _av. boulevard _bd_ _bld_ place _pl_ _pl. chemin _ch_ _ch. impasse allée "
    "quai route _rte_ cours_ square passage sentier faubourg _fbg_ rond-point esplanade montée "
    "ruelle villa cité lotissement traverse promenade _voie_ _mail_",
    Hint.LATIN: """
        calle c/ c. av avda paseo pº plaza pza carrer camino ronda traves gran_v passeig plaça rambla
        carretera ctra glorieta cuesta urbaniz barrio pasaje callej costa carrera cra cll via v.le p.za
        piazza corso c.so vicolo strada contrada lungo borgo salita località fondamenta calata rua rue chemin
        place quai r. trav
        tv. praça praca alameda al. estr rod largo beco ladeira viela quadra ul. ulica aleja pl. os. ул.
        улица проспект пр-т str. bulevard
    """,
    Hint.GERMAN: """
        straße straße_ strasse str. str_ straße_de platz_de allee_de weg_ platz_ allee_ gasse_ ring_ damm_
        ufer_ chaussee_ steig_ stieg_ markt_
        hof_ graben_ berg_ tor_ wall_ zeile_ pfad_ promenade_ kamp_ winkel_ anger_ twiete_ gracht_ straat_
        laan_ plein_ kade_ gatan_ vägen_ gata_ veien_ vegen_ vej_ gade_ vei_ _am_ _an_der_ _an_den_
        _auf_der_ _auf_dem_ _im_ _in_der_ _in_den_ _zum_ _zur_ _unter_den_ _unter_der_ _hinter_ _bei_der_
        _beim_ _vor_dem_ _alter_ _alte_ _neue
    """,
    Hint.UNIT: "no. no_ flat apt apartment unit_ units_ suite ste_ room floor house h.no h._no plot door "
    "block bldg building wing villa shop qtr",
    Hint.BOX: "box postfach postale b.p bp_ apartado postal postbus",
    Hint.POSTCODE: "zip post_code postcode postal_code postleitzahl plz cap_ cap: c.p cp_ cp: code_post "
    "código_post cep pin_code pincode",
}


def _patterns() -> dict[str, int]:
    patterns: dict[str, int] = {}
    for hint, words in _WORDS.items():
        for word in words.split():
            spaced = word.replace("_", " ")
            patterns[spaced] = patterns.get(spaced, 0) | hint
    return patterns


_PATTERNS = _patterns()
_SETS = list(_PATTERNS.values())
_LEADS = [len(word) - len(word.lstrip()) for word in _PATTERNS]
_INSIDE = Hint.GERMAN | Hint.LINK | Hint.AT | Hint.DOT
"""Words of these kinds may be part of longer words."""
_WORD_BEGINS = [
    not lead and not kinds & _INSIDE and word[0].isalpha()
    for word, kinds, lead in zip(_PATTERNS, _SETS, _LEADS, strict=True)
]
_FINDER = ahocorasick_rs.AhoCorasick(list(_PATTERNS))


class Hints:
    """The positions in a view where words of each kind begin."""

    def __init__(self, view: str) -> None:
        lower = view.lower()
        self._aligned = len(lower) == len(view)
        padded = f" {lower} "
        found: list[tuple[int, int, int]] = _FINDER.find_matches_as_indexes(padded, overlapping=True)
        kinds = 0
        for pattern, begin, _ in found:
            if not (_WORD_BEGINS[pattern] and padded[begin - 1].isalnum()):
                kinds |= _SETS[pattern]
        self._found = found
        self.kinds = kinds
        """A bit for each `Hint`."""

    def __contains__(self, hint: int) -> bool:
        return self.kinds & hint != 0

    def begins(self, hint: int) -> Sequence[int] | None:
        """Positions where words of *hint* may begin, in order; None: anywhere."""
        if not self._aligned:
            return None
        places = {begin - 1 + _LEADS[pattern] for pattern, begin, _ in self._found if _SETS[pattern] & hint}
        return sorted(places)


def at_words(pattern: re.Pattern[str], view: str, hints: Hints, hint: int) -> Iterator[re.Match[str]]:
    """Matches in *view* of *pattern*, which begins with a word of *hint*; they may overlap."""
    if hint not in hints:
        return
    begins = hints.begins(hint)
    if begins is None:
        yield from pattern.finditer(view)
        return
    match = pattern.match
    for begin in begins:
        if (found := match(view, begin)) is not None:
            yield found
