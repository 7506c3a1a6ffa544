"""Terms for hazards: harm, theft, outages, stranded people, lawyers and the press.

English, written from the guideline (`gold/GUIDELINE.md`). Terms that matched ordinary chat more often than hazards, in
the choosing half of the labelled texts or in tweets to airlines, were removed or narrowed; missing kinds were added.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

HAZARDS = {
    "safety": (
        r"ambulance|paramedics?|hospitals?|hospitali[sz]ed|a&e|emergency room|intensive care|"
        r"injur\w+|bleed\w*|unconscious|"
        r"faint(?:ed|ing)|collapsed|seizures?|concussion|blisters?|burn(?:ed|t|s|ing)|scald\w*|on fire|caught fire|"
        r"fire brigade|firefighters?|fire exits?|smoke|smoking|sparks?|sparking|explo(?:d|si)\w*|overheat\w*|"
        r"too hot to touch|gets? (?:very )?hot|swollen|swell\w*|swelled|electrocut\w*|electric shock|gas leak|"
        r"smell of gas|carbon monoxide|allerg\w*|anaphyla\w*|epi-?pens?|chok(?:e|ed|ing)|poison\w*|salmonella|listeria|"
        r"e\.? ?coli|contaminat\w*|mou?ldy?|glass in|vomit\w*|threw up|throwing up|been sick|unsafe|dangerous\w*|"
        r"hazard\w*|brakes?|trapped|nearly (?:died|killed)|fatal\w*|"
        r"someone (?:will|could|is going to) (?:die|get hurt|be killed)|suicid\w*|kill myself|end (?:it all|my life)|"
        r"want to die|self-?harm\w*|overdose|needles?|knife|knives|assault\w*|attacked|molest\w*|grooming|"
        r"stalk(?:er|ing|ed)|threaten\w*|safe to (?:drink|eat|use)|recall(?:ed|s)?|"
        r"(?:piece|bit|shard|splinter)s? of (?:glass|metal|wire|plastic)|"
        r"(?:there was|was|found|swallowed) (?:a )?(?:\w+ )?(?:glass|metal|wire|nail|screw|maggots?|mouse|rat)|"
        r"cockroach\w*|bed ?bugs|diarrh?oea|the vet|toxic|chemicals?|screamed|nearly (?:fell|hit)|broke in|"
        r"(?:dogs?|cats?|birds?|people|man|woman|child|children|baby) (?:\w+ ){0,4}(?:dead|died)|"
        r"dead (?:dogs?|cats?|fish|birds?)|doors? (?:\w+ ){0,4}closed on|push(?:ed)? (?:into|me)|"
        r"(?:child|baby|toddler|infant|kids?|dog) (?:locked |trapped |stuck )?inside"
    ),
    "security": (
        r"hack(?:ed|er|ers|ing)|taken over|took over my|compromised|fraud\w*|scam\w*|phish\w*|unauthori[sz]ed|stolen|"
        r"stole|identity theft|sim.?swap\w*|data (?:leak|breach)\w*|breach\w*|leaked|exposed|malware|ransomware|trojan|"
        r"spyware|keylogger|drained|emptied|someone else'?s|another (?:person|customer|patient|user)'?s?|imperson\w+|"
        r"posing as|(?:payments?|transactions?|orders?|charges?) (?:that )?i (?:did ?n[o']t|do ?n[o']t|never)|"
        r"vulnerabilit\w+|passwords? (?:hash\w*|leak\w*|changed)|home addresses|vanished|"
        r"fake (?:id|badge|site|mail|call)|"
        r"(?:neighbou?r|stranger)'?s (?:\w+ )?(?:transactions?|account|data|details|bills?|statements?)|"
        r"(?:camera|microphone) (?:turned|switched|went) on|asking (?:\w+ ){0,3}for (?:\w+ )?(?:cards?|pins?|codes?)|"
        r"never (?:made|authori[sz]ed|heard of)"
    ),
    "outage": (
        r"outages?|(?:is|are|was|were|went|goes|gone|been|all|still) (?:completely |totally |all )?"
        r"(?:down|dead|offline)|"
        r"down again|down for|nobody can|no ?one can|none of us|anyone else|"
        r"(?:whole|entire|all of the|across the) "
        r"(?:town|city|office|street|area|region|firm|company|country|village|building)|"
        r"nationwide|50[0-4]s|(?:error|http) 50[0-4]|50[0-4] errors?|"
        r"no (?:water|power|electricity|signal|phones?|calls)|black ?out|power cut|system failure|"
        r"sev(?:erity)?[ -]?[1o]|can ?not log in|cards? declined|network error|"
        r"all (?:our|my) (?:customers|clients|users|stores|shops|tills|terminals)"
    ),
    "stranded": (
        r"strand(?:ed|ing)|stuck (?:at|on|here|inside|outside|overnight)|locked (?:out|inside|in|us|me|our|my)|"
        r"(?:no way|can'?t get|cannot get) (?:home|in|out)|(?:all|left) alone|alone (?:in|at|with)|"
        r"on the floor|insulin|ventilator|dialysis|"
        r"oxygen (?:tank|line|supply)|medication|medicines?|tablets|life.?support|evict\w*|homeless|standstill|"
        r"standing around|funeral|no heat(?:ing)?|freezing|hypotherm\w*|urgent\w*|emergency|immediately|"
        r"at once|within the hour|in (?:an|one|two|three|four|\d) hours?|(?:call|phone|ring) (?:me|911|999|112)|"
        r"please (?:help|call|phone|someone|somebody)"
    ),
    "legal_press": (
        r"lawyers?|attorneys?|solicitors?|legal action|before action|sue|sued|suing|law ?suits?|courts?|class action|"
        r"ombudsman|regulators?|trading standards|consumer (?:protection|council|watchdog)|watchdog|data protection|"
        r"gdpr|police|prosecutors?|journalists?|reporters?|press (?:office|line|inquiry|enquiry)|newspapers?|"
        r"on the news|tv crew|racis\w+|discriminat\w+|harass\w*|sexis\w+|homophob\w+|slurs?|boycott\w*|going viral|"
        r"went viral|viral|views|filmed|footage|on (?:camera|film|tape)|whistle-?blow\w*|"
        r"(?:conduct|environment|health|data|consumer) (?:authority|agency|office|inspector\w*)|"
        r"(?:local|daily|evening) (?:paper|news)|bbc|cnn|investigat(?:ion|ing)|equality"
    ),
}
"""Kind of hazard (the guideline's reasons for `high`) -> a pattern for casefolded text."""

_PATTERNS = tuple(re.compile(rf"(?<!\w)(?:{pattern})(?!\w)") for pattern in HAZARDS.values())


def hazards(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(n, 5): whether each text names each kind of `HAZARDS`."""
    folded = [text.casefold() for text in texts]
    found = [[pattern.search(text) is not None for pattern in _PATTERNS] for text in folded]
    return np.array(found, dtype=np.bool_).reshape(-1, len(_PATTERNS))
