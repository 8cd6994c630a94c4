"""Prints the tables of docs/scale.md from measured unit costs and assumed prices."""

from __future__ import annotations

# Measured, see docs/research/results.md: SmolLM2-135M, artifact "fast", two cores of an AMD EPYC.
SCAN = 4386 / 2  # tokens a second and core
ENCODING = 0.130  # share of the scan that is features and index: it is done on CPUs
PLAIN = 1759 / 2  # tokens a second and core of the whole host's forward pass
MINILM = 7627 / 2  # tokens a second and core of MiniLM-L6, float32
INDEX_BYTES = 40  # a token, texts excluded
FIXED, PER_MILLION = (
    0.050,
    (0.132 - 0.050) / 0.9,
)  # seconds a question on two cores: host, and a million tokens

# Assumed.
TEXT_BYTES = 4.5  # a token, with ids and JSON
PARAMETERS = {"135 M": 0.106, "360 M": 0.315, "1.7 B": 1.6, "8 B": 7.0}  # billions, without embeddings
EMBEDDER = {
    "BGE-small": MINILM / 2,
    "0.6 B embedding model": PLAIN * 0.106 / 0.44,
}  # 12 layers to 6; 0.44 G weights
VECTOR_BYTES = {"BGE-small": 384 * 4 / 128, "0.6 B embedding model": 1024 * 4 / 128}  # a window of 128 tokens
CPU_HOUR, GPU_HOUR = 0.045, 3.00  # dollars, of a core and of a card
GPU_FLOPS = {"135 M": 60e12, "360 M": 120e12, "1.7 B": 250e12, "8 B": 350e12}  # reached, bfloat16
GB_MONTH, PUT, GET = 0.023, 5e-6, 0.4e-6  # dollars, of object storage
PACK = 1 << 20  # bytes of text that become one segment
SHARD = 10e6  # tokens
CORPORA = {"1 G": 1e9, "100 G": 100e9, "10 T": 10e12}


def scan_rate(host: str) -> float:
    """Tokens a second and core: the host's part grows with its weights, features and index do not."""
    token = 1 / SCAN
    return 1 / (token * ENCODING + token * (1 - ENCODING) * PARAMETERS[host] / PARAMETERS["135 M"])


def gpu_rate(host: str) -> float:
    """Tokens a second and card: two operations a weight, of the layers up to the deepest tap."""
    return GPU_FLOPS[host] / (2e9 * PARAMETERS[host] * PLAIN / (SCAN / (1 - ENCODING)))


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table of Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def money(dollars: float) -> str:
    """Say what something costs."""
    return f"${dollars:,.2f}" if dollars < 10 else f"${dollars:,.0f}"


def main() -> None:
    """Print all tables."""
    hours = 3600.0
    rows = []
    for host in PARAMETERS:
        cpu, gpu = scan_rate(host), gpu_rate(host)
        cores = gpu * ENCODING / SCAN
        cost_gpu = 1e6 / gpu / hours * (GPU_HOUR + cores * CPU_HOUR)
        rows.append(
            [
                f"S3, host of {host}",
                f"{cpu:,.0f}",
                f"${1e6 / cpu / hours * CPU_HOUR:.4f}",
                f"{gpu / 1e3:,.0f} K",
                f"{cores:,.1f}",
                f"${cost_gpu:.4f}",
            ]
        )
    rows += [
        [name, f"{rate:,.0f}", f"${1e6 / rate / hours * CPU_HOUR:.4f}", "", "", ""]
        for name, rate in EMBEDDER.items()
    ]
    table(
        [
            "",
            "tokens/s and core",
            "$ per M tokens, CPU",
            "tokens/s and GPU",
            "cores beside a GPU",
            "$ per M tokens, GPU",
        ],
        rows,
    )

    rows = []
    for name, tokens in CORPORA.items():
        packs = tokens * TEXT_BYTES / PACK
        total = tokens * (INDEX_BYTES + TEXT_BYTES)
        row = [
            name,
            f"{tokens * INDEX_BYTES / 1e12:,.2f} TB",
            f"{total / 1e12:,.2f} TB",
            money(total / 1e9 * GB_MONTH),
            f"{2 * packs:,.0f}",
            money(2 * packs * PUT),
        ]
        row += [f"{tokens * size / 1e12:,.3f} TB" for size in VECTOR_BYTES.values()]
        rows.append(row)
    table(
        [
            "tokens",
            "index",
            "with texts",
            "a month",
            "PUTs",
            "they cost",
            *(f"vectors of {one}" for one in EMBEDDER),
        ],
        rows,
    )

    rows = []
    for name, tokens in CORPORA.items():
        for host in ("135 M", "8 B"):
            core_hours = tokens / scan_rate(host) / hours
            gpu_hours = tokens / gpu_rate(host) / hours
            rows.append(
                [
                    name,
                    host,
                    f"{core_hours:,.0f}",
                    f"{core_hours / 1000 / 24:,.1f} days",
                    f"{gpu_hours:,.1f}",
                    money(core_hours * CPU_HOUR),
                ]
            )
    table(["tokens", "host", "core hours", "on 1,000 cores", "or GPU hours", "on cores"], rows)

    rows = []
    for name, tokens in {"10 M": 1e7, **CORPORA}.items():
        shards = tokens / SHARD
        busy = 2 * (FIXED + PER_MILLION * tokens / 1e6)
        seconds = FIXED + PER_MILLION * SHARD / 1e6
        rows.append(
            [
                name,
                f"{shards:,.0f}",
                f"{seconds:.1f} s",
                f"{busy:,.0f} core s",
                f"${busy / hours * CPU_HOUR:,.5f}",
                f"{shards * 200 / 1e3:,.1f} MB",
            ]
        )
    table(
        [
            "tokens",
            "shards of 10 M",
            "a question takes",
            "and keeps busy",
            "which costs",
            "network at 200 KB a shard",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
