"""zoo-merge beside PEFT's merge_and_unload with conversion: time and peak memory, in processes of their own.

pytest benchmarks/test_bench_merge.py -s

The model is a random LLaMA of VOXZOO_BENCH_MERGE_WIDTH (default 768) and 8 blocks, 32768 tokens.
"""

import json
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("gguf")

from _ratio import ratio_report  # noqa: E402

from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.networks import llava_nano  # noqa: E402
from voxzoo.zoo.ggufheader import read_gguf_header  # noqa: E402

WIDTH = int(os.environ.get("VOXZOO_BENCH_MERGE_WIDTH", "768"))
TARGET = r".*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
OURS = """
from voxzoo.export.merge_cli import command
command(["--base", a, "--adapter", b, "--out", c], standalone_mode=False)
"""
PEERS = """
import torch
from pathlib import Path
from peft import PeftModel
from transformers import AutoTokenizer, LlamaForCausalLM
from voxzoo.export.gguf.convert import convert
torch.set_num_threads(1)
model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(a), b).merge_and_unload()
model.save_pretrained(c + "/hf")
AutoTokenizer.from_pretrained(a).save_pretrained(c + "/hf")
convert(Path(c) / "hf", Path(c), "f32")
"""
#: The peak is that of the process alone; ru_maxrss would hand down its parent's.
FRAME = r"""
import json, re, sys, time
a, b, c = sys.argv[1:]
start, cpu = time.perf_counter(), time.process_time()
{body}
peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([time.perf_counter() - start, time.process_time() - cpu, peak]))
"""


def model(folder):
    """A checkpoint, its GGUF in F32, and an adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = llava_nano.build_processor().tokenizer
    config = LlamaConfig(
        vocab_size=32768, hidden_size=WIDTH, intermediate_size=3 * WIDTH, num_hidden_layers=8,
        num_attention_heads=WIDTH // 64, num_key_value_heads=WIDTH // 128, tie_word_embeddings=True,
        bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    network = LlamaForCausalLM(config)
    network.save_pretrained(folder / "hf")
    tokens.save_pretrained(folder / "hf")
    base = convert(folder / "hf", folder / "base", "f32").text
    adapted = get_peft_model(network, LoraConfig(r=16, lora_alpha=16, target_modules=TARGET))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    adapted.save_pretrained(folder / "lora")
    return folder / "hf", base, folder / "lora"


def alone(body, *arguments):
    """(seconds, CPU seconds, peak MiB) of a script in a fresh process."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    run = subprocess.run(
        [sys.executable, "-c", FRAME.format(body=body), *map(str, arguments)],
        env={**os.environ, **threads, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(run.stdout.strip().splitlines()[-1])


@pytest.mark.benchmark(group="merge")
def test_beside_peft(benchmark, tmp_path, capsys):
    checkpoint, base, adapter = model(tmp_path)
    ours = min(alone(OURS, base, adapter, tmp_path / f"ours{i}") for i in range(2))
    peers = min(alone(PEERS, checkpoint, adapter, tmp_path / f"peers{i}") for i in range(1))
    header = read_gguf_header(base)
    largest = max(t.count for t in header.tensors.values()) * 4 / 2**20
    assert ours[2] <= largest + 400
    merged = (tmp_path / "ours0" / base.name).read_bytes()
    (wanted,) = (tmp_path / "peers0").glob("*.gguf")
    data = read_gguf_header(wanted)
    mine = read_gguf_header(tmp_path / "ours0" / base.name)
    assert merged[mine.data_start :] == wanted.read_bytes()[data.data_start :]
    ratio_report("zoo-merge, CPU time", ours[1], {"merge_and_unload + conversion": peers[1]})
    benchmark.extra_info.update(ours=ours, peers=peers, largest_mib=largest)
    benchmark.pedantic(alone, args=(OURS, base, adapter, tmp_path / "again"), rounds=1)
    with capsys.disabled():
        size = header.size / 2**20
        print(f"\nmodel of {size:.0f} MiB in F32, largest tensor {largest:.0f} MiB; one thread")
        for name, (wall, cpu, peak) in (("zoo-merge", ours), ("merge_and_unload + conversion", peers)):
            print(f"  {name:30} {wall:6.1f} s  CPU {cpu:6.1f} s  peak {peak:7.0f} MiB")
