"""Texts that find the corners."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.text.conftest import CHARACTERS

NASTY = [
    "",
    " ",
    "\t\r\n",
    "\x00\x1f\x7f\x85\ufffd\u00ad\u200b",
    "ΑΣ",
    "ΑΣ ΣΑΣ. ΟΔΟΣ! Σ ΑΣ\u00adΑ ΑΣ\u0301 Α\u0301Σ 'ΑΣ' ΑΣ今",
    "İstanbul Iı İİ",
    "Straße ẞ ŉ ǰ",
    "\u00c5 \u212b A\u030a ﬁ é e\u0301 Ệ e\u0323\u0302 e\u0302\u0323",
    "한국어 \uac01 \u1100\u1161\u11a8 \uac00\u11a8",
    "\ue000a\ue001 \U000f0000 \U0010fffd",
    "\u0378a \U0003ffff \uffff \ufdd0",
    "㐀 龥 鿿 \uf900 \uf901 \ufa0e 𠀀 𪛖 𪛗 𪜀 𫝀 𫠠 𬺰 𰀀 \U0002f800",
    "👩\u200d👩\u200d👧 😂😂 👍🏽 🇨🇳 ❤\ufe0f a😂b",
    "[MASK] [CLS] [SEP] [UNK] [PAD] ##a ## [unused1] <S>",
    "a" * 200 + " " + "a" * 201 + " " + "é" * 200 + " " + "\uac01" * 67,
    "今" * 300,
    "a\u2028b\u2029c\u0085d\u00a0e\u3000f\u1680g\u2000h\u180ei",
    "x\ufe0fy\U000e0100z \u0e01\u0e31 \u0915\u093e\u093f",
    "\U0001d158\U0001d165 \U0001d157\U0001d16d\U0001d165\U0001d16ea \u0061\u302f\u0301b",
    "\u037e;\u1fefa\u0340\u0341",
    "ａＢ！？ ﾊﾟｶﾞ がガ ㌀ ①",
    "hello,unaffable-HELLO_x$1^2`3",
    "ςΣσ \u03a3",
    "الْعَرَبِيَّة עִבְרִית हिन्दी ไทย",
    "\u212a \u2126 ᴬ ﬀ ǅ ǆ Ǆ",
]

_any_character = st.characters(exclude_categories=["Cs"])
_likely = st.sampled_from(CHARACTERS + " \t\n\u00a0\u2028\u200d\u00ad\u0323\u0302\u0130ΑΟΔΣÀÉÅ한")
_marks = st.sampled_from("\u0301\u0323\u0345\u05b0\u0651\u302f\u1dce\U0001d165\U0001d16d\U0001d16e\u0f71\u0f72")

unicode_texts = st.one_of(
    st.text(_any_character, max_size=30),
    st.text(st.one_of(_likely, _any_character, _marks), max_size=40),
    st.text(st.one_of(_likely, _marks), max_size=40),
    st.lists(st.one_of(st.sampled_from(NASTY), st.text(_likely, max_size=5)), max_size=4).map("".join),
)
