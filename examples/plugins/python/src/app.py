"""Redacts personal data: a transform that runs before anything else sees the dataset."""

import ipaddress
import re
from dataclasses import replace

import tunesmith
from tunesmith import Descriptor, Example, Job, guarded
from wit_world import exports

DOCS = """Replaces personal data in every message, before examples are chosen, costs are computed or anything is
uploaded. Name it in a job as `"transform": "redact"`.

| kind | what is found | how it is made sure |
|---|---|---|
| `email` | addresses | by their form |
| `iban` | bank accounts | by form and check digits |
| `card` | payment cards of 13 to 19 digits | by their check digit |
| `phone` | numbers of 7 to 15 digits that begin with + or 0, or are grouped | by their form |
| `ip` | IPv4 and IPv6 addresses | by parsing them |

The same value has the same mark within a conversation, so that the text still makes sense: `[EMAIL_1]` wrote to
`[EMAIL_2]`. With `redact_action` set to `drop`, conversations that have any are left out instead.

Names, postal addresses and whatever only a reader would recognise are not found: this makes a dataset less
personal, not anonymous."""

KINDS = ["email", "iban", "card", "phone", "ip"]

DIGIT = re.compile("[0-9]")

# Each pattern is linear in its text: no repetition is nested in another.
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ ]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
CARD = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){12,18}(?![0-9])")
PHONE = re.compile(r"(?<![\w.])(?<![0-9] )(?:\+|00|\(?0)[0-9](?:[ ./()-]{0,2}[0-9]){5,13}(?![\w])")
IP = re.compile(r"(?<![\w.:])(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:])")


def is_iban(text: str) -> bool:
    """ISO 13616: moved to the end and written in digits, it leaves 1 by 97."""
    text = text.replace(" ", "").upper()
    if not 15 <= len(text) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """The Luhn check digit. Rows of one digit have it, too, and are no cards."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_phone(text: str) -> bool:
    """E.164 has at most 15 digits; shorter ones than 7 are other numbers. A date is none."""
    digits = sum(c.isdigit() for c in text)
    return 7 <= digits <= 15 and not re.fullmatch(r"[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}", text)


def is_ip(text: str) -> bool:
    """Whether it is an address: without a digit, as in `b::c`, it is rather code."""
    try:
        return DIGIT.search(text) is not None and ipaddress.ip_address(text) is not None
    except ValueError:
        return False


# What each kind cannot do without, which is quick to look for; its form; and its proof.
FINDERS = {
    "email": (re.compile("@"), EMAIL, lambda _: True),
    "iban": (DIGIT, IBAN, is_iban),
    "card": (DIGIT, CARD, is_card),
    "phone": (DIGIT, PHONE, is_phone),
    "ip": (DIGIT, IP, is_ip),
}


class Redaction:
    """The marks of one conversation."""

    def __init__(self, kinds: list[str]):
        self.kinds = kinds
        self.marks: dict[tuple[str, str], str] = {}

    def apply(self, text: str) -> str:
        for kind in self.kinds:
            sign, pattern, is_real = FINDERS[kind]
            if sign.search(text):
                text = pattern.sub(lambda found: self.mark(kind, found[0], is_real), text)
        return text

    def mark(self, kind: str, found: str, is_real) -> str:
        if not is_real(found):
            return found
        # Spaces and case do not make another address or number.
        key = (kind, re.sub(r"[\s()./-]", "", found).lower() if kind != "email" else found.lower())
        number = sum(known == kind for known, _ in self.marks) + 1
        return self.marks.setdefault(key, f"[{kind.upper()}_{number}]")


def kinds_of(job: Job) -> list[str]:
    """The kinds to look for, in the order in which they take what two of them would match."""
    wanted = tunesmith.get(job, "redact_kinds")
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown:
        raise tunesmith.refuse_setting("redact_kinds", f"{unknown[0]!r} is not a kind; use {', '.join(KINDS)}")
    if not wanted:
        raise tunesmith.refuse_setting("redact_kinds", "is empty, so that nothing would be redacted; leave it out")
    return [kind for kind in KINDS if kind in wanted]


class Method(exports.Method):
    @guarded
    def describe(self) -> Descriptor:
        return Descriptor(
            id="redact",
            version="1.0.0",
            title="Redaction of personal data",
            summary="Replaces e-mail addresses, bank accounts, cards, phone numbers and IP addresses by marks.",
            docs=DOCS,
            settings=[
                tunesmith.texts(
                    "redact_kinds",
                    f"What to look for, of {', '.join(KINDS)}. All of them unless given.",
                    most=len(KINDS),
                    default=KINDS,
                ),
                tunesmith.choice(
                    "redact_action",
                    "What happens to conversations that have some: mark replaces it, drop leaves them out.",
                    ["mark", "drop"],
                    default="mark",
                ),
            ],
        )


class Transform(exports.Transform):
    @guarded
    def apply(self, job: Job, batch: list[Example]) -> list[Example | None]:
        kinds = kinds_of(job)
        drop = tunesmith.get(job, "redact_action") == "drop"
        results = []
        for example in batch:
            redaction = Redaction(kinds)
            messages = [replace(turn, content=redaction.apply(turn.content)) for turn in example.messages]
            results.append(None if drop and redaction.marks else Example(messages))
        return results
