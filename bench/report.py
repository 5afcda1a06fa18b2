# SPDX-License-Identifier: GPL-2.0-or-later
"""What the figures mean: ratios, geometric means, goals; as a table and as JSON."""

import math

SETS = (("user", "user programs"), ("kernel", "kernel-heavy programs"))

# The goals, as the project's plan states them.
USER_GOAL = 0.5             # BT's time over TCG's, at most
KERNEL_GOAL = 1.0           # the same, below
START_GOAL_MS = 15
MEMORY_GOAL_MIB = 12


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def best(report, workload, engine):
    """The engine's time that the ratios use, in nanoseconds; None if it has none."""
    times = workload["engines"].get(engine, {}).get("ns")
    return times[report["settings"]["statistic"]] if times else None


def ratio(report, workload, engine, base):
    ours, theirs = best(report, workload, engine), best(report, workload, base)
    return ours / theirs if ours and theirs else None


def compute_means(report):
    """report["means"]: set -> "bt/native" -> {ratio, count of workloads in it}."""
    engines = list(report["engines"])
    pairs = [(engine, "native") for engine in engines if engine != "native"]
    pairs += [(engine, "tcg") for engine in engines if engine not in ("native", "tcg")]
    report["means"] = {}
    for kind, _ in SETS:
        means = report["means"][kind] = {}
        for engine, base in pairs:
            ratios = [ratio(report, work, engine, base) for work in report["workloads"]
                      if work["set"] == kind]
            ratios = [value for value in ratios if value]
            if ratios:
                means[f"{engine}/{base}"] = {"ratio": geometric_mean(ratios), "of": len(ratios)}


def goal(report, name, value, limit, unit, strict=False):
    if value is None:
        return
    met = value < limit if strict else value <= limit
    report["goals"].append({"name": name, "value": value, "limit": limit, "unit": unit,
                            "met": met})


def judge_goals(report):
    """The machine for boot and start is the one that does best: a user can choose it."""
    report["goals"] = []
    statistic = report["settings"]["statistic"]

    def judge_set(kind, name, limit, strict):
        mean = report["means"][kind].get("bt/tcg", {})
        goal(report, f"{name}, BT's time over TCG's ({mean.get('of')} programs)",
             mean.get("ratio"), limit, "x", strict)

    def quickest(engine, what):
        return min((times[what][statistic] for times in
                    report["engines"].get(engine, {}).get("machines", {}).values()
                    if what in times), default=None)

    judge_set("user", "user set", USER_GOAL, False)
    judge_set("kernel", "kernel-heavy set", KERNEL_GOAL, True)
    boot = quickest("bt", "boot_s")
    if quickest("tcg", "boot_s"):
        goal(report, "boot to init", boot, quickest("tcg", "boot_s"), "s")
    start = quickest("bt", "start_s")
    goal(report, "start to the guest's first instruction", start and start * 1e3, START_GOAL_MS,
         "ms", True)
    memory = report["engines"].get("bt", {}).get("memory")
    for kind, name in (("small", "a halted guest"), ("linux", "an idle Linux")):
        goal(report, f"resident memory beyond {name}", memory and memory[kind]["rss"] / 2**20,
             MEMORY_GOAL_MIB, "MiB", True)


def table(rows, indent="  "):
    """Left-aligned first column, right-aligned others."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def number(value, digits=2, unit=""):
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def workload_table(report, kind, title):
    engines = list(report["engines"])
    guests = [engine for engine in engines if engine != "native"]
    over_native = guests if "native" in engines else []
    over_tcg = [engine for engine in guests if engine != "tcg"] if "tcg" in engines else []
    rows = [[title] + [f"{engine} ms" for engine in engines] +
            [f"{engine}/native" for engine in over_native] +
            [f"{engine}/tcg" for engine in over_tcg]]
    for work in report["workloads"]:
        if work["set"] != kind:
            continue
        row = [work["name"]]
        for engine in engines:
            entry = work["engines"].get(engine, {})
            spent = best(report, work, engine)
            row.append("failed" if "failure" in entry else number(spent and spent / 1e6, 1))
        row += [number(ratio(report, work, engine, "native")) for engine in over_native]
        row += [number(ratio(report, work, engine, "tcg")) for engine in over_tcg]
        rows.append(row)
    if len(rows) == 1 or not engines:
        return ""
    means = report["means"][kind]
    if not means:
        return table(rows) + "\n"
    last = ["geometric mean"] + [""] * len(engines)
    for base, compared in (("native", over_native), ("tcg", over_tcg)):
        last += [number(means.get(f"{engine}/{base}", {}).get("ratio")) for engine in compared]
    rows.append(last)
    return table(rows) + "\n"


def start_table(report):
    engines = [engine for engine in report["engines"] if engine != "native"]
    if not engines:
        return ""
    machines = report["settings"]["machines"]
    statistic = report["settings"]["statistic"]

    def cell(engine, machine, key, scale, digits):
        times = report["engines"][engine].get("machines", {}).get(machine, {}).get(key)
        return number(times and times[statistic] * scale, digits)

    rows = [["start and memory"] + engines]
    for machine in machines:
        rows.append([f"{machine}: exec to the guest's first instruction, ms"] +
                    [cell(engine, machine, "start_s", 1e3, 1) for engine in engines])
        rows.append([f"{machine}: exec to the end of that process, ms"] +
                    [cell(engine, machine, "whole_s", 1e3, 1) for engine in engines])
        rows.append([f"{machine}: exec to init of Linux, s"] +
                    [cell(engine, machine, "boot_s", 1, 2) for engine in engines])
    for key, what in (("small", "a halted guest of 64 MiB"), ("linux", "an idle Linux")):
        for measure, name in (("rss", "resident"), ("pss", "proportional")):
            values = [report["engines"][engine].get("memory") for engine in engines]
            rows.append([f"{name} memory beyond {what}, MiB"] +
                        [number(value and value[key][measure] / 2**20, 1) for value in values])
    rows = [row for row in rows if any(cell != "-" for cell in row[1:])]
    if len(rows) == 1:
        return ""
    return table(rows) + f"\n  (starting and ending an empty process from here takes " \
        f"{report['host']['spawn_s'] * 1e3:.1f} ms, which is part of each)\n"


def text(report):
    parts = []
    host, settings = report["host"], report["settings"]
    parts.append(f"{host['cpu']}, {host['cpus']} CPUs, Linux {host['kernel']}\n"
                 f"{settings['statistic']} of {settings['repeat']} runs; workloads on "
                 f"'{settings['machines'][0]}' with one CPU and {settings['memory']} MiB\n")
    for name, engine in report["engines"].items():
        if engine.get("version"):
            parts[0] += f"{name}: {engine['version']}\n"
    parts += [workload_table(report, kind, title) for kind, title in SETS]
    parts.append(start_table(report))
    for name, engine in report["engines"].items():
        if engine.get("phases"):
            parts.append(f"  phases of the start ({name}, -timing)\n" +
                         "\n".join("    " + line for line in engine["phases"]) + "\n")
    if report["goals"]:
        rows = [["goals", "found", "limit", ""]]
        rows += [[item["name"], number(item["value"], 2, " " + item["unit"]),
                  number(item["limit"], 2, " " + item["unit"]), "met" if item["met"] else "MISSED"]
                 for item in report["goals"]]
        parts.append(table(rows) + "\n")
    for title, items in (("failures", report["failures"]), ("not measured", report["skipped"])):
        if items:
            parts.append(f"  {title}\n" + "\n".join("    " + item for item in items) + "\n")
    return "\n".join(part for part in parts if part)
