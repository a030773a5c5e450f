"""An integer `.tflite` becomes one for the Edge TPU of ARTPEC-7, by Google's closed compiler `edgetpu_compiler`.

In: `in/model.tflite`, and what the manifest asks of the compiler. Out: `out/model_edgetpu.tflite`, or the name that the
template gives; `out/compile.log`, all that the compiler said; `out/step.json` with what of the model runs where. The
compiler is not believed: what it wrote has to be a model for the Edge TPU with the inputs and outputs of the one given,
and all its figures have to agree. A compilation that fails is tried once more, because the same command has been seen
to succeed on another try; a failure without a reason is bisected down to the operator it comes from. Times, which
differ from run to run, are below `metrics.run` in `out/step.json` and in `out/compile.log`, and nowhere else.
"""

import difflib
import time

import stepio
from edgetpu_bisect import MAX_RUNS, first_failing
from edgetpu_faults import COMPILER, Fault, explain, operator_text, too_slow, unreadable, versions_of
from edgetpu_log import completed, contradictions, last_compilation, parse_output, parse_table
from edgetpu_process import Options, find_compiler, run_compiler
from tflite_file import describe, read_tflite, renamed

LOG = "out/compile.log"
# A run that would be killed sooner than this is not begun.
_SHORTEST_RUN_S = 1


def main(params):
    """Compile the model; see the module's first paragraph.

    Args:
        params: `model` and `output`, paths; `timeout_sec`, `min_runtime_version` (0: the newest), `search_delegate`,
            `delegate_search_step` and `intermediate_tensors`, as the compiler has them; `budget_sec`, the time for all
            runs together.
    """
    compiler = find_compiler()
    with open(params["model"], "rb") as stream:
        content = stream.read()
    try:
        model = read_tflite(content)
    except ValueError as error:
        raise stepio.StepError("compiler-model", "the model cannot be read: {}".format(error)) from error
    options = _options(params, model)
    unread = unreadable(model)
    if unread:
        stepio.message(
            "{} 16.0 is not expected to read {}, which came with TensorFlow 2.7 or later".format(
                COMPILER, versions_of(unread)
            )
        )
    work = _Work(compiler, model, options, params["budget_sec"])
    outcome = work.compile()
    stepio.write_output(params["output"], outcome.run.compiled)
    stepio.write_output(LOG, "\n".join(work.records).encode("utf-8"))
    stepio.write_step_json(
        {"edgetpu-compiler": outcome.report.version},
        describe(outcome.compiled, named_by=model),
        _metrics(outcome, work, unread),
    )


class _Outcome:
    """A run that was looked at: `fault` is None where it can be used, and then all else is there."""

    def __init__(self, run, fault=None, report=None, compiled=None):
        self.run = run
        self.fault = fault
        self.report = report
        self.compiled = compiled


class _Work:
    """The runs that one model takes, and what is left of the time for them."""

    def __init__(self, compiler, model, options, budget_s):
        self._compiler = compiler
        self._model = model
        self._options = options
        self._deadline_s = time.monotonic() + budget_s
        self.records = []
        self.first_fault = None

    def compile(self):
        """Return the outcome of a run that succeeded, the first or the second.

        Raises:
            stepio.StepError: both failed.
        """
        first = self._attempt()
        if first.fault is None:
            return first
        self.first_fault = first.fault
        if self._left_s() < _SHORTEST_RUN_S:
            raise self._error(first.fault, None)
        stepio.message("{}; trying once more".format(first.fault.message))
        second = self._attempt()
        if second.fault is None:
            stepio.message("the same command succeeded on the second try: {} is not steady here".format(COMPILER))
            return second
        raise self._error(first.fault, second.fault)

    def _attempt(self):
        run = self._run(self._model.content, self._options)
        return _judged(run, self._model)

    def _run(self, content, options):
        limit_s = min(options.limit_s(len(self._model.operators)), self._left_s())
        run = run_compiler(self._compiler, content, options, max(limit_s, _SHORTEST_RUN_S))
        self.records.append(run.record)
        return run

    def _left_s(self):
        return self._deadline_s - time.monotonic()

    def _error(self, first, second):
        """Return the error for a model that did not compile twice, or once where no time was left."""
        fault = second or first
        message, hint = fault.message, fault.hint
        if second is None:
            message += " (there was no time left for a second try)"
        elif (first.code, first.message) != (second.code, second.message):
            message = "two runs of the same command failed in different ways; first: {}; then: {}".format(
                first.message, second.message
            )
        if fault.is_opaque and len(self._model.operators) > 1:
            found = self._bisect()
            if found.runs:
                message += "; {}".format(_found_text(found, self._model))
                hint = _found_hint(found, hint)
        return stepio.StepError(fault.code, message, hint)

    def _bisect(self):
        options = self._options._replace(delegate_search_step=None)
        stepio.message("looking for the operator that it fails on, in at most {} runs".format(MAX_RUNS))
        tried = []

        def compiles(names, other_names):
            if self._left_s() < _SHORTEST_RUN_S:
                return None
            content = renamed(self._model, other_names)
            run = self._run(content, options._replace(intermediate_tensors=tuple(names)))
            return run.exit_code == 0 and parse_output(run.said).has_compiled

        def tell(operators):
            tried.append(operators)
            stepio.message("run {}: the first {} operators".format(len(tried), operators))

        return first_failing(self._model, compiles, tell)


def _options(params, model):
    """Return what the compiler is asked for.

    Raises:
        stepio.StepError: a tensor at which the model is to be cut is not there, or the compiler cannot be told of it.
    """
    names = [tensor.name for tensor in model.tensors if not tensor.constant_bytes]
    for name in params["intermediate_tensors"]:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise stepio.StepError(
                "compiler-option",
                'intermediate-tensors: the model computes no tensor "{}"'.format(name)
                + ('; did you mean "{}"?'.format(near[0]) if near else ""),
                "`dlpubuild inspect` on the quantized .tflite shows its tensors",
            )
        if "," in name or ":" in name:
            raise stepio.StepError(
                "compiler-option",
                'intermediate-tensors: {} cannot be told of "{}"'.format(COMPILER, name),
                "it separates names with commas and colons: name a tensor before or behind it",
            )
    return Options(
        timeout_s=params["timeout_sec"],
        min_runtime_version=params["min_runtime_version"] or None,
        delegate_search_step=params["delegate_search_step"] if params["search_delegate"] else None,
        intermediate_tensors=tuple(params["intermediate_tensors"]),
    )


def _judged(run, model):
    """Return a run with the report on it, or with what is wrong with it."""
    if run.killed:
        if run.killed.startswith("it printed"):
            return _Outcome(run, _rubbish(run, [run.killed]))
        return _Outcome(run, too_slow("and was killed: {}".format(run.killed), model))
    report = parse_output(run.said)
    if run.exit_code != 0 or (not report.has_compiled and "ompilation failed" in run.said):
        return _Outcome(run, explain(last_compilation(run.said), run.ending, model))
    return _held_against_files(run, report, model)


def _held_against_files(run, report, model):
    """Judge a run that ended well, as it says."""
    if report.version is None or not report.has_compiled:
        return _Outcome(run, _rubbish(run, ["it does not say that it compiled anything"]))
    if run.compiled is None:
        return _Outcome(run, _rubbish(run, ["it says that it compiled the model, but it wrote no file"]))
    try:
        compiled = read_tflite(run.compiled)
    except ValueError as error:
        return _Outcome(run, _rubbish(run, ["what it wrote is no model: {}".format(error)]))
    log_rows = parse_table(run.log)
    report = completed(report, log_rows)
    wrong = contradictions(report, log_rows, model, compiled) + _changed_ends(model, compiled)
    if wrong:
        return _Outcome(run, _rubbish(run, wrong))
    return _Outcome(run, report=report, compiled=compiled)


def _rubbish(run, wrong):
    said = run.said.strip().splitlines()
    first = '; the first line it printed is "{}"'.format(said[0][:120]) if said else "; it printed nothing"
    return Fault(
        "compiler-output",
        "{} ended {}, but its result cannot be used: {}{}".format(COMPILER, run.ending, "; ".join(wrong), first),
        "is it the compiler 16.0 that is meant here? the log of the step has all that it said",
    )


def _changed_ends(model, compiled):
    """Return, as sentences, where inputs or outputs are not those of the model any more."""
    found = []
    for what, before, after in (
        ("inputs", model.inputs, compiled.inputs),
        ("outputs", model.outputs, compiled.outputs),
    ):
        were, are = [_end(model, index) for index in before], [_end(compiled, index) for index in after]
        if were != are:
            found.append("its {} are {}, those of the model {}".format(what, are, were))
    return found


def _end(model, index):
    tensor = model.tensors[index]
    return (tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)


def _found_text(found, model):
    """Return what bisecting came to, as the end of a message."""
    operators = model.operators[found.first : found.last + 1]
    if len(operators) == 1:
        return "the first operator that it fails on is {}".format(operator_text(operators[0], model))
    return "the first operator that it fails on is one of {} to {}".format(
        operator_text(operators[0], model), operator_text(operators[-1], model)
    )


def _found_hint(found, hint):
    if not found.first:
        return "it is the first operator of the model: change that; " + hint
    if not found.cut:
        return hint
    names = ", ".join('"{}"'.format(name) for name in found.cut)
    return "change that operator, or leave it and what follows to the CPU with this under [target.artpec7]: " + (
        "intermediate-tensors = [{}]".format(names)
    )


def _metrics(outcome, work, unread):
    report = outcome.report
    fault = work.first_fault
    return {
        "bytes": len(outcome.run.compiled),
        "operators": len(outcome.compiled.operators),
        "mapping": {
            "total": report.total,
            "mapped": report.mapped,
            "operators": [
                {"operator": row.operator, "count": row.count, "status": row.status, "mapped": row.is_mapped}
                for row in report.rows
            ],
            "subgraphs": report.subgraphs,
            "segment": report.segment,
            "on_chip_used_bytes": report.on_chip_used,
            "on_chip_remaining_bytes": report.on_chip_remaining,
            "off_chip_streamed_bytes": report.off_chip_streamed,
            "not_expected_readable": sorted({"{} version {}".format(each.name, each.version) for each in unread}),
        },
        "run": {
            "milliseconds": report.milliseconds,
            "attempts": len(work.records),
            "first_failure": {"code": fault.code, "message": fault.message} if fault is not None else None,
        },
    }


if __name__ == "__main__":
    stepio.run(main)
