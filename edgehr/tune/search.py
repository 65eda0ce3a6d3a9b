"""Search: what is cheap and tells much comes first, and what cannot win any more is left out.

1. Each model is converted in float32 to every format, and its ways to run are raced. The fastest is evaluated; the
   others return the same, but later. The most accurate model is what drops are counted from.
2. A model that has lost too much by then, by its small input say, is out: lower precision gives nothing back.
3. The others are converted in lower precision and raced. What is no faster than their float32 is out, and the rest
   is evaluated.
4. In the final all that nothing else beats in both time and accuracy run beside each other, for longer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgehr.converters.target import make_target
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.progress import ProgressBar, no_bar
from edgehr.runtimes.formats import FORMATS, format_of
from edgehr.runtimes.tuned import TunedModel
from edgehr.spread import Crew
from edgehr.tune.race import Bench, candidate
from edgehr.tune.results import Tried, TuneReport, choose
from edgehr.tune.steps import Steps
from edgehr.tune.variants import Variant, variants_of
from edgehr.tune.workstation import Request, Workstation

MAX_FINALISTS = 8
# What is behind by less than this in its race, which is short, may still win the final.
CLOSE = 0.05
CHOICE = "chosen.tuned"


def tune(
    request: Request,
    bench: Bench,
    where: str = "",
    bar: ProgressBar = no_bar,
    tell: Callable[[str], None] = lambda line: None,
    crew: Crew | None = None,
) -> TuneReport:
    """Search for the fastest way to run a task that is accurate enough, and write the choice.

    Args:
        request: What to search for.
        bench: Measures candidates, here or on another machine.
        where: What messages call that other machine; empty for this one.
        bar: Shows progress of an evaluation.
        tell: Told what is being done, and how long all of it will take.
        crew: Who evaluates; this process, by default.

    Raises:
        EdgehrError: The images cannot be read, nothing can be converted and run, or the other machine is lost.
    """
    return search(Workstation(request, bar, crew), bench, where, tell)


def search(
    workstation: Workstation, bench: Bench, where: str, tell: Callable[[str], None], name: str = CHOICE
) -> TuneReport:
    """Search as `tune` does, on a workstation that other searches may use too.

    Args:
        workstation: Converts and evaluates what its request asks for.
        bench: As for `tune`.
        where: As for `tune`.
        tell: As for `tune`.
        name: What the file of the choice is called.

    Raises:
        EdgehrError: As `tune`.
    """
    return _Search(workstation, Steps(workstation, bench, where, tell), where, name).run()


class _Search:
    def __init__(self, workstation: Workstation, steps: Steps, where: str, name: str = CHOICE) -> None:
        self._workstation, self._steps, self._where, self._name = workstation, steps, where, name
        self._request = request = workstation.request
        arithmetic = {}
        if not where:  # what another machine can compute in is not known here
            formats = {target: make_target(target).format or target for target in request.targets}
            arithmetic = {target: FORMATS.get(name).arithmetic() for target, name in formats.items()}
        precisions = [each for each in request.precisions if each != "int8" or request.calibration]
        self._variants = [variants_of(model, request.targets, precisions, arithmetic) for model in request.models]
        self._tried: list[Tried] = []
        self._absent: dict[str, str] = {}  # formats whose runtime the machine lacks, and what it said
        self._reference: Tried  # what drops are counted from, once all are tried in float32
        self._expect_all()

    def _expect_all(self) -> None:
        coming = self._steps.time.coming
        for variants in self._variants:
            for each in variants:
                coming[each.conversion] += each.arithmetic is None
                coming["race"] += 1
                coming["evaluate"] += 1
        coming["final"] = 1

    def run(self) -> TuneReport:
        fastest = [self._enter_full_precision(variants) for variants in self._variants]
        if not any(fastest):
            problems = "; ".join(dict.fromkeys(each.out for each in self._tried))
            raise EdgehrError(f"none of the models could be converted and run: {problems}")
        self._reference = max(filter(None, fastest), key=lambda each: each.value)
        for variants, found in zip(self._variants, fastest, strict=True):
            if found:
                self._enter_lower_precision(variants, found)
        finalists = self._finalists()
        report = TuneReport(
            setting={},
            limits=self._request.limits,
            at_once=self._request.at_once,
            points=self._workstation.evaluator.terms.points,
            tried=self._tried,
            reference=self._reference,
        )
        report.remarks = self._final(finalists, report)
        report.setting = self._setting()
        if report.chosen:
            report.file = self._write_choice(report, report.chosen)
        return report

    def _enter_full_precision(self, variants: list[Variant]) -> Tried | None:
        """Convert and race a model in float32, and evaluate the fastest, which is returned."""
        entered = [self._enter(each) for each in variants if each.full_precision]
        running = [each for each in entered if not each.out]
        self._steps.time.skip(*["evaluate"] * (len(entered) - len(running)))
        if not running:
            return None
        fastest = min(running, key=lambda each: each.race_ratio)
        for each in running:
            if each.slower_than(fastest):
                each.out = f"returns what {fastest.variant.name} does, later"
                self._steps.time.skip("evaluate")
            else:
                self._evaluate(each)
        return fastest

    def _enter_lower_precision(self, variants: list[Variant], fastest: Tried) -> None:
        """Try the lower precisions of a model whose float32 has not lost too much already."""
        lost, limit = fastest.drop_from(self._reference), self._request.limits.max_drop
        for variant in variants:
            if variant.full_precision:
                continue
            if limit is not None and lost > limit:
                self._tried.append(Tried(variant, out=f"its float32 loses {lost:.1f} points already"))
                self._steps.time.skip(*[variant.conversion] * (variant.arithmetic is None), "race", "evaluate")
                continue
            tried = self._enter(variant)
            if not tried.out and tried.slower_than(fastest):
                tried.out = f"slower than {fastest.variant.name}"
            if tried.out:
                self._steps.time.skip("evaluate")
            else:
                self._evaluate(tried)

    def _enter(self, variant: Variant) -> Tried:
        """Convert a variant and race its ways to run; `out` says what failed."""
        tried = Tried(variant)
        self._tried.append(tried)
        if variant.target in self._absent:
            tried.out = self._absent[variant.target]
            self._steps.time.skip(*[variant.conversion] * (variant.arithmetic is None), "race")
            return tried
        try:
            tried.path = self._steps.convert(variant)
            tried.bytes = sum(file.stat().st_size for file in format_of(tried.path).files(tried.path))
            tried.raced = self._steps.race(variant, tried.path)
        except EdgehrError as error:
            tried.out = str(error)
            if "is not installed" in tried.out:
                self._absent[variant.target] = tried.out
            if self._where:
                self._steps.check_machine()
        if variant.arithmetic is None:
            self._steps.time.skip(variant.conversion)
        self._steps.time.skip("race")
        return tried

    def _evaluate(self, tried: Tried) -> None:
        tried.accuracy = self._steps.evaluate(tried.variant, tried.path)
        self._steps.time.skip("evaluate")

    def _finalists(self) -> list[Tried]:
        """List what nothing beats clearly in both time and accuracy, the fastest first."""
        evaluated = sorted((each for each in self._tried if each.accuracy), key=lambda each: each.race_ratio)
        left: list[Tried] = []
        for each in evaluated:
            ahead = [other for other in evaluated if each.slower_than(other, CLOSE) and other.value >= each.value]
            better = ahead[0] if ahead else None
            if better:
                each.out = f"slower than {better.variant.model.size} {better.variant.name}, which is as accurate"
            else:
                left.append(each)
        kept = sorted(left, key=self._chance)[:MAX_FINALISTS]
        for each in left:
            if each not in kept:
                each.out = "too many others have a better chance"
        return [each for each in left if each in kept]

    def _chance(self, each: Tried) -> tuple[bool, float]:
        """Return what sorts those first that may be chosen: the fastest that lose little, or the most accurate."""
        limit = self._request.limits.max_drop
        if limit is None:
            return False, -each.value
        return each.drop_from(self._reference) > limit, each.race_ratio

    def _final(self, finalists: list[Tried], report: TuneReport) -> list[str]:
        """Measure the finalists and choose; returns what makes the figures worth less."""
        found = self._steps.final([candidate(each.path, each.run, report.at_once) for each in finalists])
        for each, ms, ratio in zip(finalists, found["ms"], found["ratios"], strict=True):
            each.ms, each.ratio = ms, tuple(ratio)
        report.chosen = choose(finalists, report.reference, report.limits, [set(places) for places in found["alike"]])
        here = "accuracy was measured on this workstation: another processor's kernels may round otherwise"
        return [*found["remarks"], *([here] if self._where else [])]

    def _write_choice(self, report: TuneReport, chosen: Tried) -> Path:
        drop = report.drop(chosen)
        measured = {
            "machine": self._steps.machine,
            "ms": chosen.ms,
            "images": report.at_once,
            "accuracy": chosen.value,
            "accuracy_is": report.points,
            "drop": drop[0] if drop else None,
            "annotations": self._request.annotations.name,
        }
        path = self._request.folder / self._name
        TunedModel(chosen.path.name, sha256_file(chosen.path), chosen.run, measured).write(path)
        return path

    def _setting(self) -> dict[str, str]:
        request, dataset, terms = self._request, self._workstation.dataset, self._workstation.evaluator.terms
        boxes = f", boxes: {dataset.boxes}" if dataset.boxes else ""
        counted = f"{len(dataset)} {terms.samples if dataset.boxes else 'images'}"
        calibration = request.calibration
        return {
            "machine": self._steps.machine,
            "accuracy": f"{terms.metric} on {counted} of {request.annotations}{boxes}",
            "time": f"of a frame with {request.at_once} at once" if request.at_once > 1 else "of one image",
            "INT8": f"calibrated on {len(calibration.crops)} crops of {calibration.source}"
            if calibration
            else "left out: give --calib",
        }
