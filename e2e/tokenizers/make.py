"""Makes tokenizers and what they do to a corpus with Hugging Face's tokenizers.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make.py OUT

For each kind of pre-tokenizer, and for SentencePiece, OUT gets a folder with a small
tokenizer.json that is trained on the corpus, and ids.json with the ids of all texts.
OUT/splits.json has the pieces that the pre-tokenizers cut the texts into; a copy of it
is in the tests of package tokenizer.
"""

import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
TO_LOWER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
FROM_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
SLASHES = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES
CJK = "[一-龥ࠀ-一가-\ud7ff]+"
LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "ℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳ"
    "Ꙁ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


# The steps of each kind, as checkpoints have them, without the ByteLevel step behind.
SPLITS = {
    "llama-bpe": [split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES)],
    "qwen2": [split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES)],
    "qwen35": [split(
        CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + SPACES)],
    "tekken": [split(TO_LOWER + "|" + FROM_UPPER + r"|\p{N}" + SLASHES)],
    "gpt-4o": [split(
        TO_LOWER + CONTRACTIONS + "?|" + FROM_UPPER + CONTRACTIONS + r"?|\p{N}{1,3}" + SLASHES)],
    "deepseek-v3": [
        split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"),
        split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
              "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
    ],
    "deepseek-coder": [
        split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK),
        pre_tokenizers.Digits(individual_digits=True),
    ],
    "deepseek-llm": [
        split("[\r\n]"), split(r"\s?[" + LETTERS + "]+"), split("\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"),
        split(r"\s+$"), split(CJK), pre_tokenizers.Digits(individual_digits=True),
    ],
}

TEXTS = [
    "", " ", "  ", "\n", "\r\n", " \n \n", "\t\tx", "a", "Hello, world!", "Hello  world   again", "trailing spaces   ",
    "   leading", "line one\nline two\r\n\r\nline four\n", "It's we'll I'M they'Re he'D can't don'T 'S 's' rock'n'roll",
    "HTTPServer parseXMLToJSON camelCase snake_case SCREAMING_CASE iPhone McDonald's O'Neill", "WORLD'S best ISN'T",
    "1 12 123 1234 12345 1234567.890 1,000,000 3.14e-10 0x1F 2²³ Ⅷ ½ ٣٤٥ १२३",
    "price: $1,234.56 (20% off) #1 @user a&b a/b c\\d e|f g~h i`j ^k {l} [m] <n> \"o\" 'p' +q =r -s _t :u ;v ?w !x",
    "https://example.org/a/b?c=d&e=f#g //comment\n///doc\n/* block */ path/to/file.txt", "…—–‘’“”«»‹›。、！？（）",
    "def f(x):\n    return x + 1  # add\n\n\nclass A:\n\tpass\n", "if (a<=b && c!=d) { e += f[3]; } else { return -1; }",
    "naïve café Ünïcödé ÀÉÎÕÜ straße ﬁne ǅ ǆ Ǆ ŉ", "e\u0301 a\u0308\u0304 \u0301x x\u0301\u0302y \u200dz",
    "Привет, мир! ПРИВЕТ МИР Ещё раз", "Γειά σου Κόσμε ΓΕΙΑ ῥᾳδίως ᾿Αθῆναι \u1fbe \u2126 \u212a", "Բարեւ აბგ ᲐᲑᲒ Ⴀⴀ",
    "你好，世界！今天天气很好。", "日本語のテキスト、カタカナとひらがな。漢字ABC漢字123", "한국어 문장입니다. 조사와 어미", "中文English混合123文本",
    "مرحبا بالعالم كيف حالك؟", "שלום עולם מה שלומך", "नमस्ते दुनिया कैसे हो", "สวัสดีชาวโลก ภาษาไทย", "ສະບາຍດີ မင်္ဂလာပါ សួស្តី",
    "😀 😃👍🏽 👨‍👩‍👧‍👦 🇨🇭 ❤️ 🏳️‍🌈", "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u0085g\u000bh\u000ci", "x\u0000y\u0007z\u007f\u0080\ufffd\ue000",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β) ℓ ℵ ℂ", "€100 £20 ¥3000 ₿0.5 ©2026 ®™ § ¶ † ‡ • °C", "ｆｕｌｌｗｉｄｔｈ ＡＢＣ １２３ ！？",
    "𐐀𐐨 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𞤀𞤢 𑢠", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\n\n\n   \n\t\n x", "!!!???...,,,;;;", "( ) [ ] { }",
    "ʰʷ ªº ˈprɒnʌn ˌsɪˈeɪʃən", "ᏣᎳᎩ ᎤᏬᏂᎯᏍᏗ ꮳꮃꭹ", "ㄅㄆㄇ ゞヽ々〆ー", "\ufeffbom", "Ab中C dE中 中A aA中b AB中CD'S",
]
# What random texts are made of: something of every class that the patterns name.
PARTS = list("aZéÉßǅʰªاいア中한ґΩა\u0301\u093e0７²Ⅷ٣.,!'\"/\\-_$+<^~`€∑©😀 \t\n\r\u00a0\u3000\u2028\u0000\u200d\ue000") + [
    "'s", "'LL", "  ", "\r\n", "Hello", "WORLD", "123", "//", "()",
]


def corpus():
    rng = random.Random(20261129)
    texts = list(TEXTS)
    for _ in range(150):
        texts.append("".join(rng.choice(PARTS) for _ in range(rng.randint(2, 24))))
    return texts


def save(out, name, tokenizer, texts):
    folder = out / name
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    (folder / "ids.json").write_text(json.dumps({"texts": texts, "ids": ids}))


def byte_level(steps, texts, ignore_merges):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer = pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(texts * 3, trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"], show_progress=False))
    return t


def sentence_piece(words, size):
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    # Pieces begin with spaces while it learns, so that tokens may not reach over words.
    t.pre_tokenizer = pre_tokenizers.Split(Regex("▁+[^▁]*"), "isolated")
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    t.train_from_iterator(words, trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False))
    t.pre_tokenizer = None
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0),
    ])
    data = json.loads(t.to_str())
    # Byte tokens are no special tokens.
    data["added_tokens"] = [a for a in data["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def many_words():
    """Yields text with enough different words for a vocabulary of MiniCPM's size."""
    rng = random.Random(73448)
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"] + list("中文字的一是不了人我在有他这为之大来以个")
    words = ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 5))) for _ in range(80000)]
    for _ in range(2):
        rng.shuffle(words)
        for i in range(0, len(words), 50):
            yield " ".join(words[i:i + 50])


def main(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True)
    texts = corpus()
    pieces = {}
    for name, steps in SPLITS.items():
        sequence = pre_tokenizers.Sequence(steps)
        pieces[name] = [[end - start for _, (start, end) in sequence.pre_tokenize_str(text)] for text in texts]
        for text, lengths in zip(texts, pieces[name]):
            assert sum(lengths) == len(text), (name, text)
        save(out, name, byte_level(steps, texts, ignore_merges=name in ("llama-bpe", "tekken")), texts)
    lines = [json.dumps(text) for text in texts]
    kinds = [f"{json.dumps(name)}: {json.dumps(lists, separators=(',', ':'))}" for name, lists in pieces.items()]
    (out / "splits.json").write_text(
        '{"texts": [\n' + ",\n".join(lines) + '\n],\n"pieces": {\n' + ",\n".join(kinds) + "\n}}\n")
    save(out, "spm", sentence_piece(texts * 3, 900), texts)
    minicpm = sentence_piece(many_words(), 73448)
    save(out, "minicpm", minicpm, texts + list(many_words())[:20])
    print(f"minicpm has {minicpm.get_vocab_size()} tokens")


if __name__ == "__main__":
    main(sys.argv[1])
