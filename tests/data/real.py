#!/usr/bin/env python3
"""Runs `tunesmith dataset` and `tunesmith plan` over real datasets.

    python3 tests/data/real.py TUNESMITH [FILE.jsonl ...]

fetches the PyPI package chitchat-dataset (MIT licence): 7,168 conversations, of which some
3,000 were never answered. Check has to find those, and conversion to leave them out. The
rest, and the given files of OpenAI chat rows, are taken through check, stats, conversion to
every format and back, split, and a plan for every provider. The data is not kept. It stops
at the first thing that is not as it should be.
"""

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

PACKAGE = "chitchat-dataset==0.9.0"
CONVERSATIONS = 7168


def fetch(folder: Path) -> Path:
    """The package's conversations as chat rows: who begins is the user."""
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--dest", folder, PACKAGE]
    subprocess.run(pip, check=True)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        data = json.loads(archive.read("chitchat_dataset/dataset.json"))
    assert len(data) == CONVERSATIONS, f"{len(data)} conversations"
    out = folder / "raw.jsonl"
    with out.open("w", encoding="utf-8") as file:
        for n, conversation in enumerate(data.values()):
            texts = ["\n".join(part["text"] for part in turn) for turn in conversation["messages"]]
            # Nothing is learned from what was said after the last answer.
            texts = texts[: max(len(texts) // 2 * 2, 1)]
            roles = ["user", "assistant"] * len(texts)
            messages = [{"role": role, "content": text} for role, text in zip(roles, texts)]
            file.write(json.dumps({"messages": messages}, ensure_ascii=n % 2 == 0) + "\n")
    return out


def answered(tunesmith: str, raw: Path, folder: Path) -> Path:
    """The conversations that can be learned from, by the program's own judgement."""
    out = folder / "chitchat.jsonl"
    rows = rows_of(raw)
    good = [row for row in said(rows) if len(row) > 1 and all(text.strip() for role, text in row if role == "assistant")]
    print(f"{raw.name}: {len(rows)} rows, {raw.stat().st_size} bytes")
    verdict = run(tunesmith, "dataset", "check", raw, code=3)["verdict"]
    print("           " + ", ".join(f"{count['count']} {count['kind']} ({count['severity']})" for count in verdict["counts"]))
    made = run(tunesmith, "dataset", "convert", raw, "--drop-invalid", "--out", out)
    assert made["rows"] == len(rows)
    assert made["rowsWritten"] + sum(made["leftOut"].values()) == len(rows)
    assert said(rows_of(out)) == good
    return out


def run(tunesmith: str, *args: object, code: int = 0) -> dict:
    command = [tunesmith, *map(str, args), "--json"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    taken = time.monotonic() - started
    words = [arg if "/" not in str(arg) else Path(str(arg)).name for arg in map(str, args)]
    print(f"{taken:7.2f} s  tunesmith {' '.join(words)}")
    assert done.returncode == code, f"exit code {done.returncode}: {done.stdout[:2000]}{done.stderr}"
    return json.loads(done.stdout)


def rows_of(path: Path) -> list:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def said(rows: list) -> list:
    return [[(message["role"], message["content"]) for message in row["messages"]] for row in rows]


def take_through(tunesmith: str, file: Path, folder: Path) -> None:
    rows = rows_of(file)
    print(f"\n{file.name}: {len(rows)} rows, {file.stat().st_size} bytes")
    found = run(tunesmith, "dataset", "check", file)
    assert found["rows"] == len(rows)
    counts = {f"{count['kind']} ({count['severity']})": count["count"] for count in found["verdict"]["counts"]}
    print(f"           {counts or 'no problems'}")
    figures = run(tunesmith, "dataset", "stats", file, "--provider", "openai")["figures"]
    assert figures["rows"] == len(rows)
    assert sum(figures["roles"].values()) == sum(len(row["messages"]) for row in rows)
    print(f"           {figures['counting']}")
    exact = run(tunesmith, "dataset", "stats", file, "--provider", "openai", "--exact")["figures"]["counting"]
    assert exact["exact"]
    off = figures["counting"]["total"] / exact["total"] - 1
    print(f"           exactly {exact['total']} tokens: the first figure is {100 * off:+.2f} % off")
    for to in ["openai", "sharegpt", "alpaca", "prompt-completion"]:
        there, back = folder / f"{to}.jsonl", folder / f"{to}-back.jsonl"
        made = run(tunesmith, "dataset", "convert", file, "--to", to, "--out", there, "--force")
        assert made["rowsWritten"] == len(rows), made["leftOut"]
        assert not made["lost"], made["lost"]
        run(tunesmith, "dataset", "convert", there, "--to", "openai", "--out", back, "--force")
        assert said(rows_of(back)) == said(rows), f"not the same by way of {to}"
    for to in ["openai-preference", "preference", "text"]:
        run(tunesmith, "dataset", "convert", file, "--to", to, "--out", folder / "none.jsonl", code=3)
    train, validation = folder / "train.jsonl", folder / "validation.jsonl"
    run(tunesmith, "dataset", "split", file, "--validation", 0.1, "--out", train, validation, "--force")
    lines = file.read_text(encoding="utf-8").split("\n")
    parts = [part.read_text(encoding="utf-8").split("\n") for part in (train, validation)]
    assert sorted(parts[0] + parts[1]) == sorted(lines + [""])
    assert not {*parts[0]} & {*parts[1]} - {""}
    print(f"           {len(parts[0]) - 1} and {len(parts[1]) - 1} rows")
    for provider, model in [
        ("ollama", "llama3.2"),
        ("openai", "gpt-4.1-mini-2025-04-14"),
        ("local", "HuggingFaceTB/SmolLM2-135M"),
    ]:
        job = {"name": "real", "dataset": str(file), "baseModel": model, "provider": provider}
        job["hyperparameters"] = {"method": "lora"}
        if provider == "openai":
            job |= {"dataset": str(train), "validation": str(validation)}
        (folder / "job.json").write_text(json.dumps(job))
        first = run(tunesmith, "plan", folder / "job.json")
        again = run(tunesmith, "plan", folder / "job.json")
        assert first["digest"] == again["digest"]


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tunesmith, *files = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chitchat = answered(tunesmith, fetch(folder), folder)
        for file in [chitchat, *map(Path, files)]:
            take_through(tunesmith, file, folder)
    print("\nall is as it should be")


main()
