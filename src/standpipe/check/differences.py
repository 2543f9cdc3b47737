"""The rules for where a cluster differs: each is a row of `model.cluster_differences` that a Plan shows."""

from __future__ import annotations

from standpipe.check.rule import Rule, Severity, cluster_rule
from standpipe.check.rules import cluster_control, cluster_values
from standpipe.model import cluster_differences as rows

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

#: The rows of where a cluster differs that a Plan shows. `HIDDEN` has the others.
RULES: tuple[Rule, ...] = (
    cluster_rule(rows.SP101, "collected-empty-loop", _ERROR, cluster_control.find_collected_empty_loops),
    cluster_rule(rows.SP102, "collected-skips", _ERROR, cluster_control.find_collected_skips),
    cluster_rule(rows.SP104, "final-state", _WARNING, cluster_values.find_final_states),
    cluster_rule(rows.SP105, "repeated-task-id", _WARNING, cluster_values.find_repeated_task_ids),
    cluster_rule(rows.SP106, "placeholder-in-text", _WARNING, cluster_values.find_placeholders_in_texts),
    cluster_rule(rows.SP107, "text-as-items", _WARNING, cluster_control.find_texts_as_items),
    cluster_rule(rows.SP108, "placeholder-as-program", _ERROR, cluster_values.find_placeholders_as_programs),
    cluster_rule(rows.SP109, "structure-in-text", _ERROR, cluster_values.find_structures_in_texts),
    cluster_rule(rows.SP110, "exit-task-of-several", _WARNING, cluster_control.find_hooks_of_several),
    cluster_rule(rows.SP111, "several-exit-tasks", _ERROR, cluster_control.find_several_hooks),
    cluster_rule(rows.SP112, "task-after-exit-task", _ERROR, cluster_control.find_tasks_after_hooks),
    cluster_rule(rows.SP113, "loop-over-artifacts", _ERROR, cluster_control.find_artifact_loops),
    cluster_rule(rows.SP114, "input-of-exit-task", _WARNING, cluster_control.find_inputs_of_hooks),
    cluster_rule(rows.SP115, "skipped-output", _WARNING, cluster_control.find_skipped_outputs),
    cluster_rule(rows.SP116, "cached-variable", _WARNING, cluster_values.find_uncached_influences),
    cluster_rule(rows.SP117, "fraction-as-int", _WARNING, cluster_values.find_fractions),
    cluster_rule(rows.SP118, "metadata-in-command", _WARNING, cluster_values.find_metadata_in_commands),
    cluster_rule(rows.SP120, "nested-collection", _WARNING, cluster_control.find_nested_collections),
    cluster_rule(rows.SP121, "unescaped-condition", _ERROR, cluster_values.find_unescaped_conditions),
    cluster_rule(rows.SP122, "pipeline-root", _WARNING, cluster_values.find_pipeline_roots),
    cluster_rule(rows.SP124, "placeholder-in-data", _WARNING, cluster_values.find_placeholders_in_data),
    cluster_rule(rows.SP125, "large-number", _WARNING, cluster_values.find_large_numbers),
    cluster_rule(rows.SP126, "number-for-bool", _WARNING, cluster_values.find_numbers_for_bools),
    cluster_rule(rows.SP127, "written-input", _WARNING, cluster_values.find_written_inputs),
)

#: Why no Plan shows the other rows of where a cluster differs.
HIDDEN = {
    "SP103": "Every exit task may fail, and only a run shows it: a finding for each would say nothing.",
    "SP119": "Values are known at run time; a placeholder in a constant of the author is one.",
    "SP123": "What containers write is known at run time.",
    "SP128": "Nothing in a pipeline says whether its libraries start threads.",
}
