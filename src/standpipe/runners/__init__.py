"""Runners: where the attempts of tasks are executed.

`api` has what users choose a runner by, and the registry. `process`, `docker` and `fake` each have one class of users
and one implementation of `standpipe.model.ports.Runner`.
"""
