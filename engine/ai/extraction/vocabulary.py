"""The words that carry the patterns: verbs, determiners, stops, and the acts that verbs mean."""

from __future__ import annotations

from engine.ai.lexicon.arabic import fold

EACH = frozenset({"each", "every", "per"})
HAVE = frozenset(
    """
    has have having includes include contains contain needs need carries carry stores records
    holds lists gets possesses requires comprises shows
    """.split()  # noqa: SIM905
)
MANAGE = frozenset(
    """
    track tracks tracking manage manages managing management register registers registering record
    recording store storing monitor monitors monitoring catalogue catalog cataloguing cataloging
    maintain maintaining list listing schedule scheduling organise organize organising organizing
    inventory archive archiving log logging document documenting supervise coordinate administer
    handle handling save keep keeps keeping
    """.split()  # noqa: SIM905
)
# A verb, and the kind of record that doing it leaves behind.
ACTS = {
    "reserve": "Reservation", "book": "Booking", "order": "Order", "rent": "Rental",
    "hire": "Rental", "borrow": "Loan", "apply": "Application", "donate": "Donation",
    "report": "Report", "visit": "Visit", "inspect": "Inspection", "review": "Review",
    "enrol": "Registration", "enroll": "Registration", "request": "Request", "buy": "Order",
    "purchase": "Order", "bid": "Bid", "rate": "Review", "observe": "Observation",
    "measure": "Measurement", "repair": "MaintenanceRequest", "adopt": "Adoption",
    "subscribe": "Subscription", "register": "Registration", "submit": "Request",
    "sponsor": "Donation", "lend": "Loan", "lease": "Rental", "vote": "Answer",
    "sell": None, "offer": None, "track": None, "manage": None, "publish": None, "record": None,
    "upload": None, "share": None, "write": None, "add": None, "create": None, "deliver": None,
    "follow": None, "monitor": None, "approve": None, "assign": None, "check": None,
    "collect": None, "prepare": None, "send": None, "receive": None, "maintain": None,
    "teach": None, "own": None, "use": None, "see": None, "view": None, "browse": None,
    "schedule": None, "log": None, "clean": None, "issue": None, "plan": None, "test": None,
}  # fmt: skip
STOPS = frozenset(
    """
    a an the and or of for to in on at by from with without within into onto over under per as is
    are was were be been being can may must should will would could shall might do does did that
    which who whom whose when where while if then than so because but nor not no also only just
    its it they them their there this these those we i you he she our your my his her us me via
    through using after before during until up down out off about between each every any all
    some how what why has have had having online automatically too etc plus including include
    includes like such e.g please want wants need needs let lets able pay pays paid
    whenever once both either online easily matter matters show shows see sees become becomes
    """.split()  # noqa: SIM905
)
SKIPPED = frozenset(
    """
    a an the its their his her our your my some several many multiple various any all both such
    own new one two three four five six ten different detailed basic current important single
    """.split()  # noqa: SIM905
)
OF_HEADS = frozenset(
    """
    date time name type kind place percentage level amount price cost list history degree year
    length depth rate proof source country set code address owner state method point
    """.split()  # noqa: SIM905
)
GENERIC = frozenset(
    """
    system platform app application website site software tool solution portal program programme
    service information data detail details thing things stuff user users everything something
    management way people work anyone everyone ones one record records database team page pages
    me us it them others business company field fields attribute attributes properties property
    """.split()  # noqa: SIM905
)
TOPIC = frozenset(
    {"platform", "system", "app", "application", "website", "portal", "software", "tool", "site"}
)
UNIQUE = frozenset({"unique", "فريد", "فريده", "مميز"})
OPTIONAL = frozenset({"optional", "اختياري", "اختياريه"})


def _folded(words: str) -> frozenset[str]:
    return frozenset(fold(word) for word in words.split())


AR_EACH = _folded("لكل كل بكل")
AR_HAVE = _folded(
    """
    له لها لهم لديه لديها لديهم يملك تملك يحتوي تحتوي يتضمن تتضمن يشمل تشمل يضم تضم فيه فيها يحمل
    تحمل يمتلك تمتلك
    """
)
AR_FILLERS = _folded(
    """
    يوجد هناك نسجل يسجل تسجل نحفظ يحفظ تحفظ يتم تسجيل حفظ على يجب أن تكون يكون ونسجل مع به بها
    نريد أريد عليه عليها منها منه تتبع معرفة نعرف
    """
)
AR_AFTER_VERB = _folded("فيه فيها عليه عليها منه منها له لها به بها لهم")
AR_MANAGE = _folded(
    """
    إدارة لإدارة بإدارة تسجيل لتسجيل متابعة لمتابعة تتبع لتتبع حجز لحجز جدولة لجدولة أرشفة لأرشفة
    بيع لبيع تأجير لتأجير توثيق لتوثيق رصد لرصد مراقبة لمراقبة تنظيم لتنظيم تنسيق لتنسيق توزيع
    لتوزيع عرض لعرض حصر لحصر جرد لجرد تربية لتربية صيانة لصيانة يدير تدير ندير نتابع يتابع تتابع
    حفظ لحفظ
    """
)
# Folded verbs with the record that the act leaves.
AR_ACTS: dict[str, str | None] = {
    fold(verb): act
    for verbs, act in {
        "يحجز تحجز يحجزون نحجز": "Booking",
        "يطلب تطلب يطلبون": "Order",
        "يستأجر تستأجر يستأجرون": "Rental",
        "يستعير تستعير يستعيرون": "Loan",
        "يتبرع تتبرع يتبرعون": "Donation",
        "يزور تزور يزورون": "Visit",
        "يفحص تفحص يعاين يفتش": "Inspection",
        "يشتري تشتري يشترون": "Order",
        "يقيم تقيم يقيّمون": "Review",
        "يرصد ترصد يرصدون": "Observation",
        "يقيس تقيس": "Measurement",
        "يشترك تشترك يشتركون": "Subscription",
        "يزايد يزايدون": "Bid",
        "يتبنى يتبنون": "Adoption",
        "يبلغ يبلّغ": "Report",
        "يقدم تقدم يقدمون": "Request",
        "يسجل تسجل يسجلون": None,
        "يدير تدير يديرون": None,
        "يتابع تتابع يتابعون": None,
        "يبيع تبيع يبيعون": None,
        "ينشر تنشر ينشرون": None,
        "يعرض تعرض يعرضون": None,
        "يكتب تكتب يكتبون": None,
        "يرفع ترفع يرفعون": None,
        "يوصل توصل": None,
        "يستخدم تستخدم": None,
        "يضيف تضيف": None,
        "يعتمد تعتمد": None,
    }.items()
    for verb in verbs.split()
}
AR_STOPS = _folded(
    """
    في من على إلى الى عن مع عبر حتى عند أو ثم التي الذي الذين اللذين أن إن كان كانت هذا هذه ذلك تلك
    هو هي هم ما لا لم لن قد كما حيث بين بعد قبل خلال دون بدون بلا غير لكن لأن إذا كي أي كل لكل بعض
    جميع عدة نريد أريد نحتاج أحتاج يمكن تمكن يجب ينبغي بحيث منها منه له لها لهم لديه لديها بواسطة
    باستخدام ويدفع يدفعون يدفع تدفع تصلهم تصل يصل يصلهم وتصلهم تظهر يظهر يتم تتم يستطيع
    يستطيعون ليتمكن يريد يريدون مثل أيضا فقط أيضاً ضمن حسب وفق نحو ضد
    """
)
AR_GENERIC = _folded(
    """
    منصة نظام تطبيق موقع برنامج بوابة معلومات بيانات تفاصيل شيء أشياء المستخدمين المستخدمون
    المستخدم مستخدم عمل الناس الأمور إلكتروني إلكترونية رقمية شاملة متكاملة متكامل خاصة خاص عام
    عامة إنترنت طريقة سهولة بسهولة خدمات خدمة حقل حقول كامل كاملة جديدة جديد
    """
)
AR_TOPIC = _folded("منصة نظام تطبيق موقع برنامج بوابة")
