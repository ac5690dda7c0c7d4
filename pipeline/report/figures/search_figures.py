"""The figures of the search: the best loss so far against FLOPs, and each strategy's trials on parallel axes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import rankdata

from pipeline.report.figures.drawing import INK, LINE, MUTED, SURFACE, Picture, SeriesStyle, blank, columns, flops_axis
from pipeline.verdict.formatting import quantity

FIXED = frozenset({"trial", "state", "confirms", "value", "epochs", "flops", "failed"})
MOST_AXES = 9
MOST_TRIALS = 160  # drawn as lines or marks of one strategy: the best ones
FEW = 8  # trials below which no rank correlation is given


def pictures(trials: Mapping[str, pd.DataFrame], loss: str = "log loss") -> dict[str, Picture]:
    """Return the figures of the searches, by name, from the tables of tune; `loss` is what they minimise."""
    found = [progress(trials, loss)] if trials else []
    found += [parallel(name, table, SeriesStyle.of(list(trials))[name]) for name, table in sorted(trials.items())]
    return {picture.name: picture for picture in found}


def searched(table: pd.DataFrame) -> list[str]:
    """Return the settings in which the trials of a table differ."""
    names = [str(c) for c in table if str(c) not in FIXED and not str(c).startswith("valid_")]
    return [name for name in names if table[name].nunique() > 1]


def _complete(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["state"].isin(("COMPLETE", "CONFIRMED")) & np.isfinite(pd.to_numeric(table["value"], errors="coerce"))


def _candidates(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which trials the winner is the best of: those confirmed with the whole recipe, if there are any."""
    confirmed = table["state"] == "CONFIRMED"
    return _complete(table) & (confirmed if confirmed.any() else True)


def trial_ranks(table: pd.DataFrame) -> np.ndarray:
    """Return each trial's rank, from 1: those trained to the end before those pruned, then by loss; no loss last."""
    value = pd.to_numeric(table["value"], errors="coerce").replace([np.inf, -np.inf], np.nan).fillna(np.inf)
    keys = pd.DataFrame(
        {"early": ~_candidates(table), "pruned": ~_complete(table), "epochs": -table["epochs"], "value": value}
    )
    return rankdata(keys.groupby(list(keys), sort=True).ngroup())


def progress(trials: Mapping[str, pd.DataFrame], loss: str = "log loss") -> Picture:
    """Return the best validation loss so far against the FLOPs spent on trials."""
    parts = []
    for name, table in sorted(trials.items()):
        done, spent = _complete(table), quantity(table["flops"].sum()).strip()
        best = f"best {table['value'][_candidates(table)].min():.3f}" if done.any() else "none trained to the end"
        parts.append(f"{name}: {len(table)} trials, {int(done.sum())} trained to the end, {best}, {spent}")
    text = f"Best validation {loss} so far against the FLOPs spent on trials. {'; '.join(parts)}."

    def drawn(width: float) -> Figure:
        figure = blank(width, 3.9 if width < 6 else 3.6)
        _progress(figure.subplots(), trials, loss)
        most = min(columns(trials, width), 2 if width < 6 else 4)
        figure.legend(loc="outside upper left", ncols=most, frameon=False, labelcolor="linecolor")
        return figure

    return Picture("search", "Search: best loss so far", text, drawn)


def _progress(axes: Axes, trials: Mapping[str, pd.DataFrame], loss: str) -> None:
    looks, kept = SeriesStyle.of(list(trials)), []
    for name, table in sorted(trials.items()):
        look, done = looks[name], _complete(table).to_numpy()
        spent, value = table["flops"].cumsum().to_numpy(), pd.to_numeric(table["value"], errors="coerce").to_numpy()
        # A proxy's losses are not those of the whole recipe: the line begins anew with the first trial that confirms.
        best = (
            pd.Series(np.where(done, value, np.nan)).groupby(table["state"].eq("CONFIRMED").to_numpy()).cummin().ffill()
        )
        axes.plot(spent, best, color=look.colour, ls=look.dashes, marker=look.marker, markevery=[-1], label=name,
                  drawstyle="steps-post", zorder=3)  # fmt: skip
        pale = ~done & (trial_ranks(table) <= MOST_TRIALS)
        axes.scatter(spent[pale], value[pale], s=14, color=look.colour, alpha=0.28, marker=look.marker, lw=0)
        axes.scatter(
            spent[done], value[done], s=26, color=look.colour, marker=look.marker, lw=0.6, edgecolors=SURFACE[0]
        )
        kept += list(value[done])
    axes.set_ylabel(f"validation {loss}")
    spent = np.concatenate([table["flops"].cumsum() for table in trials.values()])
    axes.set_xlim(max(spent.min(), 1) / 2, max(spent.max(), 1) * 2)  # also where no trial has a loss to be drawn
    flops_axis(axes, "FLOPs spent on trials")
    if kept:
        axes.set_ylim(top=max(kept) + 0.8 * (max(kept) - 0.9 * min(kept)))


def parallel(name: str, table: pd.DataFrame, look: SeriesStyle) -> Picture:
    """Return a strategy's trials as lines over the settings searched: the best bold, pruned ones pale."""
    keys, done = searched(table)[:MOST_AXES], _complete(table)
    if done.any():
        best = table.iloc[int(np.nanargmin(table["value"].where(_candidates(table)).to_numpy(dtype=float)))]
        chosen = ", ".join(f"{key} {_shown(best[key])}" for key in keys)
        end = f"The best reached a validation log loss of {best['value']:.3f}" + (f" with {chosen}." if chosen else ".")
    else:
        end = "None was trained to the end."
    many = f"; the best {MOST_TRIALS} are drawn" if len(table) > MOST_TRIALS else ""
    text = f"{len(table)} trials of {name}, {int((~done).sum())} of them pruned{many}. {end}"

    def drawn(width: float) -> Figure:
        figure = blank(width, 3.1 if width < 6 else 2.9)
        _parallel(figure.subplots(), table, keys, done, look, width)
        return figure

    return Picture(f"trials_{name}", f"Trials of {name}", text, drawn)


def _parallel(
    axes: Axes, table: pd.DataFrame, keys: list[str], done: "pd.Series[bool]", look: SeriesStyle, width: float
) -> None:
    finite = np.isfinite(pd.to_numeric(table["value"], errors="coerce")) & (trial_ranks(table) <= MOST_TRIALS)
    shown, columns = table[finite], [*keys, "value"]
    placed = [_placed(shown[key]) for key in columns]
    heights = np.array([places for places, _ in placed]).reshape(len(columns), len(shown))
    best = shown["value"].where(_candidates(table)[finite]).to_numpy(dtype=float)
    winner = int(np.nanargmin(best)) if np.isfinite(best).any() else -1
    for i in range(len(shown)):
        kept = bool(done[finite].iloc[i])
        strength = 1.0 if i == winner else 0.6 if kept else 0.16
        axes.plot(range(len(columns)), heights[:, i], color=look.colour, alpha=strength, lw=3 if i == winner else 1,
                  zorder=4 if i == winner else 3 if kept else 2)  # fmt: skip
    behind = {"fc": SURFACE[0], "ec": "none", "pad": 0.6, "alpha": 0.75}
    for x, (_, ticks) in enumerate(placed):
        axes.axvline(x, color=LINE[0], lw=1, zorder=1)
        for height, words in ticks:
            axes.annotate(words, (x, height), (4, 0), textcoords="offset points", va="center", fontsize=8,
                          color=MUTED[0], zorder=6, bbox=behind)  # fmt: skip
    titles = [key.replace("_", "\n") for key in keys] + ["log\nloss"]
    small = width < 6 and len(columns) > 4
    axes.set_xticks(range(len(columns)), titles, color=INK[0], fontsize=7.5 if small else 9)
    axes.set(yticks=[], ylim=(-0.06, 1.06), xlim=(-0.15, len(columns) - 1 + (0.5 if width < 6 else 0.35)))
    axes.xaxis.tick_top()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _placed(values: "pd.Series[Any]") -> tuple[list[float], list[tuple[float, str]]]:
    """Return each value's position on its axis, from 0 to 1, and the labels of the axis."""
    kinds = sorted(set(values.dropna()), key=str)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values) or len(kinds) <= 1:
        heights = {kind: (i + 0.5) / len(kinds) for i, kind in enumerate(kinds)}
        return [heights.get(v, 0.5) for v in values], [(h, _shown(kind)[:18]) for kind, h in heights.items()]
    numbers = values.to_numpy(dtype=float)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    logarithmic = low > 0 and high / low > 20
    ends = np.log([low, high]) if logarithmic else np.array([low, high])
    where = ((np.log(numbers) if logarithmic else numbers) - ends[0]) / (ends[1] - ends[0])
    middle = float(np.exp(ends.mean()) if logarithmic else ends.mean())
    return list(np.nan_to_num(where, nan=0.5)), [(0.0, _shown(low)), (0.5, _shown(middle)), (1.0, _shown(high))]


def _shown(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, (float, np.floating)) else str(value)


def association(table: pd.DataFrame) -> dict[str, float]:
    """Return how closely each setting is associated with the trials' ranks, in [0, 1], the closest first.

    For a number it is the squared rank correlation (Spearman), for a choice the share of the rank variance between
    its groups (Kruskal and Wallis). A trial that was trained longer ranks above one pruned earlier. An association is
    not a cause: settings were not drawn independently. Empty with fewer than 8 trials.
    """
    shown = table[np.isfinite(pd.to_numeric(table["value"], errors="coerce"))]
    if "confirms" in shown:  # once each: a trial that was confirmed by its whole recipe
        shown = shown[~shown["trial"].isin(shown["confirms"].dropna())]
    if len(shown) < FEW:
        return {}
    every, found = trial_ranks(shown), {}
    for key in searched(shown):
        there = shown[key].notna().to_numpy()
        values, ranks = shown[key][there], every[there]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            found[key] = float(np.corrcoef(rankdata(values), ranks)[0, 1] ** 2) if ranks.std() else 0.0
        else:
            means = pd.Series(ranks).groupby(values.astype(str).to_numpy()).transform("mean")
            found[key] = float(means.var() / ranks.var(ddof=1)) if ranks.std() else 0.0
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
