"""What shows the language of a text besides n-grams: its script, and frequent words of English and romanised Hindi."""

SCRIPTS = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1e00-\u1eff"
    "\u2c60-\u2c7f\ua720-\ua7ff\ufb00-\ufb06",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "armenian": "\u0531-\u058f",
    "hebrew": "\u05d0-\u05f4\ufb1d-\ufb4f",
    "arabic": "\u0620-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u097f\ua8e0-\ua8ff",
    "bengali": "\u0980-\u09ff",
    "gurmukhi": "\u0a00-\u0a7f",
    "gujarati": "\u0a80-\u0aff",
    "tamil": "\u0b80-\u0bff",
    "telugu": "\u0c00-\u0c7f",
    "kannada": "\u0c80-\u0cff",
    "malayalam": "\u0d00-\u0d7f",
    "sinhala": "\u0d80-\u0dff",
    "thai": "\u0e00-\u0e7f",
    "lao": "\u0e80-\u0eff",
    "myanmar": "\u1000-\u109f",
    "georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "ethiopic": "\u1200-\u139f",
    "khmer": "\u1780-\u17ff",
    "kana": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}
"""Script -> Unicode ranges of its letters."""

SCRIPTS_OF = {
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "sr", "kk", "ky", "mn"), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ug"), ("arabic",)),
    **dict.fromkeys(("mr", "ne"), ("devanagari",)),
    **{"hi": ("devanagari", "latin")},
    **{"el": ("greek",), "he": ("hebrew",), "hy": ("armenian",), "ka": ("georgian",), "th": ("thai",), "lo": ("lao",)},
    **{"bn": ("bengali",), "pa": ("gurmukhi",), "gu": ("gujarati",), "ta": ("tamil",), "te": ("telugu",)},
    **{"kn": ("kannada",), "ml": ("malayalam",), "si": ("sinhala",), "my": ("myanmar",), "km": ("khmer",)},
    **{"am": ("ethiopic",), "ko": ("hangul", "han"), "ja": ("kana", "han"), "zh": ("han",)},
}
"""Language -> scripts of its posts. A language that is not listed is written in Latin letters; Hindi is in both."""

_ENGLISH = (
    "the and but you they your our their been have has had does did not this that these those what who how why when "
    "where which there very would should could any some them it's i'm im i'll i've don't dont didn't doesn't can't "
    "cant won't isn't wasn't you're youre they're get got getting going because from being about with are were my just "
    "its if his she him know think need want thanks thank please out off again never always every than then it to "
    "really even much into too gonna before most other something another someone while since already having doing "
    "said tomorrow still people"
)
_LESS_ENGLISH = (
    "a i in on of for is so be as at by we all one now day time back can will more or an was do see after new today "
    "good great best like love am her"
)
ENGLISH_WEIGHTS = {**dict.fromkeys(_LESS_ENGLISH.split(), 1), **dict.fromkeys(_ENGLISH.split(), 2)}
"""Frequent words of English -> 2, or 1 if other languages with Latin letters have the same word."""

_HINDI = (
    "hai hain nahi nahin nhi kya bhi bhai aur tha thi koi kuch yaar yar mein mujhe mujhko hum tum aap apne apna apni "
    "kar karo karna karne karte karta karti kr krne rahe raha rahi rha rhe rhi gaya gaye gayi gya gye hua hui hue liye "
    "wala wale wali walo walon yeh kyu kyun kyon kaise kaisa kahan kaha agar lekin phir toh diya kiya liya hota hoti "
    "hote hoga hogi mera mere meri tera tere teri uska uske uski unka iska iske sabse sirf abhi kabhi kisi aaj ghar "
    "baat baar saath sath chahiye accha acha achi achha bahut bohot bahot itna sahi dekho dekh bolo raho maine tune "
    "usne aapke aapka aapki apke apka apki hoon hun desh desi logo log naam yaad kaam aise aisa aisi jaise jaisa jaisi "
    "lagta lagti aata aati aate aana aane aao aaya aaye aayega kab jab saale dete deta dena soch sochta chalo chali "
    "sakta sakte sakti skta jaate jaata jaaye jaye jayega jayegi jayenge jao khud dekha dekhi dekhna dekhne banaya gyi "
    "tujhe tujse bolte bolta apko apse aapko usko isko sabko pakka tarah duniya ladki ladka usse isse kise jise puri "
    "theek thik paisa paise hona hone honge krta krte kro krega kare karega karenge tumhe tumhara tumhari kitne kitna "
    "kitni milega milna milne milta kaun pehle pahle pehli kasam bhul bhool pasand thodi thoda khush yahi upar wapas "
    "zyada jyada galti galat raat pyar matlab izzat aadmi arre bura chahta chahti chahte kaash waqt jarur zaroor "
    "bilkul kyunki mushkil zindagi insaan samajh hamesha hamare hamari humara humare khatam subah yahan yaha waha "
    "wahan paani dosto rakh rakha likha dikha padh padhna tabhi jaldi bhaiyya bhaiyo bhagwan dono dusre sabka sabki "
    "unhe unhone inki haan lekar walo bht bhut mjhe muje mujse"
)
HINDI_WORDS = frozenset(_HINDI.split())
"""Frequent in Hindi in Latin letters, and rare in other languages."""
_HINDI_PARTICLES = "ka ki ke ko ho h hi ye wo woh jo se pe par na to sab ab ek mai main ji k tak mat hu ne"
HINDI_PARTICLES = frozenset(_HINDI_PARTICLES.split())
"""The most frequent words of Hindi in Latin letters: also words of other languages."""
