"""Writes docs/results.md from the rows of `ablation.py`; computes nothing but mean and standard deviation."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ablation_rows import CHOICES, DATASETS, NO_NET, SHIPPED, VARIANTS, Row, said

Table = Iterable[Sequence[str]]
TITLES = {"ped2": "UCSD Ped2", "plaza": "Rendered plazas"}
STREAMS = {"recovery": "context recovery alone", "retrieval": "knowledge retrieval alone", "fused": "**fused**"}
SAID = {
    "window": "window",
    "score_l1": "λ of the score",
    "channel_l2": "channel-L2 error map",
    "crops": "over crops",
    "per_place": "relative to its place",
    "weight": "weight of retrieval",
}
WORDS = {"True": "yes", "False": "no"}
AUCS = ("micro", "macro", "causal micro", "causal macro")
WHERE = {"rbdc": "RBDC", "tbdc": "TBDC", "pixel_auc": "pixel AUC"}
AIM = 1.0  # points of regret, mean over seeds

INTRODUCTION = """\
# Results

Written by `bench/ablation.py` from [results.json](results.json), in which every finished row stands with its settings,
versions and machine. AUC of frames in %, regret in points; mean ± sample standard deviation over seeds where there are
several. How each metric is defined: [evaluation](evaluation.md).

## How to read them

- **Protocol.** Without a word a number is by [the paper's protocol](evaluation.md#the-papers-protocol): min-max over
  each video, Gaussian smoothing both ways. It looks into the future, and is what published numbers use. *Causal* is
  [the causal protocol](evaluation.md#the-causal-protocol): no frame after the one that is judged, a scale set on
  held-out normal video. A camera can run it.
- **Choices.** `small` and `demo` choose nothing: the score is the mean over all windows, each relative to its place,
  a fixed rule that was settled on Ped2 seed 1 and on plaza 11 ([experiments](experiments.md)). In the rows *outlines*
  and *squares* window, λ, error map, crops, place or not, and the weight are chosen in every run by pseudo-anomalies
  made of normal video. Test labels only judge.
- **RBDC, TBDC, pixel AUC** judge where a run's heat lies, as [evaluation](evaluation.md#where) tells.
- **No net**: the U-Net left untrained, so that the prediction is the last frame seen; all that follows is chosen and
  scored as usual, and retrieval keeps its encoder. What the U-Net is worth is the difference.
- **Regret**: the fused micro-AUC of the best candidate *by test labels*, less that of the run: of the rule, or in the
  rows *outlines* and *squares* of the one that pseudo-anomalies chose. Only reported: nothing is ever set by it. The
  best of many on so few videos is partly luck, so regret is an upper bound of what a better choice could give.
"""

PUBLISHED = """\
## Published numbers

Micro / macro AUC of frames, %, as their authors give them.

| | Ped2 | Avenue | ShanghaiTech | Corridor | protocol |
|---|---|---|---|---|---|
| the paper (Cao, Lu, Zhang 2024): full size, Kinetics | 97.1 / – | 90.8 / 93.0 | 83.7 / 90.8 | – | the paper's |
| LLSH, its predecessor, one stream | – | 87.4 / 88.6 | 77.6 / 85.9 | 73.5 / – | not checked |
| AED-MAE (2024) | 95.4 / – | 91.3 / 90.9 | 79.1 / 84.7 | – | not checked |
| best found, object-centric or not | 99.7 | 94.3 | 87–88 | 76.4 | differs, not checked |
"""

SPLITS = """
The paper and this program learn from normal video only and are judged on the datasets' own test videos: Ped2 12 (2,010
frames, 82.0 % anomalous), Avenue 21 (15,324; 25.2 %), ShanghaiTech 107 (40,791; 42.5 %), Corridor 150 (181,567;
59.6 %). Weakly supervised methods, with numbers near 98 for "ShanghaiTech", are given anomalous videos to learn from:
that is another split of the videos, and compares with nothing here. Where "not checked" stands, the number is quoted
without knowing how scores were normalised and smoothed. The full-size recipes of this program have not been run.
Rendered plazas are this program's own: nobody else has numbers on them.
"""


def render(rows: Sequence[Row]) -> str:
    """The page."""
    parts = [INTRODUCTION]
    for dataset, title in TITLES.items():
        parts.append(f"## {title}, recipe `{DATASETS[dataset]}`\n")
        own = [row for row in rows if row.dataset == dataset]
        if not any(row.variant == SHIPPED for row in own):
            parts.append("No row of the recipe as it is has been measured yet.\n")
            continue
        parts += sections(own)
    return "\n".join([*parts, published(rows) + SPLITS])


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """All that is said of one dataset."""
    base, bare = of(rows, SHIPPED), of(rows, NO_NET)
    seeds = ", ".join(str(row.seed) for row in base)
    shared = "those that a variant shares with the run of the recipe as it is counted too"
    yield f"Seeds {seeds}; {machines(base)}. Minutes are those of all stages of `tsvad fit`,\n{shared}.\n"
    heads = ("", *AUCS, *WHERE.values(), "minutes", "regret")
    yield table(heads, main_table(rows, len(base)))
    yield "".join(f"- *{title(name)}*: {VARIANTS[name].about}.\n" for name in VARIANTS if of(rows, name))
    heads = ("seed", *AUCS, *WHERE.values(), "minutes", "regret", "no net: micro", "window")
    yield table(heads, seed_table(base, bare))
    yield f"The score: {chosen(base)}.{' Without the net: ' + chosen(bare) + '.' if bare else ''}\n"
    if any(row.kinds for row in base):
        yield "### By kind of event\n\nAUC of the fused score in the test videos that show it.\n"
        yield table(("", "mean", "least", *(f"seed {row.seed}" for row in base)), kind_table(base))
    yield "### One choice changed, the rest as chosen\n"
    yield (
        "Not fitted anew: recomputed from what each run keeps. Where a causal score would need the scale of held-out "
        "video for\nanother window, there is none.\n"
    )
    heads = ("", "chosen in", "recovery micro", "recovery macro", *AUCS, "no net: recovery micro", "no net: micro")
    yield table(heads, choice_table(base, bare))
    yield "### Regret\n"
    yield table(("", "regret", "most", "no net", "test labels would take"), regret_table(base, bare))


def main_table(rows: Sequence[Row], seeds: int) -> Table:
    """A line a variant and stream; place, minutes and regret belong to the fused score."""
    for name, variant in VARIANTS.items():
        own = of(rows, name)
        for stream in variant.streams if own else ():
            label = STREAMS[stream] if name == SHIPPED else f"{title(name)}: {STREAMS[stream].strip('*')}"
            label += f" ({len(own)} of {seeds} seeds)" if len(own) != seeds else ""
            aucs = [spread(row.streams[stream].get(auc) for row in own) for auc in AUCS]
            yield label, *aucs, *(whole(own) if stream == "fused" else [""] * (len(WHERE) + 2))


def seed_table(base: Sequence[Row], bare: Sequence[Row]) -> Table:
    """A line a seed, of the fused score."""
    for row in base:
        without = [other for other in bare if other.seed == row.seed]
        aucs = [spread([row.streams["fused"].get(auc)]) for auc in AUCS]
        bare_micro = spread(other.streams["fused"]["micro"] for other in without)
        yield str(row.seed), *aucs, *whole([row]), bare_micro, said(row.chosen["window"])


def whole(rows: Sequence[Row]) -> list[str]:
    """What belongs to a run as a whole: place, minutes, regret."""
    where = [spread(row.where.get(key) for row in rows) for key in WHERE]
    return [*where, spread(row.minutes for row in rows), spread(row.regret["all"].points for row in rows)]


def kind_table(base: Sequence[Row]) -> Table:
    """A line a kind of event."""
    for kind in sorted({kind for row in base for kind in row.kinds}):
        own = [row.kinds.get(kind) for row in base]
        least = min(value for value in own if value is not None)
        yield kind.replace("_", " "), spread(own), f"{least:.1f}", *(spread([value]) for value in own)


def choice_table(base: Sequence[Row], bare: Sequence[Row]) -> Table:
    """A line a value of each choice."""
    for choice in CHOICES:
        values = dict.fromkeys(value for row in base for value in row.options[choice])
        for value in values if len(values) > 1 else ():
            taken = sum(said(row.chosen[choice]) == value for row in base)

            def cell(rows: Sequence[Row], auc: str, choice: str = choice, value: str = value) -> str:
                return spread(row.options.get(choice, {}).get(value, {}).get(auc) for row in rows)

            own = [cell(base, auc) for auc in ("recovery micro", "recovery macro", *AUCS)]
            without = [cell(bare, auc) for auc in ("recovery micro", "micro")]
            yield f"{SAID[choice]}: {WORDS.get(value, value)}", f"{taken} of {len(base)}", *own, *without


def regret_table(base: Sequence[Row], bare: Sequence[Row]) -> Table:
    """A line for all choices together, and one for each by itself."""
    together = {
        "open": "all that the recipe leaves open",
        "all": f"all, also what the recipe fixes (aim: at most {AIM:g})",
    }
    fixed = {name for row in base for name in row.fixed}
    alone = {
        name: f"{SAID[name]} only{', fixed by the recipe' if name in fixed else ''}"
        for name in CHOICES
        if len({value for row in base for value in row.options[name]}) > 1
    }
    for name, label in (together | alone).items():
        points = [row.regret[name].points for row in base]
        best = counted(best_of(row, name) for row in base) if name in alone else ""
        yield label, spread(points), f"{max(points):.1f}", spread(row.regret[name].points for row in bare), best


def best_of(row: Row, choice: str) -> str:
    """The value that test labels would have taken, all else as chosen."""
    value = said(row.regret[choice].best[choice])
    return WORDS.get(value, value)


def published(rows: Sequence[Row]) -> str:
    """The published numbers, with our own of Ped2 below."""
    own, lines = [row for row in of(rows, SHIPPED) if row.dataset == "ped2"], ""
    for prefix, protocol in (("", "the paper's"), ("causal ", "causal")) if own else ():
        aucs = " / ".join(spread(row.streams["fused"].get(f"{prefix}{auc}") for row in own) for auc in AUCS[:2])
        lines += f"| this program, recipe `small` | {aucs} | – | – | – | {protocol} |\n"
    return PUBLISHED + lines


def chosen(rows: Sequence[Row]) -> str:
    """What was chosen, and how often where seeds differ."""
    facts = []
    for choice in CHOICES:
        taken = counted(WORDS.get(value, value) for value in (said(row.chosen[choice]) for row in rows))
        facts.append(f"{SAID[choice]} {taken}{' (fixed)' if choice in rows[0].fixed else ''}")
    return "; ".join(facts)


def machines(rows: Sequence[Row]) -> str:
    """What they were fitted on."""
    return counted(
        f"{row.machine.get('device')} ({row.machine.get('processor')}), {row.machine.get('threads')} threads, "
        f"torch {row.versions.get('torch')}"
        for row in rows
    )


def counted(values: Iterable[str]) -> str:
    """Values, the most frequent first, and how many times where they differ."""
    found = Counter(values).most_common()
    return found[0][0] if len(found) == 1 else ", ".join(f"{value} (× {times})" for value, times in found)


def spread(values: Iterable[float | None]) -> str:
    """Mean ± sample standard deviation; a dash where some are not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    if not found or len(known) < len(found):
        return "–"
    mean = f"{statistics.fmean(known):.1f}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.1f}"


def title(variant: str) -> str:
    """A variant's name in a table."""
    return variant.replace("-", " ")


def of(rows: Sequence[Row], variant: str) -> list[Row]:
    """The rows of one variant."""
    return [row for row in rows if row.variant == variant]


def table(heads: Sequence[str], lines: Table) -> str:
    """Markdown."""
    out = [heads, ["---"] * len(heads), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in out)
