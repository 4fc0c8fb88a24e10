"""Outside services that a description asks for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from engine.ai.lexicon.index import PhraseIndex
from engine.forge.blueprint.model import Integration, IntegrationKind, Text

# kind: phrases that ask for it. For payments `method: phrases` follow below.
_CUES = {
    IntegrationKind.PAYMENTS: """payment, payments, pay, pays, paid, paying, online payment,
        checkout, payment gateway, دفع, الدفع, يدفع, تدفع, يدفعون, مدفوعات, سداد, الدفع الإلكتروني,
        بوابة دفع, الدفع أونلاين, تدفع إلكترونيا""",
    IntegrationKind.SMS: """sms, text message, text messages, whatsapp, رسائل نصية, رسالة نصية,
        رسائل قصيرة, رسائل تذكير, رسائل تذكير قصيرة, واتساب, رسائل الجوال, رسائل""",
    IntegrationKind.EMAIL: """email, e-mail, emails, newsletter, بريد إلكتروني, البريد الإلكتروني,
        رسائل بريدية, إيميل, نشرة بريدية""",
    IntegrationKind.MAPS: """map, maps, google maps, gps, geolocation, on a map, خريطة, خرائط,
        الخريطة, خرائط جوجل, تحديد المواقع, نظام تحديد المواقع""",
    IntegrationKind.STORAGE: """upload, uploads, file storage, attachments, رفع الملفات, رفع ملفات,
        رفع المستندات, رفع صور, مرفقات, تخزين الملفات""",
    IntegrationKind.IDENTITY: """national id, identity verification, nafath, absher,
        single sign-on, الهوية الوطنية, نفاذ, أبشر, التحقق من الهوية, النفاذ الوطني""",
    IntegrationKind.ANALYTICS: """analytics, dashboard, dashboards, statistics, لوحة معلومات,
        إحصائيات, تحليلات, لوحة مؤشرات, مؤشرات أداء""",
    IntegrationKind.VIDEO: """video call, video calls, video consultation, video conference,
        telemedicine, zoom, online session, video, مكالمة فيديو, مكالمات فيديو, استشارة مرئية,
        استشارات مرئية, اتصال مرئي, فيديو, عن بعد""",
    IntegrationKind.NOTIFICATIONS: """notification, notifications, push notification,
        push notifications, reminder, reminders, alert, alerts, إشعار, إشعارات, تنبيه, تنبيهات,
        تذكير, تذكيرات""",
}
_METHODS = {
    "mada": "mada, مدى",
    "apple-pay": "apple pay, applepay, آبل باي, أبل باي, ابل باي",
    "stc-pay": "stc pay, stcpay, اس تي سي باي, إس تي سي باي, stc",
    "card": "credit card, visa, mastercard, بطاقة ائتمان, بطاقات ائتمان, فيزا, ماستركارد",
    "google-pay": "google pay, جوجل باي",
    "tabby": "tabby, تابي",
    "tamara": "tamara, تمارا",
    "sadad": "sadad, سداد فواتير, نظام سداد",
    "paypal": "paypal, باي بال",
    "bank-transfer": "bank transfer, تحويل بنكي, حوالة بنكية",
    "cash-on-delivery": "cash on delivery, الدفع عند الاستلام",
}
ASSUMED_METHODS = ("mada", "card")
PURPOSES = {
    IntegrationKind.PAYMENTS: Text(en="Take payments online", ar="استقبال المدفوعات إلكترونيا"),
    IntegrationKind.SMS: Text(en="Send text messages", ar="إرسال رسائل نصية"),
    IntegrationKind.EMAIL: Text(en="Send email", ar="إرسال البريد الإلكتروني"),
    IntegrationKind.MAPS: Text(en="Show places on a map", ar="عرض المواقع على الخريطة"),
    IntegrationKind.STORAGE: Text(en="Keep uploaded files", ar="حفظ الملفات المرفوعة"),
    IntegrationKind.IDENTITY: Text(en="Verify identity", ar="التحقق من الهوية"),
    IntegrationKind.ANALYTICS: Text(en="Show figures and trends", ar="عرض المؤشرات والإحصاءات"),
    IntegrationKind.VIDEO: Text(en="Hold video calls", ar="إجراء مكالمات مرئية"),
    IntegrationKind.NOTIFICATIONS: Text(en="Send notifications", ar="إرسال الإشعارات"),
}

Found = dict[IntegrationKind, list[str]]


@lru_cache(maxsize=1)
def _index() -> PhraseIndex[tuple[IntegrationKind, str]]:
    index: PhraseIndex[tuple[IntegrationKind, str]] = PhraseIndex()
    for kind, phrases in _CUES.items():
        for phrase in phrases.split(","):
            index.add(" ".join(phrase.split()), (kind, ""))
    for method, phrases in _METHODS.items():
        for phrase in phrases.split(","):
            index.add(phrase.strip(), (IntegrationKind.PAYMENTS, method))
    return index


def find(word_lists: Iterable[list[str]]) -> Found:
    """The kinds that these words ask for, each with the payment methods that were named."""
    found: Found = {}
    for words in word_lists:
        for _, _, values in _index().find(words):
            for kind, method in values:
                methods = found.setdefault(kind, [])
                if method and method not in methods:
                    methods.append(method)
    return found


def integration(kind: IntegrationKind, methods: Iterable[str] = ()) -> Integration:
    """The part of a Blueprint; payments without a named method get the assumed ones."""
    named = list(methods)
    if kind is IntegrationKind.PAYMENTS and not named:
        named = list(ASSUMED_METHODS)
    return Integration(kind=kind, methods=named, purpose=PURPOSES[kind])
