"""Makes the checkpoints and logits in testdata with Hugging Face's transformers.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make.py testdata

Each model is tiny, has random ternary weights with a scale for each 128 columns (as
the Bonsai models have), and everything else is random in binary16, so that a conversion
loses nothing. Logits are computed in float32, with rounding nowhere.

Models for vectors of texts have one scale for each matrix and a norm of its own input in
each projection (as the BitNet embeddings have), and the files of sentence-transformers.
"""

import gzip
import json
import pathlib
import sys

import torch
from safetensors.torch import save
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    Gemma3TextConfig, Gemma3TextModel, Qwen3Config, Qwen3ForCausalLM, Qwen3Model, Qwen3_5ForCausalLM, Qwen3_5TextConfig,
)

VOCAB = 288  # a few more than the tokenizer has
GROUP = 128
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

COMMON = dict(
    vocab_size=VOCAB, hidden_size=128, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2,
    head_dim=64, max_position_embeddings=128, rms_norm_eps=1e-6, eos_token_id=258,
)
MODELS = {
    "qwen3": (
        Qwen3ForCausalLM, QWEN2,
        Qwen3Config(
            num_hidden_layers=2, tie_word_embeddings=True, **COMMON,
            rope_parameters={
                "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32,
            },
        ),
    ),
    "qwen35": (
        Qwen3_5ForCausalLM, QWEN35,
        Qwen3_5TextConfig(
            num_hidden_layers=4, tie_word_embeddings=False, **COMMON,
            linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=64, linear_value_head_dim=64,
            rope_parameters={"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25},
        ),
    ),
}
EMBEDDINGS = {
    "qwen3_embedding": (
        Qwen3Model, QWEN2, "lasttoken",
        Qwen3Config(
            num_hidden_layers=2, tie_word_embeddings=False, **COMMON,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        ),
    ),
    "gemma3_embedding": (
        Gemma3TextModel, QWEN2, "mean_tokens",
        Gemma3TextConfig(
            num_hidden_layers=3, **COMMON | dict(num_key_value_heads=1, query_pre_attn_scalar=64), sliding_window=8,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters={
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 2.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        ),
    ),
}


class NormedLinear(torch.nn.Linear):
    """A projection with a norm of its own input."""

    def __init__(self, like, eps):
        super().__init__(like.in_features, like.out_features, bias=False)
        self.norm = torch.nn.RMSNorm(like.in_features, eps=eps)

    def forward(self, x):
        return super().forward(self.norm(x))


def ternary(shape, group=GROUP):
    """Returns random trits times a random scale for each group of columns."""
    rows, cols = shape
    trits = torch.randint(-1, 2, (rows, cols // group, group)).float()
    scales = (0.5 + torch.rand(rows, cols // group, 1)) * (1.5 / cols) ** 0.5
    return (trits * scales.half().float()).reshape(rows, cols)


def fill(model, whole=False):
    """Gives every parameter random values that binary16 holds; whole: matrices have one scale."""
    for name, p in model.named_parameters():
        if whole and p.dim() == 2 and "proj" in name:
            value = ternary((1, p.numel()), p.numel()).reshape(p.shape) * p.shape[0] ** 0.5
            value = value.sign() * value.abs().max().half().float()
        elif p.dim() == 2 and not name.endswith(("in_proj_a.weight", "in_proj_b.weight")):
            value = ternary(p.shape)
        elif name.endswith("A_log"):
            value = torch.rand(p.shape) * 2 - 1
        elif "norm" in name:
            # Norms whose weight is an offset from 1 begin with zeros.
            value = p.data.round() + torch.rand(p.shape) - 0.5
        else:
            value = torch.randn(p.shape) / p.shape[-1] ** 0.5
        p.data.copy_(value.half().float())


def tokenizer(pattern):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return t


def main(root):
    for i, (name, (cls, pattern, config)) in enumerate(MODELS.items()):
        torch.manual_seed(i)
        folder = pathlib.Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
        config._attn_implementation = "eager"
        model = cls(config).float().eval()
        fill(model)
        model.tie_weights()
        ids = torch.randint(0, 256, (1, 40))
        with torch.no_grad():
            logits = model(ids).logits[0]
        state = model.state_dict()
        if config.tie_word_embeddings:
            state.pop("lm_head.weight", None)
        write(folder, state, config, cls, pattern, ids[0].tolist())
        (folder / "logits.f32").write_bytes(logits.float().numpy().astype("<f4").tobytes())


def write(folder, state, config, cls, pattern, ids):
    data = save({k: v.half().contiguous() for k, v in state.items()}, metadata={"format": "pt"})
    (folder / "model.safetensors.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    text = config.to_dict() | {"architectures": [cls.__name__]}
    (folder / "config.json").write_text(json.dumps(text, indent=1) + "\n")
    tokenizer(pattern).save(str(folder / "tokenizer.json"))
    (folder / "tokens.json").write_text(json.dumps(ids) + "\n")


def embeddings(root):
    for i, (name, (cls, pattern, mode, config)) in enumerate(EMBEDDINGS.items()):
        torch.manual_seed(100 + i)
        folder = pathlib.Path(root) / name
        (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
        config._attn_implementation = "eager"
        model = cls(config).float().eval()
        for path, module in list(model.named_modules()):
            if isinstance(module, torch.nn.Linear):
                parent, last = path.rsplit(".", 1)
                setattr(model.get_submodule(parent), last, NormedLinear(module, config.rms_norm_eps))
        fill(model, whole=True)
        ids, vectors = [], []
        for length in (40, 5, 1):
            tokens = torch.randint(0, 256, (1, length))
            with torch.no_grad():
                states = model(tokens).last_hidden_state[0]
            vector = states[-1] if mode == "lasttoken" else states.mean(0)
            vectors.append(vector / vector.norm())
            ids.append(tokens[0].tolist())
        write(folder, model.state_dict(), config, cls, pattern, ids)
        (folder / "vectors.f32").write_bytes(torch.stack(vectors).numpy().astype("<f4").tobytes())
        (folder / "1_Pooling" / "config.json").write_text(
            json.dumps({"word_embedding_dimension": config.hidden_size, "pooling_mode_" + mode: True}, indent=1) + "\n")
        kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
        (folder / "modules.json").write_text(json.dumps([
            {"idx": n, "name": str(n), "path": path, "type": "sentence_transformers.models." + kind}
            for n, (path, kind) in enumerate(kinds.items())
        ], indent=1) + "\n")


main(sys.argv[1])
embeddings(sys.argv[1])
