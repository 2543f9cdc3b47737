"""Runs in MLflow, as KFP records them (its KEP 12862), by MLflow's REST API."""
