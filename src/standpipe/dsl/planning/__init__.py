"""Build a Plan from a trace: `dataflow` finds the values that cross group borders, `plan_builder` makes the nodes."""
